"""What a server's answers mean."""

import json

import pytest

from lumosx_core.runner.protocol import (
    LONGEST_SENTENCE,
    Refused,
    ServerAway,
    error_for_status,
    parsed,
    reason,
    sentence,
)

URL = "http://a"


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"5", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_an_object_is_not_an_answer(text):
    with pytest.raises(Refused, match=URL) as caught:
        parsed(URL, text)
    assert caught.value.code == 0 and caught.value.answer == {}


@pytest.mark.parametrize("code", [502, 503, 504])
def test_a_proxy_without_its_server_is_a_server_that_is_away(code):
    error = error_for_status(URL, code, b'{"error": "no"}')
    assert isinstance(error, ServerAway) and str(code) in str(error)


def test_a_refusal_keeps_its_answer():
    answer = {"error": {"message": "no"}, "node_errors": {}}
    error = error_for_status(URL, 400, json.dumps(answer).encode())
    assert isinstance(error, Refused) and (str(error), error.code, error.answer) == ("no", 400, answer)
    odd = error_for_status(URL, 418, b"[]")
    assert isinstance(odd, Refused) and "418" in str(odd) and URL in str(odd)


def test_a_sentence_is_one_line_of_letters():
    assert sentence(" a\n\tb\x1b[2J ") == "a b?[2J"
    assert len(sentence("x" * 10**6)) == LONGEST_SENTENCE


def test_what_a_node_says_itself_comes_without_comfyuis_words_and_once():
    said = {"type": "custom_validation_failed", "message": "Custom validation failed", "details": "steps - steps: 0."}
    again = {**said, "details": "seed - steps: 0."}
    assert reason({"node_errors": {"4": {"class_type": "A", "errors": [said, again]}}}) == "A: steps: 0."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "No prompt provided", "details": ""}}, "No prompt provided"),
        ({"error": {"message": "Cannot execute.", "details": "Node 1"}}, "Cannot execute: Node 1"),
        ({"error": "broken"}, "broken"),
        ({"error": {"type": "custom_validation_failed", "details": "prompt - too long - cut it"}}, "too long - cut it"),
        ({"error": {"type": "custom_validation_failed", "details": "too long"}}, "too long"),
        ({"error": {"type": "other", "message": "a", "details": "prompt - b"}}, "a: prompt - b"),
        ({}, ""),
        (
            {
                "error": {"message": "Prompt outputs failed validation"},
                "node_errors": {
                    "4": {"class_type": "A", "errors": [{"message": "too small", "details": "width"}]},
                    "5": {"class_type": "B", "errors": [{"message": "missing", "details": None}]},
                },
            },
            "A: too small: width; B: missing",
        ),
    ],
)
def test_a_rejection_becomes_one_line(body, text):
    assert reason(body) == text
