import numpy as np
import pytest
from PIL import Image

from lumosx_core.tiny import drawing, people


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return drawing.write_demo_case(tmp_path_factory.mktemp("case") / "new" / "folder")


def difference(first, second):
    """Mean difference of two pictures, 0..255."""
    second = second.resize(first.size)
    return np.abs(np.asarray(first, float) - np.asarray(second, float)).mean()


def test_folder_has_two_people_an_object_and_a_place(case):
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
            assert min(picture.size) >= 128
    assert Image.open(case / "background" / "sunny park.png").size == (832, 480)


@pytest.mark.parametrize("name", [
    "subjects/1/green jacket.png", "subjects/1/red hat.png", "subjects/2/yellow dress.png", "objects/blue guitar.png",
])
def test_cut_outs_are_tight_on_white(case, name):
    pixels = np.asarray(Image.open(case / name).convert("RGB"))
    border = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    assert (border == 255).all()
    drawn = np.argwhere((pixels < 255).any(axis=2))
    assert (drawn.min(0) <= 6).all()
    assert (np.array(pixels.shape[:2]) - drawn.max(0) <= 7).all()


def test_drawing_again_gives_the_same_files(case, tmp_path):
    again = drawing.write_demo_case(tmp_path)
    for path in case.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(case)).read_bytes()


def test_people_differ():
    assert difference(people.draw_face(people.MAN), people.draw_face(people.WOMAN)) > 25
    looks = [people.random_look(seed) for seed in range(20)]
    assert looks[3] == people.random_look(3)
    assert len(set(looks)) > 15
    assert not any(look.beard and look.long_hair for look in looks)


def test_park_fits_other_sizes():
    assert drawing.draw_park(416, 240).size == (416, 240)
