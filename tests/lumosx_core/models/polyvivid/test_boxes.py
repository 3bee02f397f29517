"""Boxes as other nodes hand them out."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid import boxes
from lumosx_core.models.polyvivid.boxes import MOST_BOXES, LabelledBox, boxes_of_frames

one_box = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4)
frames = st.lists(st.lists(one_box, max_size=4), min_size=2, max_size=5)


def plain(boxes):
    return [[list(box.edges) for box in frame] for frame in boxes]


@given(frames)
def test_every_form_says_the_same(value):
    # A list of four boxes is one box of four numbers only by its numbers.
    assert plain(boxes_of_frames(value, len(value))) == value
    assert plain(boxes_of_frames(json.dumps(value), len(value))) == value
    florence = [{"bboxes": frame, "labels": [f"n{index}" for index in range(len(frame))]} for frame in value]
    found = boxes_of_frames(florence, len(value))
    assert plain(found) == value
    assert all(box.label == f"n{index}" for frame in found for index, box in enumerate(frame))


def test_one_frame_needs_no_list_and_one_box_a_frame_no_inner_one():
    box = LabelledBox((1.0, 2.0, 3.0, 4.0))
    for value in ([1, 2, 3, 4], [[1, 2, 3, 4]], [[[1, 2, 3, 4]]], torch.tensor([1, 2, 3, 4]),
                  np.array([[1, 2, 3, 4]]), {"bboxes": [[1, 2, 3, 4]]}):
        assert boxes_of_frames(value, 1) == ((box,),)
    assert boxes_of_frames(torch.tensor([[1, 2, 3, 4]] * 3), 3) == ((box,),) * 3


@pytest.mark.parametrize("value", [
    "nonsense", "[" * 5000, "3", 5, None, [[1, 2, 3]], [["a", 2, 3, 4]], [[True, 2, 3, 4]], {"masks": []},
    {"bboxes": [[1, 2, 3, 4]], "labels": ["a", "b"]}, {"bboxes": 5}, [[[1, 2, 3, 4]] * (MOST_BOXES + 1)],
    [[[1, 2, 3, 4]], [[1, 2, 3, 4]]],
], ids=lambda value: str(value)[:20])
def test_anything_else_is_refused(value):
    with pytest.raises(LumosXError, match="^boxes: "):
        boxes_of_frames(value, 1)


def test_labels_are_tidied_and_boxes_are_found_under_either_name():
    for name in ("bboxes", "boxes"):
        (frame,) = boxes_of_frames({name: [[1, 2, 3, 4]], "labels": [" red hat "]}, 1)
        assert frame == (LabelledBox((1.0, 2.0, 3.0, 4.0), "red hat"),)


def test_as_many_boxes_as_may_be_are_read(monkeypatch):
    (frame,) = boxes_of_frames([[[1, 2, 3, 4]] * MOST_BOXES], 1)
    assert len(frame) == MOST_BOXES
    monkeypatch.setattr(boxes, "_LONGEST_TEXT", 12)
    assert boxes_of_frames("[1, 2, 3, 4]", 1) == ((LabelledBox((1.0, 2.0, 3.0, 4.0)),),)
    with pytest.raises(LumosXError, match="^boxes: the text has 13 letters; at most 12 are read"):
        boxes_of_frames("[1, 2, 3, 4] ", 1)
