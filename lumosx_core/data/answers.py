"""Answers of language models as strict JSON: asked for by a schema, read, and asked for once more if they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from ..errors import LumosXError, shown
from ..scene.embedded_json import json_objects
from ..validation import Strict, first_mistake
from .backends import LanguageModel, Message
from .work import Rejected

LONGEST_ANSWER = 100_000
"""Letters of an answer that is read."""
_MOST_SHOWN, _LONGEST_FAULT = 8, 200
_THOUGHT = "</think>"
_AGAIN = "This answer is wrong:\n{faults}\nAnswer the question again, with the whole JSON and nothing else."

Form = TypeVar("Form", bound=Strict)
Checked = TypeVar("Checked")


class BadAnswer(Exception):
    """An answer that cannot be used.

    Attributes:
        faults: all that is wrong, each as part of a sentence.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = [shown(fault)[:_LONGEST_FAULT] for fault in faults[:_MOST_SHOWN]]


def ask_twice(
    model: LanguageModel, question: Message, schema: dict[str, Any], check: Callable[[str], Checked]
) -> Checked:
    """What an answer says, or a second one to which the faults of the first were named.

    Args:
        check: gives what an answer says, or raises BadAnswer.

    Raises:
        Rejected: the second answer is wrong too.
        ModelFailed: there is no answer.
    """
    answer = model.ask([question], schema)
    try:
        return _checked(check, answer)
    except BadAnswer as bad:
        faults = "\n".join(f"- {fault}" for fault in bad.faults)
    said = Message("assistant", answer[:LONGEST_ANSWER])
    second = model.ask([question, said, Message("user", _AGAIN.format(faults=faults))], schema)
    try:
        return _checked(check, second)
    except BadAnswer as bad:
        raise Rejected("bad answer", f"The language model was asked twice; {'; '.join(bad.faults)}.") from bad


def _checked(check: Callable[[str], Checked], answer: str) -> Checked:
    try:
        return check(answer)
    except LumosXError as error:
        raise BadAnswer([str(error)]) from error


def parsed(answer: str, key: str, form: type[Form]) -> Form:
    """The one JSON object with a key in an answer, whatever stands around it.

    Raises:
        BadAnswer: there is none, there are several, or it has another form.
    """
    if len(answer) > LONGEST_ANSWER:
        raise BadAnswer([f"it has {len(answer)} letters, but {LONGEST_ANSWER} is the most"])
    try:
        # A model that thinks aloud may write drafts before its answer.
        objects, reason = json_objects(answer.rpartition(_THOUGHT)[2])
    except ValueError as error:
        raise BadAnswer([f"its JSON {error}"]) from error
    found = [each for each in objects if key in each]
    if not found:
        raise BadAnswer([f"its JSON {reason}" if reason else f"it has no JSON with \"{key}\""])
    if any(each != found[0] for each in found):
        raise BadAnswer([f"it has {len(found)} different JSON objects with \"{key}\""])
    try:
        return form.model_validate(found[0])
    except ValidationError as error:
        place, what, _ = first_mistake(error)
        raise BadAnswer([f"its JSON is wrong at {place} ({what})"]) from error


def schema_of(form: type[Strict]) -> dict[str, Any]:
    """The JSON schema of a form, as servers with ``json_schema`` take it: everything required, nothing else allowed."""
    return _closed(form.model_json_schema())


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _closed(value) for key, value in node.items() if key not in ("default", "title")}
    if isinstance(node.get("properties"), dict):
        made["properties"] = {name: _closed(value) for name, value in node["properties"].items()}
        made["required"], made["additionalProperties"] = list(node["properties"]), False
    return made
