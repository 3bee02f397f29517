"""The second vote: whose a thing is by the pixels it takes, and whether words and places agree."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np

from ..scene.prompt import read_text
from .backends import Backends
from .people import face_from
from .settings import Settings
from .work import Rejected, Result, read_mask, result_of, stage

_SIDES = (re.compile(r"\bleft\b", re.IGNORECASE), re.compile(r"\b(middle|cent(er|re))\b", re.IGNORECASE),
          re.compile(r"\bright\b", re.IGNORECASE))
# Of two people who both have a part of a mask, the second may have at most this share of the first one's part.
_CLEARLY = 0.5
# An object of which more lies on a person is worn, not an object.
_MOST_WORN = 0.8


@stage("owners", "places", ("least_share", "flag"))
def owners(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Compare the language model's owners with those that the masks show.

    A thing that no frame shows is nobody's proof: it is listed as unseen, and gets no picture. Where anything disagrees
    the clip is rejected, or with ``flag`` noted.
    """
    said, found = result_of(folder, "entities"), result_of(folder, "people")["people"]
    located = result_of(folder, "places")["phrases"]
    people = [{number: read_mask(folder, file) for number, file in person["masks"].items()} for person in found]
    seen = {
        phrase: {number: [_owner(read_mask(folder, place["mask"]), people, number, settings) for place in places]
                 for number, places in frames.items()}
        for phrase, frames in located.items()
    }
    claims: dict[str, list[int]] = {}
    for person in said["people"]:
        for each in person["attributes"]:
            claims.setdefault(each["words"], []).append(person["box"])
    unseen = [phrase for phrase, frames in seen.items() if not any(frames.values())]
    problems = [
        f"\"{phrase}\" is said to be worn by person {owner}, but is seen on {_listed(seen[phrase])}"
        for phrase, owned in claims.items() if phrase not in unseen
        for owner in owned if not _is_seen_on(owner, seen[phrase])
    ]
    problems += [
        f"\"{each['words']}\" is said to be an object, but is seen on {_listed(seen[each['words']])}"
        for each in said["objects"] if each["words"] not in unseen and each["words"] not in claims
        and _is_worn(located[each["words"]], folder, people)
    ]
    problems += _wrong_sides(said["people"], found)
    problems += _wrong_order(said["people"], result_of(folder, "caption")["caption"])
    if problems and not settings.flag:
        raise Rejected("owners disagree", f"{'; '.join(problems)}.")
    return {"seen": seen, "unseen": unseen, "flags": problems}


def _owner(mask: np.ndarray, people: list[dict[str, np.ndarray]], number: str, settings: Settings) -> int | None:
    """Whose pixels a mask takes, from 1 on; None for nobody's, or for several people's."""
    shares = [(mask & own[number]).sum() / mask.sum() if number in own else 0.0 for own in people]
    best = int(np.argmax(shares))
    others = max((share for person, share in enumerate(shares) if person != best), default=0.0)
    is_clear = shares[best] >= settings.least_share and others <= _CLEARLY * shares[best]
    return best + 1 if is_clear else None


def _is_seen_on(owner: int, frames: dict[str, list[int | None]]) -> bool:
    """Whether most of the frames in which a thing is found show it on a person."""
    shown = [owner in owners for owners in frames.values() if owners]
    return 2 * sum(shown) > len(shown)


def _is_worn(frames: dict[str, list[Result]], folder: Path, people: list[dict[str, np.ndarray]]) -> bool:
    """Whether the surest places of a thing lie on people in most frames that show it."""
    votes = []
    for number, places in frames.items():
        bodies = [own[number] for own in people if number in own]
        if places and bodies:
            mask = read_mask(folder, places[0]["mask"])
            votes.append((mask & np.any(bodies, axis=0)).sum() > _MOST_WORN * mask.sum())
    return 2 * sum(votes) > len(votes)


def _listed(frames: dict[str, list[int | None]]) -> str:
    owners = sorted({owner for each in frames.values() for owner in each if owner is not None})
    return " and ".join(f"person {owner}" for owner in owners) or "nobody"


def _wrong_sides(people: list[Result], found: list[Result]) -> list[str]:
    """People whose words say another order from left to right than their faces have in the first frame of both."""
    sided = [(side, person) for person in people if (side := _side(person["words"])) is not None]
    problems = []
    for (side, one), (other_side, other) in combinations(sided, 2):
        ours, theirs = (found[person["box"] - 1]["faces"] for person in (one, other))
        number = next((number for number in ours if number in theirs), None)
        if number is None or side == other_side:
            continue
        apart = face_from(ours[number]).centre[0] - face_from(theirs[number]).centre[0]
        if (apart > 0) != (side > other_side):
            problems.append(f"\"{one['words']}\" and \"{other['words']}\" stand the other way round")
    return problems


def _side(words: str) -> int | None:
    """0 for left, 1 for the middle, 2 for right; None where the words say nothing, or more than one."""
    sides = [side for side, pattern in enumerate(_SIDES) if pattern.search(words)]
    return sides[0] if len(sides) == 1 else None


def _wrong_order(people: list[Result], caption: str) -> list[str]:
    """Things of the same words that come in another order than those whose they are.

    Pixels cannot tell which of two places of "hat" in a caption is whose, but a caption names people one by one.
    """
    text = read_text(caption)

    def start(entry: Result) -> int:
        places = text.places(read_text(entry["words"]))
        return places[max(entry["which"], 1) - 1][0]

    owned = [(person, each) for person in people for each in person["attributes"] if each["which"]]
    return [
        f"\"{each['words']}\" {each['which']} and {other['which']} belong to people who come in the other order"
        for (owner, each), (other_owner, other) in combinations(owned, 2)
        if each["words"] == other["words"] and owner is not other_owner
        and (start(each) < start(other)) != (start(owner) < start(other_owner))
    ]
