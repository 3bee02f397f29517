"""Means that pass over what is unknown, and JSON without NaN."""

import pytest

from lumosx_core.scores.figures import mean_of_known, strict_json


def test_what_is_unknown_does_not_count():
    assert mean_of_known([1.0, None, 2.0]) == 1.5
    assert mean_of_known([None]) is None and mean_of_known([]) is None


def test_letters_stay_and_what_is_no_number_is_refused():
    assert strict_json({"Bär": None}) == '{"Bär": null}'
    with pytest.raises(ValueError):
        strict_json([float("nan")])
