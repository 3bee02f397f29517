"""What was found in photos, as a list in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .picking import Candidate


def faces_report(
    candidates: Sequence[Candidate], picked: Sequence[int], found_by: str, measure: str, warnings: Sequence[str],
    passed_over: str = "",
) -> str:
    """Every face with its figures, then the warnings.

    Args:
        candidates: in the order of their numbers.
        picked: numbers from 1.
        found_by: the detector, for the first line, and what tells faces apart where something does.
        measure: what a likeness is, e.g. "cosine".
        passed_over: a sentence about faces that are not candidates; empty if there are none.
    """
    lines = [f"- {face_count_text(len(candidates))} found by {found_by}; picked: {', '.join(map(str, picked))}."]
    lines += [f"- {passed_over}"] if passed_over else []
    lines += [_line(number, candidate, measure) for number, candidate in enumerate(candidates, 1)]
    return "\n".join([*lines, *(f"- **Warning:** {warning}" for warning in warnings)])


def face_count_text(count: int) -> str:
    """e.g. "1 face" or "2 faces"."""
    return f"{count} face{'' if count == 1 else 's'}"


def picked_warnings(candidates: Sequence[Candidate], picked: Sequence[int], upright: bool) -> list[str]:
    """What is wrong with the picked faces, one sentence each; ``upright`` as for ``Quality.problems``."""
    return [
        f"face {number}: {problem}."
        for number in picked for problem in candidates[number - 1].quality.problems(upright)
    ]


def stranger_warnings(
    candidates: Sequence[Candidate], picked: Sequence[int], same_person: float, measure: str
) -> list[str]:
    """Which picked faces are too unlike the person looked for, one sentence each.

    Args:
        same_person, measure: the embedder's.
    """
    return [
        f"face {number}: its likeness is {likeness:.3f}, below {same_person:g} ({measure}), so it is probably "
        "somebody else."
        for number in picked if (likeness := candidates[number - 1].likeness) is not None and likeness < same_person
    ]


def left_out_warnings(candidates: Sequence[Candidate], picked: Sequence[int]) -> list[str]:
    """Why faces were left out that nobody picked by number, one sentence each."""
    return [
        f"face {number} is left out: {one.quality.problems()[0]}."
        for number, one in enumerate(candidates, 1) if number not in picked
    ]


def _line(number: int, candidate: Candidate, measure: str) -> str:
    face, quality = candidate.face, candidate.quality
    left, top, right, bottom = (round(side) for side in face.box)
    likeness = "" if candidate.likeness is None else f", likeness {candidate.likeness:.3f} ({measure})"
    return (
        f"- Face {number}: photo {candidate.photo + 1}, box {left}, {top} to {right}, {bottom}, {face.width:.0f} x "
        f"{face.height:.0f} px, score {face.score:.2f}, sharpness {quality.sharpness:.0f}, frontality "
        f"{quality.frontality:.2f}{likeness}"
    )
