"""The segmentation gate."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid.segmentation import inside_box, largest_object, segmentation_gate


def filled(*rectangles, height=10, width=12):
    """A mask for each (left, top, right, bottom)."""
    masks = torch.zeros(len(rectangles), height, width)
    for mask, (left, top, right, bottom) in zip(masks, rectangles):
        mask[top:bottom, left:right] = 1
    return masks


def test_the_largest_object_inside_the_box_counts():
    """Not the one that is largest outside of it."""
    masks = filled((0, 0, 2, 2), (2, 0, 5, 2), (4, 0, 12, 10))
    assert largest_object((0, 0, 5, 5), masks) == (1, 6)
    assert largest_object((0, 0, 12, 10), masks) == (2, 80)
    assert largest_object((0, 0, 12, 10), masks > 0) == (2, 80)


def test_the_first_of_equal_objects_counts():
    assert largest_object((0, 0, 9, 9), filled((0, 0, 1, 4), (3, 3, 5, 5))) == (0, 4)


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (-9, -9, -1, -1), (20, 20, 30, 30), (5, 5, 2, 2)])
def test_a_box_without_an_object(box):
    assert largest_object(box, filled((0, 0, 12, 10))) == (None, 0)
    assert largest_object((0, 0, 5, 5), torch.zeros(0, 10, 12)) == (None, 0)
    assert not segmentation_gate([box], [filled((0, 0, 12, 10))], [1.0])[0].kept


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.floats(-1, 1))
def test_an_object_is_kept_if_it_is_alike_enough(similarities, least):
    count = len(similarities)
    verdicts = segmentation_gate([(0, 0, 12, 10)] * count, [filled((1, 1, 3, 3))] * count, similarities, least)
    assert [one.kept for one in verdicts] == [similarity > least for similarity in similarities]
    assert all(one.mask == 0 and one.area == 4 and bool(one.reason) != one.kept for one in verdicts)


def test_the_reason_names_both_numbers_and_nan_is_not_alike():
    verdict, other = segmentation_gate([(0, 0, 9, 9)] * 2, [filled((1, 1, 3, 3))] * 2, [0.15, math.nan], 0.2)
    assert "0.150" in verdict.reason and "0.2" in verdict.reason
    assert not other.kept


@given(st.tuples(*[st.floats(-30, 30)] * 4))
def test_any_box_is_cut_to_the_picture(box):
    mask, area = largest_object(box, filled((0, 0, 12, 10)))
    assert 0 <= area <= 120 and (mask is None) == (area == 0)
    left, top, right, bottom = box
    if left <= 0 and top <= 0 and right >= 12 and bottom >= 10:
        assert area == 120


@pytest.mark.parametrize(("given", "name"), [
    (([(0, 0, 1, 1)], [filled((0, 0, 1, 1))], []), "masks"), (([(0, 0, 1, 1)], [torch.zeros(4, 4)], [1.0]), "masks"),
    (([(0, 0, 1)], [filled((0, 0, 1, 1))], [1.0]), "boxes"),
    (([(0, 0, math.inf, 1)], [filled((0, 0, 1, 1))], [1.0]), "boxes"),
])
def test_wrong_inputs_are_named(given, name):
    with pytest.raises(LumosXError, match=f"^{name}: "):
        segmentation_gate(*given)


def test_an_object_is_where_a_mask_is_above_a_half():
    masks = torch.zeros(2, 4, 4)
    masks[0, :2], masks[1, 0, 0] = 0.5, 0.51
    assert largest_object((0, 0, 4, 4), masks) == (1, 1)


def test_masks_are_cut_at_a_box_and_what_was_given_stays():
    masks = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0)) + 0.1
    before = masks.clone()
    cut = inside_box((1.2, 2.0, 4.5, 5.0), masks)
    expected = torch.zeros_like(masks)
    expected[:, 2:5, 1:5] = masks[:, 2:5, 1:5]
    assert torch.equal(cut, expected) and torch.equal(masks, before)


@pytest.mark.parametrize(("box", "area"), [
    ((0, -9, 12, -2), 0), ((-9, 0, -2, 10), 0), ((0, 0, 12, 0), 0), ((0, 0, 0, 10), 0), ((12, 0, 15, 10), 0),
    ((0, 10, 12, 15), 0), ((11, 9, 99, 99), 1), ((-5, -5, 1, 1), 1), ((0.9, 0.9, 1.1, 1.1), 4), ((3, 3, 2, 2), 0),
])
def test_a_box_beside_the_picture_holds_nothing(box, area):
    assert largest_object(box, filled((0, 0, 12, 10)))[1] == area
    assert inside_box(box, filled((0, 0, 12, 10))).sum() == area
