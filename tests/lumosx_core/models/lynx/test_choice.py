"""Numbers and ranges as users type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx.choice import parse_block_numbers


@pytest.mark.parametrize(("text", "numbers"), [
    ("all", None), (" ALL ", None), ("", None), ("0", {0}), ("0-3, 7", {0, 1, 2, 3, 7}), ("5 - 5,5", {5}),
])
def test_numbers_and_ranges(text, numbers):
    assert parse_block_numbers("blocks", text) == numbers


@given(st.frozensets(st.integers(0, 511), min_size=1))
def test_every_set_can_be_written_out(numbers):
    assert parse_block_numbers("rows", ", ".join(map(str, numbers))) == numbers


@pytest.mark.parametrize("text", ["a", "1,", "3-1", "-1", "512", "0-512", "1.5", "1 2", "٣", "0-99999999999"])
def test_anything_else_is_a_sentence_with_the_input(text):
    with pytest.raises(LumosXError, match="^blocks: "):
        parse_block_numbers("blocks", text)
