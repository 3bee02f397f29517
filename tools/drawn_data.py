"""Drawn films whose relations are known, and stand-ins for the models that make cases of them, right and wrong."""

import json
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from lumosx_core.data.backends import Backends, Place
from lumosx_core.data.shot_finders import ChangeShots
from lumosx_core.faces.face import Face
from lumosx_core.media.video import write_video
from lumosx_core.tiny.world.cast import Fill, Split
from lumosx_core.tiny.world.clip import GROUND, Cast, draw_cast, draw_frame, positions
from lumosx_core.tiny.world.figure import HEAD_Y, draw_person
from lumosx_core.tiny.world.measure import differing_pixels
from lumosx_core.tiny.world.pen import Pen
from lumosx_core.tiny.world.scenery import draw_place
from lumosx_core.tiny.world.script import Script, draw_script

FRAMES, ZOOM, FPS = 33, 3.0, 16
_BLACK, _WHITE = (Fill((value,) * 3, (value,) * 3, "plain", 8) for value in (0, 255))
_SMALL = (32, 24)
# Two heads nearer than this, in units of the world, are one face.
_HIDDEN = 14

OWNER_FAULTS = ("swapped things", "moved thing", "swapped people", "swapped words", "thing as object")
FORM_FAULTS = ("no JSON", "wrong JSON", "invented words", "four attributes", "missing person")


@dataclass(frozen=True, eq=False)
class Film:
    """A drawn video.

    Attributes:
        script, cast: who does what, and what they look like.
        pictures: its frames, RGB [H, W, 3] uint8.
    """

    script: Script
    cast: Cast
    pictures: list

    @property
    def relations(self):
        """For each person from left to right the words and what they wear, with occurrences; and the object's words."""
        worn = Counter(wear.phrase for role in self.script.roles for wear in role.wears)
        met, people = Counter(), []
        for role in self.script.roles:
            attributes = set()
            for wear in role.wears:
                met[wear.phrase] += 1
                attributes.add((wear.phrase, met[wear.phrase] if worn[wear.phrase] > 1 else 0))
            people.append((role.phrase, frozenset(attributes)))
        return people, frozenset({self.script.thing_phrase} if self.script.thing else ())


def draw_film(seed, people=None, frames=FRAMES):
    """A film of one to three people, in which some change places and some wear the same kinds of things."""
    random = np.random.default_rng(seed)
    script = draw_script(random, people=people, drop=False)
    cast = draw_cast(random, script, Split.TRAIN)
    backdrop = draw_place(script.place, cast.surroundings, ZOOM)
    drawn = [np.asarray(draw_frame(script, cast, backdrop, frame, frames, ZOOM)) for frame in range(frames)]
    return Film(script, cast, drawn)


class Films:
    """Drawn films as videos, which are known again by their pictures, also with boxes drawn into them."""

    def __init__(self, folder, films):
        self.films = list(films)
        self.paths = [folder / f"film_{number:03}.mp4" for number in range(len(self.films))]
        for film, path in zip(self.films, self.paths):
            write_video(film.pictures, path, FPS)
        self._places = [(film, frame) for film in self.films for frame in range(len(film.pictures))]
        self._small = np.stack([_small(film.pictures[frame]) for film, frame in self._places])

    def find(self, pixels):
        """The film and the number of a frame."""
        distances = np.median(np.abs(self._small - _small(pixels)), axis=(1, 2, 3))
        means = np.abs(self._small - _small(pixels)).mean(axis=(1, 2, 3))
        return self._places[int(np.argmin(distances + means))]

    def backends(self, model):
        """All stand-ins."""
        return Backends(ChangeShots(), DrawnFaces(self), model, DrawnLocator(self))


def _small(pixels):
    return np.asarray(Image.fromarray(pixels).resize(_SMALL, Image.Resampling.BOX), np.float32)


class DrawnFaces:
    """A detector that knows where heads are drawn; of two at one place it finds the front one."""

    name = "drawn faces"

    def __init__(self, films):
        self._films = films

    def detect(self, pixels):
        """As ``Detector`` says."""
        film, frame = self._films.find(pixels)
        found = []
        for x, pose in positions(film.script, frame, len(film.pictures)):
            if all(abs(x - other) > _HIDDEN for other, _ in found):
                found.append((x, _face(x, GROUND - pose.lift + HEAD_Y, 4 * pose.turn)))
        return [face for _, face in found]


def _face(x, y, shift):
    marks = [(x + shift - 5.2, y + 1), (x + shift + 5.2, y + 1), (x + 1.2 * shift, y + 5), (x + shift - 3.4, y + 8.4),
             (x + shift + 3.4, y + 8.4)]
    box = tuple(ZOOM * side for side in (x - 11, y - 8, x + 11, y + 14))
    return Face(box, 0.9, ZOOM * np.array(marks))


class DrawnLocator:
    """A locator that knows what is drawn where, misses some of it, and now and then takes another's for it."""

    name = "drawn things"

    def __init__(self, films, missed=0.05, mistaken=0.03):
        self._films, self._missed, self._mistaken = films, missed, mistaken

    def locate(self, pixels, phrases):
        """As ``Locator`` says."""
        film, frame = self._films.find(pixels)
        return [self._places(film, frame, phrase) for phrase in phrases]

    def _places(self, film, frame, phrase):
        if phrase == "person":
            return [place for place in map(_place, _bodies(film, frame)) if place]
        random = np.random.default_rng([frame, *phrase.encode(), *film.script.prompt.encode()])
        masks = [
            thing_mask(film, frame, owner, wear.kind) for owner, role in enumerate(film.script.roles)
            for wear in role.wears if wear.phrase == phrase and random.random() >= self._missed
        ]
        if phrase == film.script.thing_phrase and random.random() >= self._missed:
            masks.append(_object_mask(film, frame))
        if random.random() < self._mistaken:
            others = [(owner, wear.kind) for owner, role in enumerate(film.script.roles) for wear in role.wears]
            masks.append(thing_mask(film, frame, *others[int(random.integers(len(others)))]))
        found = [place for mask in masks if (place := _place(mask, random.uniform(0.4, 0.95)))]
        return sorted(found, key=lambda place: -place.score)


def _place(mask, score=0.9):
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if len(rows) == 0:
        return None
    return Place((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1), score, mask)


def thing_mask(film, frame, owner, kind):
    """The pixels [H, W] bool of what a person wears, without what is in front of it."""
    def drawn(fill):
        person = film.cast.people[owner]
        dressed = replace(person, worn={**person.worn, kind: fill})
        return _drawn(film, replace(film.cast, people=(
            *film.cast.people[:owner], dressed, *film.cast.people[owner + 1:])), frame)

    return differing_pixels([drawn(_BLACK), drawn(_WHITE)])


def _object_mask(film, frame):
    return differing_pixels([_drawn(film, replace(film.cast, thing=fill), frame) for fill in (_BLACK, _WHITE)])


def _drawn(film, cast, frame):
    backdrop = Image.new("RGB", film.pictures[0].shape[1::-1], (128, 128, 128))
    return np.asarray(draw_frame(film.script, cast, backdrop, frame, len(film.pictures), ZOOM)).astype(np.float32)


def _bodies(film, frame):
    for person, (x, pose) in zip(film.cast.people, positions(film.script, frame, len(film.pictures))):
        pen = Pen(film.pictures[0].shape[1::-1], ZOOM)
        draw_person(pen, person, x, GROUND, pose)
        yield (np.asarray(pen.finish()) != 255).any(-1)


class ScriptedModel:
    """A language model that knows the script, and is wrong as often as is asked for.

    Args:
        films: that it is asked about.
        wrong: the chance that an answer names a wrong owner.
        malformed: the chance that an answer breaks a rule that can be checked; the second answer is then right.

    Attributes:
        faults: by the prompt of a film, what was wrong with the last answer; None for nothing.
        asked: how many questions there were.
    """

    name = "scripted"

    def __init__(self, films, wrong=0.0, malformed=0.0, seed=0):
        self._films, self._wrong, self._malformed, self._seed = films, wrong, malformed, seed
        self.faults, self.asked = {}, 0

    def ask(self, messages, schema):
        """As ``LanguageModel`` says."""
        self.asked += 1
        film, _ = self._films.find(messages[0].pictures[0])
        prompt = film.script.prompt
        if "caption" in schema["properties"]:
            return json.dumps({"caption": prompt})
        random = np.random.default_rng([self._seed, *prompt.encode()])
        answer = true_answer(film)
        is_wrong, is_malformed = random.random() < self._wrong, random.random() < self._malformed
        fault = None
        if is_wrong:
            faults = [str(fault) for fault in random.permutation(OWNER_FAULTS)]
            fault = next((fault for fault in faults if spoil(answer, fault, random)), None)
        self.faults[prompt] = fault
        if is_malformed and len(messages) == 1:
            return malformed(answer, str(random.choice(FORM_FAULTS)))
        return json.dumps(answer)


def true_answer(film):
    """The answer that a script gives to the question about entities."""
    people, things = film.relations
    return {
        "people": [
            {"box": number, "words": words, "which": 0,
             "attributes": [{"words": phrase, "which": which} for phrase, which in sorted(attributes)]}
            for number, (words, attributes) in enumerate(people, 1)
        ],
        "objects": [{"words": words, "which": 0} for words in things],
        "background": {"words": film.script.place_phrase, "which": 0},
    }


def spoil(answer, fault, random):
    """Make an answer wrong in one way; returns whether it can be."""
    people = answer["people"]
    order = [int(index) for index in random.permutation(len(people))]
    first = people[order[0]]
    if fault == "thing as object":
        if not first["attributes"] or first["attributes"][0]["which"]:
            return False
        answer["objects"].append(first["attributes"].pop(0))
        return True
    if len(people) < 2:
        return False
    second = people[order[1]]
    if fault == "swapped things":
        pairs = [(one, other) for one in first["attributes"] for other in second["attributes"] if one != other]
        if not pairs:
            return False
        one, other = pairs[int(random.integers(len(pairs)))]
        first["attributes"].remove(one)
        second["attributes"].remove(other)
        first["attributes"].append(other)
        second["attributes"].append(one)
    elif fault == "moved thing":
        if not first["attributes"] or len(second["attributes"]) == 3:
            return False
        second["attributes"].append(first["attributes"].pop())
    elif fault == "swapped people":
        first["box"], second["box"] = second["box"], first["box"]
    else:
        first["words"], second["words"] = second["words"], first["words"]
    return True


def malformed(answer, fault):
    """The text of an answer that breaks a rule which code can check."""
    if fault == "no JSON":
        return "The first person wears a hat."
    if fault == "wrong JSON":
        return json.dumps(answer).replace('"words"', '"name"')
    if fault == "invented words":
        answer["people"][0]["attributes"] = [{"words": "velvet cloak", "which": 0}]
    elif fault == "four attributes":
        answer["people"][0]["attributes"] = [{"words": word, "which": 0} for word in ("hat", "tie", "coat", "scarf")]
    else:
        answer["people"].pop()
    return json.dumps(answer)


def relations_of(case):
    """What a case says, in the form of ``Film.relations``; people in the order of the case."""
    people = [
        (subject.face.phrase, frozenset((one.phrase, one.occurrence) for one in subject.attributes))
        for subject in case.scene.subjects
    ]
    return people, frozenset(thing.phrase for thing in case.scene.objects)
