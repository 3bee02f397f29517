"""What a ComfyUI server's answers mean, as plain functions of bytes; nothing here opens a connection.

Nothing in an answer is trusted: not its depth, not the types in it, not the letters of its sentences.
"""

from __future__ import annotations

import json

from ..errors import LumosXError
from ..untrusted import shown

LONGEST_SENTENCE = 1000
# A proxy in front of a server that is starting says one of these.
_AWAY = (502, 503, 504)


class ServerAway(Exception):
    """The server cannot be reached, or went away while it answered; whether it acted on the request is not known."""


class Refused(LumosXError):
    """The server said no.

    Attributes:
        code: its HTTP status, 0 where it said something that is not an answer of ComfyUI.
        answer: the JSON object that came with it, or an empty one.
    """

    def __init__(self, message: str, code: int = 0, answer: dict | None = None) -> None:
        super().__init__(message)
        self.code, self.answer = code, answer or {}


def parsed(url: str, text: bytes) -> dict:
    """The JSON object in an answer.

    Raises:
        Refused: it is anything else.
    """
    answer = _json(text)
    if not isinstance(answer, dict):
        raise not_comfyui(url)
    return answer


def not_comfyui(url: str) -> Refused:
    """The error for an answer that ComfyUI would not give."""
    return Refused(f"server: {url} does not answer like a ComfyUI; give the address of its page.")


def error_for_status(url: str, code: int, text: bytes) -> ServerAway | Refused:
    """The error for an answer with an HTTP status other than success."""
    if code in _AWAY:
        return ServerAway(f"HTTP {code}")
    answer = _object(_json(text))
    message = reason(answer) or f"server: {url} answered HTTP {code}; is it the address of a ComfyUI?"
    return Refused(message, code, answer)


def queued(url: str, answer: dict) -> tuple[set[str], set[str]]:
    """The ids of the prompts that run, and of those that wait, in an answer of ``/queue``.

    Raises:
        Refused: it is not such an answer.
    """
    try:
        running, waiting = ({str(item[1]) for item in answer[key]} for key in ("queue_running", "queue_pending"))
    except (KeyError, TypeError, IndexError) as error:
        raise not_comfyui(url) from error
    return running, waiting


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def reason(answer: object) -> str:
    """One line that says why ComfyUI refused a graph: what is wrong with its nodes, else with the whole."""
    answer = _object(answer)
    parts = [
        f"{_object(node).get('class_type', node_id)}: {_message(error)}"
        for node_id, node in _object(answer.get("node_errors")).items()
        for error in _list(_object(node).get("errors"))
    ]
    return sentence("; ".join(dict.fromkeys(parts)) or _message(answer.get("error")))


def _message(error: object) -> str:
    if isinstance(error, str):
        return error
    error = _object(error)
    message, details = (str(error.get(key) or "").strip() for key in ("message", "details"))
    if error.get("type") == "custom_validation_failed":
        # "INPUT - what the node says", once for every input.
        return details.partition(" - ")[2] or details
    return f"{message.rstrip('.')}: {details}" if details else message


def sentence(text: str) -> str:
    """What a server says, as it may be shown: one line of letters, not too long."""
    line = shown(" ".join(text[:10 * LONGEST_SENTENCE].split()))
    return line if len(line) <= LONGEST_SENTENCE else line[:LONGEST_SENTENCE - 2] + " …"


def _object(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list:
    return value if isinstance(value, list) else []
