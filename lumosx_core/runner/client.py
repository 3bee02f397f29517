"""A client of a ComfyUI server: the one file of the pack that speaks to a network.

It speaks only to the address that the user typed: no proxies from the environment, no redirects. Every answer has a
bound for its size and for the time it takes; ``protocol.py`` says what it means.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import ssl
import sys
import time
import urllib.parse
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import aiohttp
from yarl import URL

# Not wait_for, which takes a Ctrl-C for nothing when it comes together with an answer.
if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

from ..errors import LumosXError
from ..untrusted import read_inside
from .protocol import Refused, ServerAway, error_for_status, not_comfyui, parsed, queued, reason

REQUEST_SECONDS = 120
"""For a connection, for each piece of an answer, and for all of one but what its size allows."""
LEAST_RATE = 16_384
"""Bytes in a second; a server that sends or takes less is treated as away."""
MOST_ANSWER, MOST_ERROR, MOST_FILE = 16_000_000, 1_000_000, 8_000_000_000
"""Bytes of an answer in JSON, of one that says no, and of a video."""
MOST_SENT = 256_000_000
"""Bytes of a file of a case."""
_PIECE = 1 << 20

T = TypeVar("T")
Sent: TypeAlias = "bytes | aiohttp.MultipartWriter | None"
"""What is sent with a question: JSON, a form, or nothing."""


def address(url: str) -> str | None:
    """An http or https address as requests take it, without a slash at its end; None if it is none.

    Args:
        url: what a user typed; a path is kept, for servers behind a proxy, but no name, query or fragment is taken.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        base = str(URL(url)).rstrip("/")
    except ValueError:
        return None
    return base if known and not (parts.username or parts.query or parts.fragment) else None


class Server:
    """A running ComfyUI. Its calls block.

    Every call raises ServerAway when it cannot be reached, and Refused when it says no.

    Args:
        url: http or https; a path is kept, for servers behind a proxy.

    Raises:
        LumosXError: no such address.
    """

    def __init__(self, url: str) -> None:
        base = address(url)
        if base is None:
            raise LumosXError(f"server: {url} is not the address of a ComfyUI; give one like http://127.0.0.1:8188.")
        self._base = base
        self.url = url.rstrip("/")

    def lacks(self, class_types: list[str]) -> list[str]:
        """Those of some node types that the server does not have."""
        return [name for name in class_types if name not in self._json("/object_info/" + quoted(name))]

    def upload(self, folder: str, name: str, case: Path, source: Path) -> None:
        """Put a file of a case into a folder under the server's input folder; one of the same name is replaced.

        Raises:
            OSError: the file cannot be read, is too large, or leads out of the case.
        """
        # A form as aiohttp makes it has its file's name in one encoding of two that servers read differently.
        form = aiohttp.MultipartWriter("form-data")
        for field, value in {"type": "input", "subfolder": folder, "overwrite": "true"}.items():
            form.append(value, {"Content-Disposition": f'form-data; name="{field}"'})
        content = io.BytesIO(read_inside(case, source, MOST_SENT))
        form.append(content, {
            "Content-Disposition": f"form-data; name=\"image\"; filename*=UTF-8''{quoted(name)}",
            "Content-Type": "application/octet-stream",
        })
        self._json("/upload/image", form)

    def post(self, prompt: dict, prompt_id: str) -> None:
        """Queue a graph under an id of our own; a graph of which only a part would run is taken back and refused."""
        answer = self._json("/prompt", json_body(prompt=prompt, prompt_id=prompt_id))
        if answer.get("node_errors"):
            self.cancel(prompt_id)
            why = reason(answer) or f"server: {self.url} refused a node without giving a reason; look at its log."
            raise Refused(why, 400, answer)

    def queue(self) -> tuple[set[str], set[str]]:
        """The ids of the prompts that run, and of those that wait."""
        return queued(self.url, self._json("/queue"))

    def history(self, prompt_id: str) -> dict | None:
        """What the server remembers of a prompt that has ended; None when it does not know it."""
        entry = self._json("/history/" + prompt_id).get(prompt_id)
        if not isinstance(entry, dict | None):
            raise not_comfyui(self.url)
        return entry

    def cancel(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or stop it when it runs."""
        self._request("/queue", json_body(delete=[prompt_id]))
        self._request("/interrupt", json_body(prompt_id=prompt_id))

    def fetch(self, file: dict, target: Path) -> bool:
        """Write an output (``filename``, ``subfolder``, ``type``) of the server to a path.

        Returns:
            Whether the server has it.

        Raises:
            OSError: the path cannot be written.
        """
        with target.open("wb") as writing:
            try:
                self._exchange(view_path(file), None, MOST_FILE, writing.write)
            except Refused as refused:
                if refused.code == 404:
                    return False
                raise
        return True

    def _json(self, path: str, data: Sent = None) -> dict:
        return parsed(self.url, self._request(path, data))

    def _request(self, path: str, data: Sent = None) -> bytes:
        pieces: list[bytes] = []
        self._exchange(path, data, MOST_ANSWER, pieces.append)
        return b"".join(pieces)

    def _exchange(self, path: str, data: Sent, most: int, take: Callable[[bytes], object]) -> None:
        """Ask, and pass on the pieces of an answer of at most ``most`` bytes as they come."""
        finished(self._asked(path, data, most, take))

    async def _asked(self, path: str, data: Sent, most: int, take: Callable[[bytes], object]) -> None:
        began = time.monotonic()
        size = len(data) if isinstance(data, bytes) else data.size or 0 if data else 0
        headers = {"Content-Type": "application/json"} if isinstance(data, bytes) else {}
        async with session() as connection:
            request = connection.request(
                "GET" if data is None else "POST", URL(self._base + path, encoded=True), data=data, headers=headers,
                allow_redirects=False,
            )
            with _as_away("it does not answer in time"):
                async with timeout(REQUEST_SECONDS + size / LEAST_RATE):
                    answer = await request
            try:
                if not 200 <= answer.status < 300:
                    raise await self._refusal(answer)
                await _read(answer, most, began + size / LEAST_RATE, take)
            finally:
                answer.close()

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Exception:
        pieces: list[bytes] = []
        try:
            await _read(answer, MOST_ERROR, time.monotonic(), pieces.append)
        except LumosXError:
            pieces.clear()
        return error_for_status(self.url, answer.status, b"".join(pieces))


def session() -> aiohttp.ClientSession:
    """What opens connections, without a proxy and without unpacking what a server may have packed."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False, skip_auto_headers=("Accept-Encoding",),
        read_bufsize=_PIECE, trust_env=False,
    )


def finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, also for a caller in whose thread an event loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _read(answer: aiohttp.ClientResponse, most: int, began: float, take: Callable[[bytes], object]) -> None:
    """Pass on what an answer holds, as it comes.

    Raises:
        ServerAway: it ends too early, or takes too long.
        Refused: it is too large.
    """
    expected, received = answer.content_length, 0
    if expected is not None and expected > most:
        raise Refused(f"server: its answer has {expected} bytes, above the limit of {most}; check what runs there.")
    while True:
        with _as_away():
            async with timeout(REQUEST_SECONDS):
                piece = await answer.content.readany()
        if not piece:
            return
        received += len(piece)
        if received > most:
            raise Refused(f"server: its answer has more than {most} bytes; check what runs there.")
        if time.monotonic() - began > REQUEST_SECONDS + received / LEAST_RATE:
            raise ServerAway("it sends too slowly")
        take(piece)


@contextmanager
def _as_away(late: str = "it sends too slowly") -> Iterator[None]:
    try:
        yield
    except asyncio.TimeoutError as error:
        raise ServerAway(late) from error
    except aiohttp.ClientPayloadError as error:
        raise ServerAway("the connection ended in the middle of a file") from error
    except (ssl.SSLError, aiohttp.ClientSSLError) as error:
        raise ServerAway(str(error)) from error
    except (OSError, aiohttp.ClientError) as error:
        number = getattr(error, "errno", None) or 0
        # A resolver's numbers are none of the system's.
        raise ServerAway(os.strerror(number) if number > 0 else str(error) or type(error).__name__) from error


def json_body(**fields: object) -> bytes:
    """Some fields as a JSON object."""
    return json.dumps(fields).encode()


def view_path(file: dict) -> str:
    """Where a server has a file with ``filename``, ``subfolder`` and ``type``."""
    names = {name: file[name] for name in ("filename", "subfolder", "type") if name in file}
    return "/view?" + urllib.parse.urlencode(names, errors="replace")


def quoted(name: str) -> str:
    """A name as one part of a path."""
    return urllib.parse.quote(name, safe="")
