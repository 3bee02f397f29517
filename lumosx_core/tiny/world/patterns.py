"""Which pattern things have in a made clip: each is compared with the same thing in every pattern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .cast import PATTERNS, Fill
from .clip import Cast
from .measure import draw_pixels
from .script import Script


def patterns_found(
    script: Script, cast: Cast, frame: int, length: int, made: np.ndarray
) -> Iterator[tuple[str, str]]:
    """(The right pattern, the one that it looks most like) of everything that is worn and of the thing.

    Args:
        script, cast: what the clip should show.
        frame, length: number of the picture in the clip, and the clip's frames.
        made: RGB [H, W, 3], 0..255.
    """
    for fill, casts in _in_every_pattern(script, cast):
        drawn = [draw_pixels(script, one, [frame], length, made.shape[1])[0] for one in casts]
        stacked = np.stack(drawn)
        seen = (stacked.max(0) - stacked.min(0)).max(-1) > 12
        if seen.any():
            distances = [np.abs(made - one)[seen].mean() for one in drawn]
            yield fill.pattern, PATTERNS[int(np.argmin(distances))]


def _in_every_pattern(script: Script, cast: Cast) -> Iterator[tuple[Fill, list[Cast]]]:
    for number, person in enumerate(cast.people):
        for kind, fill in person.worn.items():
            def dressed(one: Fill, number: int = number, kind: str = kind) -> Cast:
                person = replace(cast.people[number], worn={**cast.people[number].worn, kind: one})
                return replace(cast, people=(*cast.people[:number], person, *cast.people[number + 1:]))

            yield fill, [dressed(replace(fill, pattern=pattern)) for pattern in PATTERNS]
    if script.thing and cast.thing is not None:
        yield cast.thing, [replace(cast, thing=replace(cast.thing, pattern=pattern)) for pattern in PATTERNS]
