"""The sums behind the attribute-owner matrix, by hand."""

import json

import pytest

from lumosx_core.scores.owners import AttributeScores, FrameView, ObjectScore, OwnerScore


def score(*frames, owner=0):
    return OwnerScore("white jacket", owner, "CLIP-I", frames)


def test_the_matrix_leakage_and_win_rate_by_hand():
    found = score((0.8, 0.5), (0.6, 0.7), (0.4, None), (None, 0.9))
    assert found.leaks == pytest.approx((-0.3, 0.1))
    assert found.leads[:2] == pytest.approx((0.3, -0.1)) and found.leads[2:] == (None, None)
    assert found.leakage == pytest.approx(0.05)
    assert found.win_rate == 0.5
    # The own cell counts each frame that shows the owner, the other one those that show both.
    assert found.row == pytest.approx((0.6, 0.6))
    # A frame without the owner counts 0.
    assert found.score == pytest.approx(1.8 / 4)


@pytest.mark.parametrize(
    ("frames", "verdict"),
    [
        ([(0.8, 0.5)], "on the right person"),
        ([(0.5, 0.8)], "on subject 2 instead"),
        ([(0.5, 0.519)], "not told apart"),
        ([(0.519, 0.5)], "not told apart"),
        ([(0.5, 0.521)], "on subject 2 instead"),
        ([(0.8, 0.5)] * 3 + [(0.5, 0.8)] * 2, "on the right person in 3 of 5 frames"),
        ([(0.8, 0.5)] * 8 + [(0.5, 0.8)] * 2, "on the right person in 8 of 10 frames"),
        ([(0.8, 0.5)] * 9 + [(0.5, 0.8)], "on the right person"),
        ([(0.8, 0.5)] + [(0.5, 0.8)] * 9, "on subject 2 instead"),
        ([(0.51, 0.5)] * 5 + [(0.5, 0.51)] * 5, "not told apart"),
        ([(0.8, None), (None, 0.9)], "nobody to compare with"),
        # The second person alone is brighter, but not where both are seen.
        ([(0.8, 0.5), (None, 1.0)], "on the right person"),
    ],
)
def test_verdicts(frames, verdict):
    assert score(*frames).verdict == verdict


def test_the_worst_of_several_others_leaks():
    found = score((0.3, 0.5, 0.9), (0.3, 0.4, None), owner=0)
    assert found.leaks == pytest.approx((0.6, 0.1))
    assert found.rival == (2, pytest.approx(0.6)) and found.verdict == "on subject 3 instead"
    other = score((0.3, 0.5, 0.9), owner=2)
    assert other.leaks == pytest.approx((-0.4,)) and other.verdict == "on the right person"


def test_equal_rivals_are_the_first():
    assert score((0.1, 0.6, 0.6)).rival == (1, pytest.approx(0.5))


def test_alone_there_is_no_leakage():
    found = score((0.8,), (None,))
    assert (found.leakage, found.win_rate, found.rival) == (None, None, None)
    assert found.row == (0.8,) and found.score == pytest.approx(0.4)
    assert found.verdict == "nobody to compare with"


def test_a_tie_is_no_win():
    assert score((0.0, 0.0)).win_rate == 0.0


def scores(**changes):
    values = {
        "people": ("man", "woman"), "owners": (score((0.8, 0.5), (None, 0.5)),),
        "objects": (ObjectScore("lamp", "CLIP-I", (0.4, 0.0)),), "measures": {"CLIP-I": "CLIP-I: cosine"},
        "looked": "regions", "views": (FrameView(0, (None, None)), FrameView(4, (None, None))),
        "notes": ("Mind this.",),
    }
    return AttributeScores(**{**values, **changes})


def test_json_is_strict_and_counts_people_from_1():
    values = json.loads(json.dumps(scores().as_json(), allow_nan=False))
    attribute, = values["attributes"]
    assert (attribute["attribute"], attribute["subject"], attribute["measure"]) == ("white jacket", 1, "CLIP-I")
    assert attribute["frames"] == [[0.8, 0.5], [None, 0.5]] and attribute["compared_frames"] == 1
    assert values["objects"] == [{"object": "lamp", "measure": "CLIP-I", "score": 0.2, "frames": [0.4, 0.0]}]
    assert values["watched_frames"] == [0, 4] and values["notes"] == ["Mind this."]


def test_the_report_has_a_matrix_a_measure_and_the_notes():
    report = scores().report()
    assert "| white jacket | 1 man | 0.800 | 0.500 | 0.400 | 0.000 | 1.000 | on the right person |" in report
    assert "### CLIP-I: cosine" in report and "| lamp | 0.200 |" in report and "- **Note:** Mind this." in report
    assert "| on 1 man | on 2 woman |" in report
    alone = scores(people=("man",), owners=(score((0.8,)),), objects=()).report()
    assert "| white jacket | 1 man | 0.800 | 0.800 | – | – | nobody to compare with |" in alone
