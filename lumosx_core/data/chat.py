"""A language model behind an address that speaks OpenAI's chat completions: the one file here that opens a connection.

It speaks only to the address that the user typed: no proxies from the environment, no redirects. Questions and answers
have a bound for their size, and answers one for the time they take.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from PIL import Image
from yarl import URL

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

from ..errors import LumosXError
from ..runner.client import address, finished, session
from ..runner.protocol import sentence
from .backends import Message, ModelFailed

MOST_ANSWER = 4_000_000
"""Bytes of an answer."""
LONGEST_SIDE = 1024
"""Pixels of a picture that is sent."""
TRIES = 3
PAUSE_SECONDS = 2.0
MOST_TOKENS = 2048
"""Of an answer."""
# A server that is loading its model, or has too many questions, says one of these; others are for good.
_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)


class ChatModel:
    """A vision-language model on a server. Its calls block.

    Args:
        url: up to and without ``/chat/completions``, such as ``http://127.0.0.1:1234/v1``.
        model: as the server calls it.
        key: sent as a bearer token; empty for none.
        seconds: for one answer, from the question to its last byte.

    Raises:
        LumosXError: no such address.
    """

    def __init__(self, url: str, model: str, key: str = "", seconds: float = 300.0) -> None:
        base = address(url)
        if base is None:
            raise LumosXError(
                f"--url: {url} is not the address of a language model; give one like http://127.0.0.1:1234/v1."
            )
        self._base = base
        self.name, self._model, self._key, self._seconds = f"{model} (chat)", model, key, seconds

    def check(self) -> None:
        """Ask for the server's models, so that a wrong address shows before any work.

        Raises:
            ModelFailed: nothing answers there, or it refuses the key.
        """
        code, _ = self._once("/models", None)
        # Some servers have no list of models; that they answer is enough.
        if code in (401, 403):
            raise ModelFailed(f"--url: {self._base} refuses the key (HTTP {code}); check --key-variable.")

    def ask(self, messages: Sequence[Message], schema: dict[str, Any]) -> str:
        """As ``LanguageModel`` says: tried ``TRIES`` times where the server is busy or away."""
        form = {"name": "answer", "strict": True, "schema": schema}
        question = json.dumps({
            "model": self._model, "messages": list(map(_message, messages)), "temperature": 0,
            "max_tokens": MOST_TOKENS, "response_format": {"type": "json_schema", "json_schema": form},
        }).encode()
        failed = ModelFailed("")
        for number in range(TRIES):
            if number:
                time.sleep(PAUSE_SECONDS)
            try:
                code, answer = self._once("/chat/completions", question)
            except ModelFailed as error:
                failed = error
                if isinstance(error.__cause__, asyncio.TimeoutError):
                    # Whoever needs too long for a question needs too long again.
                    break
                continue
            if 200 <= code < 300:
                return self._content(answer)
            failed = ModelFailed(f"model: {self._base} answered HTTP {code}{_reason(answer)}.")
            if code not in _AGAIN:
                break
        raise failed

    def _once(self, path: str, question: bytes | None) -> tuple[int, bytes]:
        try:
            return finished(self._exchange(path, question))
        except asyncio.TimeoutError as error:
            raise ModelFailed(f"model: {self._base} gave no answer in {self._seconds:g} seconds.", away=True) from error
        except (OSError, aiohttp.ClientError) as error:
            why = str(error) or type(error).__name__
            raise ModelFailed(f"model: {self._base} cannot be reached ({sentence(why)}).", away=True) from error

    async def _exchange(self, path: str, question: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if question else {}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        async with session() as connection, timeout(self._seconds):
            request = connection.request(
                "GET" if question is None else "POST", URL(self._base + path, encoded=True), data=question,
                headers=headers, allow_redirects=False,
            )
            async with request as answer:
                pieces, received = [], 0
                while piece := await answer.content.readany():
                    received += len(piece)
                    if received > MOST_ANSWER:
                        raise ModelFailed(f"model: {self._base} sent more than {MOST_ANSWER} bytes.")
                    pieces.append(piece)
                return answer.status, b"".join(pieces)

    def _content(self, answer: bytes) -> str:
        try:
            content = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, RecursionError, KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str):
            raise ModelFailed(f"model: {self._base} does not answer like a chat server.")
        return content


def _message(message: Message) -> dict[str, Any]:
    pictures = [{"type": "image_url", "image_url": {"url": _data_url(pixels)}} for pixels in message.pictures]
    if not pictures:
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [*pictures, {"type": "text", "text": message.text}]}


def _data_url(pixels: Any) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _reason(answer: bytes) -> str:
    """What a server says of its refusal, in brackets; empty if it says nothing that can be read."""
    try:
        error = json.loads(answer)["error"]
        said = error["message"] if isinstance(error, dict) else error
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return f" ({sentence(said).rstrip('.')})" if isinstance(said, str) and said else ""
