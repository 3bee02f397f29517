"""What a batch says to a ComfyUI server: the one file of the pack that speaks to a network.

It speaks only to the address that the user typed: no proxies from the environment, no redirects.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import LumosXError

REQUEST_SECONDS = 120
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


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


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

    def upload(self, folder: str, name: str, source: Path) -> None:
        """Put a file into a folder under the server's input folder; one of the same name is replaced."""
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
        data = body.encode() + source.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        self._json("/upload/image", data, f"multipart/form-data; boundary={boundary}")

    def post(self, prompt: dict, prompt_id: str) -> None:
        """Queue a graph under an id of our own; a graph of which only a part would run is taken back and refused."""
        answer = self._json("/prompt", json.dumps({"prompt": prompt, "prompt_id": prompt_id}).encode())
        if answer.get("node_errors"):
            self.cancel(prompt_id)
            raise Refused(_reason(answer), 400)

    def queue(self) -> tuple[set[str], set[str]]:
        """The ids of the prompts that run, and of those that wait."""
        answer = self._json("/queue")
        running, waiting = ({item[1] for item in answer[key]} for key in ("queue_running", "queue_pending"))
        return running, waiting

    def history(self, prompt_id: str) -> dict | None:
        """What the server remembers of a prompt that has ended; None when it does not know it."""
        return self._json("/history/" + prompt_id).get(prompt_id)

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
                for piece in self._pieces("/view?" + urllib.parse.urlencode(names)):
                    writing.write(piece)
            except Refused as refusal:
                if refusal.code == 404:
                    return False
                raise
        return True

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self._answer(path) as answer:
            while True:
                with _as_away():
                    piece = answer.read(_PIECE)
                if not piece:
                    break
                yield piece
            # Reading by pieces does not notice that the connection ended too early.
            if answer.length:
                raise ServerAway("the connection ended in the middle of a file")

    def _json(self, path: str, data: bytes | None = None, kind: str = "application/json") -> dict:
        text = self._request(path, data, kind)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Refused(f"server: {self.url} does not answer as a ComfyUI does; give the address of its page.")
        return answer

    def _request(self, path: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
        with self._answer(path, data, kind) as answer, _as_away():
            return answer.read()

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


@contextmanager
def _as_away() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ServerAway(str(getattr(reason, "strerror", None) or reason or type(error).__name__)) from error


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    with error:
        text = error.read()
    if error.code in _AWAY:
        return ServerAway(f"HTTP {error.code}")
    try:
        reason = _reason(json.loads(text))
    except (ValueError, AttributeError):
        reason = ""
    return Refused(reason or f"server: {url} answered HTTP {error.code}; is it the address of a ComfyUI?", error.code)


def _reason(answer: dict) -> str:
    """One line that says why ComfyUI refused a graph: what is wrong with its nodes, else with the whole."""
    parts = [
        f"{node.get('class_type', node_id)}: {_message(error)}"
        for node_id, node in (answer.get("node_errors") or {}).items()
        for error in node.get("errors", ())
    ]
    return "; ".join(dict.fromkeys(parts)) or _message(answer.get("error") or {})


def _message(error: dict | str) -> str:
    if isinstance(error, str):
        return error
    message, details = (str(error.get(key) or "").strip() for key in ("message", "details"))
    if error.get("type") == "custom_validation_failed":
        # "INPUT - what the node says", once for every input.
        return details.partition(" - ")[2] or details
    return f"{message.rstrip('.')}: {details}" if details else message


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
