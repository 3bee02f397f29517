"""Which of several pictures is the best."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lumosx_core.media.views import View, rank, views_report

views = st.builds(
    View, st.text("abc", min_size=1, max_size=3), st.floats(1, 5000), st.floats(0, 5000), st.floats(0, 1)
)


@given(st.lists(views, min_size=1, max_size=6), st.randoms())
def test_the_order_of_inputs_does_not_change_the_best(given_views, random):
    scores = [view.score for view in given_views]
    assume(len(set(scores)) == len(scores))
    shuffled = random.sample(given_views, len(given_views))
    assert [given_views[position] for position in rank(given_views)] == [shuffled[place] for place in rank(shuffled)]


@given(views, st.integers(2, 5))
def test_equal_views_keep_their_order(view, count):
    assert rank([view] * count) == list(range(count))


@given(views, st.floats(1, 100))
def test_more_of_anything_is_never_worse(view, more):
    for better in (
        View("x", view.size + more, view.sharpness, view.frontality),
        View("x", view.size, view.sharpness + more, view.frontality),
        View("x", view.size, view.sharpness, min(1, view.frontality + more)),
    ):
        assert 0 <= view.score <= better.score <= 1


def test_the_score_is_the_documented_product():
    assert View("x", 96, 400, 1.0).score == pytest.approx(0.25)
    assert View("x", 288, 1200, 0.5).score == pytest.approx(0.75 * 0.75 * 0.5)


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([], "- Best: image_2, the only view."),
        ([View("b", 90, 400, 0.8)], "first in size and sharpness and frontality, and the highest product"),
        ([View("b", 300, 100, 0.9)], "first in sharpness, and the highest product"),
        ([View("b", 500, 40, 0.5), View("c", 20, 999, 0.5), View("d", 9, 9, 1.0)], "first in none of size"),
        ([View("b", 100, 500, 0.9)], "the first of those with the highest score"),
    ],
)
def test_the_report_says_why(others, why):
    assert why in views_report([View("image_2", 100, 500, 0.9), *others], [], []).splitlines()[0]


def test_the_report_lists_views_in_order_with_figures_notes_and_warnings():
    report = views_report(
        [View("image_1", 50, 300, 0.5), View("image_2 view 1", 200, 900, 0.95)], ["Left out: image_1."], ["it is grey."]
    )
    assert report.splitlines()[1:] == [
        f"- image_1: rank 2, score {50 / 146 * 300 / 700 * 0.5:.3f}, size 50 px, sharpness 300, frontality 0.50",
        f"- image_2 view 1: rank 1, score {200 / 296 * 900 / 1300 * 0.95:.3f}, size 200 px, sharpness 900, "
        "frontality 0.95",
        "- Left out: image_1.",
        "- **Warning:** it is grey.",
    ]


@pytest.mark.parametrize("name", ["size", "sharpness", "frontality"])
def test_what_is_equal_is_not_first(name):
    best = View("a", 100, 500, 0.9)
    other = View("b", **{"size": 50, "sharpness": 100, "frontality": 0.5, name: getattr(best, name)})
    line = views_report([best, other], [], []).splitlines()[0]
    assert f"first in {' and '.join(one for one in ('size', 'sharpness', 'frontality') if one != name)}, and" in line
