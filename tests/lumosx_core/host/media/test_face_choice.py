"""Which faces LumosX Face Crop takes: scores and sizes at their bounds, with a detector that finds given faces."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import Face
from lumosx_core.faces.picking import LEFT_TO_RIGHT, Candidate
from lumosx_core.faces.quality import SMALLEST_FACE, Quality
from lumosx_core.host.media import faces
from lumosx_core.host.media.faces import FACE_OUTPUTS, CropPlan

POINTS = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])


def face(score, left=0.0, side=60.0):
    return Face((left, 0.0, left + side, side), score, POINTS * side + (left, 0))


class Finds:
    """A detector that finds these in one photo after the other."""

    name = "stub"

    def __init__(self, *photos):
        self.photos = iter(photos)

    def detect(self, pixels):
        return next(self.photos)


def search(*photos, least=0.5):
    plan = CropPlan(LEFT_TO_RIGHT, "", False, "stub", "none", min_score=least)
    return faces._search(torch.zeros(len(photos), 80, 200, 3), Finds(*photos), None, None, plan)


def test_a_score_of_exactly_the_least_counts():
    found = search([face(0.5), face(0.4999, 100.0)], [face(0.9)])
    assert [(one.photo, one.face.score) for one in found.candidates] == [(0, 0.5), (1, 0.9)]
    assert found.passed_over == [0.4999] and found.warnings == [] and len(found.small) == 2


def test_a_photo_without_a_sure_face_is_said_with_the_best_of_the_others():
    found = search([face(0.3), face(0.4999, 100.0)], [face(0.9)], [])
    assert len(found.warnings) == 2
    assert found.warnings[0].endswith(
        "no face in photo 1; the best of 2 faces has 0.49, below 0.5; lower min_score."
    )
    assert found.warnings[1] == "stub finds no face in photo 3."


@pytest.mark.parametrize(("photos", "words"), [
    ([[]], "image: stub finds no face with a score of 0.5 or more"),
    ([[], [face(0.29999)]], "min_score: the best of 1 face has 0.29, below 0.5; lower min_score."),
])
def test_nobody_at_all_is_a_sentence(photos, words):
    with pytest.raises(LumosXError, match=f"LumosX Face Crop {words}"):
        search(*photos)


def candidate(side):
    return Candidate(0, face(0.9), Quality(side, 500.0, 1.0, 1.0, 0.0))


LARGE, SMALL = candidate(float(SMALLEST_FACE)), candidate(SMALLEST_FACE - 0.1)


@pytest.mark.parametrize(("candidates", "picked", "numbers", "taken"), [
    ([LARGE, LARGE], (1, 2), (), [1, 2]), ([LARGE, SMALL], (1, 2), (), [1]), ([LARGE, SMALL], (1,), (1,), [1]),
    ([LARGE, SMALL], (1, 2), (1, 2), "face 2 is 48 px .* pick from the larger ones, 1, or link"),
    ([SMALL, LARGE], (1,), (1,), "face 1 is .* pick from the larger ones, 2, or link"),
    ([SMALL, SMALL], (1, 2), (), "face 1 is .*; link a larger photo"),
])
def test_small_faces_are_left_out_unless_they_were_named(candidates, picked, numbers, taken):
    if isinstance(taken, list):
        assert list(faces._large_enough(candidates, picked, numbers)) == taken
    else:
        with pytest.raises(LumosXError, match=f"pick: {taken}"):
            faces._large_enough(candidates, picked, numbers)


@pytest.mark.parametrize(("count", "numbers", "words"), [
    (1, (), "the image shows only 1 face of at least"), (2, (4, 1), "pick names only 2 faces"),
    (len(FACE_OUTPUTS), (), None),
])
def test_outputs_beyond_the_crops_say_why(count, numbers, words):
    crops = [torch.zeros(1, 2, 2, 3) for _ in range(count)]
    outputs = faces._outputs(crops, numbers)
    assert len(outputs) == len(FACE_OUTPUTS) and all(output is crop for output, crop in zip(outputs, crops))
    rest = outputs[count:]
    assert all(isinstance(one, ExecutionBlocker) and words in one.message for one in rest)
    assert bool(rest) == (words is not None)
    assert not rest or f"face_{count + 1}: " in rest[0].message


QUALITY = Quality(60.0, 1000.0, 1.0, 1.0, 0.0)
PLAN = CropPlan(LEFT_TO_RIGHT, "", False, "stub", "none")
FOUND = faces._Found(candidates=[
    Candidate(0, face(0.9), QUALITY, 0.3), Candidate(0, face(0.8), replace(QUALITY, short_side=40.0), 0.2),
])
NETWORK, OTHER = SimpleNamespace(name="squares"), SimpleNamespace(name="colours", measure="cosine", same_person=0.25)


@pytest.mark.parametrize(("picked", "embedder", "given", "passed_over", "words", "not_said"), [
    ([1], OTHER, {}, [], ["told apart by colours", "likeness 0.300 (cosine)", "face 2 is left out"],
     ["Ignored", "face 1:"]),
    ([1], None, {}, [], ["found by squares;"], ["told apart", "somebody else"]),
    ([2], OTHER, {"pick": "2"}, [], ["face 2: its likeness is 0.200, below 0.25"], ["is left out"]),
    ([1], None, {}, [0.4], ["Ignored: 1 face with a score below 0.5"], ["2 faces with"]),
    ([1], None, {"pick": "1"}, [0.4, 0.3], ["Ignored: 2 faces with a score below 0.5"], ["left out"]),
])
def test_a_report_says_who_was_found_and_left_out(picked, embedder, given, passed_over, words, not_said):
    found = replace(FOUND, passed_over=passed_over)
    text = faces._report(found, picked, NETWORK, embedder, replace(PLAN, **given))
    assert all(word in text for word in words) and not [word for word in not_said if word in text]


@pytest.mark.parametrize(("like", "order", "word"), [
    (None, faces.LIKENESS, "like: nothing is linked"), (1, "left to right", "order: a picture is linked at like"),
    (None, "left to right", None), (1, faces.LIKENESS, None),
])
def test_a_picture_of_whom_goes_with_its_order(like, order, word):
    if word is None:
        assert faces._check_like(like, order) is None
    else:
        with pytest.raises(LumosXError, match=word):
            faces._check_like(like, order)


def test_who_is_looked_for_is_the_largest_face():
    asked = []
    embedder = SimpleNamespace(embed_faces=lambda pixels, found: asked.append((pixels.shape, found)) or "vector")
    small, large = face(0.9), replace(face(0.5, 9.0), box=(0.0, 0.0, 90.0, 90.0))
    detector = SimpleNamespace(name="squares", detect=lambda pixels: [small, large])
    assert faces._wanted(torch.zeros(1, 600, 8, 3), detector, embedder) == "vector"
    assert asked == [((600, 8, 3), [large])]
    nobody = SimpleNamespace(name="squares", detect=lambda pixels: [])
    with pytest.raises(LumosXError, match="like: squares finds no face in it"):
        faces._wanted(torch.zeros(1, 8, 8, 3), nobody, embedder)


@pytest.mark.parametrize(("given", "name"), [
    ((None, None, None), None), ((None, None, faces.LEAST_SCORE, 0.0, faces.LARGEST_MARGIN, 1.0), None),
    ((None, None, 1.0, None, None, None), None), ((None, None, 1.01), "min_score"),
    ((None, None, faces.LEAST_SCORE - 0.01), "min_score"), ((None, None, float("nan")), "min_score"),
    ((None, None, None, -0.01), "margin_up"), ((None, None, None, 0.0, faces.LARGEST_MARGIN + 0.01), "margin_down"),
    ((None, None, None, 0.0, 0.0, float("nan")), "margin_sides"), (("no order", None, None), "order"),
    ((None, "x", None), "pick"),
])
def test_what_can_be_known_of_a_crop_when_it_is_queued(given, name):
    if name is None:
        assert faces.check_crop(*given) is None
    else:
        with pytest.raises(LumosXError, match=f"^{name}: "):
            faces.check_crop(*given)
