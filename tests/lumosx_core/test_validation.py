"""The first mistake in words."""

import pytest
from pydantic import ValidationError

from lumosx_core.validation import Strict, first_mistake


class _Thing(Strict):
    name: str
    number: int = 0


class _Things(Strict):
    things: list[_Thing]


@pytest.mark.parametrize(("content", "place", "said"), [
    ({"things": [{"name": "a"}, {"name": 5}]}, "things 2 name", "not 5"),
    ({"things": [{"name": "a", "number": True}]}, "things 1 number", "not True"),
    ({"things": [{}]}, "things 1 name", "required"),
    ({"things": 5}, "things", "not 5"),
    ([], "", "not []"),
    ({"things": [{"name": "\x1b[2J", "number": "\x1b[2J" * 1000}]}, "things 1 number", "not '"),
])
def test_a_mistake_is_named_by_its_place_and_its_value(content, place, said):
    with pytest.raises(ValidationError) as caught:
        _Things.model_validate(content)
    found = first_mistake(caught.value)
    assert found[0] == place and said in found[1] and found[1].isprintable() and len(found[1]) < 200
