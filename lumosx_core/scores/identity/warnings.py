"""What identity scores do not say by themselves: who is missing, mixed up, or not comparable."""

from __future__ import annotations

import numpy as np

from ..watching import RELEASE_MODE
from .measured import MeasuredIdentity

# Shown in fewer frames than this share, a subject is worth a warning.
_OFTEN = 0.5


def stranger_sentence(subject: int, name: str, likeness: float, same_person: float) -> str:
    """That a subject, numbered from 0, is probably not in the video."""
    return (
        f"Subject {subject + 1} (\"{name}\") is probably not in the video: the faces assigned to it have likeness "
        f"{likeness:.3f}, while pictures of one person usually have {same_person:.2f} or more."
    )


def identity_warnings(scores: MeasuredIdentity) -> list[str]:
    """What the numbers alone do not say, one sentence each."""
    found, strangers = [], scores.strangers
    for number, subject in enumerate(scores.subjects):
        who = f"Subject {number + 1} (\"{scores.names[number]}\")"
        if number not in scores.known:
            found.append(f"{who} has no face picture and is left out of every score.")
        elif subject.seen == 0:
            found.append(f"{who} is never seen: no watched frame has a face for it.")
        elif subject.seen < _OFTEN:
            found.append(f"{who} is seen in only {subject.seen:.0%} of the watched frames.")
        if number in strangers:
            name, usual = scores.names[number], scores.embedder.same_person
            found.append(stranger_sentence(number, name, strangers[number], usual))
        if (margin := scores.margins[number]) is not None and margin <= 0:
            others = scores.confusion[number].copy()
            others[number] = np.nan
            other = int(np.nanargmax(others))
            found.append(
                f"{who} is not told apart: its faces look at least as much like subject {other + 1} "
                f"(\"{scores.names[other]}\")."
            )
    found += _alike_warnings(scores)
    if scores.switches.events:
        found.append("A face turns into somebody else during the video; see the switches above.")
    return found


def comparison_notes(scores: MeasuredIdentity) -> list[str]:
    """What these numbers may be compared with, one sentence each."""
    found = []
    embedders = [one for one in (scores.embedder, scores.second_embedder) if one is not None]
    found += [f"Numbers by {one.name} are not comparable with ArcSim or CurSim, nor with those of papers."
              for one in embedders if not one.comparable]
    found += [f"{one.name} is a different network from the release's ArcFace IR-100; compare its ArcSim only with "
        "itself."
              for one in embedders if one.score == "ArcSim" and not one.name.startswith("ArcFace")]
    if scores.embedder.score != "ArcSim" and any(one.score == "CurSim" for one in embedders):
        found.append("The release's CurSim uses ArcFace's choice of who is who: use ArcFace as the first embedder.")
    if scores.embedder.comparable and (scores.plan.mode != RELEASE_MODE or scores.plan.every != 1):
        found.append("Published numbers use mode release and every frame; these are not comparable with them.")
    if scores.plan.mode == RELEASE_MODE:
        found.append(f"The release finds faces by YOLOv9-face, not by {scores.detector}; boxes differ a little.")
        found.append("Whether somebody is in the video at all is reported only in mode recommended, which aligns "
            "faces.")
    return found


def _alike_warnings(scores: MeasuredIdentity) -> list[str]:
    found = []
    for first in scores.known:
        for second in scores.known:
            seen = [scores.subjects[number].seen_likeness for number in (first, second)]
            matches = [likeness for likeness in seen if likeness is not None]
            if first < second and len(matches) == 2 and scores.references[first, second] > max(matches):
                found.append(
                    f"The pictures of subjects {first + 1} and {second + 1} are more similar "
                    f"({scores.references[first, second]:.3f}) than either is to its face in the video, so who is who "
                    "is a guess."
                )
    return found
