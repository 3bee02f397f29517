"""The numbers of a run; a stage that used other ones is done again."""

from __future__ import annotations

from dataclasses import dataclass

FPS = 16
"""Frames a second of every clip, as LumosX was trained."""
MOST_PEOPLE, MOST_ATTRIBUTES = 3, 3
"""Of one clip, and of one person: what LumosX was trained with."""


@dataclass(frozen=True)
class Settings:
    """Every limit of the pipeline.

    Attributes:
        least_seconds, most_seconds: of a clip; a longer shot becomes several.
        least_side: pixels of the short side of a video.
        longest_side: pixels; clips of larger videos are reduced to it.
        least_motion: mean change of a pixel (0 to 255) between neighbours of the frames that are looked at.
        most_border: share of a side that black borders may take.
        refuse_subtitles: whether clips with words over the picture are rejected.
        fractions: where the frames are that references come from.
        least_face: pixels of the short side of a face; smaller ones count as bystanders.
        least_score: of a place that a locator finds.
        rival: of more places than things of a phrase, one counts if its score is at least this share of the best.
        least_share: share of a mask that lies on a person, from which on it is theirs.
        flag: keep a clip whose votes disagree, with a note, instead of rejecting it.
    """

    least_seconds: float = 1.0
    most_seconds: float = 10.0
    least_side: int = 240
    longest_side: int = 1280
    least_motion: float = 0.4
    most_border: float = 0.04
    refuse_subtitles: bool = True
    fractions: tuple[float, ...] = (0.05, 0.5, 0.95)
    least_face: int = 48
    least_score: float = 0.15
    rival: float = 0.6
    least_share: float = 0.6
    flag: bool = False
