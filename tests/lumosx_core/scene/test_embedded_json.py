"""JSON inside other text: found whatever stands around it, refused where it is no JSON, and quick with hostile text."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.scene.embedded_json import DEEPEST, json_objects

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5,
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.sampled_from(["", "```json\n", "\"It\" is [1]: "]))
def test_an_object_is_found_in_any_text_without_braces(value, before):
    text = f"{before}{json.dumps(value, ensure_ascii=False)}\n``` That's \"it\"."
    try:
        assert json_objects(text) == ([value], "")
    except ValueError as error:
        assert "deep" in str(error)


def test_braces_inside_strings_are_letters():
    assert json_objects('{"a": "}{\\"["} {"b": 1}') == ([{"a": "}{\"["}, {"b": 1}], "")


@pytest.mark.parametrize(("text", "reason"), [
    ('{"a": NaN}', "NaN"), ('{"a": -Infinity}', "-Infinity"), ('{"a": 1, "a": 1}', "twice"), ("{'a': 1}", "read"),
    ('{"a": "\\ud800"}', "surrogates"), ('{"a": [1}', "last brace"), ('{"a": {"b": 1}', "last brace"), ("{]}", "read"),
])
def test_what_is_no_json(text, reason):
    found, why = json_objects(text)
    assert reason in why and {"a": 1} not in found


def test_depth_is_bounded():
    deep = '{"a":' + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "}"
    assert json_objects(deep)[0]
    with pytest.raises(ValueError, match="deep"):
        json_objects(deep.replace("[]", "[[]]"))


@pytest.mark.parametrize("piece", ["{", '{"', '{"\\"', "{}", '{"a":', "{[]", '{"a":"\\', '" \\"', "[", "{ \"a\" }"])
def test_hostile_text_is_read_in_linear_time(piece):
    start = time.perf_counter()
    try:
        json_objects(piece * (100_000 // len(piece)))
    except ValueError as error:
        assert "deep" in str(error)
    assert time.perf_counter() - start < 2
