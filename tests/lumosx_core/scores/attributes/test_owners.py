"""The sums behind the attribute-owner matrix, by hand."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.scores.attributes.owners import SAME, AttributeScores, FrameView, ObjectScore, OwnerScore
from lumosx_core.scores.attributes.regions import person_regions
from support.dressed import seen_at


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
        ([(0.8, 0.5)] + [(0.51, 0.5)] * 9, "not told apart"),
        ([(0.8, 0.5)] * 2 + [(0.51, 0.5)] * 8, "on the right person in 2 of 10 frames"),
        ([(0.8, 0.5)] * 5 + [(0.51, 0.5)] * 5, "on the right person in 5 of 10 frames"),
        ([(0.8, 0.5)] * 6 + [(0.51, 0.5)] * 4, "on the right person"),
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
    assert found.verdict == "on somebody else in 2 of 2 frames"
    other = score((0.3, 0.5, 0.9), owner=2)
    assert other.leaks == pytest.approx((-0.4,)) and other.verdict == "on the right person"


def test_frames_that_tell_nothing_do_not_say_who_has_it_instead():
    """Of ten clear frames eight show it on the second person, too few to name one for all."""
    second, third, faint = (0.5, 0.8, 0.1), (0.5, 0.1, 0.8), (0.5, 0.51, 0.1)
    assert score(*[second] * 8, *[third] * 2, *[faint] * 2).verdict == "on somebody else in 10 of 12 frames"
    assert score(*[second] * 9, third, *[faint] * 2).verdict == "on subject 2 instead"


def test_equal_rivals_are_the_first():
    assert score((0.1, 0.6, 0.6)).verdict == "on subject 2 instead"


def test_two_who_take_turns_are_somebody_else():
    """On average neither has more of it than the owner, yet it is never on the owner."""
    found = score((0.5, 0.6, 0.1), (0.5, 0.1, 0.6))
    assert found.win_rate == 0 and found.leakage == pytest.approx(0.1)
    assert found.verdict == "on somebody else in 2 of 2 frames"


LIKENESS = st.none() | st.integers(0, 100).map(lambda value: value / 100)


@given(st.lists(st.tuples(LIKENESS, LIKENESS, LIKENESS), min_size=1, max_size=12))
def test_the_verdict_never_contradicts_the_win_rate(frames):
    found = score(*frames)
    if found.verdict == "nobody to compare with":
        assert found.win_rate is None
    elif found.verdict == "on the right person":
        assert found.win_rate > 0.5
    elif found.verdict.endswith("instead"):
        assert found.win_rate < 0.5 and found.leakage > 0
    elif found.verdict.startswith("on the right person in"):
        right, of = map(int, re.findall(r"\d+", found.verdict))
        assert right / of <= found.win_rate and of == len(found.leaks)
    elif found.verdict.startswith("on somebody else in"):
        wrong, of = map(int, re.findall(r"\d+", found.verdict))
        assert wrong / of <= 1 - found.win_rate + 1e-9 and of == len(found.leaks) and found.leakage > 0
    else:
        assert found.verdict == "not told apart"
        assert sum(abs(leak) >= 0.02 for leak in found.leaks) <= 0.2 * len(found.leaks)


def test_an_owner_who_is_probably_somebody_else_has_numbers_but_no_verdict():
    found = replace(score((0.8, 0.5)), recognised=False)
    assert (found.verdict, found.win_rate, found.score) == ("owner not recognised", 1.0, 0.8)
    assert found.as_json()["owner_recognised"] is False and score((0.8, 0.5)).as_json()["owner_recognised"] is True


def test_alone_there_is_no_leakage():
    found = score((0.8,), (None,))
    assert (found.leakage, found.win_rate) == (None, None)
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
    assert len(values["seen"]) == len(values["people"]) == 2


def test_people_of_one_name_are_distinguished_by_their_number():
    region = person_regions(seen_at(0), 480, 832)[0]
    views = (FrameView(0, (region, None)), FrameView(4, (region, region)))
    report = scores(people=("man", "man"), views=views).report()
    assert "2 frames were watched; a face was assigned to: 1 man in 2, 2 man in 1." in report
    assert "- 1 frame was watched; a face" in scores(views=views[:1]).report()


def test_the_report_has_a_matrix_a_measure_and_the_notes():
    report = scores().report()
    assert "| white jacket | 1 man | 0.800 | 0.500 | 0.400 | 0.000 | 1.000 | on the right person |" in report
    assert "### CLIP-I: cosine" in report and "| lamp | 0.200 |" in report and "- **Note:** Mind this." in report
    assert "| on 1 man | on 2 woman |" in report
    alone = scores(people=("man",), owners=(score((0.8,)),), objects=()).report()
    assert "| white jacket | 1 man | 0.800 | 0.800 | – | – | nobody to compare with |" in alone


@pytest.mark.parametrize(("lead", "verdict"), [
    (SAME, "on the right person"), (SAME - 1e-9, "not told apart"), (-SAME, "on subject 2 instead"),
    (-SAME + 1e-9, "not told apart"),
])
def test_a_lead_is_clear_from_exactly_the_same_on(lead, verdict):
    assert score((lead, 0.0)).verdict == verdict


@pytest.mark.parametrize(("right", "wrong", "none", "words"), [
    (1, 0, 9, "not told apart"), (2, 0, 8, "on the right person in 2 of 10"), (9, 1, 0, "on the right person"),
    (8, 2, 0, "on the right person in 8 of 10"), (5, 0, 5, "on the right person in 5 of 10"),
    (6, 0, 4, "on the right person"), (5, 5, 0, "on the right person in 5 of 10"), (1, 9, 0, "on subject 2 instead"),
    (0, 5, 5, "on somebody else in 5 of 10"),
])
def test_a_verdict_is_steady_in_more_than_half_and_against_a_tenth(right, wrong, none, words):
    found = score(*[(0.9, 0.1)] * right, *[(0.1, 0.9)] * wrong, *[(0.5, 0.5)] * none)
    assert found.verdict.startswith(words) and (" of " in words or " of " not in found.verdict)
