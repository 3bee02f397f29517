"""What is drawn into frames."""

import numpy as np

from lumosx_core.scores.drawing.annotate import annotate_frame
from lumosx_core.scores.drawing.plot import COLOURS
from lumosx_core.scores.identity.models import ScoreModels
from lumosx_core.scores.identity.summary import score_identity
from lumosx_core.scores.people import Person
from support.coloured_faces import BLUE, GREEN, RED, ColourDetector, ColourEmbedder, drawn

WIDTH, HEIGHT = 640, 320


def frame(*squares):
    return drawn(squares, WIDTH, HEIGHT, side=60)


def annotated(frames, number=0, names=("man", "woman")):
    people = [Person(name, drawn([(colour, 20)], 40)) for name, colour in zip(names, (RED, GREEN))]
    scores = score_identity(frames, people, ScoreModels(ColourDetector(), ColourEmbedder()))
    return annotate_frame(frames[number], scores.frames[number], scores)


def places(picture, colour):
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return rows, columns


def test_each_face_has_the_box_of_its_subject():
    before = frame((RED, 150), (GREEN, 500))
    picture = annotated([before])
    for colour, middle in ((COLOURS[0], 150), (COLOURS[1], 500)):
        rows, columns = places(picture, colour)
        assert columns.min() == middle - 30 and columns.max() >= middle + 29
        # The box reaches the square's lower edge, and the name stands above it.
        assert rows.max() >= 89 and rows.min() < 30
    assert np.array_equal(before, frame((RED, 150), (GREEN, 500))) and picture.shape == before.shape


def test_somebody_else_is_grey_and_who_is_missed_stands_in_the_corner():
    picture = annotated([frame((RED, 150), (GREEN, 300), (BLUE, 500))])
    assert len(places(picture, (150, 150, 150))[0]) > 100
    rows, columns = places(annotated([frame((RED, 500))]), COLOURS[1])
    assert columns.max() < 200 and rows.max() < 60


def test_a_switch_is_named_in_its_frame_only():
    video = [frame((RED, 150), (GREEN, 500))] * 3 + [frame((GREEN, 150), (RED, 500))] * 3
    marked = [len(places(annotated(video, number), (200, 20, 40))[0]) > 0 for number in range(6)]
    assert marked == [False, False, False, True, False, False]


def test_labels_stay_inside_whatever_the_size():
    for width, height in ((640, 320), (64, 48), (17, 90)):
        small = drawn([(RED, width - 5)], width, height)
        assert annotated([small], names=("a very long name for a person",)).shape == small.shape
