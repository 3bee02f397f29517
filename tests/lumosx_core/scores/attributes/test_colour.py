"""Likeness of colours."""

import sys

import numpy as np
import pytest
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media import tensor_from_pil
from lumosx_core.scene.relations import Kind, Reference
from lumosx_core.scores.attributes.colour import ColourLikeness
from support.drawing import draw_dress, draw_jacket

COLOUR = ColourLikeness()


def likeness(picture, crop):
    reference = Reference(Kind.ATTRIBUTE, "thing", tensor_from_pil(picture))
    return float(COLOUR.of_references([reference])["colour"][0] @ COLOUR.of_crops([np.asarray(crop)])[0])


def plain(*colour):
    return Image.new("RGB", (30, 20), colour)


def test_the_same_colours_are_1_and_others_nearly_0():
    assert likeness(plain(200, 30, 30), plain(200, 30, 30)) == pytest.approx(1, abs=1e-5)
    assert likeness(plain(200, 30, 30), plain(30, 60, 200)) < 0.02
    assert likeness(plain(20, 20, 20), plain(230, 230, 230)) < 0.02


def test_a_little_more_light_changes_little_and_much_more_does():
    near, far = likeness(plain(90, 120, 60), plain(98, 128, 68)), likeness(plain(90, 120, 60), plain(190, 220, 160))
    assert near > 0.85 > 0.1 > far


def test_half_of_it_is_the_square_root_of_one_half():
    half = np.full((20, 30, 3), (30, 60, 200), np.uint8)
    half[:10] = (200, 30, 30)
    assert likeness(plain(200, 30, 30), half) == pytest.approx(0.5**0.5, abs=0.01)


def test_the_white_ground_of_a_cut_out_does_not_count():
    cut_out = Image.new("RGB", (100, 100), (255, 255, 255))
    cut_out.paste(plain(200, 30, 30), (10, 10))
    assert likeness(cut_out, plain(200, 30, 30)) == pytest.approx(1, abs=1e-5)


def test_a_white_thing_is_taken_whole():
    assert likeness(plain(254, 254, 254), plain(254, 254, 254)) == pytest.approx(1, abs=1e-5)
    # A button of another colour is not the thing; a larger part is.
    for side, is_white in ((13, True), (15, False)):
        shirt = Image.new("RGB", (100, 100), (254, 254, 254))
        shirt.paste(Image.new("RGB", (side, side), (200, 30, 30)), (40, 40))
        assert (likeness(shirt, plain(200, 30, 30)) < 0.2) == is_white


def test_size_of_a_picture_hardly_matters():
    jacket = draw_jacket((62, 140, 92))
    large = jacket.resize((1400, 1400), Image.Resampling.NEAREST)
    things = COLOUR.of_crops([np.asarray(jacket.convert("RGB")), np.asarray(large.convert("RGB"))])
    assert things[0] @ things[1] > 0.99


def test_drawn_clothes_are_distinguished():
    green, yellow = draw_jacket((62, 140, 92)).convert("RGB"), draw_dress((250, 204, 66)).convert("RGB")
    for own, other in ((green, yellow), (yellow, green)):
        pixels = np.asarray(own)
        assert likeness(own, pixels[pixels.min(axis=2) < 248][None]) > 0.99
        pixels = np.asarray(other)
        assert likeness(own, pixels[pixels.min(axis=2) < 248][None]) < 0.5


def test_without_scipy_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(LumosXError, match="scipy .* cannot be imported .*; run .* pip install .*scipy=="):
        likeness(plain(200, 30, 30), plain(200, 30, 30))


@pytest.mark.parametrize(
    ("phrase", "part"),
    [("red hat", "head"), ("baseball caps", "head"), ("blue jeans", "legs"), ("white shirt", "torso"),
     ("Black Boots", "legs"), ("cape", "torso"), ("chat shirt", "torso"), ("", "torso"),
     ("sunglasses", "face"), ("reading glasses", "face"), ("gold earrings", "face"), ("beard", "face"),
     ("face mask", "face"), ("long blonde hair", "hair"), ("headphones", "hair"), ("curly wig", "hair"),
     ("silver necklace", "neck"), ("bow tie", "neck"), ("wool scarves", "neck"), ("tie-dye t-shirt", "torso"),
     ("jeans jacket", "torso"), ("shirt with a tie", "torso"), ("red and white hat", "head"), ("dresses", "torso"),
     ("pair of jeans", "legs"), ("dress shoes", "legs")],
)
def test_where_a_thing_is_worn_is_derived_from_its_phrase(phrase, part):
    assert COLOUR.part(phrase) == part
