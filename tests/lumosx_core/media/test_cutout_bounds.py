"""Masks, boxes and warnings of cut-outs, exactly at each bound and one past it."""

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.media import cutouts
from lumosx_core.media.cutouts import Box, cut_out, fitting_mask


@pytest.mark.parametrize(("width", "height", "some"), [(1, 1, True), (1, 0, True), (0, 1, True), (0, 0, False)])
def test_a_box_without_sides_is_none(width, height, some):
    assert bool(Box(3, 4, width, height)) == some


@pytest.mark.parametrize(("box", "words"), [
    (Box(0, 0, 8, 8), None), (Box(12, 22, 8, 8), None), (Box(0, 0, 20, 29), None), (Box(0, 0, 19, 30), None),
    (Box(-1, 0, 8, 8), "goes beyond"), (Box(0, -1, 8, 8), "goes beyond"), (Box(13, 22, 8, 8), "goes beyond"),
    (Box(12, 23, 8, 8), "goes beyond"), (Box(0, 0, 7, 8), "is too small"), (Box(0, 0, 8, 7), "is too small"),
    (Box(0, 0, 20, 30), "is the whole image"),
])
def test_boxes_in_a_picture_of_20_by_30(box, words):
    if words is None:
        assert cutouts._check_box(box, 20, 30) is None
    else:
        with pytest.raises(LumosXError, match=f"^box: .* {words}"):
            cutouts._check_box(box, 20, 30)


@pytest.mark.parametrize(("shape", "fits"), [
    ((4, 5), True), ((1, 4, 5), True), ((1, 1, 4, 5), True), ((5,), False), ((1, 1, 1, 4, 5), False), ((0, 5), False),
    ((2, 4, 5), False), ((1, 2, 4, 5), False), ((), False),
])
def test_the_sides_of_a_mask(shape, fits):
    mask = torch.ones(shape)
    if fits:
        assert fitting_mask(mask, 4, 5, False).shape == (1, 4, 5)
    else:
        with pytest.raises(LumosXError, match="^mask: "):
            fitting_mask(mask, 4, 5, False)


@pytest.mark.parametrize(("height", "width", "fits"), [
    (1000, 1009, True), (1009, 1000, True), (1000, 1011, False), (1011, 1000, False),
])
def test_the_proportions_of_a_mask(height, width, fits):
    if fits:
        assert fitting_mask(torch.ones(height, width), 50, 50, False).shape == (1, 50, 50)
    else:
        with pytest.raises(LumosXError, match="has other proportions"):
            fitting_mask(torch.ones(height, width), 50, 50, False)


def mask_of(fill, height=100, width=100):
    """A mask of which this share is 1, row by row."""
    mask = torch.zeros(height * width)
    mask[:round(fill * height * width)] = 1
    return mask.reshape(1, height, width)


def warned(mask, box=None, pixels=10**4 * 2, outside=0):
    return " ".join(cutouts._warnings(mask, box or Box(0, 0, 100, 100), pixels, outside))


@pytest.mark.parametrize(("fill", "told"), [
    (cutouts.USUAL_FILL[0] - 0.01, True), (cutouts.USUAL_FILL[0] + 0.01, False), (cutouts.USUAL_FILL[1] - 0.01, False),
    (cutouts.USUAL_FILL[1] + 0.01, True),
])
def test_how_much_of_its_box_a_mask_fills(fill, told):
    assert ("of its box" in warned(mask_of(fill))) == told


@pytest.mark.parametrize("bounds", [(0.5, 0.9), (0.1, 0.5)])
def test_the_bounds_of_a_usual_fill_are_usual(monkeypatch, bounds):
    monkeypatch.setattr(cutouts, "USUAL_FILL", bounds)
    assert "of its box" not in warned(mask_of(0.5))


@pytest.mark.parametrize(("least", "told"), [(0.25, False), (0.2500001, True)])
def test_the_smallest_share_of_a_picture_is_enough(monkeypatch, least, told):
    monkeypatch.setattr(cutouts, "SMALLEST_SHARE", least)
    assert ("may be a stray speck" in warned(mask_of(0.5))) == told


@pytest.mark.parametrize(("width", "height", "told"), [(41, 41, False), (40, 41, True), (41, 40, True)])
def test_the_shortest_side(width, height, told):
    assert ("below 41" in warned(mask_of(0.5), Box(0, 0, width, height))) == told


@pytest.mark.parametrize(("least", "pixels", "told"), [
    (1.0, 100, True), (1 - cutouts.NOTHING, 100, True), (0.99 - cutouts.NOTHING, 100, False), (1.0, 101, False),
])
def test_a_mask_of_everything_cuts_nothing_out(least, pixels, told):
    mask = torch.full((1, 10, 10), 1.0, dtype=torch.float64)
    mask[0, 3, 4] = least
    assert ("covers the whole image" in warned(mask, pixels=pixels)) == told


def test_specks_are_counted():
    assert "speck" not in warned(mask_of(0.5)) and warned(mask_of(0.5), outside=1).startswith("1 pixels of the mask")


def test_a_mask_must_be_clearly_above_its_bound_somewhere():
    mask = torch.zeros(1, 50, 50)
    mask[0, 10:20, 10:20] = cutouts.CLEAR
    with pytest.raises(LumosXError, match="^mask: it is nowhere above 5%"):
        cut_out(torch.rand(1, 50, 50, 3), mask)
    mask[0, 12, 12] = cutouts.CLEAR + 1e-3
    assert cut_out(torch.rand(1, 50, 50, 3), mask).box == Box(10, 10, 5, 5)


@pytest.mark.parametrize(("size", "kept"), [(9, False), (10, True)])
def test_parts_and_holes_of_exactly_the_least_size_stay(size, kept):
    """A 50th of 500 pixels is 10; the part itself counts for the holes."""
    mask = np.zeros((40, 60), np.uint8)
    mask[:10, :50] = 1
    part = mask.copy()
    part[30, :size] = 1
    found = cutouts._without_specks(part.copy())
    assert found[30, :size].all() == kept and found[:10, :50].all() and found[30, size:].sum() == 0
    assert found[30, :size].any() == kept


@pytest.mark.parametrize(("size", "kept"), [(9, False), (10, True)])
def test_strays_of_exactly_the_least_size_stay(size, kept):
    """A 500th of 5000 pixels is 10."""
    clear = np.zeros((100, 100), bool)
    clear[:50] = True
    clear[80, :size] = True
    assert cutouts._without_strays(clear)[80, :size].all() == kept


@pytest.mark.parametrize(("side", "value", "height", "fits"), [
    (64, 0, 50, False), (64, 1, 50, True), (64, 0, 64, True), (63, 0, 50, True), (65, 0, 50, True),
])
def test_the_empty_mask_of_load_image_is_known_by_its_size(side, value, height, fits):
    mask = torch.full((side, side), float(value))
    if fits:
        assert float(fitting_mask(mask, height, height, False).max()) == value
    else:
        with pytest.raises(LumosXError, match="^mask: this is the empty 64x64 mask that Load Image sends"):
            fitting_mask(mask, height, height, False)


@pytest.mark.parametrize(("most", "found"), [(cutouts.NOTHING, False), (cutouts.NOTHING + 1e-3, True), (1.0, True)])
@pytest.mark.parametrize(("box", "shape", "inner"), [
    (Box(20, 30, 10, 8), (16, 20), Box(5, 4, 10, 8)), (Box(0, 0, 10, 8), (12, 15), Box(0, 0, 10, 8)),
    (Box(50, 72, 10, 8), (12, 15), Box(5, 4, 10, 8)), (Box(2, 1, 10, 9), (14, 17), Box(2, 1, 10, 9)),
])
def test_only_what_is_near_a_box_is_looked_at(monkeypatch, most, found, box, shape, inner):
    """Half of its sides more on each side, as far as the picture of 60 x 80 goes."""
    seen = []

    def grab(pixels, given):
        seen.append((pixels.shape[:2], given))
        made = np.ones(pixels.shape[:2], np.float32)
        made[given.y:given.y + given.height, given.x:given.x + given.width] = most
        return made

    monkeypatch.setattr(cutouts, "_grab_cut", grab)
    if not found:
        with pytest.raises(LumosXError, match="^box: GrabCut finds nothing in it"):
            cutouts.estimated_mask(torch.zeros(1, 80, 60, 3), box)
    else:
        mask = cutouts.estimated_mask(torch.zeros(1, 80, 60, 3), box)
        assert mask.shape == (1, 80, 60) and (mask > 0).sum() == box.width * box.height
        assert torch.all(mask[0, box.y:box.y + box.height, box.x:box.x + box.width] == np.float32(most))
    assert seen == [(shape, inner)]


@pytest.mark.parametrize(("value", "kept"), [(cutouts.NOTHING, 1), (cutouts.NOTHING * 1.01, 3)])
def test_the_edge_of_what_is_kept_is_above_nothing(value, kept):
    """Within two pixels of what is clearly kept."""
    clear, mask = np.zeros((9, 9), bool), torch.full((9, 9), float(value))
    clear[4, 4], mask[4, 4] = True, 1.0
    mask[:, :3] = mask[:, 6:] = mask[:3] = mask[6:] = 0
    mask[4, 5] = value
    found = cutouts._with_edge(clear, mask)
    assert bool(found[4, 4]) and int(found[4].sum()) == kept and not found[0].any()
