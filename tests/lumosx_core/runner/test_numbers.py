"""Numbers on the batch's command line."""

import argparse

import pytest

from lumosx_core.cli import number
from lumosx_core.runner.__main__ import _minutes, _seed


@pytest.mark.parametrize(("read", "text", "value"), [
    (_seed, "0", 0), (_seed, str(2**64 - 1), 2**64 - 1), (number, "0", 0.0), (number, "1e3", 1000.0),
    (_minutes, "0.5", 30.0), (_minutes, "0.25", 15.0),
])
def test_numbers_that_are_taken(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), [
    (_seed, str(2**64)), (_seed, "-1"), (_seed, "1.0"), (_seed, ""), (number, "-0.1"), (number, "inf"),
    (number, "nan"), (number, "x"), (_minutes, "0"), (_minutes, "-1"), (_minutes, "inf"),
])
def test_numbers_that_are_not(read, text):
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)
