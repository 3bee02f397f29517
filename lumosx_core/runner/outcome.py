"""How a prompt ended: from ComfyUI's history, or from the files that it left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .protocol import sentence

MOST_OUTPUTS = 1000
_MOST_BOXES = 1 << 18
"""Of an MP4; one that is written in pieces has two for each, and a server may send any file."""
_LONGEST_NAME = 1000
# The last millisecond of the year 9999, after which there are no dates.
_LAST_TIME = 253_402_300_799_999
_ENDS = ("execution_success", "execution_error", "execution_interrupted")
_MP4_PARTS = {b"ftyp", b"moov", b"mdat"}


@dataclass(frozen=True)
class Outcome:
    """The end of one prompt.

    Attributes:
        error: a sentence; empty when it went well.
        outputs: ``filename``, ``subfolder`` and ``type`` of each saved file.
        started, finished: by the server's clock, in milliseconds since 1970; None where it did not say.
    """

    error: str = ""
    outputs: tuple[dict[str, str], ...] = ()
    started: int | None = None
    finished: int | None = None

    @property
    def seconds(self) -> float | None:
        """What the execution took."""
        if self.started is None or self.finished is None:
            return None
        return (self.finished - self.started) / 1000


def read_history(entry: dict) -> Outcome:
    """The outcome of an entry of ``/history``, of which nothing is believed: another server may have made it."""
    status = _object(entry.get("status"))
    messages = {
        message[0]: _object(message[1]) for message in _list(status.get("messages"))
        if isinstance(message, list) and len(message) == 2 and isinstance(message[0], str)
    }
    outputs = tuple(_saved_files(_object(entry.get("outputs"))))
    started = _time(messages.get("execution_start"))
    finished = next((_time(messages[end]) for end in _ENDS if end in messages), None)
    error = ""
    if "execution_interrupted" in messages:
        error = "It was interrupted on the server."
    elif status.get("status_str") == "error":
        error = _what_was_raised(messages.get("execution_error", {}))
    elif not outputs:
        error = "It ended without saving anything; look at the server's log."
    return Outcome(error, outputs, started, finished)


def _time(message: dict | None) -> int | None:
    stamp = _object(message).get("timestamp")
    return stamp if type(stamp) is int and 0 <= stamp <= _LAST_TIME else None


def _object(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def iso_time(milliseconds: int | None) -> str | None:
    """A time as ISO 8601 in UTC, to the millisecond."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat(timespec="milliseconds")


def is_whole_mp4(path: Path) -> bool:
    """Whether a file is an MP4 that was written to its end.

    Its boxes must fill it exactly, and the index (``moov``), which FFmpeg writes last, must be among them: a server
    that is killed in the middle leaves a box of size 0 or one that is longer than the file. PyAV would not notice an
    index without its end: FFmpeg plays such a file, without its sound or its workflow.
    """
    size, position, kinds, boxes = path.stat().st_size, 0, set(), 0
    with path.open("rb") as file:
        while position < size:
            boxes += 1
            file.seek(position)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:], "big")
            # Also what is shorter than its own head, which would never end.
            if length < 8 or position + length > size or boxes > _MOST_BOXES:
                return False
            kinds.add(head[4:8])
            position += length
    return kinds >= _MP4_PARTS


def _saved_files(outputs: dict[str, Any]) -> list[dict[str, str]]:
    """What nodes saved for good; pictures that only the page shows are of type ``temp``."""
    files = [
        {key: str(item.get(key, ""))[:_LONGEST_NAME] for key in ("filename", "subfolder", "type")}
        for node in outputs.values() if isinstance(node, dict) for items in node.values() if isinstance(items, list)
        for item in items if isinstance(item, dict) and item.get("type") == "output" and item.get("filename")
    ]
    return list({tuple(file.values()): file for file in files}.values())[:MOST_OUTPUTS]


def _what_was_raised(data: dict) -> str:
    node, message = data.get("node_type") or "A node", str(data.get("exception_message") or "").strip()
    reason = message or data.get("exception_type") or "it failed without giving a reason; look at the server's log"
    return sentence(f"{node}: {reason}")
