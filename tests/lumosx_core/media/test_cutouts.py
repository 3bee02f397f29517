"""Cut-outs: by masks to the pixel, by GrabCut against masks that are known."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media import cutouts, tensor_from_pil
from lumosx_core.media.cutouts import SOFT, TRAINING, Box, cut_out, estimated_mask, fitting_mask
from support.drawing import GREEN, draw_jacket

PHOTOGRAPHS = Path(__file__).parents[4] / "shared" / "cases"


def photograph(name):
    """One of scikit-image's own."""
    return Image.open(Path(find_spec("skimage").origin).parent / "data" / name).convert("RGB")


def silhouette(picture):
    """[H, W] bool of what is on white, holes of white included."""
    from scipy.ndimage import binary_fill_holes

    return binary_fill_holes(np.asarray(picture.convert("RGB")).min(-1) < 245)


def pasted(thing, background, enlarged=1):
    """A picture with the thing in its middle, the true mask [H, W] bool, and a box a little larger than the thing."""
    background = background.resize((background.width * enlarged, background.height * enlarged))
    scale = min(0.6 * background.width / thing.width, 0.6 * background.height / thing.height)
    size = int(thing.width * scale), int(thing.height * scale)
    mask = Image.fromarray((silhouette(thing) * 255).astype(np.uint8)).resize(size)
    at = (background.width - size[0]) // 2, (background.height - size[1]) // 2
    background.paste(thing.convert("RGB").resize(size), at, mask)
    truth = np.zeros((background.height, background.width), bool)
    truth[at[1]:at[1] + size[1], at[0]:at[0] + size[0]] = np.asarray(mask) > 127
    margin = min(size) // 16
    return tensor_from_pil(background), truth, Box(
        at[0] - margin, at[1] - margin, size[0] + 2 * margin, size[1] + 2 * margin
    )


def overlap(mask, truth):
    """Intersection over union."""
    found = mask[0].numpy() > 0.5
    return (found & truth).sum() / (found | truth).sum()


@pytest.fixture
def gradient():
    """image [1, 60, 80, 3] in which no two pixels are equal, and a mask [1, 60, 80] with a soft edge."""
    image = (torch.arange(60 * 80 * 3).reshape(1, 60, 80, 3).float() + 1) / (60 * 80 * 3 + 2)
    mask = torch.zeros(1, 60, 80)
    mask[:, 10:55, 5:60] = 0.25
    mask[:, 12:53, 7:58] = 1
    return image, mask


def test_soft_edges_are_blended_with_white(gradient):
    image, mask = gradient
    made = cut_out(image, mask, SOFT)
    assert made.box == Box(5, 10, 55, 45) and made.warnings == ()
    assert torch.equal(made.mask, mask[:, 10:55, 5:60])
    assert torch.equal(made.image[:, 2:43, 2:53], image[:, 12:53, 7:58])
    torch.testing.assert_close(made.image[0, 0, 0], image[0, 10, 5] * 0.25 + 0.75)


def test_edges_as_in_training_keep_every_colour_that_the_mask_touches(gradient):
    image, mask = gradient
    mask[0, 30, 30] = 0
    made = cut_out(image, mask, TRAINING)
    assert (made.image[0, 20, 25] == 1).all()
    rest = made.mask > 0
    assert torch.equal(made.image[rest], image[:, 10:55, 5:60][rest])


def test_unknown_edges_are_refused(gradient):
    """ComfyUI 0.3.75 does not check them."""
    with pytest.raises(LumosXError, match="edges: 'hard' is not known; choose one of soft, as in training"):
        cut_out(*gradient, "hard")


def test_padding_is_white_on_every_side(gradient):
    made = cut_out(*gradient, padding=7)
    plain = cut_out(*gradient)
    assert made.image.shape == (1, 45 + 14, 55 + 14, 3) and made.mask.shape == (1, 45 + 14, 55 + 14)
    assert torch.equal(made.image[:, 7:-7, 7:-7], plain.image)
    assert (made.image[:, :7] == 1).all() and (made.image[:, :, -7:] == 1).all()
    assert (made.mask[:, :7] == 0).all() and made.mask.sum() == plain.mask.sum()


@given(st.integers(0, 7), st.integers(0, 7), st.integers(1, 8), st.integers(1, 8))
def test_the_crop_is_tight(left, top, width, height):
    mask = torch.zeros(1, 15, 15)
    mask[:, top:top + height, left:left + width] = 1
    # What 8 bits round to nothing is no edge.
    mask[0, 14, 14] = max(mask[0, 14, 14].item(), 1e-3)
    made = cut_out(torch.rand(1, 15, 15, 3), mask)
    assert made.box == Box(left, top, width, height)
    assert made.image.shape == (1, height, width, 3) and made.mask.min() == 1


BLOCKS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(4, 40), st.integers(4, 40))


def blocks_on(mask, blocks, value=1.0):
    """Set some rectangles of a mask [1, 100, 100]; a copy."""
    mask = mask.clone()
    for left, top, width, height in blocks:
        mask[:, top:top + height, left:left + width] = value
    return mask


@given(st.lists(BLOCKS, min_size=1, max_size=3))
def test_an_exact_mask_gives_exactly_its_bounding_box(blocks):
    mask = blocks_on(torch.zeros(1, 100, 100), blocks)
    rows, columns = mask[0].any(1).nonzero(), mask[0].any(0).nonzero()
    box = cut_out(torch.rand(1, 100, 100, 3), mask).box
    assert (box.x, box.y) == (columns[0], rows[0])
    assert (box.x + box.width - 1, box.y + box.height - 1) == (columns[-1], rows[-1])


@given(st.lists(BLOCKS, min_size=1, max_size=3), st.integers(0, 2**32), st.sampled_from([SOFT, TRAINING]))
def test_faint_noise_neither_enlarges_the_crop_nor_keeps_the_background(blocks, seed, edges):
    clean = blocks_on(torch.zeros(1, 100, 100), blocks)
    noise = 0.02 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed))
    image = torch.zeros(1, 100, 100, 3)
    made, exact = cut_out(image, clean.maximum(noise), edges), cut_out(image, clean).box
    box = made.box
    assert 0 <= exact.x - box.x <= 2 and 0 <= exact.y - box.y <= 2
    assert 0 <= box.x + box.width - exact.x - exact.width <= 2 and not any("specks" in told for told in made.warnings)
    around = torch.nn.functional.max_pool2d(clean, 5, 1, 2)[:, box.y:box.y + box.height, box.x:box.x + box.width]
    assert (made.image[around == 0] >= (0.98 if edges == SOFT else 1)).all()


@pytest.mark.parametrize("value", [0.003, 0.5, 1.0])
def test_a_stray_pixel_does_not_enlarge_the_crop(value):
    mask = blocks_on(torch.zeros(1, 100, 100), [(10, 20, 50, 50)])
    mask[0, 95, 97] = value
    made = cut_out(torch.rand(1, 100, 100, 3), mask)
    assert made.box == Box(10, 20, 50, 50)
    told = [warning for warning in made.warnings if "1 pixels of the mask are in specks" in warning]
    assert len(told) == (value > 0.05)


def test_a_second_part_of_some_size_counts():
    mask = blocks_on(torch.zeros(1, 100, 100), [(0, 0, 60, 60), (90, 90, 3, 3)])
    assert cut_out(torch.rand(1, 100, 100, 3), mask).box == Box(0, 0, 93, 93)


def test_parts_are_measured_by_the_largest_and_not_by_all():
    """900 dots of one size: each is less than a 500th of them all, and none is a speck."""
    mask = torch.zeros(1, 120, 120)
    mask[:, ::4, ::4] = 1
    made = cut_out(torch.rand(1, 120, 120, 3), mask)
    assert made.box == Box(0, 0, 117, 117) and made.mask.sum() == 900
    assert not any("specks" in told for told in made.warnings)


def test_specks_and_pinholes_go_and_larger_ones_stay():
    """Both are measured by the largest part and what is left of it: a 50th of 60 x 60 is 72 pixels."""
    mask = np.zeros((100, 100), np.uint8)
    mask[5:65, 5:65] = 1
    kept = mask.copy()
    for target in (mask, kept):
        # A part and a hole of 81 pixels.
        target[80:89, 80:89] = 1
        target[30:39, 30:39] = 0
    mask[90:95, 2:7] = 1
    mask[10:15, 10:15] = 0
    assert np.array_equal(cutouts._without_specks(mask), kept)


def test_a_soft_edge_stays_whole():
    mask = blocks_on(torch.zeros(1, 100, 100), [(18, 18, 44, 44)], 0.01)
    mask = blocks_on(mask, [(19, 19, 42, 42)], 0.04)
    mask = blocks_on(mask, [(20, 20, 40, 40)])
    made = cut_out(torch.rand(1, 100, 100, 3), mask)
    assert made.box == Box(18, 18, 44, 44) and torch.equal(made.mask, mask[:, 18:62, 18:62])


def test_without_scipy_a_sentence_says_what_to_install(monkeypatch, gradient):
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(LumosXError, match="scipy .* cannot be imported .*; run .* pip install .*scipy=="):
        cut_out(*gradient)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (torch.full((1, 60, 80), 0.02), "mask: it is nowhere above 5%"),
        (torch.zeros(1, 60, 80), "mask: it is empty"),
        (torch.zeros(64, 64), "mask: this is the empty 64x64 mask"),
        (torch.ones(3, 60, 80), "mask: 3 masks"),
        (torch.full((1, 60, 80), torch.nan), "mask: it contains values"),
        (torch.ones(1, 60, 60), "mask: it is 60x60 pixels"),
        (torch.ones(1, 80, 60), "mask: it is 60x80 pixels"),
        (torch.ones(5), r"mask: it has shape \(5,\)"),
        (torch.ones(1, 0, 5), r"mask: it has shape \(1, 0, 5\)"),
    ],
)
def test_bad_masks_are_refused(mask, sentence):
    with pytest.raises(LumosXError, match=sentence):
        cut_out(torch.rand(1, 60, 80, 3), fitting_mask(mask, 60, 80, False))


def test_a_mask_of_nearly_the_same_shape_is_stretched_and_no_other():
    """Sizes are rounded when pictures are made smaller: 1 % is let through."""
    assert fitting_mask(torch.ones(1, 100, 201), 50, 100, False).shape == (1, 50, 100)
    assert fitting_mask(torch.ones(1, 111, 221), 100, 200, False).shape == (1, 100, 200)
    for height, width in ((100, 202), (101, 200), (100, 198)):
        assert fitting_mask(torch.ones(1, height, width), 200, 400, False).shape == (1, 200, 400)
    for height, width in ((50, 102), (51, 100)):
        with pytest.raises(LumosXError, match=f"mask: it is {width}x{height} pixels but the image is 200x100"):
            fitting_mask(torch.ones(1, height, width), 100, 200, False)


def test_the_mask_of_no_transparency_is_refused_inverted_too():
    with pytest.raises(LumosXError, match="that Load Image sends"):
        fitting_mask(torch.zeros(1, 64, 64), 60, 80, True)
    assert fitting_mask(torch.zeros(1, 64, 64), 64, 64, True).min() == 1


def test_masks_of_another_size_and_values_beyond_the_range():
    half = torch.zeros(1, 30, 40)
    half[:, 10:20, 10:30] = 1
    fitted = fitting_mask(half, 60, 80, False)
    assert fitted.shape == (1, 60, 80) and fitted[0, 30, 40] == 1 and 0 < fitted[0, 19, 40] < 1
    assert fitting_mask(torch.rand(1, 1, 101, 200), 60, 119, False).shape == (1, 60, 119)
    wild = torch.full((60, 80), -3.0)
    wild[5:, :] = 7
    assert set(fitting_mask(wild, 60, 80, True).unique().tolist()) == {0.0, 1.0}
    assert fitting_mask(wild, 60, 80, True)[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("area", "sentence"),
    [
        ((slice(0, 600), slice(0, 800)), "covers the whole image and cuts nothing out"),
        ((slice(100, 140), slice(100, 300)), "The cut-out is 200x40 pixels; below 41"),
        ((slice(0, 599), slice(0, 800)), "The mask fills 100% of its box"),
        ((slice(0, 30), slice(0, 30)), r"The thing covers 0.19% of the image, below 0.2%"),
    ],
)
def test_odd_masks_are_warned_about(area, sentence):
    mask = torch.zeros(1, 600, 800)
    mask[(slice(None), *area)] = 1
    warnings = cut_out(torch.rand(1, 600, 800, 3), mask).warnings
    assert any(sentence in warning for warning in warnings)


def test_a_mask_that_hardly_fills_its_box_is_warned_about():
    mask = torch.zeros(1, 600, 800)
    mask[:, 0:20, 0:800] = mask[:, 580:600, 0:10] = 1
    assert any("fills 3% of its box" in warning for warning in cut_out(torch.rand(1, 600, 800, 3), mask).warnings)


@pytest.mark.parametrize("background", ["coffee.png", "gravel.png", "rocket.jpg"])
def test_a_box_finds_a_drawn_jacket_before_a_photograph(background):
    image, truth, box = pasted(draw_jacket(GREEN), photograph(background))
    mask = estimated_mask(image, box)
    assert overlap(mask, truth) > 0.97
    outside = mask.clone()
    outside[:, box.y:box.y + box.height, box.x:box.x + box.width] = 0
    assert outside.max() == 0
    # Both edges of a row through the thing together, about a pixel each at half strength.
    row = mask[0, box.y + box.height // 2]
    assert 2 <= ((row > 0.02) & (row < 0.98)).sum() <= 12


def test_a_large_photograph_is_cut_out_at_its_own_size(monkeypatch):
    # What GrabCut takes at most, so that an ordinary photograph is a large one.
    monkeypatch.setattr(cutouts, "_MOST_PIXELS", 100_000)
    image, truth, box = pasted(draw_jacket(GREEN), photograph("coffee.png"), enlarged=2)
    assert image.shape[1:3] == (800, 1200)
    mask = estimated_mask(image, box)
    assert mask.shape == image.shape[:3] and overlap(mask, truth) > 0.97


def test_the_same_box_gives_the_same_mask():
    image = tensor_from_pil(photograph("astronaut.png").resize((256, 256)))
    box = Box(10, 3, 220, 252)
    first = estimated_mask(image, box)
    assert torch.equal(estimated_mask(image, box), first)
    # The face, the suit, and the flag behind.
    assert first[0, 65, 112] > 0.9 and first[0, 210, 100] > 0.9
    assert first[0, 20, 30] < 0.1


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs are not part of the project")
@pytest.mark.parametrize(
    ("file", "background", "least"),
    [
        ("subject_1/subjects/2/black jacket.png", "coffee.png", 0.97),
        ("subject_1/subjects/2/black jacket.png", "rocket.jpg", 0.97),
        ("subject_2/subjects/1/denim jacket.png", "gravel.png", 0.92),
        ("subject_2/subjects/1/white shirt.png", "rocket.jpg", 0.95),
        ("subject_2/subjects/2/light brown sweater.png", "gravel.png", 0.92),
    ],
)
def test_a_box_finds_real_clothes(file, background, least):
    image, truth, box = pasted(Image.open(PHOTOGRAPHS / file), photograph(background))
    assert overlap(estimated_mask(image, box), truth) > least


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        (Box(50, 0, 40, 40), "box: 40x40 at 50, 0 "),
        (Box(0, 30, 40, 31), "box: 40x31 at 0, 30 "),
        (Box(0, 0, 40, 0), "box: 40x0 at 0, 0 is too small"),
        (Box(0, 0, 80, 60), "box: 80x60 at 0, 0 is the whole image"),
        (Box(10, 10, 20, 20), "box: GrabCut finds nothing"),
    ],
)
def test_bad_boxes_are_refused_with_figures(box, sentence):
    with pytest.raises(LumosXError, match=sentence):
        estimated_mask(torch.full((1, 60, 80, 3), 0.5), box)


def test_without_opencv_masks_still_work_and_a_box_says_what_to_install(monkeypatch, gradient):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert cut_out(*gradient).image.numel()
    with pytest.raises(LumosXError, match="OpenCV is not installed; run .* pip install"):
        estimated_mask(gradient[0], Box(10, 10, 20, 20))


@pytest.mark.parametrize("box", [Box(4, 4, 8, 8), Box(0, 0, 19, 20), Box(0, 0, 20, 19), Box(1, 0, 19, 20)])
def test_the_smallest_boxes_and_margins_do_no_harm(box):
    image = torch.zeros(1, 20, 20, 3)
    image[:, 6:10, 6:10] = 1
    assert estimated_mask(image, box)[0, 7, 7] > 0.5
