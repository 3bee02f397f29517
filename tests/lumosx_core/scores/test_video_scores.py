"""What is computed of a video, and what stands in place of the rest, without scoring anything."""

import json
from types import SimpleNamespace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores import video_scores
from lumosx_core.scores.attributes.owners import AttributeScores, OwnerScore
from lumosx_core.scores.identity.measured import IdentityPlan
from lumosx_core.scores.identity.models import FacesOnly
from lumosx_core.scores.identity.presence import PresenceScores
from lumosx_core.scores.identity.summary import IdentityScores
from lumosx_core.scores.video_scores import VideoScores

PICTURE = torch.full((1, 8, 8, 3), 0.5)


def scene(*pictures):
    """A subject with a hat for each face picture."""
    hat = Reference(Kind.ATTRIBUTE, "hat", PICTURE)
    return Scene(subjects=tuple(Subject(Reference(Kind.FACE, "man", picture), (hat,)) for picture in pictures))


@pytest.mark.parametrize(("pictures", "models", "made"), [
    ((None,), "all", None), ((None, None), FacesOnly, None), ((PICTURE,), "all", "identity"),
    ((None, PICTURE), "all", "identity"), ((None, PICTURE), FacesOnly, "faces"),
])
def test_people_are_looked_for_where_one_has_a_picture(monkeypatch, pictures, models, made):
    given = []
    monkeypatch.setattr(video_scores, "score_identity", lambda *given_: given.append(given_) or "identity")
    monkeypatch.setattr(video_scores, "count_faces", lambda *given_: given.append(given_) or "faces")
    models = FacesOnly.__new__(FacesOnly) if models is FacesOnly else models
    film = SimpleNamespace(fps=5.0)
    assert video_scores._people(film, scene(*pictures), models, IdentityPlan(every=3), lambda name: name) == made
    if made == "identity":
        assert given[0][3:] == (IdentityPlan(every=3, fps=5.0), "identity") and len(given[0][1]) == len(pictures)
    elif made == "faces":
        assert given[0][3:] == (3, "faces")


def owner(measure, lead):
    """One attribute of the first of two people, in one frame, where it is that far ahead; None: nobody else is seen."""
    return OwnerScore("hat", 0, measure, ((0.5 + lead, 0.5),) if lead is not None else ((0.5, None),))


def test_numbers_of_attributes_are_by_their_measure_alone():
    none = VideoScores(1, None, None, None)
    assert (none.measure, none.leakage, none.win_rate, none.identity, none.presence) == (None,) * 5
    owners = (owner("colour", -0.2), owner("CLIP-I", 0.2), owner("CLIP-I", None))
    names = {"colour": "", "CLIP-I": ""}
    made = VideoScores(2, None, AttributeScores(("a", "b"), owners, (), names, "", (), ()), None)
    assert made.measure == "CLIP-I" and made.win_rate == 1.0 and made.leakage == pytest.approx(owners[1].leakage)


def test_what_was_not_computed_is_null_and_is_left_out_of_the_report():
    scores = VideoScores(1, None, None, None, ("one", "two"))
    values = json.loads(json.dumps(scores.as_json(), allow_nan=False))
    assert values == {
        "version": 2, "identity": None, "presence": None, "attributes": None, "motion": None, "notes": ["one", "two"],
    }
    assert scores.report() == "- **Note:** one\n- **Note:** two" and VideoScores(1, None, None, None).report() == ""
    motion = SimpleNamespace(report=lambda: "moves", as_json=lambda: {"moving": 1})
    assert VideoScores(1, None, None, motion, ("one",)).report() == "moves\n\n- **Note:** one"
    assert VideoScores(1, None, None, motion).as_json()["motion"] == {"moving": 1}


def test_a_report_begins_with_who_is_who(monkeypatch):
    monkeypatch.setattr(video_scores, "identity_report", lambda identity: "who")
    motion = SimpleNamespace(report=lambda: "moves")
    people = IdentityScores.__new__(IdentityScores)
    assert VideoScores(1, people, None, motion).report() == "who\n\nmoves"
    assert not VideoScores(1, people, None, None).left_out
    counted = PresenceScores.__new__(PresenceScores)
    monkeypatch.setattr(PresenceScores, "report", lambda self: "faces")
    monkeypatch.setattr(PresenceScores, "reason", "no embedder.", raising=False)
    made = VideoScores(1, counted, None, motion, ("one",))
    assert made.report() == "faces\n\nmoves\n\n- **Note:** one"
    assert made.left_out == ["Identity scores left out: no embedder.", "one"]


def test_a_sentence_stands_for_what_cannot_be_computed(monkeypatch):
    def no(*_):
        raise LumosXError("no.")

    monkeypatch.setattr(video_scores, "_people", lambda *_: None)
    monkeypatch.setattr(video_scores, "_attributes", no)
    monkeypatch.setattr(video_scores, "motion_score", lambda frames, fps, tick: (frames.fps, fps, tick))
    equipment = SimpleNamespace(models=None)
    made = video_scores.score_all(SimpleNamespace(fps=5.0), scene(None), equipment, IdentityPlan(), lambda name: name)
    assert (made.subjects, made.people, made.attributes, made.motion) == (1, None, None, (5.0, 5.0, "motion"))
    first, second = made.notes
    assert "no subject has a face picture" in first and second == "Attribute scores left out: no."
    monkeypatch.setattr(video_scores, "_people", lambda *_: "people")
    made = video_scores.score_all(SimpleNamespace(fps=5.0), scene(None), equipment, IdentityPlan(), lambda name: name)
    assert made.notes == ("Attribute scores left out: no.",)


@pytest.mark.parametrize("models", ["all", FacesOnly])
def test_attributes_need_somebody_who_is_told_apart(monkeypatch, models):
    monkeypatch.setattr(video_scores, "check_scene", lambda _: None)
    equipment = SimpleNamespace(models=FacesOnly.__new__(FacesOnly) if models is FacesOnly else models)
    with pytest.raises(LumosXError, match="no embedder to tell faces apart"):
        video_scores._attributes(None, None, scene(PICTURE), equipment, None)
