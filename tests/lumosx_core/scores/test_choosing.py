"""The rule by which one of several videos is taken."""

from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.scores.choosing import ClipScore, best_clip

SCORES = st.lists(st.builds(ClipScore, st.integers(0, 3), st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=6)


def test_errors_come_first_then_likeness_then_the_order():
    assert best_clip([ClipScore(1, 0, 0.9), ClipScore(0, 0, 0.1), ClipScore(0, 1, 1.0)]) == 1
    assert best_clip([ClipScore(1, 1, 0.2), ClipScore(2, 0, 0.3), ClipScore(0, 2, 0.3)]) == 1
    assert best_clip([ClipScore(0, 0, 0.5)]) == 0


@given(SCORES)
def test_no_video_is_better_than_the_chosen_one(scores):
    number = best_clip(scores)
    chosen = scores[number]
    for place, other in enumerate(scores):
        assert other.errors >= chosen.errors
        if other.errors == chosen.errors:
            assert other.likeness <= chosen.likeness
            assert place >= number or other.likeness < chosen.likeness
