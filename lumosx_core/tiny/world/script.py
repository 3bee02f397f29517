"""What a clip is about: how many people, what each wears and does, what stands there, and the prompt that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .figure import SLOTS
from .scenery import PLACES, THINGS, WIDTH

NOUNS = ("man", "woman", "person", "boy", "singer", "doctor", "teacher")
PLURAL = {"waves": "wave", "walks": "walk", "turns": "turn", "jumps": "jump", "stands": "stand"}
"""What people do: of one, and of several."""
VERBS = tuple(PLURAL)
MOODS = ("sunny", "quiet", "busy", "modern", "")
STANDPOINTS = {
    1: (("on the left", 34.0), ("in the middle", 64.0), ("on the right", 94.0)),
    2: (("on the left", 34.0), ("on the right", 94.0)),
    3: (("on the left", 22.0), ("in the middle", 64.0), ("on the right", 106.0)),
}
"""Where people stand, in words and in units of the world, by how many there are; one alone stands at one of them."""
_THING_WORDS = {1: "Beside them stands", 2: "Between them stands"}
CHANCES_OF_PEOPLE = (0.15, 0.5, 0.35)
CHANCE_OF_COLOUR_WORDS = 0.3
CHANCE_OF_EXCHANGE = 0.12


@dataclass(frozen=True)
class Wear:
    """Something that one person wears.

    Attributes:
        kind: a key of ``figure.SLOTS``.
        colour: the word for its colour in the prompt; empty leaves the colour to the reference.
        shown: whether a reference shows it; what is not shown is left to the prompt.
    """

    kind: str
    colour: str = ""
    shown: bool = True

    @property
    def phrase(self) -> str:
        """Its words in the prompt."""
        return f"{self.colour} {self.kind}".strip()


@dataclass(frozen=True)
class Role:
    """One person's part.

    Attributes:
        noun: what the prompt calls them.
        standpoint: where they stand, in words.
        x: the same in units of the world.
        wears: everything they wear.
        verb: what they do, a key of ``PLURAL``.
    """

    noun: str
    standpoint: str
    x: float
    wears: tuple[Wear, ...]
    verb: str

    @property
    def phrase(self) -> str:
        """The words that their face is bound to."""
        return f"{self.noun} {self.standpoint}"


@dataclass(frozen=True)
class Script:
    """Everything about a clip but what it looks like.

    Attributes:
        roles: the people, from left to right.
        place: one of ``scenery.PLACES``.
        mood: a word before it, or none.
        thing: one of ``scenery.THINGS``, or empty.
        thing_colour: as ``Wear.colour``.
        exchange: whether the two people change places.
        together: say what all do in one sentence at the end rather than of each one.
        place_shown, thing_shown: whether references show them.
        order: the roles in the order of their references; empty is from left to right.
    """

    roles: tuple[Role, ...]
    place: str
    mood: str = ""
    thing: str = ""
    thing_colour: str = ""
    exchange: bool = False
    together: bool = False
    place_shown: bool = True
    thing_shown: bool = True
    order: tuple[int, ...] = ()

    @property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the roles, in the order of their references."""
        return self.order or tuple(range(len(self.roles)))

    @property
    def thing_x(self) -> float:
        """Where the thing stands, in units of the world: between two, or beside one on the wider side."""
        if len(self.roles) > 1:
            return WIDTH / 2
        return 22.0 if self.roles[0].x > WIDTH / 2 else 106.0

    @property
    def place_phrase(self) -> str:
        """The words that the background is bound to."""
        return f"{self.mood} {self.place}".strip()

    @property
    def thing_phrase(self) -> str:
        """The words that the object is bound to."""
        return f"{self.thing_colour} {self.thing}".strip()

    @property
    def prompt(self) -> str:
        """The prompt; every phrase is in it, letter by letter."""
        sentences = [self._together()] if self.together else [_alone(role, self.exchange) for role in self.roles]
        if not self.together:
            sentences.append(f"They are in {_article(self.place_phrase)}.")
        if self.thing:
            sentences.append(f"{_THING_WORDS[len(self.roles)]} {_article(self.thing_phrase)}.")
        if self.exchange:
            sentences.append("They change places.")
        elif self.together:
            sentences.append(f"They {PLURAL[self.roles[0].verb]} at the camera.")
        return " ".join(sentences)

    def _together(self) -> str:
        people = ", and ".join(_introduced(role) for role in self.roles)
        return f"{people[:1].upper()}{people[1:]}, stand side by side in {_article(self.place_phrase)}."


def _alone(role: Role, exchange: bool) -> str:
    person = _introduced(role)
    return f"{person[:1].upper()}{person[1:]}, {'walks' if exchange else role.verb}."


def _introduced(role: Role) -> str:
    """For example: a man on the left, wearing a green jacket and a red hat."""
    worn = [wear.phrase if wear.kind == "glasses" else _article(wear.phrase) for wear in role.wears]
    listed = " and ".join(part for part in (", ".join(worn[:-1]), *worn[-1:]) if part)
    return f"{_article(role.phrase)}, wearing {listed}" if worn else _article(role.phrase)


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def draw_script(
    random: np.random.Generator, people: int | None = None, colour_words: bool | None = None, same_kinds: bool = False,
    drop: bool = True, chance_of_exchange: float = CHANCE_OF_EXCHANGE,
) -> Script:
    """A script by chance.

    Args:
        people: how many; by chance if None.
        colour_words: whether the prompt names colours; by chance if None.
        same_kinds: dress everybody in things of the same kinds, so that the prompt does not tell them apart.
        drop: leave out a reference now and then.
        chance_of_exchange: how often two people change places.
    """
    count = people or int(random.choice([1, 2, 3], p=CHANCES_OF_PEOPLE))
    coloured = random.random() < CHANCE_OF_COLOUR_WORDS if colour_words is None else colour_words
    together = count > 1 and bool(random.random() < 0.4)
    exchange = count == 2 and bool(random.random() < chance_of_exchange)
    shared_kinds = _draw_kinds(random, count) if same_kinds or random.random() < 0.5 else None
    shared_verb = str(random.choice(VERBS))
    roles = tuple(
        Role(
            noun=str(random.choice(NOUNS)), standpoint=standpoint, x=x,
            wears=_draw_wears(random, shared_kinds or _draw_kinds(random, count), coloured, drop),
            verb=shared_verb if together else str(random.choice(VERBS)),
        )
        for standpoint, x in _draw_standpoints(random, count)
    )
    thing = str(random.choice(THINGS)) if count < 3 and random.random() < 0.6 else ""
    return Script(
        roles=roles, place=str(random.choice(PLACES)), mood=str(random.choice(MOODS)), thing=thing,
        thing_colour=_colour_word(random) if coloured and thing else "", exchange=exchange, together=together,
        place_shown=not drop or random.random() < 0.95, thing_shown=not drop or random.random() < 0.93,
        # In one order always, the order alone would tell who stands where, and no word would be needed.
        order=tuple(map(int, random.permutation(count))),
    )


def draw_lesson(random: np.random.Generator) -> Script:
    """An easy script: one person or two, who stand there in a shirt and a hat.

    With little else in the picture, what is left to learn is what words say of places, and whose colours are whose.
    """
    kinds, coloured = ("shirt", "hat"), random.random() < 0.4
    roles = tuple(
        Role(
            noun=str(random.choice(NOUNS)), standpoint=standpoint, x=x, verb="stands",
            wears=tuple(Wear(kind, _colour_word(random) if coloured else "") for kind in kinds),
        )
        for standpoint, x in _draw_standpoints(random, int(random.choice([1, 2], p=[0.4, 0.6])))
    )
    return Script(
        roles=roles, place=str(random.choice(PLACES)), mood=str(random.choice(MOODS)),
        order=tuple(map(int, random.permutation(len(roles)))),
    )


def reworded(random: np.random.Generator, script: Script) -> Script:
    """The same with other words of one token each in their places, so that every phrase is found where it was.

    Place, thing, clothes, colours, and where somebody alone stands. What was called the same still is, since words that
    come twice bind twice.
    """
    roles = script.roles
    if len(roles) == 1:
        (standpoint, x), = _draw_standpoints(random, 1)
        roles = (replace(roles[0], standpoint=standpoint, x=x),)
    colours = _exchange(random, [word for word in _COLOUR_WORDS if word != "red"])
    kinds = {}
    for slot in ("body", "head", "neck"):
        kinds |= _exchange(random, [kind for kind, place in SLOTS.items() if place == slot])

    def wearing(wear: Wear) -> Wear:
        return replace(wear, kind=kinds.get(wear.kind, wear.kind), colour=colours.get(wear.colour, wear.colour))

    return replace(
        script, roles=tuple(replace(role, wears=tuple(map(wearing, role.wears))) for role in roles),
        place=str(random.choice(PLACES)), thing=str(random.choice(THINGS)) if script.thing else "",
        thing_colour=colours.get(script.thing_colour, script.thing_colour),
    )


def with_colours(random: np.random.Generator, script: Script) -> Script:
    """The same script with a random colour word for everything that people wear; its prompt has as many tokens."""

    def coloured(role: Role) -> Role:
        return replace(role, wears=tuple(replace(wear, colour=_colour_word(random)) for wear in role.wears))

    return replace(script, roles=tuple(map(coloured, script.roles)))


def _exchange(random: np.random.Generator, words: list[str]) -> dict[str, str]:
    return dict(zip(words, map(str, random.permutation(words))))


def _draw_standpoints(random: np.random.Generator, people: int) -> tuple[tuple[str, float], ...]:
    standpoints = STANDPOINTS[people]
    return standpoints if people > 1 else (standpoints[int(random.integers(len(standpoints)))],)


def _draw_kinds(random: np.random.Generator, people: int) -> tuple[str, ...]:
    """What one person wears: one to three things, with three people one or two."""
    slots = ["body", "head", "neck", "eyes"]
    random.shuffle(slots)
    most = 2 if people == 3 else 3
    chosen = slots[:int(random.integers(1, most + 1))]
    return tuple(str(random.choice([kind for kind, slot in SLOTS.items() if slot == place])) for place in chosen)


def _draw_wears(random: np.random.Generator, kinds: tuple[str, ...], coloured: bool, drop: bool) -> tuple[Wear, ...]:
    return tuple(
        Wear(kind, _colour_word(random) if coloured else "", shown=not drop or random.random() < 0.93)
        for kind in kinds
    )


_COLOUR_WORDS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")


def _colour_word(random: np.random.Generator) -> str:
    return str(random.choice(_COLOUR_WORDS))
