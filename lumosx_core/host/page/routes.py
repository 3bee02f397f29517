"""What the page asks the running server: the board's verdict while a user types, and what a case folder holds.

Both only read, and both are for the page of this server alone: what another site's page sends is refused, whatever
ComfyUI's own check lets pass, and nothing takes longer than a few seconds or goes on once nobody waits for it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import folder_paths
from aiohttp import web

from ...cases.description import Entry
from ...cases.names import CaseNames, Named, list_case
from ...errors import LumosXError
from ...scene.checks import SECONDS, BoardReference, Deadline, read_board
from ...scene.relations import LONGEST_PHRASE, Kind
from ...tiny.demo_case import write_demo_case
from ..media.cases import BUILT_IN, FULL_BODIES, LEAVE_OUT, STAND_ALONE, resolve_case
from .thumbnails import sketch_of_file

BOARD, CASE = "/lumosx/board", "/lumosx/case"
MOST_REFERENCES = 64
LONGEST_PROMPT = 20_000
LONGEST_PHRASES = 20_000
LONGEST_NAME = 1_000
LONGEST_ID = 300
LARGEST_BODY = 256 * 1024
LARGEST_NUMBER = 10**6
LARGEST_SIDE = 16_384
MOST_WAITING = 32
"""Questions that wait for their turn; more than these are turned away."""
CASE_SECONDS = 5.0
"""How long a case folder is waited for: it can lie on a slow drive."""
PICTURE_SECONDS = 1.0
"""How long pictures are read for one answer; the others are read for a later one."""
_LOOK_SECONDS = 0.1

_FIELDS = {
    "id": f"a text of at most {LONGEST_ID} characters", "kind": "one of " + ", ".join(kind.value for kind in Kind),
    "phrase": f"a text of at most {LONGEST_PHRASE} characters or null", "occurrence": "a whole number >= 0",
    "person": "a whole number >= 0 or null", "shown": "true or false",
}
_MORE_FIELDS = {
    "full_body": ("true or false", False),
    "link": (f"a text of at most {LONGEST_ID} characters or null", None),
    "file": (f"a text of at most {LONGEST_NAME} characters or null", None),
}


def register() -> None:
    """Add the routes to the server of this process; none where there is no server, or where they are there already."""
    # ComfyUI has loaded its server long before any pack; tests and tools have none, and need none.
    running = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if running is None or any(getattr(route, "path", None) == BOARD for route in running.routes):
        return
    # One question at a time: many at once would take the processor from sampling.
    board_turn, case_turn = _Turn(), _Turn()

    @running.routes.post(BOARD)
    async def board(request: web.Request) -> web.Response:
        async def answer():
            if request.content_type != "application/json":
                return _refused("board: the request is not JSON; send it as application/json.", 415)
            body = await _body(request)
            return await board_turn.answer(request, lambda deadline: answer_board(body, deadline), SECONDS)

        return await _told(request, answer)

    @running.routes.get(CASE)
    async def case(request: web.Request) -> web.Response:
        name, full_body = request.query.get("name"), request.query.get("full_body", LEAVE_OUT)
        return await _told(
            request, lambda: case_turn.answer(request, lambda _: answer_case(name, full_body), CASE_SECONDS)
        )


class _Turn:
    """Work for one request at a time, off the event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def answer(
        self, request: web.Request, work: Callable[[Deadline], dict[str, Any]], seconds: float
    ) -> web.Response:
        """The JSON that ``work`` returns in a thread; the thread is told to end when the client is gone."""
        if self._waiting >= MOST_WAITING:
            return _refused("board: too many questions are waiting; ask again later.", 503)
        self._waiting += 1
        try:
            async with self._lock:
                if _is_gone(request):
                    return _refused("board: nobody waits for the answer any more.", 503)
                return await self._work(request, work, seconds)
        finally:
            self._waiting -= 1

    @staticmethod
    async def _work(
        request: web.Request, work: Callable[[Deadline], dict[str, Any]], seconds: float
    ) -> web.Response:
        deadline = Deadline(seconds)
        running = asyncio.ensure_future(asyncio.to_thread(work, deadline))
        # What cannot be told to end, such as a drive that does not answer, is not waited for much longer.
        end = asyncio.get_running_loop().time() + seconds + 1
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_LOOK_SECONDS)
                if _is_gone(request):
                    return _refused("board: nobody waits for the answer any more.", 503)
                if not running.done() and asyncio.get_running_loop().time() > end:
                    return _refused(f"board: there was no answer within {seconds:g} seconds; ask again later.", 503)
            return web.json_response(running.result())
        finally:
            deadline.drop()
            # Nobody else asks how it ended.
            running.add_done_callback(lambda done: done.cancelled() or done.exception())


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _told(request: web.Request, answer: Callable[[], Awaitable[web.Response]]) -> web.Response:
    if not _is_own_page(request):
        return _refused("board: the request comes from another site; only this server's own page may ask.", 403)
    try:
        return await answer()
    except LumosXError as error:
        return _refused(str(error), 400)


def _refused(sentence: str, status: int) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


def _is_own_page(request: web.Request) -> bool:
    """Whether a request comes from this server's page, from no page at all, or from where the user allows it.

    Browsers say where a page is from, and no script can change what they say: ``Sec-Fetch-Site`` for servers that they
    trust, ``Origin`` for all. Behind a proxy the page's host is in ``X-Forwarded-Host``, which another site's page
    cannot send.
    """
    headers = request.headers
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    allowed = _allowed_origin()
    if allowed is not None and allowed in ("*", origin) or site == "same-origin":
        return True
    if origin is None:
        return site in (None, "none")
    hosts = [headers.get("Host", ""), *headers.get("X-Forwarded-Host", "").split(",")]
    return any(_same_host(origin, host.strip()) for host in hosts if host.strip())


def _allowed_origin() -> str | None:
    """What the user gave ComfyUI as ``--enable-cors-header``."""
    options = getattr(sys.modules.get("comfy.cli_args"), "args", None)
    return getattr(options, "enable_cors_header", None) or None


def _same_host(origin: str, host: str) -> bool:
    """Whether an origin is that of a host; as for ComfyUI, a port that one of them leaves out does not count."""
    try:
        page, own = urlsplit(origin), urlsplit(f"//{host}")
        ports = {page.port, own.port} - {None}
    except ValueError:
        return False
    return page.hostname is not None and page.hostname == own.hostname and len(ports) <= 1


def answer_board(body: bytes, deadline: Deadline | None = None) -> dict[str, Any]:
    """What the board is told, see ``read_board``.

    Raises:
        LumosXError: anything but the JSON that the page sends, too much of it, or the time is over.
    """
    deadline = deadline or Deadline()
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LumosXError(f"board: the request is not JSON ({error}); send one object.") from error
    if not isinstance(content, dict) or "prompt" not in content or not isinstance(content.get("references"), list):
        raise LumosXError("board: the request is not an object with a prompt and a list of references; send both.")
    prompt, references, settled = content["prompt"], content["references"], content.get("settled", False)
    if prompt is not None and not isinstance(prompt, str):
        raise LumosXError("board: prompt is not a text; send one, or null.")
    if prompt is not None and len(prompt) > LONGEST_PROMPT:
        raise LumosXError(
            f"board: the prompt has more than {LONGEST_PROMPT} characters; it is checked when the node runs."
        )
    if not isinstance(settled, bool):
        raise LumosXError("board: settled is not true or false; send one of them.")
    if len(references) > MOST_REFERENCES:
        raise LumosXError(
            f"board: there are more than {MOST_REFERENCES} references; they are checked when the node runs."
        )
    for number, value in enumerate(references):
        _check_reference(value, number)
    if len({value["id"] for value in references}) < len(references):
        raise LumosXError("board: two references have the same id; give each its own.")
    if (length := sum(len(value["phrase"] or "") for value in references)) > LONGEST_PHRASES:
        raise LumosXError(
            f"board: the phrases have {length} characters together, but the board checks at most {LONGEST_PHRASES}; "
            "shorten them."
        )
    known = _with_pictures(references, deadline)
    return read_board(prompt, known, settled, _frame(content.get("frame")), deadline)


def answer_case(name: str | None, full_body: str = LEAVE_OUT) -> dict[str, Any]:
    """What a case of LumosX Load Case holds; pictures are named, never opened.

    Args:
        name: as the node has it.
        full_body: one of ``FULL_BODIES``, as the node has it.

    Raises:
        LumosXError: no name, a name outside its folder, a folder that is no case, or an unknown choice.
    """
    if not name or len(name) > LONGEST_NAME:
        raise LumosXError(f"case: name is not a text of 1 to {LONGEST_NAME} characters; send the name of a case.")
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


async def _body(request: web.Request) -> bytes:
    """The request's bytes; reading ends where there are too many."""
    body = b""
    async for chunk in request.content.iter_chunked(LARGEST_BODY):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise LumosXError(f"board: the request has more than {LARGEST_BODY} bytes; send less.")
    return body


def _check_reference(value: Any, number: int) -> None:
    if not isinstance(value, dict):
        raise LumosXError(f"board: reference {number} is not an object; send its {', '.join(_FIELDS)}.")
    told = _FIELDS | {name: what for name, (what, _) in _MORE_FIELDS.items() if name in value}
    wrong = [name for name in told if name not in value or not _fits(name, value[name])]
    if wrong:
        raise LumosXError(f"board: {wrong[0]} of reference {number} is not {told[wrong[0]]}; send that.")


def _with_pictures(references: list[dict[str, Any]], deadline: Deadline) -> list[BoardReference]:
    pictures, known = Deadline(PICTURE_SECONDS), []
    for value in references:
        deadline.check()
        file = value.get("file")
        sketch = sketch_of_file(file) if file and value["shown"] and not pictures.is_over else None
        fields = {name: value[name] for name in _FIELDS if name != "kind"}
        more = {name: value.get(name, default) for name, (_, default) in _MORE_FIELDS.items() if name != "file"}
        known.append(BoardReference(**fields, **more, kind=Kind(value["kind"]), sketch=sketch))
    return known


def _frame(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = [value.get(name) for name in ("width", "height")] if isinstance(value, dict) else []
    if not sides or not all(type(side) is int and 0 < side <= LARGEST_SIDE for side in sides):
        raise LumosXError(f"board: frame is not a width and a height from 1 to {LARGEST_SIDE}; send both, or null.")
    return sides[0], sides[1]


def _fits(name: str, value: Any) -> bool:
    if name == "kind":
        return isinstance(value, str) and value in {kind.value for kind in Kind}
    if name in ("shown", "full_body"):
        return isinstance(value, bool)
    if value is None:
        return name in ("phrase", "person", "link", "file")
    longest = {"id": LONGEST_ID, "link": LONGEST_ID, "phrase": LONGEST_PHRASE, "file": LONGEST_NAME}
    if name in longest:
        return isinstance(value, str) and len(value) <= longest[name]
    return type(value) is int and 0 <= value <= LARGEST_NUMBER


def _case(case: CaseNames, folder: Path | None) -> dict[str, Any]:
    def told(named: Named) -> dict[str, Any]:
        kind, entry = named
        return {
            "kind": kind.value, "phrase": " ".join(entry.phrase.split()), "occurrence": entry.occurrence,
            "full_body": entry.full_body, "image": _image(folder, entry),
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
