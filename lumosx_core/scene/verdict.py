"""What is allowed but probably not meant in a scene: decided here, once, for reports, the encoder and the board.

Who asks says what each reference binds to in bits: of letters while a user types, of tokens once there are some, or one
bit for each phrase while no prompt is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ..media.sketch import Sketch

TRAINED_SUBJECTS = 3
TRAINED_ATTRIBUTES = 3
LEAST_SIDE = 16
"""Pixels that one token covers: a picture that is lower than this in the video shows nearly nothing."""
FACE, ATTRIBUTE, OBJECT = "face", "attribute", "object"


@dataclass(frozen=True)
class CheckedReference:
    """A reference as far as a verdict needs it.

    Attributes:
        kind: the value of its ``Kind``.
        phrase: as typed.
        bound_words: the same for references that no prompt can distinguish.
        person: index of the person that it belongs to; None for a background, an object or a full body.
        shown: whether it has a picture.
        full_body: an object that is a whole person.
        claims: bits of what it binds, for each text that the prompt can become.
        places: how many places it binds, for each of these texts.
        sketch: its picture, if that is known.
        link: where its picture comes from, if that is known: the same for one picture that is linked twice.
    """

    kind: str
    phrase: str
    bound_words: tuple[str, int]
    person: int | None
    shown: bool
    full_body: bool = False
    claims: tuple[int, ...] = (0,)
    places: tuple[int, ...] = (0,)
    sketch: Sketch | None = None
    link: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is probably not meant.

    Attributes:
        code: what it is; the page has a sentence of its own for each.
        text: a sentence for reports and the log.
        words: indices of the references that it is about.
        people: indices of the people that it is about.
        values: numbers that belong into the sentence.
    """

    code: str
    text: str
    words: tuple[int, ...] = ()
    people: tuple[int, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


def find(words: Sequence[CheckedReference], frame: tuple[int, int] | None = None) -> list[Finding]:
    """Everything that is probably not meant, each conflict once however many references take part.

    Args:
        words: every reference, those of a person with its face first.
        frame: width and height of the video in pixels, if known.
    """
    people = _people(words)
    return [
        *_unseen(words, people),
        *_numbers(words, people),
        *_conflicts(words, people),
        *_full_bodies(words, people),
        *_ambiguous(words),
        *_pictures(words, frame),
    ]


def bits_of(spans: Iterable[tuple[int, int]]) -> int:
    """Half-open ranges as one bit for each position."""
    # As one bit in each byte, which is quick to build and to compare.
    marks = bytearray()
    for start, end in spans:
        marks.extend(bytes(max(0, end - len(marks))))
        marks[start:end] = b"\1" * (end - start)
    return int.from_bytes(marks, "little")


def has_own_words(person: int, words: Sequence[CheckedReference]) -> bool:
    """Whether something that a person binds is claimed by nobody else, in every text that the prompt can become."""
    own, others = [0] * _texts(words), [0] * _texts(words)
    for word in words:
        if word.person is not None:
            claims = own if word.person == person else others
            for text, claimed in enumerate(word.claims):
                claims[text] |= claimed
    return not any(mine and not mine & ~taken for mine, taken in zip(own, others))


def _texts(words: Sequence[CheckedReference]) -> int:
    return max((len(word.claims) for word in words), default=1)


def _people(words: Sequence[CheckedReference]) -> dict[int, list[int]]:
    """The indices of each person's words."""
    people: dict[int, list[int]] = {}
    for index, word in enumerate(words):
        if word.person is not None:
            people.setdefault(word.person, []).append(index)
    return dict(sorted(people.items()))


def _unseen(words: Sequence[CheckedReference], people: dict[int, list[int]]) -> list[Finding]:
    """A scene, or a person, of words only, as when pictures are bypassed to compare."""
    if not any(word.shown for word in words):
        if not any(map(_has_words, words)):
            return []
        text = (
            "No picture is linked or all are bypassed, so the model makes the video from the text alone; link a "
            "picture to use references."
        )
        return [Finding("no_pictures", text)]
    bodies = _bodies(words)
    found = []
    for person, own in people.items():
        unseen = not any(words[index].shown for index in own) and any(_has_words(words[index]) for index in own)
        if unseen and words[own[0]].bound_words not in bodies:
            text = (
                f"Subject \"{words[own[0]].phrase}\" has no picture, so the video invents this person from the prompt; "
                "link a face or an attribute."
            )
            found.append(Finding("person_unseen", text, people=(person,)))
    return found


def _has_words(word: CheckedReference) -> bool:
    """A board can have a reference that has none yet."""
    return bool(word.bound_words[0])


def _bodies(words: Sequence[CheckedReference]) -> list[tuple[str, int]]:
    """What each full body is bound to."""
    return [word.bound_words for word in words if word.full_body]


def _numbers(words: Sequence[CheckedReference], people: dict[int, list[int]]) -> list[Finding]:
    """More than the model was trained on, and less than a person needs."""
    found = []
    named = {words[own[0]].bound_words for own in people.values()}
    bodies = _bodies(words)
    count = len(people) + sum(body not in named for body in bodies)
    if count > TRAINED_SUBJECTS:
        text = f"There are {count} people; the model was trained on at most {TRAINED_SUBJECTS}, so likeness may suffer."
        found.append(Finding("too_many_people", text, values={"count": count}))
    for person, own in people.items():
        name = words[own[0]].phrase
        # A full body shows the face too; a person without any picture has a finding of their own.
        seen = any(words[index].shown for index in own)
        if seen and words[own[0]].bound_words not in bodies and not _shown(words, own, FACE):
            text = f"Subject \"{name}\" has no face image; the video invents the face."
            found.append(Finding("no_face", text, people=(person,)))
        if (count := _shown(words, own, ATTRIBUTE)) > TRAINED_ATTRIBUTES:
            text = (
                f"Subject \"{name}\" has {count} attributes; the model was trained on at most {TRAINED_ATTRIBUTES}, "
                "so some may be missing or mixed."
            )
            found.append(Finding("too_many_attributes", text, people=(person,), values={"count": count}))
    return found


def _shown(words: Sequence[CheckedReference], own: Iterable[int], kind: str) -> int:
    return sum(words[index].shown and words[index].kind == kind for index in own)


def _conflicts(words: Sequence[CheckedReference], people: dict[int, list[int]]) -> list[Finding]:
    """Words that people share; those cancel out."""
    own = [index for index, word in enumerate(words) if word.person is not None]
    groups = _groups(own, lambda one, other: _cancel(words[one], words[other]))
    lost = [person for person in people if not has_own_words(person, words)]
    return [_conflict(words, people, group, lost) for group in groups]


def _conflict(
    words: Sequence[CheckedReference], people: dict[int, list[int]], group: Sequence[int], lost: Sequence[int]
) -> Finding:
    sharing = sorted({person for index in group if (person := words[index].person) is not None})
    without = tuple(person for person in sharing if person in lost)
    names = {person: f"subject {person + 1} (\"{words[own[0]].phrase}\")" for person, own in people.items()}
    values = {"places": max(max(words[index].places) for index in group)}
    if without:
        text = (
            f"{_capitalised(_listed([names[person] for person in without]))} "
            f"{'has no words of its' if len(without) == 1 else 'have no words of their'} own: words shared with "
            "another person cancel out, so nothing tells them apart; use a phrase such as \"man on the left\", an "
            "occurrence number, or an attribute."
        )
        return Finding("no_own_words", text, tuple(group), without, values)
    phrases = list(dict.fromkeys(f"\"{words[index].phrase}\"" for index in group))
    text = (
        f"{_capitalised(_listed([names[person] for person in sharing]))} share words of the prompt "
        f"({', '.join(phrases)}): shared words cancel out; use longer phrases or occurrence numbers."
    )
    return Finding("shared", text, tuple(group), tuple(sharing), values)


def _listed(names: Sequence[str]) -> str:
    """Several names as one enumeration."""
    first, *rest = names
    return " and ".join([", ".join([first, *rest[:-1]]), *rest[-1:]])


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _full_bodies(words: Sequence[CheckedReference], people: dict[int, list[int]]) -> list[Finding]:
    named = {
        words[own[0]].bound_words: own[0] for own in people.values() if any(words[index].shown for index in own)
    }
    bodies = [index for index, word in enumerate(words) if word.full_body]
    count = Counter(words[index].bound_words for index in bodies)
    # One finding for each words, under the phrase as it was typed.
    found = []
    for bound in count:
        own = [index for index in bodies if words[index].bound_words == bound]
        phrase = words[own[-1]].phrase
        if bound in named:
            text = (
                f"\"{phrase}\" names a full body and a subject with pictures of its own; in training, a person was "
                "either a full body or a face and attributes, so link one of the two."
            )
            found.append(Finding("body_and_group", text, (named[bound], *own)))
        if count[bound] > 1:
            text = (
                f"\"{phrase}\" names {count[bound]} full bodies, so nothing tells them apart; use a phrase such as "
                "\"man on the left\" or an occurrence number."
            )
            found.append(Finding("same_bodies", text, tuple(own), values={"count": count[bound]}))
    return found


def _ambiguous(words: Sequence[CheckedReference]) -> list[Finding]:
    """References that bind several places of which something else binds a part.

    Among people that is a conflict already; several places that nothing else binds are not a reason to warn, since a
    prompt that names one person twice binds both.
    """
    found = []
    for index, word in enumerate(words):
        if word.bound_words[1] or max(word.places) < 2:
            continue
        others = [other for place, other in enumerate(words) if place != index and _apart(word, other)]
        if any(_overlap(word, other) for other in others):
            text = (
                f"\"{word.phrase}\" is in the prompt {max(word.places)} times, and another reference binds some of "
                "these words too; use an occurrence number or a longer phrase."
            )
            found.append(Finding("ambiguous", text, (index,), values={"places": max(word.places)}))
    return found


def _apart(word: CheckedReference, other: CheckedReference) -> bool:
    """Whether an overlap of both is neither within one person nor a conflict between two."""
    if word.person is None or other.person is None:
        # A full body stands under the words of its own person.
        return word.bound_words != other.bound_words or not (word.full_body or other.full_body)
    return False


def _pictures(words: Sequence[CheckedReference], frame: tuple[int, int] | None) -> list[Finding]:
    """Pictures that are missing, that carry nothing, or the same twice."""
    found, telling = [], []
    for index, word in enumerate(words):
        if not word.shown:
            # Of a face and of a scene there are findings as a whole.
            if word.kind != FACE and _has_words(word):
                kept = "only these words bind" if word.kind == ATTRIBUTE else "these words are only in the prompt"
                text = f"\"{word.phrase}\" has no picture, so {kept}; link a picture, or clear the words."
                found.append(Finding("no_picture", text, (index,)))
            continue
        finding = None if word.sketch is None else _nothing_shown(index, word, word.sketch, frame)
        if finding is None:
            telling.append(index)
        else:
            found.append(finding)
    for group in _groups(telling, lambda one, other: _same_picture(words[one], words[other])):
        phrases = [f"\"{words[index].phrase}\"" for index in group]
        text = f"{_listed(phrases)} show the same picture; link the picture of each."
        found.append(Finding("same_picture", text, tuple(group)))
    return found


def _nothing_shown(index: int, word: CheckedReference, sketch: Sketch, frame: tuple[int, int] | None) -> Finding | None:
    if sketch.is_example:
        text = (
            f"\"{word.phrase}\" shows the example picture that comes with ComfyUI; choose your own picture in Load "
            "Image."
        )
        return Finding("example_picture", text, (index,))
    if sketch.blank:
        text = (
            f"Nearly all of the picture of \"{word.phrase}\" is one colour; check the file and the node that made it, "
            "or crop the picture to what it shows."
        )
        return Finding("blank_picture", text, (index,))
    if frame is not None and min(fitted := sketch.fitted(*frame)) < min(LEAST_SIDE, *frame):
        text = (
            f"The picture of \"{word.phrase}\" is {sketch.width} x {sketch.height} pixels; scaled into the video, it "
            f"covers only {fitted[0]} x {fitted[1]} pixels, which shows almost nothing; crop it."
        )
        values = {"width": fitted[0], "height": fitted[1]}
        return Finding("thin_picture", text, (index,), values=values)
    return None


def _same_picture(one: CheckedReference, other: CheckedReference) -> bool:
    """Whether two references show one picture and should not.

    Things can look the same where their words are the same, twins' jackets for example, and one picture can show two
    things of one person; a face shows one person only, and nothing else.
    """
    if FACE not in (one.kind, other.kind):
        apart = one.person is not None and other.person is not None and one.person != other.person
        if not apart or one.phrase.casefold() == other.phrase.casefold():
            return False
    if one.link is not None and one.link == other.link:
        return True
    return one.sketch is not None and other.sketch is not None and one.sketch.shows_same(other.sketch)


def _cancel(one: CheckedReference, other: CheckedReference) -> bool:
    return one.person != other.person and _overlap(one, other)


def _overlap(one: CheckedReference, other: CheckedReference) -> bool:
    return any(mine & theirs for mine, theirs in zip(one.claims, other.claims))


def _groups(items: Sequence[int], linked: Callable[[int, int], bool]) -> list[list[int]]:
    """Items that are linked to each other, directly or through others; none that stands alone."""
    group_of = {item: [item] for item in items}
    for one, other in combinations(items, 2):
        if group_of[one] is not group_of[other] and linked(one, other):
            joined = sorted(group_of[one] + group_of[other])
            group_of.update(dict.fromkeys(joined, joined))
    unique = {id(group): group for group in group_of.values()}
    return [group for group in unique.values() if len(group) > 1]
