import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.ranges import range_named


@given(st.integers(0, 999), st.integers(0, 999), st.integers(1, 1000))
def test_a_number_or_a_range_below_the_most(first, last, most):
    assert range_named(str(first), most) == (range(first, first + 1) if first < most else None)
    assert range_named(f"{first} - {last}", most) == (range(first, last + 1) if first <= last < most else None)


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "1-2-3", "1.5", "a", "1000", "٣"])
def test_what_is_neither(text):
    assert range_named(text, 10_000) is None
