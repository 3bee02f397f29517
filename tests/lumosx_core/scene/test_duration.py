"""Durations as people say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.scene.duration import rounded, spoken


@pytest.mark.parametrize(("seconds", "words"), [
    (0.01, "about 1 second"), (1.4, "about 1 second"), (45, "about 45 seconds"), (89.4, "about 89 seconds"),
    (90, "about 1.5 minutes"), (723, "about 12 minutes"), (5340, "about 89 minutes"), (5400, "about 1.5 hours"),
    (360000, "about 100 hours"), (0, "about 1 second"), (1.6, "about 2 seconds"), (89.99, "about 90 seconds"),
    (569, "about 9.5 minutes"), (570, "about 10 minutes"), (5399, "about 90 minutes"), (34_199, "about 9.5 hours"),
    (34_201, "about 10 hours"),
])
def test_durations_as_people_say_them(seconds, words):
    assert spoken(seconds) == words


@given(st.floats(min_value=10, max_value=1e6))
def test_rounding_is_never_far_off(seconds):
    amount, unit = rounded(seconds)
    assert amount * {"seconds": 1, "minutes": 60, "hours": 3600}[unit] == pytest.approx(seconds, rel=0.06)
