"""What the page asks the running server: the board's verdict while a user types, and what a case folder holds.

Both only read. Who may ask is ComfyUI's own affair: it refuses requests that come from another site.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web

from ..board import BoardReference, read_board
from ..errors import LumosXError
from ..media.case_description import Entry
from ..media.case_names import CaseNames, Named, list_case
from ..relations import Kind
from ..tiny.demo_case import write_demo_case
from .folders import BUILT_IN, FULL_BODIES, LEAVE_OUT, STAND_ALONE, resolve_case

BOARD, CASE = "/lumosx/board", "/lumosx/case"
MOST_REFERENCES = 64
LONGEST_PROMPT = 20_000
LONGEST_PHRASE = 2_000
LONGEST_NAME = 1_000
LARGEST_BODY = 256 * 1024
LARGEST_NUMBER = 10**6

_FIELDS = {
    "id": "a text", "kind": "one of " + ", ".join(kind.value for kind in Kind), "phrase": "a text",
    "occurrence": "a whole number from 0", "person": "a whole number from 0 or null", "shown": "true or false",
}


def register() -> None:
    """Add the routes to the server of this process; none where there is no server, or where they are there already."""
    # ComfyUI has loaded its server long before any pack; tests and tools have none, and need none.
    running = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if running is None or any(getattr(route, "path", None) == BOARD for route in running.routes):
        return
    # One question at a time: those that a page has given up would else go on beside each other, and beside sampling.
    turn = asyncio.Lock()

    @running.routes.post(BOARD)
    async def board(request: web.Request) -> web.Response:
        async def answer():
            body = await _body(request)
            async with turn:
                return await asyncio.to_thread(answer_board, body)

        return await _told(answer())

    @running.routes.get(CASE)
    async def case(request: web.Request) -> web.Response:
        name, full_body = request.query.get("name"), request.query.get("full_body", LEAVE_OUT)
        return await _told(asyncio.to_thread(answer_case, name, full_body))


def answer_board(body: bytes) -> dict[str, Any]:
    """What the board is told, see ``read_board``.

    Raises:
        LumosXError: anything but the JSON that the page sends, or too much of it.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LumosXError(f"board: the request is no JSON ({error}); send one object.") from error
    if not isinstance(content, dict) or "prompt" not in content or not isinstance(content.get("references"), list):
        raise LumosXError("board: the request is no object with a prompt and a list of references; send both.")
    prompt, references = content["prompt"], content["references"]
    if prompt is not None and (not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT):
        raise LumosXError(f"board: prompt is no text of at most {LONGEST_PROMPT} characters; send one, or null.")
    if len(references) > MOST_REFERENCES:
        raise LumosXError(
            f"board: there are {len(references)} references, but it takes {MOST_REFERENCES}; send fewer."
        )
    known = [_reference(value, number) for number, value in enumerate(references)]
    if len({reference.id for reference in known}) < len(known):
        raise LumosXError("board: two references have the same id; give each its own.")
    return read_board(prompt, known)


def answer_case(name: str | None, full_body: str = LEAVE_OUT) -> dict[str, Any]:
    """What a case of LumosX Load Case holds; pictures are named, never opened.

    Args:
        name: as the node has it.
        full_body: one of ``FULL_BODIES``, as the node has it.

    Raises:
        LumosXError: no name, a name outside its folder, a folder that is no case, or an unknown choice.
    """
    if not name or len(name) > LONGEST_NAME:
        raise LumosXError(f"case: name is no text of at most {LONGEST_NAME} characters; send the name of a case.")
    if full_body not in FULL_BODIES:
        raise LumosXError(f"full_body: {full_body[:60]!r} is not known; choose one of {', '.join(FULL_BODIES)}.")
    if name == BUILT_IN:
        return _case(_drawn_case(), None)
    folder = resolve_case(name)
    return _case(list_case(folder, full_body == STAND_ALONE), folder)


@functools.cache
def _drawn_case() -> CaseNames:
    """The built-in case, which never changes; boards ask for it again and again."""
    with tempfile.TemporaryDirectory() as folder:
        return list_case(write_demo_case(folder))


async def _told(answer: Awaitable[dict[str, Any]]) -> web.Response:
    try:
        return web.json_response(await answer)
    except LumosXError as error:
        return web.json_response({"error": str(error)}, status=400)


async def _body(request: web.Request) -> bytes:
    """The request's bytes; reading ends where there are too many."""
    body = b""
    async for chunk in request.content.iter_chunked(LARGEST_BODY):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise LumosXError(f"board: the request has more than {LARGEST_BODY} bytes; send less.")
    return body


def _reference(value: Any, number: int) -> BoardReference:
    if not isinstance(value, dict):
        raise LumosXError(f"board: reference {number} is no object; send its {', '.join(_FIELDS)}.")
    wrong = [name for name in _FIELDS if name not in value or not _fits(name, value[name])]
    if wrong:
        raise LumosXError(f"board: {wrong[0]} of reference {number} is not {_FIELDS[wrong[0]]}; send that.")
    fields = {name: value[name] for name in _FIELDS}
    return BoardReference(**{**fields, "kind": Kind(fields["kind"])})


def _fits(name: str, value: Any) -> bool:
    if name == "kind":
        return isinstance(value, str) and value in {kind.value for kind in Kind}
    if name == "shown":
        return isinstance(value, bool)
    if name in ("id", "phrase"):
        return isinstance(value, str) and len(value) <= LONGEST_PHRASE
    return type(value) is int and 0 <= value <= LARGEST_NUMBER or name == "person" and value is None


def _case(case: CaseNames, folder: Path | None) -> dict[str, Any]:
    def told(named: Named) -> dict[str, Any]:
        kind, entry = named
        return {
            "kind": kind.value, "phrase": " ".join(entry.phrase.split()), "occurrence": entry.occurrence,
            "image": _image(folder, entry),
        }

    return {
        "prompt": case.prompt,
        "people": [{"references": [told(named) for named in person]} for person in case.people],
        "objects": [told(named) for named in case.objects],
        "background": None if case.background is None else told(case.background),
    }


def _image(folder: Path | None, entry: Entry) -> dict[str, str] | None:
    """How ComfyUI's own viewer is asked for a picture."""
    if folder is None or entry.file is None:
        return None
    path = folder / entry.file
    places = (("input", folder_paths.get_input_directory()), ("output", folder_paths.get_output_directory()))
    for kind, root in places:
        root = Path(root).resolve()
        if path.is_relative_to(root):
            return {"filename": path.name, "subfolder": path.parent.relative_to(root).as_posix(), "type": kind}
    return None
