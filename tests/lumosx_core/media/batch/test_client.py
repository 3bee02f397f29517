"""A server that goes away in the middle, and files that do not come whole."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lumosx_core.media.batch.client import Refused, Server, ServerAway

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


def test_nobody_there_is_told_with_its_reason():
    with pytest.raises(ServerAway, match="refused"):
        Server("http://127.0.0.1:1").queue()
