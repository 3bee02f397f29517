"""Pictures in and out, exact where 8 bits are."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media import letterbox, one_picture, pictures, pil_from_tensor, tensor_from_pil
from lumosx_core.media.pictures import PictureError, decode_picture

sides = st.integers(1, 60)


def noise(width, height, mode="RGB"):
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    values = np.random.default_rng(width * 61 + height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze(-1) if channels == 1 else values)


@given(sides, sides)
def test_eight_bits_survive_the_round_trip(width, height):
    picture = noise(width, height)
    assert pil_from_tensor(tensor_from_pil(picture)).tobytes() == picture.tobytes()


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
    assert (tensor_from_pil(picture) == 1).all()
    hidden = torch.zeros(1, 4, 4, 4)
    assert (one_picture(hidden, "x") == 1).all()
    half = torch.cat([torch.zeros(1, 1, 1, 3), torch.full((1, 1, 1, 1), 0.25)], -1)
    torch.testing.assert_close(one_picture(half, "x"), torch.full((1, 1, 1, 3), 0.75))
    # Sharpened alpha overshoots like every channel.
    over = torch.tensor([0.5, 0.5, 0.5, 1.4]).reshape(1, 1, 1, 4)
    assert (one_picture(over, "x") == 0.5).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La"])
def test_every_kind_of_transparency_becomes_white(mode):
    picture = Image.new(mode.upper(), (4, 4), (0,) * len(mode))
    assert (tensor_from_pil(picture.convert(mode)) == 1).all()


def test_palette_transparency_becomes_white():
    picture = Image.new("P", (2, 2), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.info["transparency"] = 0
    assert (tensor_from_pil(picture) == 1).all()


def test_exif_turns_the_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    noise(6, 4).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as picture:
        assert tensor_from_pil(picture).shape == (1, 6, 4, 3)


def test_grey_and_single_pictures_become_rgb():
    assert one_picture(torch.rand(4, 5, 3), "x").shape == (1, 4, 5, 3)
    assert one_picture(torch.rand(1, 4, 5, 1), "x").shape == (1, 4, 5, 3)
    assert tensor_from_pil(noise(5, 4, "L")).shape == (1, 4, 5, 3)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.rand(3, 4, 5, 3), "face: 3 pictures came in one batch"),
        (torch.rand(1, 4, 5, 2), r"face: the image has shape \(1, 4, 5, 2\)"),
        (torch.rand(1, 0, 5, 3), "face: the image has shape"),
        (torch.full((1, 2, 2, 3), torch.nan), "face: the image contains values that are not numbers"),
        (torch.full((1, 2, 2, 3), 255.0), "face: the image contains values up to 255, but white is 1; divide by 255"),
        (torch.linspace(-1, 1, 12).view(1, 2, 2, 3), "face: the image contains values down to -1, but black is 0"),
    ],
)
def test_bad_pictures_are_refused_by_name(image, sentence):
    with pytest.raises(LumosXError, match=sentence):
        one_picture(image, "face")


def test_what_sharpening_overshoots_is_cut():
    assert one_picture(torch.linspace(-0.3, 1.3, 12).view(1, 2, 2, 3), "face").aminmax() == (0, 1)


def test_sixteen_bit_grey_is_scaled_not_cut(tmp_path):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as picture:
        image = tensor_from_pil(picture)
    assert image.mean() == pytest.approx(0.5, abs=0.01) and image.shape == (1, 64, 64, 3)


def encoded(picture, kind, **options):
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def png(width, height, depth, colour, rows, *chunks):
    """A PNG file of these raw rows."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "MPO"])
def test_what_we_read_is_read_by_its_content(kind):
    image, several = decode_picture(encoded(Image.new("RGB", (8, 6), (255, 0, 0)), kind))
    assert image.shape == (1, 6, 8, 3) and not several
    torch.testing.assert_close(image[0, 3, 3], torch.tensor([1.0, 0, 0]), atol=0.02, rtol=0)


def test_a_cameras_preview_is_no_second_page():
    """An MPO file is a JPEG with another picture behind it."""
    for kind, expected in (("MPO", False), ("TIFF", True)):
        pages = {"save_all": True, "append_images": [Image.new("RGB", (4, 3))]}
        image, several = decode_picture(encoded(Image.new("RGB", (8, 6), (255, 0, 0)), kind, **pages))
        assert image.shape == (1, 6, 8, 3) and several == expected


def test_a_picture_may_have_as_many_pixels_as_are_read_and_no_more():
    content = encoded(Image.new("RGB", (8, 6)), "PNG")
    assert decode_picture(content, 48)[0].shape == (1, 6, 8, 3)
    with pytest.raises(PictureError, match="it has more than 4.7e-05 megapixels"):
        decode_picture(content, 47)


@pytest.mark.parametrize("kind", ["EPS", "GIF", "PPM", "ICO", "TGA", "PCX", "SGI", "IM", "DIB", "JPEG2000", "PDF"])
def test_what_else_pillow_opens_is_refused(kind):
    with pytest.raises(PictureError, match="it is not PNG, JPEG, WebP, BMP or TIFF inside"):
        decode_picture(encoded(Image.new("RGB", (8, 6)), kind))


@pytest.mark.parametrize("content", [b"", b"x", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0"])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(PictureError):
        decode_picture(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_a_picture_cut_anywhere_is_refused_and_never_another_error(kind):
    content = encoded(noise(40, 30), kind)
    for length in range(0, len(content) * 9 // 10, 97):
        with pytest.raises(PictureError):
            decode_picture(content[:length])


@given(st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF"]), st.lists(st.integers(0, 255), min_size=1), st.randoms())
def test_a_broken_picture_is_read_or_refused(kind, values, chance):
    content = bytearray(encoded(noise(9, 7), kind))
    for value in values:
        content[chance.randrange(len(content))] = value
    try:
        image, _ = decode_picture(bytes(content), 10_000)
    except PictureError as error:
        assert str(error) and len(str(error)) <= 120
    else:
        assert image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (65500, 65500), (2**31 - 1, 2**31 - 1), (64_000_001, 1)])
def test_pictures_of_more_than_64_megapixels_are_refused_before_they_are_decoded(width, height):
    with pytest.raises(PictureError, match="it has more than 64 megapixels"):
        decode_picture(png(width, height, 8, 0, b""))


def test_texts_that_grow_when_unpacked_are_refused():
    bomb = b"a\0\0" + zlib.compress(bytes(50_000_000))
    for name in (b"zTXt", b"iCCP"):
        with pytest.raises(PictureError, match="too large"):
            decode_picture(png(1, 1, 8, 2, bytes(4), (name, bomb)))


@pytest.mark.parametrize(("picture", "kind"), [
    (Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "JPEG"), (Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF"),
    (Image.new("LA", (4, 4), (0, 0)), "PNG"), (Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "WEBP"),
    (Image.new("1", (4, 4), 1), "PNG"),
])
def test_modes_that_are_white(picture, kind):
    image, _ = decode_picture(encoded(picture, kind, **({"lossless": True} if kind == "WEBP" else {})))
    torch.testing.assert_close(image, torch.ones(1, 4, 4, 3), atol=0.01, rtol=0)


def test_the_grey_that_stands_for_nothing_is_white_with_16_bits_too():
    values = np.full((4, 4), 30000, np.uint16)
    values[0, 0] = 7
    image, _ = decode_picture(encoded(Image.fromarray(values), "PNG", transparency=7))
    assert image[0, 0, 0, 0] == 1 and image[0, 1, 1, 0] == pytest.approx(30000 / 65535, abs=0.005)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_values_of_which_nobody_knows_what_white_is_are_refused(mode):
    with pytest.raises(PictureError, match="save it with 8 or 16 bits"):
        decode_picture(encoded(Image.new(mode, (4, 4), 1), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_turns_every_kind_upright(kind):
    exif = Image.Exif()
    exif[274] = 6
    image, _ = decode_picture(encoded(noise(6, 4), kind, exif=exif))
    assert image.shape == (1, 6, 4, 3)


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "TIFF"])
@pytest.mark.parametrize("exif", [b"garbage", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_cost_the_picture(kind, exif):
    if kind == "TIFF" and not exif.endswith(b"\xff"):
        pytest.skip("TIFF files keep their tags elsewhere")
    options = {} if kind == "TIFF" else {"exif": exif}
    picture, _ = decode_picture(saved(noise(20, 10), kind, **options))
    assert picture.shape == (1, 10, 20, 3)


def test_a_cut_picture_is_still_refused():
    with pytest.raises(PictureError, match="truncated"):
        decode_picture(saved(noise(200, 100), "JPEG")[:-200])


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.slow
@pytest.mark.parametrize("most", [pictures._MOST_READS, 1 << 14])
def test_pictures_in_millions_of_pieces_end_in_a_sentence(monkeypatch, most):
    """In the time that the bound allows; each kind of piece is tried with a smaller one."""
    monkeypatch.setattr(pictures, "_MOST_READS", most)
    png, jpeg = saved(noise(20, 10), "PNG"), saved(noise(20, 10), "JPEG")
    pieces = [
        png[:33] + chunk(b"prVt", b"") * most + png[33:],
        png[:-12] + chunk(b"prVt", b"") * most + png[-12:],
        jpeg[:2] + b"\xff\xe1\0\x02" * most + jpeg[2:],
    ]
    for content in pieces[:1] if most > 1 << 14 else pieces:
        began = time.process_time()
        with pytest.raises(PictureError, match="too many pieces"):
            decode_picture(content)
        assert time.process_time() - began < 5


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded():
    content = saved(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    last = content[content.rfind(b"\xff\xda"):-2]
    assert decode_picture(content[:-2] + last * 20 + content[-2:])[0].shape == (1, 64, 64, 3)
    with pytest.raises(PictureError, match="more than 100 scans"):
        decode_picture(content[:-2] + last * 200 + content[-2:])


def test_a_file_is_read_in_exactly_so_many_pieces(monkeypatch):
    monkeypatch.setattr(pictures, "_MOST_READS", 2)
    file = pictures._BoundedReads(b"abc")
    assert (file.read(1), file.read()) == (b"a", b"bc")
    with pytest.raises(pictures.PictureError, match="too many pieces"):
        file.read()


@pytest.mark.parametrize(("value", "words"), [
    (pictures._BRIGHTEST, None), (pictures._DARKEST, None), (np.nextafter(np.float32(pictures._BRIGHTEST), 9), "up to"),
    (np.nextafter(np.float32(pictures._DARKEST), -9), "down to"),
])
def test_values_exactly_at_the_bounds_are_let_through(value, words):
    image = torch.full((1, 2, 2, 3), 0.5, dtype=torch.float64)
    image[0, 1, 1, 1] = float(value)
    if words is None:
        assert one_picture(image, "face")[0, 1, 1, 1] == min(max(value, 0), 1)
    else:
        with pytest.raises(LumosXError, match=f"^face: the image contains values {words}"):
            one_picture(image, "face")


@pytest.mark.parametrize(("one", "same"), [
    ((101, 100), True), ((99, 100), True), ((1011, 1000), False), ((989, 1000), False), ((202, 200), True),
])
def test_proportions_are_the_same_up_to_exactly_so_many_percent(one, same):
    assert pictures.same_proportions(one, (100, 100), 1) is same
    assert pictures.same_proportions(one, (100, 100), 2)
