"""Numbers of faces: their order, and what is picked."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.faces.catalogue import DLIB, open_embedder
from lumosx_core.faces.centerface import CenterFace
from lumosx_core.faces.face import Face, ModelFolders
from lumosx_core.faces.picking import (
    LARGEST_FIRST,
    LEFT_TO_RIGHT,
    LIKENESS,
    ORDERS,
    Candidate,
    choose,
    largest,
    likeness_to,
    ordered,
    read_pick,
)
from lumosx_core.faces.quality import Quality
from support.photographs import CASES, case_faces


def candidate(photo, x, size, likeness=None):
    face = Face((x, 0, x + size, size), 0.9, np.zeros((5, 2)))
    return Candidate(photo, face, Quality(size, 500.0, 1.0, 1.0, 0.0), likeness)


candidates = st.lists(
    st.builds(candidate, st.integers(0, 2), st.integers(0, 500), st.integers(1, 99), st.floats(-1, 1)), max_size=9
)


@pytest.mark.parametrize(
    ("pick", "numbers"), [("", ()), ("  ", ()), ("2", (2,)), ("2, 1", (2, 1)), (" 3 ,1,2 ", (3, 1, 2)), ("01", (1,))]
)
def test_numbers_are_read_in_their_order(pick, numbers):
    assert read_pick(pick) == numbers


@pytest.mark.parametrize(
    ("pick", "sentence"),
    [
        ("two", "pick: 'two'"),
        ("1;2", "is not a list of numbers"), ("1 2", "is not a list of numbers"), ("1,", "is not a list of numbers"),
        (",", "is not a list of numbers"), ("-1", "is not a list of numbers"), ("1.0", "is not a list of numbers"),
        ("²", "is not a list of numbers"), ("٢", "is not a list of numbers"), ("9" * 5000, "is not a list of numbers"),
        ("0", "there is no face 0"), ("1, 0", "there is no face 0"), ("1, 2, 1", "pick: 1 is listed twice"),
    ],
)
def test_anything_else_is_refused(pick, sentence):
    with pytest.raises(LumosXError, match=sentence) as refused:
        read_pick(pick)
    assert len(str(refused.value)) < 200


def test_nothing_named_is_everybody():
    assert choose((), 3) == (1, 2, 3)
    assert choose((3, 1), 3) == (3, 1)


@pytest.mark.parametrize(("found", "words"), [(1, "there is only 1 face; use numbers up to 1"), (2, "only 2 faces")])
def test_a_number_that_nobody_has(found, words):
    with pytest.raises(LumosXError, match=f"pick: there is no face 4, as .*{words}"):
        choose((1, 4), found)


def test_orders():
    left, right, other = candidate(0, 10, 30, 0.1), candidate(0, 90, 40, 0.9), candidate(1, 0, 99, 0.5)
    mixed = [other, right, left]
    assert ordered(mixed, LEFT_TO_RIGHT) == [left, right, other]
    assert ordered(mixed, LARGEST_FIRST) == [right, left, other]
    assert ordered(mixed, LIKENESS) == [right, left, other]
    with pytest.raises(LumosXError, match=re.escape("order: 'by age' is not known; choose one of left to right")):
        ordered(mixed, "by age")


@given(candidates, st.sampled_from(ORDERS))
def test_photo_after_photo_and_nobody_is_lost(found, order):
    result = ordered(found, order)
    assert sorted(map(id, result)) == sorted(map(id, found))
    assert [one.photo for one in result] == sorted(one.photo for one in found)


def test_a_number_after_the_last_is_nobodys():
    assert choose((2,), 2) == (2,)
    with pytest.raises(LumosXError, match="pick: there is no face 3"):
        choose((3,), 2)


def test_faces_are_as_large_as_their_boxes():
    """One is wider, the other higher and larger."""
    wide, high = (
        Candidate(0, Face((0, 0, *size), 0.9, np.zeros((5, 2))), Quality(30, 500.0, 1.0, 1.0, 0.0))
        for size in ((40, 30), (35, 60))
    )
    assert ordered([wide, high], LARGEST_FIRST) == [high, wide] and largest([wide.face, high.face]) is high.face


def test_the_largest():
    small, large = candidate(0, 0, 10).face, candidate(0, 50, 20).face
    assert largest([small, large]) is large


@pytest.mark.skipif(not CASES.is_dir(), reason="the photographs are not part of the project")
def test_likeness_finds_the_same_man_in_another_photo():
    """identity_1/1 and subject_1/2 show one man; the others show others."""
    detector, embedder, photos = CenterFace(), open_embedder(DLIB, ModelFolders()), case_faces()
    wanted = embedder.embed_faces(photos["identity_1/1"], detector.detect(photos["identity_1/1"]))
    found = {
        name: likeness_to(embedder, wanted, pixels, detector.detect(pixels))[0]
        for name, pixels in photos.items() if name != "identity_1/1"
    }
    assert max(found, key=found.get) == "subject_1/2"
    assert found.pop("subject_1/2") > max(found.values()) + 0.15
    assert likeness_to(embedder, wanted, photos["identity_1/2"], []) == []


def test_likeness_is_that_of_each_face_and_none_of_nobody():
    class Embedder:
        def embed_faces(self, pixels, faces):
            assert faces
            return np.array([[one.score] for one in faces])

        def similarity(self, first, second):
            return first @ second.T

    faces = [Face((0, 0, 1, 1), score, np.zeros((5, 2))) for score in (0.25, 0.5)]
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert likeness_to(Embedder(), np.array([[2.0]]), pixels, faces) == [0.5, 1.0]
    assert likeness_to(Embedder(), np.array([[2.0]]), pixels, []) == []
