"""Boxes, cliques, ranks, settings and subjects of PolyVivid, exactly at each bound and one past it."""

import json

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid import boxes, cliques, metadata, segmentation, subjects
from lumosx_core.models.polyvivid.template import TemplateTokens
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

BOX = [0, 0, 4, 4]


@pytest.mark.parametrize(("bound", "most", "value", "name"), [
    ("MOST_BOXES", 2, [[BOX, BOX]], "frame 1 has 2"), ("_LONGEST_TEXT", 16, json.dumps([[BOX]]), "the text has 16"),
])
def test_boxes_up_to_their_number_and_their_text_up_to_its_length(monkeypatch, bound, most, value, name):
    assert bound != "_LONGEST_TEXT" or len(value) == most
    monkeypatch.setattr(boxes, bound, most)
    assert boxes.boxes_of_frames(value, 1)[0][0].edges == (0, 0, 4, 4)
    monkeypatch.setattr(boxes, bound, most - 1)
    with pytest.raises(LumosXError, match=f"^boxes: {name}"):
        boxes.boxes_of_frames(value, 1)


@pytest.mark.parametrize(("value", "frames", "counts"), [
    (BOX, 1, [1]), ([BOX, BOX], 1, [2]), ([BOX, BOX], 2, [1, 1]), ([[BOX], []], 2, [1, 0]),
    ([[BOX, BOX], BOX], 2, [2, 1]),
    ([], 1, None), ([BOX, BOX], 3, None), ([[0, 0, 4]], 1, None), ([[True, 0, 4, 4]], 1, None), ([], 0, []),
    ([{"bboxes": [BOX], "labels": ["a", "b"]}], 1, None), ([{"bboxes": [BOX], "labels": []}], 1, [1]),
])
def test_boxes_of_one_or_several_frames(value, frames, counts):
    if counts is None:
        with pytest.raises(LumosXError, match="^boxes: "):
            boxes.boxes_of_frames(value, frames)
    else:
        assert [len(one) for one in boxes.boxes_of_frames(value, frames)] == counts


@pytest.mark.parametrize(("tau", "fits"), [(0, True), (2, True), (-1e-9, False), (2 + 1e-9, False), (np.nan, False)])
def test_tau_is_a_distance_of_cosines(tau, fits):
    if fits:
        assert cliques.consolidate(np.eye(2), [0, 1], tau=tau).frame_count == 2
    else:
        with pytest.raises(LumosXError, match="^tau: "):
            cliques.consolidate(np.eye(2), [0, 1], tau=tau)


@pytest.mark.parametrize(("count", "fits"), [(2, True), (3, True), (1, False)])
def test_a_clip_has_at_least_the_frames_of_its_crops(count, fits):
    if fits:
        assert cliques.consolidate(np.eye(2), [0, 1], tau=1.0, frame_count=count).frame_count == count
    else:
        with pytest.raises(LumosXError, match="^frame_count: it is 1, but the crops come from 2 frames"):
            cliques.consolidate(np.eye(2), [0, 1], tau=1.0, frame_count=count)


@pytest.mark.parametrize(("frames", "least"), [(0, 1), (2, 1), (3, 2), (5, 2), (6, 3)])
def test_a_subject_is_in_more_than_a_third_of_the_frames(frames, least):
    assert cliques.least_size(frames) == least


def test_crops_are_joined_below_tau_and_in_one_frame_only_when_asked():
    similarity = np.array([[1, 0.5, 0.75], [0.5, 1, 0.5], [0.75, 0.5, 1]])
    assert set(cliques.similarity_graph(similarity, [0, 1, 2], 0.5).edges) == {(0, 2)}
    assert len(cliques.similarity_graph(similarity, [0, 1, 2], 0.5000001).edges) == 3
    assert set(cliques.similarity_graph(similarity, [0, 1, 0], 1.0).edges) == {(0, 1), (1, 2)}
    assert len(cliques.similarity_graph(similarity, [0, 1, 0], 1.0, True).edges) == 3


def test_similarities_are_symmetric_up_to_rounding(monkeypatch):
    monkeypatch.setattr(cliques, "_ASYMMETRY", 0.25)
    matrix = np.array([[1.0, 0.5], [0.25, 1.0]])
    assert cliques._matrix(matrix, 2)[0, 1] == 0.375
    monkeypatch.setattr(cliques, "_ASYMMETRY", 0.2)
    for wrong in (matrix, np.array([[1, np.nan], [np.nan, 1]])):
        with pytest.raises(LumosXError, match="^similarity: it must be finite"):
            cliques._matrix(wrong, 2)
    with pytest.raises(LumosXError, match=r"^similarity: it is \[2, 2\], but 3 crops"):
        cliques._matrix(matrix, 3)
    monkeypatch.setattr(cliques, "MOST_CROPS", 2)
    cliques._matrix(np.eye(2), 2)
    with pytest.raises(LumosXError, match="^crops: there are 3; give at most 2"):
        cliques._matrix(np.eye(3), 3)


def test_a_subject_of_one_crop_is_like_itself():
    matrix = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, 0.75], [0.25, 0.75, 1.0]])
    assert cliques._subject((2,), matrix, [(0,)] * 3, None).similarity == 1.0
    assert cliques._subject((0, 1), matrix, [(0,)] * 3, None).similarity == 0.5
    found = cliques._subject((0, 1, 2), matrix, [(0,)] * 3, ["a", "b", "b"])
    assert (found.representative, found.similarity, found.phrase) == (1, 0.5, "b")


@pytest.mark.parametrize(("phrases", "phrase"), [
    (None, None), ([], None), ([None, None, None], None), (["a", "b", None], "b"), (["a", None, "b"], "a"),
    (["a", "b", "a"], "a"), (["c", "b", "c"], "c"),
])
def test_the_phrase_of_most_crops_then_of_the_one_that_stands_for_them(phrases, phrase):
    assert cliques._phrase((0, 1, 2), 1, phrases) == phrase


@pytest.mark.parametrize(("read", "text", "value"), [
    (metadata._count, "1", 1), (metadata._count, str(metadata._LARGEST), metadata._LARGEST),
    (metadata._alpha, "1e-9", 1e-9), (metadata._layers, "[0, 3]", (0, 3)), (metadata._layers, "[]", ()),
    (metadata._grid, "[1, 2]", (1, 2)),
])
def test_settings_that_are_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), [
    (metadata._count, "0"), (metadata._count, str(metadata._LARGEST + 1)), (metadata._count, "x"),
    (metadata._alpha, "0"), (metadata._alpha, "inf"), (metadata._alpha, "nan"), (metadata._alpha, "-1"),
    (metadata._layers, "[-1]"), (metadata._layers, "[1.0]"), (metadata._layers, "[true]"), (metadata._grid, "[0, 2]"),
    (metadata._grid, "[1]"),
    (metadata._grid, "[1, 2, 3]"),
])
def test_settings_that_are_not(read, text):
    with pytest.raises((ValueError, TypeError)):
        read(text)


@pytest.mark.parametrize(("value", "index", "area"), [(0.5, None, 0), (0.5001, 0, 4)])
def test_an_object_is_above_half(value, index, area):
    masks = torch.zeros(2, 6, 6)
    masks[0, 1:3, 1:3] = value
    assert segmentation.largest_object((0, 0, 6, 6), masks) == (index, area)
    masks[1, 1:3, 1:3] = 1
    assert segmentation.largest_object((0, 0, 6, 6), masks) == (0 if area else 1, 4)


@pytest.mark.parametrize(("similarity", "kept"), [(0.25, False), (0.2500001, True), (float("nan"), False)])
def test_similarity_must_be_above_its_bound(similarity, kept):
    assert segmentation._verdict(0, 4, similarity, 0.25).kept == kept
    assert not segmentation._verdict(None, 0, 1.0, 0.25).kept


def lamps(count):
    return tuple(Reference(Kind.OBJECT, f"lamp {number}", torch.rand(1, 4, 4, 3)) for number in range(count))


def test_subjects_of_any_number_and_beyond_the_usual(monkeypatch):
    assert len(subjects.subjects_of(Scene(None, lamps(200), ()))) == 200
    scene = Scene(None, lamps(3), ())
    found = subjects.subjects_of(scene)
    assert len(found) == 3 and subjects.subjects_of(None) == ()
    monkeypatch.setattr(subjects, "USUAL_SUBJECTS", 3)
    assert subjects.warnings_of(scene, found) == []
    monkeypatch.setattr(subjects, "USUAL_SUBJECTS", 2)
    assert subjects.warnings_of(scene, found)[0].startswith("There are 3 subjects; the paper shows at most 2")


@pytest.mark.parametrize(("positions", "said"), [(8192, 0), (8193, 1)])
def test_a_text_longer_than_the_text_encoder_was_trained_with_is_said(positions, said):
    tokens = TemplateTokens("", (), 92, 0, ((0, 5),), ((5, positions - 92),), ((1, 1),))
    scene = Scene(None, lamps(1), ())
    found = subjects.warnings_of(scene, subjects.subjects_of(scene), tokens)
    assert len(found) == said and all(f"takes {positions} positions" in one for one in found)


def test_what_has_no_effect_is_said():
    hat = Reference(Kind.ATTRIBUTE, "hat", None)
    man = Subject(Reference(Kind.FACE, "man", torch.rand(1, 4, 4, 3), 1), (hat,))
    scene = Scene(None, (), (man,))
    said = subjects.warnings_of(scene, subjects.subjects_of(scene))
    assert len(said) == 2 and "occurrence 1 of \"man\"" in said[0] and "\"hat\" has no picture" in said[1]
    assert subjects.warnings_of(None, ()) == []


def test_what_has_no_picture_is_no_subject_and_is_said():
    """An object and a whole person, bypassed to compare; a face beside an attribute's picture is said elsewhere."""
    hat = Reference(Kind.ATTRIBUTE, "hat", torch.rand(1, 4, 4, 3))
    people = Subject(Reference(Kind.FACE, "man", None), (hat,)), Subject(Reference(Kind.FACE, "boy", None))
    scene = Scene(None, (*lamps(1), Reference(Kind.OBJECT, "guitar", None)), people)
    found = subjects.subjects_of(scene)
    assert [one.reference.phrase for one in found] == ["hat", "lamp 0"]
    said = subjects.warnings_of(scene, found)
    assert len(said) == 2 and "\"guitar\" has no picture" in said[0] and "\"boy\" has no picture" in said[1]
