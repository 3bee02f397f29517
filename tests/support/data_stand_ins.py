"""Stand-ins for the models of the data pipeline that say what a test wants."""

import json

import numpy as np

from lumosx_core.data.backends import Place
from lumosx_core.data.settings import Settings
from lumosx_core.faces.face import Face

# Drawn people may stand still.
DRAWN = Settings(least_motion=0.0)


class Saying:
    """A language model with its answers in order: a text, a value for JSON, or an error to raise."""

    name = "saying"

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def ask(self, messages, schema):
        self.asked.append((list(messages), schema))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer)


class Faces:
    """A detector that finds what it is told, frame after frame."""

    name = "told faces"

    def __init__(self, *frames):
        self.frames = list(frames)

    def detect(self, pixels):
        return self.frames.pop(0)


class Places:
    """A locator with the places of every phrase."""

    name = "told places"

    def __init__(self, **places):
        self.places = places

    def locate(self, pixels, phrases):
        return [self.places.get(phrase.replace(" ", "_"), []) for phrase in phrases]


def face_at(left, top=20, width=50, height=60):
    marks = [(left + 15, top + 20), (left + 35, top + 20), (left + 25, top + 32), (left + 17, top + 45),
             (left + 33, top + 45)]
    return Face((left, top, left + width, top + height), 0.9, np.array(marks, float))


def mask_of(box, size=(240, 320)):
    mask = np.zeros(size, bool)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return mask


def place_at(*box, score=0.8, masked=True):
    return Place(box, score, mask_of(box) if masked else None)
