"""Which pattern things have in a made clip: each is compared with the same thing in every pattern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .cast import PATTERNS, Fill
from .clip import Cast, draw_frame
from .measure import Codec, seen_through
from .scenery import draw_place
from .script import Script


def patterns_found(
    script: Script, cast: Cast, frame: int, frames: int, made: np.ndarray, codec: Codec
) -> Iterator[tuple[str, str]]:
    """(The right pattern, the one that it looks most like) of everything that is worn and of the thing.

    Drawings go through the codec as well, so that what it leaves out of a pattern counts for none.

    Args:
        script, cast: what the clip should show.
        frame, frames: number of the picture in the clip, and of its pictures.
        made: RGB [H, W, 3], 0..255, as ``codec`` decodes it.
        codec: that decoded it.
    """
    backdrop = draw_place(script.place, cast.surroundings)
    for fill, casts in _in_every_pattern(script, cast):
        drawn = seen_through([draw_frame(script, one, backdrop, frame, frames) for one in casts], codec)
        seen = (drawn.max(0) - drawn.min(0)).max(-1) > 12
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
