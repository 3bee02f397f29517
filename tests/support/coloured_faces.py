"""A detector and an embedder for squares of plain colour, so that what scores do can be told to the last digit."""

import numpy as np

from lumosx_core.faces.face import Face
from lumosx_core.scores.seen import SeenFrame

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
COLOURS = (RED, GREEN, BLUE)
GREY = 128


def drawn(squares, width=160, height=80, side=20):
    """A grey RGB frame with squares, given as (colour, x of the middle); a later one covers an earlier one."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    for colour, middle in squares:
        left = int(middle - side / 2)
        pixels[30:30 + side, max(0, left):max(0, left + side)] = colour
    return pixels


def face_at(x, y=40.0, side=20.0):
    """A face with its middle there."""
    return Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), 0.9, np.zeros((5, 2)))


def seen(index, places, subjects=2, similarity=None):
    """A SeenFrame whose face n stands at places[n] = (x, subject or None)."""
    shown = [None] * subjects
    for number, (_, subject) in enumerate(places):
        if subject is not None:
            shown[subject] = number
    similarity = np.full((len(places), subjects), 0.5, np.float32) if similarity is None else similarity
    return SeenFrame(index, tuple(face_at(x) for x, _ in places), similarity, tuple(shown))


class ColourDetector:
    """Finds squares of the known colours."""

    name = "squares"

    def detect(self, pixels):
        """One face a colour."""
        faces = []
        for colour in COLOURS:
            rows, columns = np.nonzero((pixels == colour).all(axis=2))
            if len(rows):
                box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
                faces.append(Face(box, 0.9, np.zeros((5, 2))))
        return faces


class ColourEmbedder:
    """Tells colours apart by their cosine; ``crops`` and ``aligned`` count what it was given."""

    measure = "cosine"
    same_person = 0.9

    def __init__(self, name="colours", scale=1.0):
        self.name, self.scale, self.crops, self.aligned = name, scale, [], 0

    def embed_crops(self, crops):
        """The mean colour."""
        self.crops += [crop.shape for crop in crops]
        return np.stack([crop.reshape(-1, 3).mean(axis=0) for crop in crops]).astype(np.float32) - GREY

    def embed_faces(self, pixels, faces):
        """The colour in the middle."""
        self.aligned += len(faces)
        middles = [pixels[int(face.centre[1]), int(face.centre[0])] for face in faces]
        return np.stack(middles).astype(np.float32) - GREY

    def similarity(self, first, second):
        """Cosine, times ``scale``."""
        def unit(rows):
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

        return self.scale * (unit(first) @ unit(second).T)
