"""JSON from elsewhere checked by pydantic, and its first mistake in words."""

from __future__ import annotations

import reprlib

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import shown

_LONGEST = 60


class Strict(BaseModel):
    """Values of exactly the types that are written down: no text for a number, no true for 1."""

    model_config = ConfigDict(strict=True, frozen=True)


def first_mistake(error: ValidationError) -> tuple[str, str, str]:
    """What is wrong with the first value that does not fit.

    Returns:
        Where it is, such as ``objects 1 phrase``; a sentence without its full stop, with the value where that helps;
        and pydantic's name for such mistakes.
    """
    found = error.errors(include_url=False, include_context=False)[0]
    place = " ".join(str(step + 1) if isinstance(step, int) else shown(step[:_LONGEST]) for step in found["loc"])
    what = found["msg"].removeprefix("Value error, ")
    if found["type"] not in ("missing", "value_error") and "too_long" not in found["type"]:
        what += f", not {shown(reprlib.repr(found['input'])[:_LONGEST])}"
    return place, what, found["type"]
