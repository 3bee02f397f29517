"""Work folders: a JSON file for each stage that says it is done, with what, and what came out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import LumosXError, shown
from ..files import write_aside
from ..untrusted import read_inside
from ..validation import parse_json
from .backends import Backends, PixelBox
from .settings import Settings

VERSION = 1
"""Of what stages write; another one is done again."""
MOST_MARK = 16_000_000
_MOST_PICTURE = 64_000_000

Result = dict[str, Any]
StageWork = Callable[[Path, Backends, Settings], Result]


class Rejected(Exception):
    """A clip that is not used.

    Attributes:
        reason: in a few words, the same for all clips with this fault, for counting.
        detail: one sentence about this clip.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, shown(detail)


def stage(name: str, after: str, uses: tuple[str, ...] = ()) -> Callable[[StageWork], StageWork]:
    """Make a function a stage, skipped where ``name.json`` was made with the same settings from the same input.

    The function returns what came out, as JSON; its ``files`` are what else it wrote, relative to the folder. A
    rejection is kept too, so that the next run does not look again. Nothing is kept of any other error.

    Args:
        name: of the file, without ``.json``.
        after: the stage whose file it reads; if that changes, it is done again.
        uses: names of settings and of backends that it depends on.
    """

    def decorate(work: StageWork) -> StageWork:
        @functools.wraps(work)
        def run(folder: Path, backends: Backends, settings: Settings) -> Result:
            key = _key(folder, name, after, [_value(one, backends, settings) for one in uses])
            known = _read(folder, name)
            if known is not None and known.get("key") == key and _is_whole(folder, known):
                mark = known
            else:
                mark = _outcome(work, folder, backends, settings)
                write_mark(folder, name, {"key": key, **mark})
            if "rejected" in mark:
                raise Rejected(mark["rejected"]["reason"], mark["rejected"]["detail"])
            return mark["result"]

        return run

    return decorate


def result_of(folder: Path, name: str) -> Result:
    """What a stage that is done came to.

    Raises:
        LumosXError: it is not done.
    """
    mark = _read(folder, name)
    if mark is None or not isinstance(mark.get("result"), dict):
        raise LumosXError(f"work: {shown(folder.name)} has no result in {name}.json; run the stages in their order.")
    return mark["result"]


def write_mark(folder: Path, name: str, mark: Result) -> None:
    """Write the file of a stage; it appears complete or not at all."""
    write_aside(folder / f"{name}.json", json.dumps(mark, ensure_ascii=False, indent=1, allow_nan=False).encode())


def digest(*parts: object) -> str:
    """A name for settings and input: the same for the same values."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def read_pixels(folder: Path, file: str) -> np.ndarray:
    """A picture of the work folder, RGB [H, W, 3] uint8."""
    return np.asarray(_opened(folder, file).convert("RGB"))


def read_mask(folder: Path, file: str) -> np.ndarray:
    """A mask of the work folder, [H, W] bool."""
    return np.asarray(_opened(folder, file).convert("L")) > 127


def write_mask(folder: Path, file: str, mask: np.ndarray) -> str:
    """Save a mask [H, W] bool with the values 0 and 255; returns ``file``."""
    return write_picture(folder, file, Image.fromarray(mask.astype(np.uint8) * 255))


def write_picture(folder: Path, file: str, picture: Image.Image) -> str:
    """Save a picture in the work folder; returns ``file``."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    picture.save(folder / file)
    return file


def bounds(mask: np.ndarray) -> PixelBox | None:
    """The box around what a mask [H, W] bool keeps; None if that is nothing."""
    rows, columns = (np.flatnonzero(np.asarray(mask.any(axis))).tolist() for axis in (1, 0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if rows else None


def _opened(folder: Path, file: str) -> Image.Image:
    try:
        with Image.open(folder / file) as picture:
            if picture.width * picture.height > _MOST_PICTURE:
                raise OSError("it is too large")
            picture.load()
            return picture
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise LumosXError(f"work: {file} cannot be read ({error}); delete it, and it is made again.") from error


def _outcome(work: StageWork, folder: Path, backends: Backends, settings: Settings) -> Result:
    try:
        return {"result": work(folder, backends, settings)}
    except Rejected as rejected:
        return {"rejected": {"reason": rejected.reason, "detail": rejected.detail}}


def _value(name: str, backends: Backends, settings: Settings) -> list:
    fields = {field.name for field in dataclasses.fields(settings)}
    return [name, getattr(settings, name) if name in fields else getattr(backends, name).name]


def _key(folder: Path, name: str, after: str, values: list) -> str:
    try:
        before = read_inside(folder, folder / f"{after}.json", MOST_MARK)
    except OSError as error:
        raise LumosXError(f"work: {shown(folder.name)} has no {after}.json; run the stages in their order.") from error
    return digest(VERSION, name, values, hashlib.sha256(before).hexdigest())


def _read(folder: Path, name: str) -> Result | None:
    """A stage's file; None where there is none that can be read."""
    try:
        mark = parse_json(read_inside(folder, folder / f"{name}.json", MOST_MARK).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return mark if isinstance(mark, dict) else None


def _is_whole(folder: Path, mark: Result) -> bool:
    rejected = mark.get("rejected")
    if isinstance(rejected, dict):
        return {"reason", "detail"} <= set(rejected)
    result = mark.get("result")
    return isinstance(result, dict) and all((folder / file).is_file() for file in result.get("files", ()))
