"""A server that goes away in the middle, and files that do not come whole."""

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from lumosx_core.runner import client
from lumosx_core.runner.client import Server
from lumosx_core.runner.protocol import Refused, ServerAway

FILE = {"filename": "a b.mp4", "subfolder": "lumosx_batch/x", "type": "output"}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.sent = self.headers["Content-Type"], body
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def answering():
    """A server that gives one answer to everything."""
    with HTTPServer(("127.0.0.1", 0), _Handler) as other:
        other.asked = []
        threading.Thread(target=other.serve_forever, daemon=True).start()
        other.url = f"http://127.0.0.1:{other.server_port}"
        yield other
        other.shutdown()


def test_a_file_that_ends_too_early_is_not_taken(answering, tmp_path):
    server = Server(answering.url + "/")
    answering.answer = 200, {"Content-Length": "4"}, b"1234"
    assert server.fetch(FILE, tmp_path / "x") and (tmp_path / "x").read_bytes() == b"1234"
    assert answering.asked == ["/view?filename=a+b.mp4&subfolder=lumosx_batch%2Fx&type=output"]
    answering.answer = 200, {"Content-Length": "5"}, b"1234"
    with pytest.raises(ServerAway, match="in the middle of a file"):
        server.fetch(FILE, tmp_path / "x")
    answering.answer = 404, {}, b""
    assert not server.fetch(FILE, tmp_path / "x")
    answering.answer = 403, {}, b""
    with pytest.raises(Refused, match="answered HTTP 403"):
        server.fetch(FILE, tmp_path / "x")


@pytest.mark.parametrize(("status", "headers", "body", "error"), [
    (503, {}, b"starting", ServerAway),
    (200, {"Content-Length": "100"}, b'{"queue_running"', ServerAway),
    (200, {}, b"<html>", Refused),
    (200, {}, b"[]", Refused),
    (500, {}, b'{"error": {"message": "no", "details": ""}}', Refused),
])
def test_answers_that_are_none(answering, status, headers, body, error):
    answering.answer = status, headers, body
    with pytest.raises(error):
        Server(answering.url).queue()


def test_a_server_behind_a_path_is_asked_there(answering):
    answering.answer = 200, {}, b'{"queue_running": [[0, "a"]], "queue_pending": []}'
    assert Server(answering.url + "/comfy/").queue() == ({"a"}, set())
    assert answering.asked == ["/comfy/queue"]


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 503 x\r\nX: "])
def test_a_head_that_comes_a_byte_now_and_then_is_no_answer(monkeypatch, head):
    """No read takes long, and all of them for ever."""
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.5)
    ended = threading.Event()

    def drip(listening):
        connection, _ = listening.accept()
        with connection:
            connection.sendall(head)
            while not ended.wait(0.05):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(ServerAway):
            Server(f"http://127.0.0.1:{listening.getsockname()[1]}").queue()
        ended.set()
    assert time.monotonic() - began < 30


def test_https_is_spoken_too():
    """To a server that does not, which is said as of one that is away."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ServerAway, match="SSL"):
            Server(f"https://127.0.0.1:{listening.getsockname()[1]}").queue()


def test_nobody_there_is_reported_with_its_reason():
    with pytest.raises(ServerAway, match="refused"):
        Server("http://127.0.0.1:1").queue()


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"X-a: b\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_head_without_end_is_no_answer(monkeypatch, line):
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.5)

    def pour(listening):
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" if line[:1] == b"X" else b"")
            while True:
                connection.sendall(line * 1000)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=pour, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(ServerAway):
            Server(f"http://127.0.0.1:{listening.getsockname()[1]}").queue()
    assert time.monotonic() - began < 30


def test_what_a_server_packed_is_not_unpacked(answering):
    """A few bytes may become gigabytes."""
    packed = gzip.compress(b'{"queue_running": [], "queue_pending": []}')
    answering.answer = 200, {"Content-Encoding": "gzip", "Content-Length": str(len(packed))}, packed
    with pytest.raises(Refused, match=answering.url):
        Server(answering.url).queue()


def test_a_call_may_come_from_within_an_event_loop(answering):
    """As from a program that drives a browser."""
    async def ask():
        return Server(answering.url).queue()

    answering.answer = 200, {}, b'{"queue_running": [], "queue_pending": [[0, "a"]]}'
    assert asyncio.run(ask()) == (set(), {"a"})


@pytest.mark.parametrize(("status", "taken"), [(200, True), (299, True), (300, False), (304, False), (400, False)])
def test_every_status_of_a_success_is_one(answering, tmp_path, status, taken):
    answering.answer = status, {"Content-Length": "0" if status == 304 else "4"}, b"" if status == 304 else b"1234"
    if taken:
        assert Server(answering.url).fetch(FILE, tmp_path / "x") and (tmp_path / "x").read_bytes() == b"1234"
    else:
        with pytest.raises((Refused, ServerAway)):
            Server(answering.url).fetch(FILE, tmp_path / "x")


@pytest.mark.parametrize(("length", "pieces", "most", "taken"), [
    (4, [b"12", b"34"], 4, True), (5, [b"1"], 4, False), (None, [b"12", b"34"], 4, True),
    (None, [b"12", b"345"], 4, False), (None, [], 0, True),
])
def test_an_answer_is_read_exactly_up_to_its_limit(length, pieces, most, taken):
    left = iter([*pieces, b""])

    async def readany():
        return next(left)

    answer = SimpleNamespace(content_length=length, content=SimpleNamespace(readany=readany))
    found = []
    reading = client._read(answer, most, time.monotonic(), found.append)
    if taken:
        asyncio.run(reading)
        assert found == pieces
    else:
        with pytest.raises(Refused, match=f"{most}( bytes)?; check what runs there"):
            asyncio.run(reading)


def test_json_is_sent_as_such_and_files_as_a_form(answering, tmp_path):
    """Newer servers refuse a prompt that does not say what it is."""
    answering.answer = 200, {}, b"{}"
    server = Server(answering.url)
    server.post({"1": {}}, "id")
    kind, body = answering.sent
    assert kind == "application/json" and json.loads(body) == {"prompt": {"1": {}}, "prompt_id": "id"}
    (tmp_path / "a.png").write_bytes(b"pixels")
    server.upload("folder", "m\u00e4n.png", tmp_path, tmp_path / "a.png")
    kind, body = answering.sent
    assert kind.startswith("multipart/form-data; boundary=") and b"\r\n\r\npixels\r\n" in body
    assert b"filename*=UTF-8''m%C3%A4n.png" in body and b"\r\n\r\nfolder\r\n" in body and b"\r\n\r\ntrue\r\n" in body
