"""JSON from elsewhere checked by pydantic, and its first mistake in words."""

from __future__ import annotations

import json
import reprlib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import shown

_LONGEST = 60


class Strict(BaseModel):
    """Values of exactly the types that are written down: no text for a number, no true for 1."""

    model_config = ConfigDict(strict=True, frozen=True)


Content = TypeVar("Content", bound=Strict)


def parse_json(text: str, **options: Any) -> Any:
    """What a JSON text holds.

    Args:
        text: from elsewhere.
        options: as for ``json.loads``.

    Raises:
        ValueError, RecursionError: it is not JSON, or has half characters, which no tokenizer takes.
    """
    read = json.loads(text, **options)
    json.dumps(read, ensure_ascii=False).encode()
    return read


def parse_versioned(content: bytes, kind: type[Content], version: int) -> Content:
    """What a JSON file with a number ``version`` holds.

    Args:
        content: of the file, UTF-8.
        kind: what it should hold.
        version: the only one that is read.

    Raises:
        ValueError: it holds something else; the message is the rest of a sentence that begins with the file.
    """
    try:
        read = parse_json(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    found = read.get("version") if isinstance(read, dict) else None
    if type(found) is int and found != version:
        raise ValueError(f"has version {str(found)[:20]}, but this LumosX reads {version}")
    try:
        return kind.model_validate(read)
    except ValidationError as error:
        place, what, _ = first_mistake(error)
        raise ValueError(f"is wrong at {place or 'its beginning'} ({what})") from error


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
