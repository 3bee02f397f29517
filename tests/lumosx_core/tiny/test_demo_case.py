import numpy as np
import pytest
from PIL import Image

from lumosx_core.tiny import demo_case
from lumosx_core.tiny.world.cast import colour_name


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return demo_case.write_demo_case(tmp_path_factory.mktemp("case") / "new" / "folder")


def test_folder_has_two_people_an_object_and_a_place(case):
    """Saved workflows and links to the case know these names."""
    assert sorted(str(path.relative_to(case).as_posix()) for path in case.rglob("*.*")) == [
        "background/sunny park.png",
        "caption.txt",
        "objects/blue guitar.png",
        "subjects/1/face_man on the left.png",
        "subjects/1/green jacket.png",
        "subjects/1/red hat.png",
        "subjects/2/face_woman on the right.png",
        "subjects/2/yellow dress.png",
    ]


def test_every_phrase_is_in_the_prompt_once(case):
    name, prompt = (case / "caption.txt").read_text(encoding="utf-8").split(";")
    assert name == "demo"
    for path in case.rglob("*.png"):
        assert prompt.count(path.stem.removeprefix("face_")) == 1


def test_pictures_are_rgb_and_large_enough(case):
    for path in case.rglob("*.png"):
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            assert min(picture.size) >= 112
    assert Image.open(case / "background" / "sunny park.png").size == (832, 624)


@pytest.mark.parametrize("name", [
    "subjects/1/green jacket.png", "subjects/1/red hat.png", "subjects/2/yellow dress.png", "objects/blue guitar.png",
])
def test_cut_outs_are_tight_on_white(case, name):
    pixels = np.asarray(Image.open(case / name).convert("RGB"))
    border = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    assert (border == 255).all()
    drawn = np.argwhere((pixels < 255).any(axis=2))
    room = round(0.05 * max(pixels.shape))
    assert (drawn.min(0) <= room).all()
    assert (np.array(pixels.shape[:2]) - drawn.max(0) <= room + 1).all()


def test_colours_are_what_the_phrases_say():
    for role, person in zip(demo_case.SCRIPT.roles, demo_case.CAST.people):
        for wear in role.wears:
            assert colour_name(person.worn[wear.kind].ground) == wear.colour
    assert colour_name(demo_case.CAST.thing.ground) == demo_case.SCRIPT.thing_colour


def test_drawing_again_gives_the_same_files(case, tmp_path):
    again = demo_case.write_demo_case(tmp_path)
    for path in case.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(case)).read_bytes()
