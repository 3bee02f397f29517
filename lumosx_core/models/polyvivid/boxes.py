"""Boxes as other nodes hand them out: JSON text, lists, tensors, or Florence-2's ``bboxes`` and ``labels``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ...errors import LumosXError

MOST_BOXES = 64
"""Of one frame."""
_LONGEST_TEXT = 4 << 20
_LISTS = ("bboxes", "boxes")
_FORMAT = (
    "give a list with the boxes of each frame, each box as [left, top, right, bottom] in pixels, or Florence-2's "
    "{\"bboxes\": …, \"labels\": …} for each frame"
)


@dataclass(frozen=True)
class LabelledBox:
    """A box, and what it was found by.

    Attributes:
        edges: left, top, right, bottom in pixels.
        label: empty where there is none.
    """

    edges: tuple[float, float, float, float]
    label: str = ""


def boxes_of_frames(value: Any, frames: int) -> tuple[tuple[LabelledBox, ...], ...]:
    """The boxes of every frame.

    Args:
        value: JSON text; or lists, tuples, tensors and dictionaries of the same shape: an entry for each frame, which
            is a list of boxes or Florence-2's answer. One frame needs no list around its entry, and a list of as many
            boxes as frames is one box for each.
        frames: how many there are.

    Raises:
        LumosXError: anything else.
    """
    value = _plain(value)
    if isinstance(value, Mapping) or not isinstance(value, list):
        value = [value]
    if _is_box(value):
        value = [[value]]
    elif value and all(map(_is_box, value)):
        value = [value] if frames == 1 else [[one] for one in value]
    if len(value) != frames:
        raise LumosXError(f"boxes: there are boxes of {len(value)} frames for {frames} images; {_FORMAT}.")
    return tuple(_of_frame(entry, number) for number, entry in enumerate(value, start=1))


def _plain(value: Any) -> Any:
    """Lists and dictionaries instead of text and tensors."""
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            raise LumosXError(f"boxes: the text has {len(value)} letters; at most {_LONGEST_TEXT} are read.")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise LumosXError(f"boxes: the text is not JSON; {_FORMAT}.") from error
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _of_frame(entry: Any, number: int) -> tuple[LabelledBox, ...]:
    entry = _plain(entry)
    labels: Any = []
    if isinstance(entry, Mapping):
        labels = _plain(entry.get("labels") or [])
        entry = _plain(next((entry[name] for name in _LISTS if name in entry), None))
    if _is_box(entry):
        entry = [entry]
    if not isinstance(entry, list) or not all(map(_is_box, entry)) or not isinstance(labels, list):
        raise LumosXError(f"boxes: those of frame {number} cannot be read; {_FORMAT}.")
    if labels and len(labels) != len(entry):
        raise LumosXError(f"boxes: frame {number} has {len(entry)} boxes but {len(labels)} labels; each needs one.")
    if len(entry) > MOST_BOXES:
        raise LumosXError(f"boxes: frame {number} has {len(entry)}; give at most {MOST_BOXES} for a frame.")
    names = [str(label).strip() for label in labels] or [""] * len(entry)
    found = []
    for box, name in zip(entry, names):
        left, top, right, bottom = map(float, _plain(box))
        found.append(LabelledBox((left, top, right, bottom), name))
    return tuple(found)


def _is_box(value: Any) -> bool:
    value = _plain(value) if not isinstance(value, str) else None
    return isinstance(value, list) and len(value) == 4 and all(
        isinstance(one, Real) and not isinstance(one, bool) for one in value
    )
