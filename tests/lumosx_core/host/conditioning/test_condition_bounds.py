"""Ranges, areas, masks and windows of a conditioning, exactly where they begin to matter."""

from types import SimpleNamespace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning import conditions


def test_an_entry_that_carries_no_values_has_no_references():
    assert not conditions.has_references({}) and not conditions.has_references({"model_conds": {}})
    assert conditions.has_references({"model_conds": {conditions.BINDING: None}})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, (0.0, 1.0)),
        ({"start_percent": 0.2, "end_percent": 0.6}, (0.2, 0.6)),
        ({"clip_start_percent": 0.3, "clip_end_percent": 0.7}, (0.3, 0.7)),
        ({"start_percent": 0.2, "clip_start_percent": 0.3, "end_percent": 0.6, "clip_end_percent": 0.7}, (0.3, 0.6)),
        ({"start_percent": 0.4, "clip_start_percent": 0.3, "end_percent": 0.8, "clip_end_percent": 0.7}, (0.4, 0.7)),
    ],
)
def test_a_text_is_used_where_both_of_its_ranges_are(entry, expected):
    assert conditions._range(entry) == expected


@pytest.mark.parametrize(("window", "fits"), [
    ({"dim": 3, "context_length": 6}, True), ({"dim": 3, "context_length": 5}, False),
    ({"dim": 4, "context_length": 8}, True), ({"dim": 4, "context_length": 7}, False), ({"dim": 3}, False),
    ({"dim": 2, "context_length": 1}, True), ({"context_length": 1}, True), ({"dim": 5, "context_length": 1}, True),
])
def test_a_window_as_long_as_its_side_cuts_nothing(window, fits):
    shape = (1, 16, 3, 6, 8)
    if fits:
        assert conditions._check_window(SimpleNamespace(**window), shape) is None
    else:
        with pytest.raises(LumosXError, match="^model: its context windows go along the"):
            conditions._check_window(SimpleNamespace(**window), shape)
    assert conditions._check_window(None, shape) is None


@pytest.mark.parametrize(("area", "whole"), [
    (None, True), ((6, 8, 0, 0), True), ((7, 9, 0, 0), True), ((5, 8, 0, 0), False), ((6, 7, 0, 0), False),
    ((6, 8, 1, 0), False), ((6, 8, 0, 1), False), ((3, 6, 8, 0, 0, 0), True), ((3, 6, 8, 2, 0, 0), True),
    (("percentage", 1.0, 1.0, 1.0, 0.5, 0.0, 0.0), True), (("percentage", 1.0, 0.99, 1.0, 0.0, 0.0, 0.0), False),
    (("percentage", 1.0, 1.0, 0.0, 0.0), False),
])
def test_an_area_is_whole_when_height_and_width_are(area, whole):
    assert conditions._covers(area, (1, 16, 3, 6, 8)) == whole


@pytest.mark.parametrize(("shape", "fits"), [
    ((6, 8), True), ((1, 6, 8), True), ((3, 6, 8), True), ((2, 6, 8), False), ((2, 1, 6, 8), True),
    ((1, 2, 6, 8), False),
])
def test_a_mask_has_one_picture_or_one_a_frame(shape, fits):
    entry = {"mask": torch.ones(shape)}
    if fits:
        assert conditions._check_mask("positive", entry, (1, 16, 3, 6, 8)) is None
    else:
        with pytest.raises(LumosXError, match="^positive: its mask has 2 pictures, but the latent has 3 frames"):
            conditions._check_mask("positive", entry, (1, 16, 3, 6, 8))
