"""What a batch says to a ComfyUI server: the one file of the pack that speaks to a network.

It speaks only to the address that the user typed: no proxies from the environment, no redirects. What a server answers
is believed only as far as it was looked at: its size, the time it takes, its depth, and the types in it.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import LumosXError
from ..untrusted import read_inside, shown

REQUEST_SECONDS = 120
"""For a connection, for each piece of an answer, and for all of one but what its size allows."""
LEAST_RATE = 16_384
"""Bytes in a second; whoever sends slower is taken for away."""
MOST_ANSWER, MOST_ERROR, MOST_FILE = 16_000_000, 1_000_000, 8_000_000_000
"""Bytes of an answer in JSON, of one that says no, and of a video."""
MOST_SENT = 256_000_000
"""Bytes of a file of a case."""
LONGEST_SENTENCE = 1000
_PIECE = 1 << 20
# A proxy in front of a server that is starting says one of these.
_AWAY = (502, 503, 504)


class ServerAway(Exception):
    """The server cannot be reached, or went away while it answered; whether it acted on the request is not known."""


class Refused(LumosXError):
    """The server said no; ``code`` is its HTTP status, 0 where it said something that is no answer."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class _Response(http.client.HTTPResponse):
    """Whose head comes in time; the library bounds each read of a byte of it, not all together."""

    def __init__(self, sock: socket.socket, *rest: object, **named: object) -> None:
        super().__init__(sock, *rest, **named)
        self._sock, self._late = sock, False

    def begin(self) -> None:
        watch = threading.Timer(REQUEST_SECONDS, self._end)
        watch.daemon = True
        watch.start()
        try:
            super().begin()
        finally:
            watch.cancel()
        if self._late:
            # What had come by then looks like all of it.
            raise TimeoutError("it sends too slowly")

    def _end(self) -> None:
        self._late = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Response


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request, context=self._context)


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects, _Handler, _SecureHandler)


class Server:
    """A running ComfyUI.

    Every call raises ServerAway when it cannot be reached, and Refused when it says no.

    Args:
        url: http or https; a path is kept, for servers behind a proxy.

    Raises:
        LumosXError: no such address.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or parts.username or parts.query or parts.fragment:
            raise LumosXError(f"server: {url} is no address of a ComfyUI; give one like http://127.0.0.1:8188.")
        self.url = url.rstrip("/")

    def lacks(self, class_types: list[str]) -> list[str]:
        """Those of some node types that the server does not have."""
        return [name for name in class_types if name not in self._json("/object_info/" + _quoted(name))]

    def upload(self, folder: str, name: str, case: Path, source: Path) -> None:
        """Put a file of a case into a folder under the server's input folder; one of the same name is replaced.

        Raises:
            OSError: the file cannot be read, is too large, or leads out of the case.
        """
        boundary = uuid.uuid4().hex
        fields = {"type": "input", "subfolder": folder, "overwrite": "true"}
        body = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        body += (
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename*=UTF-8''{_quoted(name)}\r\n"
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        data = body.encode() + read_inside(case, source, MOST_SENT) + f"\r\n--{boundary}--\r\n".encode()
        self._json("/upload/image", data, f"multipart/form-data; boundary={boundary}")

    def post(self, prompt: dict, prompt_id: str) -> None:
        """Queue a graph under an id of our own; a graph of which only a part would run is taken back and refused."""
        answer = self._json("/prompt", json.dumps({"prompt": prompt, "prompt_id": prompt_id}).encode())
        if answer.get("node_errors"):
            self.cancel(prompt_id)
            raise Refused(_reason(answer) or f"server: {self.url} refused a node without a word; look at its log.", 400)

    def queue(self) -> tuple[set[str], set[str]]:
        """The ids of the prompts that run, and of those that wait."""
        answer = self._json("/queue")
        try:
            running, waiting = ({str(item[1]) for item in answer[key]} for key in ("queue_running", "queue_pending"))
        except (KeyError, TypeError, IndexError) as error:
            raise self._no_comfyui() from error
        return running, waiting

    def history(self, prompt_id: str) -> dict | None:
        """What the server remembers of a prompt that has ended; None when it does not know it."""
        entry = self._json("/history/" + prompt_id).get(prompt_id)
        if not isinstance(entry, dict | None):
            raise self._no_comfyui()
        return entry

    def cancel(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or stop it when it runs."""
        self._request("/queue", json.dumps({"delete": [prompt_id]}).encode())
        self._request("/interrupt", json.dumps({"prompt_id": prompt_id}).encode())

    def fetch(self, file: dict, target: Path) -> bool:
        """Write an output (``filename``, ``subfolder``, ``type``) of the server to a path.

        Returns:
            Whether the server has it.

        Raises:
            OSError: the path cannot be written.
        """
        names = {name: file[name] for name in ("filename", "subfolder", "type")}
        with target.open("wb") as writing:
            try:
                query = urllib.parse.urlencode(names, errors="replace")
                for piece in self._pieces("/view?" + query, None, "", MOST_FILE):
                    writing.write(piece)
            except Refused as refusal:
                if refusal.code == 404:
                    return False
                raise
        return True

    def _json(self, path: str, data: bytes | None = None, kind: str = "application/json") -> dict:
        text = self._request(path, data, kind)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._no_comfyui()
        return answer

    def _no_comfyui(self) -> Refused:
        return Refused(f"server: {self.url} does not answer as a ComfyUI does; give the address of its page.")

    def _request(self, path: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
        return b"".join(self._pieces(path, data, kind, MOST_ANSWER))

    def _pieces(self, path: str, data: bytes | None, kind: str, most: int) -> Iterator[bytes]:
        began = time.monotonic()
        with self._answer(path, data, kind) as answer:
            yield from _read_pieces(answer, most, began)

    @contextmanager
    def _answer(self, path: str, data: bytes | None = None, kind: str = "") -> Iterator[http.client.HTTPResponse]:
        # Without a body it is a GET, whose type of content says nothing.
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind} if data else {})
        with _as_away():
            try:
                answer = _opener.open(request, timeout=REQUEST_SECONDS)
            except urllib.error.HTTPError as error:
                raise _refusal(self.url, error) from error
        with answer:
            yield answer


def _read_pieces(answer: http.client.HTTPResponse, most: int, began: float) -> Iterator[bytes]:
    """What an answer holds, as it comes.

    Raises:
        ServerAway: it ends too early, or takes too long.
        Refused: it is too large.
    """
    expected, received = answer.length, 0
    if expected is not None and expected > most:
        raise Refused(f"server: its answer has {expected} bytes, and {most} are the most; look at what it runs.")
    while received != expected:
        with _as_away():
            piece = answer.read1(_PIECE)
        if not piece:
            break
        received += len(piece)
        if received > most:
            raise Refused(f"server: its answer has more than {most} bytes; look at what it runs.")
        if time.monotonic() - began > REQUEST_SECONDS + received / LEAST_RATE:
            raise ServerAway("it sends too slowly")
        yield piece
    # Reading by pieces does not notice that the connection ended too early.
    if expected is not None and received < expected:
        raise ServerAway("the connection ended in the middle of a file")


@contextmanager
def _as_away() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ServerAway(str(getattr(reason, "strerror", None) or reason or type(error).__name__)) from error


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    began = time.monotonic()
    with error:
        try:
            text = b"".join(_read_pieces(error.fp, MOST_ERROR, began))
        except LumosXError:
            text = b""
    if error.code in _AWAY:
        return ServerAway(f"HTTP {error.code}")
    try:
        reason = _reason(json.loads(text))
    except (ValueError, RecursionError):
        reason = ""
    return Refused(reason or f"server: {url} answered HTTP {error.code}; is it the address of a ComfyUI?", error.code)


def _reason(answer: object) -> str:
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


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
