"""Pictures in and out, exact where 8 bits are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media import from_image, letterbox, one_picture, to_image

sides = st.integers(1, 60)


def noise(width, height, mode="RGB"):
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    values = np.random.default_rng(width * 61 + height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze(-1) if channels == 1 else values)


@given(sides, sides)
def test_eight_bits_survive_the_round_trip(width, height):
    picture = noise(width, height)
    assert from_image(to_image(picture)).tobytes() == picture.tobytes()


@given(sides, sides, st.integers(8, 64), st.integers(8, 64))
def test_a_letterbox_is_centred_on_white_and_keeps_the_shape(width, height, canvas_width, canvas_height):
    picture = Image.new("RGB", (width, height), (10, 20, 30))
    result = np.asarray(letterbox(picture, canvas_width, canvas_height))
    assert result.shape == (canvas_height, canvas_width, 3)
    rows, columns = (~(result == 255).all(-1)).nonzero()
    scale = min(canvas_width / width, canvas_height / height)
    size = max(1, int(width * scale)), max(1, int(height * scale))
    assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == size
    assert columns.min() == (canvas_width - size[0]) // 2 and rows.min() == (canvas_height - size[1]) // 2


def test_transparency_becomes_white_not_the_hidden_colour():
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (to_image(picture) == 1).all()
    hidden = torch.zeros(1, 4, 4, 4)
    assert (one_picture(hidden, "x") == 1).all()
    half = torch.cat([torch.zeros(1, 1, 1, 3), torch.full((1, 1, 1, 1), 0.25)], -1)
    torch.testing.assert_close(one_picture(half, "x"), torch.full((1, 1, 1, 3), 0.75))


def test_palette_transparency_becomes_white():
    picture = Image.new("P", (2, 2), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.info["transparency"] = 0
    assert (to_image(picture) == 1).all()


def test_exif_turns_the_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    noise(6, 4).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as picture:
        assert to_image(picture).shape == (1, 6, 4, 3)


def test_grey_and_single_pictures_become_rgb():
    assert one_picture(torch.rand(4, 5, 3), "x").shape == (1, 4, 5, 3)
    assert one_picture(torch.rand(1, 4, 5, 1), "x").shape == (1, 4, 5, 3)
    assert to_image(noise(5, 4, "L")).shape == (1, 4, 5, 3)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.rand(3, 4, 5, 3), "face: 3 pictures came in one batch"),
        (torch.rand(1, 4, 5, 2), r"face: the image has shape \(1, 4, 5, 2\)"),
        (torch.rand(1, 0, 5, 3), "face: the image has shape"),
        (torch.full((1, 2, 2, 3), torch.nan), "face: the image holds values that are no numbers"),
        (torch.full((1, 2, 2, 3), 255.0), "face: the image holds values up to 255, but white is 1; divide by 255"),
    ],
)
def test_bad_pictures_are_refused_by_name(image, sentence):
    with pytest.raises(LumosXError, match=sentence):
        one_picture(image, "face")


def test_sixteen_bit_grey_is_scaled_not_cut(tmp_path):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as picture:
        image = to_image(picture)
    assert image.mean() == pytest.approx(0.5, abs=0.01) and image.shape == (1, 64, 64, 3)
