"""What the page asks the running server: the board's verdict while a user types, what a case folder holds, and how long
sampling takes here.

All only read, and all are for the page of this server alone: what another site's page sends is refused, whatever
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
from typing import Annotated, Any
from urllib.parse import urlsplit

import folder_paths
from aiohttp import web
from pydantic import Field, ValidationError, field_validator

from ...cases.description import CaseReference
from ...cases.names import CaseNames, Named, list_case
from ...errors import LumosXError
from ...models.wan.config import UMT5
from ...scene.checks import SECONDS, BoardReference, Deadline, read_board
from ...scene.duration import PacedRun
from ...scene.relations import LONGEST_PHRASE, Kind
from ...scene.view import here_view
from ...validation import Strict, first_mistake
from .. import pace as paces
from ..media.cases import BUILT_INS, FULL_BODIES, LEAVE_OUT, STAND_ALONE, resolve_case
from .thumbnails import sketch_of_file

BOARD, CASE, PACE = "/lumosx/board", "/lumosx/case", "/lumosx/pace"
MOST_REFERENCES = 64
LONGEST_PROMPT = 20_000
LONGEST_PHRASES = 20_000
LONGEST_TEXT_FIELD = 1_000
LONGEST_ID = 300
LARGEST_BODY = 256 * 1024
LARGEST_NUMBER = 10**6
LARGEST_WORK = 1e24
LARGEST_SIDE = 16_384
MOST_WAITING = 32
"""Questions that wait for their turn; more than these are turned away."""
MOST_RUNS = 16
"""Samplers behind one encoder that are asked about together."""
CASE_SECONDS = 5.0
"""How long a case folder is waited for: it can lie on a slow drive."""
PICTURE_SECONDS = 1.0
"""How long pictures are read for one answer; the others are read for a later one."""
_LOOK_SECONDS = 0.1

Phrase = Annotated[str, Field(max_length=LONGEST_PHRASE)]
ShortText = Annotated[str, Field(max_length=LONGEST_TEXT_FIELD)]
Id = Annotated[str, Field(max_length=LONGEST_ID)]
Number = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
Side = Annotated[int, Field(gt=0, le=LARGEST_SIDE)]


class _Reference(Strict):
    """One reference of the board, as ``BoardReference`` has it; ``file`` names its picture."""

    id: Id
    kind: Kind
    phrase: Phrase | None
    occurrence: Number
    person: Number | None
    shown: bool
    full_body: bool = False
    link: Id | None = None
    file: ShortText | None = None


class _Frame(Strict):
    width: Side
    height: Side


class _Question(Strict):
    """What the page sends; other names are ignored."""

    prompt: Annotated[str, Field(max_length=LONGEST_PROMPT)] | None
    references: Annotated[list[_Reference], Field(max_length=MOST_REFERENCES)]
    settled: bool = False
    frame: _Frame | None = None

    @field_validator("references")
    @classmethod
    def _fit_together(cls, references: list[_Reference]) -> list[_Reference]:
        if len({reference.id for reference in references}) < len(references):
            raise ValueError("two references have the same id")
        if sum(len(reference.phrase or "") for reference in references) > LONGEST_PHRASES:
            raise ValueError(f"their phrases have more than {LONGEST_PHRASES} characters together")
        return references


class _Run(Strict):
    """One sampler, as ``PacedRun`` has it."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    work: Annotated[float, Field(gt=0, le=LARGEST_WORK)]
    forwards: Annotated[int, Field(gt=0, le=LARGEST_NUMBER)]


class _Runs(Strict):
    runs: Annotated[list[_Run], Field(max_length=MOST_RUNS)]


def register() -> None:
    """Add the routes to the server of this process; none if there is no server, or if it has them already."""
    # ComfyUI has loaded its server long before any pack; tests and tools have none, and need none.
    running = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if running is None or any(getattr(route, "path", None) == BOARD for route in running.routes):
        return
    # One question at a time: many at once would take the processor from sampling.
    board_turn, case_turn = Turn(), Turn()

    async def of_body(
        request: web.Request, work: Callable[[bytes, Deadline], dict[str, Any]]
    ) -> web.Response:
        if request.content_type != "application/json":
            return refused("board: the request is not JSON; send it as application/json.", 415)
        body = await _body(request)
        return await board_turn.answer(request, lambda deadline: work(body, deadline), SECONDS)

    @running.routes.post(BOARD)
    async def board(request: web.Request) -> web.Response:
        return await answered(request, lambda: of_body(request, answer_board))

    @running.routes.post(PACE)
    async def pace(request: web.Request) -> web.Response:
        return await answered(request, lambda: of_body(request, lambda body, _: answer_pace(body)))

    @running.routes.get(CASE)
    async def case(request: web.Request) -> web.Response:
        name, full_body = request.query.get("name"), request.query.get("full_body", LEAVE_OUT)
        return await answered(
            request, lambda: case_turn.answer(request, lambda _: answer_case(name, full_body), CASE_SECONDS)
        )


class Turn:
    """Work for one request at a time, off the event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def answer(
        self, request: web.Request, work: Callable[[Deadline], dict[str, Any] | bytes], seconds: float
    ) -> web.Response:
        """The JSON, or the PNG, that ``work`` returns in a thread; its deadline is over when the client is gone."""
        if self._waiting >= MOST_WAITING:
            return refused("board: too many requests are waiting; try again later.", 503)
        self._waiting += 1
        try:
            async with self._lock:
                if _is_gone(request):
                    return refused("board: nobody waits for the answer any more.", 503)
                return await self._work(request, work, seconds)
        finally:
            self._waiting -= 1

    @staticmethod
    async def _work(
        request: web.Request, work: Callable[[Deadline], dict[str, Any] | bytes], seconds: float
    ) -> web.Response:
        deadline = Deadline(seconds)
        running = asyncio.ensure_future(asyncio.to_thread(work, deadline))
        # Work that does not look at the deadline, such as a read from a drive that hangs, is not waited for long.
        end = asyncio.get_running_loop().time() + seconds + 1
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_LOOK_SECONDS)
                if _is_gone(request):
                    return refused("board: nobody waits for the answer any more.", 503)
                if not running.done() and asyncio.get_running_loop().time() > end:
                    return refused(f"board: there was no answer within {seconds:g} seconds; try again later.", 503)
            return _response(running.result())
        finally:
            deadline.drop()
            # Nobody else asks how it ended.
            running.add_done_callback(lambda done: done.cancelled() or done.exception())


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _response(result: dict[str, Any] | bytes) -> web.Response:
    if isinstance(result, bytes):
        return web.Response(body=result, content_type="image/png")
    return web.json_response(result)


async def answered(request: web.Request, answer: Callable[[], Awaitable[web.Response]]) -> web.Response:
    """The answer for this server's own page; another's is refused, and an error is a sentence."""
    if not _is_own_page(request):
        return refused("board: the request comes from another site; only this server's own page may send it.", 403)
    try:
        return await answer()
    except LumosXError as error:
        return refused(str(error), 400)


def refused(sentence: str, status: int) -> web.Response:
    """A sentence as the page expects it."""
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
    """The answer for the board, see ``read_board``.

    Raises:
        LumosXError: anything but the JSON that the page sends, too much of it, or the time is over.
    """
    deadline = deadline or Deadline()
    try:
        # While somebody types, a text may end in half a letter.
        whole = json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError) as error:
        raise LumosXError(f"board: the request is not JSON ({error}); send one object.") from error
    try:
        asked = _Question.model_validate_json(whole)
    except ValidationError as error:
        place, what, kind = first_mistake(error)
        then = "it is checked when the node runs" if "too_long" in kind else "send what fits"
        raise LumosXError(f"board: {place}: {what}; {then}.") from error
    frame = None if asked.frame is None else (asked.frame.width, asked.frame.height)
    references = _with_pictures(asked.references, deadline)
    return read_board(asked.prompt, references, asked.settled, frame, deadline, UMT5.length)


def answer_pace(body: bytes) -> dict[str, Any]:
    """How long samplers take on this machine by now, as the result view shows it; None where no run has shown it.

    Raises:
        LumosXError: anything but the JSON that the page sends.
    """
    try:
        asked = _Runs.model_validate_json(body)
    except ValidationError as error:
        place, what, _ = first_mistake(error)
        raise LumosXError(f"pace: {place or 'the request'}: {what}; send the runs of a result.") from error
    return {"here": here_view(paces.expected_of([PacedRun(**run.model_dump()) for run in asked.runs]))}


def answer_case(name: str | None, full_body: str = LEAVE_OUT) -> dict[str, Any]:
    """What a case of LumosX Load Case holds; pictures are named, never opened.

    Args:
        name: as the node has it.
        full_body: one of ``FULL_BODIES``, as the node has it.

    Raises:
        LumosXError: no name, a name outside its folder, a folder that is not a case, or an unknown choice.
    """
    if not name or len(name) > LONGEST_TEXT_FIELD:
        raise LumosXError(f"case: name is not a text of 1 to {LONGEST_TEXT_FIELD} characters; send the name of a case.")
    if full_body not in FULL_BODIES:
        raise LumosXError(f"full_body: {full_body[:60]!r} is not known; choose one of {', '.join(FULL_BODIES)}.")
    if name in BUILT_INS:
        return _case(_drawn_case(name), None)
    folder = resolve_case(name)
    return _case(list_case(folder, full_body == STAND_ALONE), folder)


@functools.cache
def _drawn_case(name: str) -> CaseNames:
    """A built-in case, which never changes; boards request it again and again."""
    with tempfile.TemporaryDirectory() as folder:
        return list_case(BUILT_INS[name](Path(folder)))


async def _body(request: web.Request) -> bytes:
    """The request's bytes; reading ends where there are too many."""
    body = b""
    async for chunk in request.content.iter_chunked(LARGEST_BODY):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise LumosXError(f"board: the request has more than {LARGEST_BODY} bytes; send less.")
    return body


def _with_pictures(references: list[_Reference], deadline: Deadline) -> list[BoardReference]:
    pictures, known = Deadline(PICTURE_SECONDS), []
    for reference in references:
        deadline.check()
        file = reference.file
        sketch = sketch_of_file(file) if file and reference.shown and not pictures.is_over else None
        known.append(BoardReference(**reference.model_dump(exclude={"file"}), sketch=sketch))
    return known


def _case(case: CaseNames, folder: Path | None) -> dict[str, Any]:
    def row(named: Named) -> dict[str, Any]:
        kind, entry = named
        return {
            "kind": kind.value, "phrase": " ".join(entry.phrase.split()), "occurrence": entry.occurrence,
            "full_body": entry.full_body, "shown": entry.file is not None, "image": _image(folder, entry),
        }

    return {
        "prompt": case.prompt,
        "people": [{"references": [row(named) for named in person]} for person in case.people],
        "objects": [row(named) for named in case.objects],
        "background": None if case.background is None else row(case.background),
    }


def _image(folder: Path | None, entry: CaseReference) -> dict[str, str] | None:
    """How a picture is requested from ComfyUI's own viewer."""
    if folder is None or entry.file is None:
        return None
    path = folder / entry.file
    places = (("input", folder_paths.get_input_directory()), ("output", folder_paths.get_output_directory()))
    for kind, root in places:
        root = Path(root).resolve()
        if path.is_relative_to(root):
            return {"filename": path.name, "subfolder": path.parent.relative_to(root).as_posix(), "type": kind}
    return None
