"""Pictures that show nothing, or the same as another: seen through what files and nodes do to them, without alarm."""

import io
from pathlib import Path

import folder_paths
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from lumosx_core.media import letterbox, pil_from_tensor, sketch, tensor_from_pil
from lumosx_core.media.sketch import _EXAMPLE_LIGHT, Sketch
from lumosx_core.tiny.demo_case import write_demo_case
from support.photographs import astronaut_file
from tools.people import draw_face, random_look


def of(picture):
    return Sketch.of(tensor_from_pil(picture))


def noisy(deviation, colour=0.5, size=256):
    noise = torch.randn(1, size, size, 3, generator=torch.Generator().manual_seed(3)) * deviation
    return (colour + noise).clamp(0, 1)


def saved(picture, quality):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def photograph():
    return Image.open(astronaut_file()).convert("RGB")


BLANK = {
    "white": lambda: Image.new("RGB", (64, 48), "white"),
    "one pixel": lambda: Image.new("RGB", (1, 1), "red"),
    "transparent": lambda: Image.new("RGBA", (64, 64), (7, 8, 9, 0)),
    "saved as JPEG": lambda: saved(Image.new("RGB", (300, 200), "teal"), 30),
    "a speck": lambda: Image.fromarray(np.pad(np.zeros((4, 4, 3), np.uint8), ((200, 200), (200, 200), (0, 0)),
                                              constant_values=255)),
    "sixteen bits cut to eight": lambda: Image.fromarray(
        np.minimum(np.linspace(0, 65535, 512).astype(np.uint16), 255).astype(np.uint8)[None].repeat(64, 0)
    ).convert("RGB"),
}


@pytest.mark.parametrize("name", BLANK)
def test_a_picture_of_one_colour_is_blank(name):
    assert of(BLANK[name]()).blank


@pytest.mark.parametrize("deviation", [0.005, 0.02, 0.05])
def test_noise_on_one_colour_is_blank_too(deviation):
    assert Sketch.of(noisy(deviation)).blank


def test_what_shows_something_is_not_blank():
    assert not of(photograph()).blank and not of(photograph().convert("L")).blank
    white = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(white).ellipse((230, 230, 280, 280), outline="silver", width=12)
    assert not of(white).blank
    assert not of(Image.linear_gradient("L")).blank
    cloth = np.indices((256, 256)).sum(0) % 8 < 4
    assert not of(Image.fromarray((cloth * 90 + 90).astype(np.uint8))).blank


def test_a_picture_at_another_size_or_saved_anew_is_the_same():
    one = photograph()
    for other in (one.resize((200, 200)), one.resize((900, 900)), saved(one, 40), saved(one.resize((333, 333)), 60)):
        assert of(one).shows_same(of(other)) and of(other).shows_same(of(one))


def test_other_pictures_are_not():
    one = photograph()
    moved = [one.crop(box) for box in ((0, 0, 300, 300), (60, 0, 360, 300), (120, 60, 420, 360))]
    faces = [draw_face(random_look(seed)) for seed in (1, 2, 60)]
    for group in (moved, faces, [one, one.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]):
        for place, each in enumerate(group):
            assert not any(of(each).shows_same(of(other)) for other in group[place + 1:])
    assert not of(one).shows_same(of(letterbox(one, 832, 480)))
    blank = of(Image.new("RGB", (64, 64)))
    assert not blank.shows_same(blank)


def test_a_picture_that_was_stretched_is_another():
    one = photograph()
    assert of(one).shows_same(of(one.resize((512, 500)))) and not of(one).shows_same(of(one.resize((512, 460))))


def test_a_fine_pattern_is_no_noise():
    """Of which nothing is left in the mean of a part."""
    steps = np.array([-1, 0, 1, 0])[np.indices((256, 256)).sum(0) % 4]
    for strength, blank in ((10, True), (20, True), (25, False), (80, False)):
        assert of(Image.fromarray((steps * strength + 90).astype(np.uint8))).blank == blank


def test_comfyuis_example_is_square():
    light = np.frombuffer(_EXAMPLE_LIGHT, np.uint8).reshape(8, 8)
    example = Image.fromarray(light).resize((320, 320), Image.Resampling.NEAREST)
    assert of(example).is_example and not of(example.resize((320, 300))).is_example


def test_the_pictures_of_the_demo_case_are_all_different(tmp_path):
    pictures = [of(Image.open(file)) for file in sorted(write_demo_case(tmp_path / "demo").rglob("*.png"))]
    assert len(pictures) > 5 and not any(each.blank or each.is_example for each in pictures)
    for place, each in enumerate(pictures):
        assert not any(each.shows_same(other) for other in pictures[place + 1:])


def test_comfyuis_example_picture_is_known_at_any_size():
    file = Path(folder_paths.__file__).parent / "input" / "example.png"
    if not file.exists():
        pytest.skip("this ComfyUI has no example picture")
    example = Image.open(file).convert("RGB")
    for picture in (example, example.resize((320, 320)), saved(example, 50)):
        assert of(picture).is_example
    assert not of(photograph()).is_example and not of(example.crop((0, 0, 500, 500))).is_example
    assert not of(Image.new("RGB", (64, 64), "gray")).is_example


def test_how_large_it_is_in_the_video_is_what_the_letterbox_leaves():
    for size in ((4000, 10), (3, 900), (512, 512), (100, 7)):
        picture = Image.new("RGB", size, "black")
        black = np.asarray(letterbox(picture, 832, 480)).max(2) == 0
        assert of(picture).fitted(832, 480) == (int(black.any(0).sum()), int(black.any(1).sum()))


def test_values_of_any_kind_are_read():
    image = tensor_from_pil(photograph())
    for other in (image.half(), image[:, ::1, ::1].to(torch.float64), pil_from_tensor(image)):
        sketch = of(other) if isinstance(other, Image.Image) else Sketch.of(other)
        assert sketch.shows_same(Sketch.of(image)) and (sketch.width, sketch.height) == (512, 512)


@pytest.mark.parametrize(("step", "odd"), [(0.0, 0.0), (sketch._ONE_COLOUR, 0.0), (sketch._ONE_COLOUR + 1e-6, 1.0)])
def test_a_colour_is_odd_beyond_the_noise_of_one_colour(step, odd):
    for sign in (1, -1):
        colours = torch.zeros(4, 3)
        colours[:, 1] = sign * step
        assert sketch._odd(colours, torch.zeros(3)) == odd


@pytest.mark.parametrize(("odd", "blank"), [(0.005, True), (0.0051, False)])
def test_a_picture_with_a_few_odd_pixels_is_blank(odd, blank):
    picture = torch.zeros(1, 100, 200, 3)
    picture.view(-1, 3)[:round(odd * 20_000)] = 1
    assert Sketch.of(picture).blank == blank


@pytest.mark.parametrize(("off", "example"), [(0, True), (2.9, True), (-2.9, True), (3.1, False), (-3.1, False)])
def test_how_far_the_light_of_the_example_may_be_off(off, example):
    light = (torch.tensor(list(_EXAMPLE_LIGHT)).float() + off) / 255
    picture = light.reshape(1, 8, 8, 1).repeat_interleave(8, 1).repeat_interleave(8, 2).expand(1, 64, 64, 3)
    assert Sketch.of(picture).is_example == example and not Sketch.of(picture[:, :56]).is_example


def test_light_exactly_as_far_off_as_allowed_is_the_examples(monkeypatch):
    light = (torch.tensor(list(_EXAMPLE_LIGHT)).float() + 2) / 255
    picture = light.reshape(1, 8, 8, 1).repeat_interleave(8, 1).repeat_interleave(8, 2).expand(1, 64, 64, 3)
    found = Sketch.of(picture)
    seen = sketch._fewer(found.cells, 8).mean(2).flatten() * 255
    off = float((seen - torch.tensor(list(_EXAMPLE_LIGHT))).abs().mean())
    for most, example in ((off, True), (off - 1e-6, False)):
        monkeypatch.setattr(sketch, "_SAME_LIGHT", most)
        assert found.is_example == example


@pytest.mark.parametrize(("noise", "odd", "blank"), [
    (0.0, sketch._MOST_ODD, True), (0.0, sketch._MOST_ODD + 1e-9, False), (-1e-6, sketch._MOST_ODD, False),
])
def test_noise_and_odd_cells_are_blank_up_to_their_bounds(monkeypatch, noise, odd, blank):
    shares = iter([1.0, odd])
    monkeypatch.setattr(sketch, "_odd", lambda colours, usual: next(shares))
    monkeypatch.setattr(sketch, "_MOST_NOISE", float(torch.tensor(0.125).sqrt()) + noise)
    picture = torch.full((3, 4, 4), 0.25)
    picture[:, :2] = 0.75
    assert sketch._is_blank(picture, torch.zeros(64, 64, 3)) == blank
