"""The language model's client against a real server, which may say anything."""

import asyncio
import base64
import io
import socket
import time

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from lumosx_core.data import chat
from lumosx_core.data.backends import Message, ModelFailed
from lumosx_core.data.chat import ChatModel
from lumosx_core.errors import LumosXError
from support.chat_server import ChatServer

QUESTION = [Message("user", "What is it?", [np.full((600, 2048, 3), 200, np.uint8)])]
SCHEMA = {"type": "object"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(chat, "PAUSE_SECONDS", 0)


@pytest.fixture
def server():
    with ChatServer("fine") as running:
        yield running


def ask(server, messages=QUESTION, **own):
    return ChatModel(server.url, "seeing", **own).ask(messages, SCHEMA)


def test_a_question_is_sent_with_pictures_and_schema(server):
    talk = [*QUESTION, Message("assistant", "A cat."), Message("user", "No.")]
    assert ask(server, talk) == "fine"
    (asked,) = server.asked
    assert (asked["model"], asked["temperature"]) == ("seeing", 0)
    assert asked["response_format"] == {
        "type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }
    picture, text = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"} and asked["messages"][1:] == [
        {"role": "assistant", "content": "A cat."}, {"role": "user", "content": "No."},
    ]
    start, _, content = picture["image_url"]["url"].partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content))) as seen:
        assert start == "data:image/jpeg;base64" and seen.size == (1024, 300)


def test_a_key_is_sent_only_if_one_is_given(server):
    ask(server)
    ask(server, key="secret")
    assert [headers.get("Authorization") for headers in server.headers] == [None, "Bearer secret"]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, code):
    server.answers = [code, code, "fine"]
    assert ask(server) == "fine" and len(server.asked) == 3


@pytest.mark.parametrize(("code", "asked"), [(500, 3), (400, 1), (401, 1), (302, 1)])
def test_a_server_that_refuses_gives_a_sentence_with_its_reason(server, code, asked):
    server.answers = [code]
    with pytest.raises(ModelFailed, match=rf"answered HTTP {code} \(it says {code}\)") as failed:
        ask(server)
    assert len(server.asked) == asked and not failed.value.away


def test_no_redirect_is_followed(server):
    with ChatServer("elsewhere") as other:
        async def away(request):
            raise web.HTTPTemporaryRedirect(f"{other.url}/chat/completions")

        server.answers = [away]
        with pytest.raises(ModelFailed, match="answered HTTP 307"):
            ask(server, key="secret")
        assert other.asked == []


@pytest.mark.parametrize("body", [
    b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}',
    b"[" * 100_000, b"\xff",
])
def test_what_is_no_chat_is_a_sentence(server, body):
    server.answers = [body]
    with pytest.raises(ModelFailed, match="does not answer like a chat server"):
        ask(server)


def test_an_answer_has_a_bound_for_its_size(server, monkeypatch):
    monkeypatch.setattr(chat, "MOST_ANSWER", 1000)
    server.answers = ["x" * 2000]
    with pytest.raises(ModelFailed, match="more than 1000 bytes"):
        ask(server)


def test_an_answer_has_a_bound_for_its_time_also_if_it_trickles(server):
    async def slow(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(40):
            await answer.write(b" ")
            await asyncio.sleep(0.05)
        return answer

    server.answers = [slow]
    began = time.monotonic()
    with pytest.raises(ModelFailed, match="no answer in 0.2 seconds") as failed:
        ask(server, seconds=0.2)
    assert failed.value.away and len(server.asked) == 1 and time.monotonic() - began < 1.5


def test_a_server_that_is_not_there_is_away():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = ChatModel(f"http://127.0.0.1:{port}/v1", "seeing", seconds=5)
    for call in (model.check, lambda: model.ask(QUESTION, SCHEMA)):
        with pytest.raises(ModelFailed, match="cannot be reached") as failed:
            call()
        assert failed.value.away


@pytest.mark.parametrize(("code", "fine"), [(200, True), (404, True), (401, False)])
def test_a_check_before_any_work(server, code, fine):
    server.models = code
    if fine:
        return ChatModel(server.url, "seeing").check()
    with pytest.raises(ModelFailed, match="refuses the key"):
        ChatModel(server.url, "seeing").check()


@pytest.mark.parametrize("url", ["", "localhost:1234", "ftp://a/v1", "http://", "http://a:0/v1", "http://u@a/v1",
                                 "http://a/v1?x=1", "file:///etc/passwd", "http://a:99999/"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(LumosXError, match="is not the address of a language model"):
        ChatModel(url, "seeing")
