"""Servers that answer anything: a real one on this machine, which says what a test wants it to say."""

import asyncio
import json
import os
import re
import time

import pytest
from aiohttp import web

from lumosx_core.runner import client, run
from lumosx_core.runner.__main__ import main
from support.served import Served

SAVED = {"filename": "a_00001_.mp4", "subfolder": "s", "type": "output"}
GOOD = {"status": {"status_str": "success", "messages": []}, "outputs": {"8": {"images": [SAVED]}}}


class Liar(Served):
    """A server with ComfyUI's addresses.

    Attributes:
        answers: what to say to a path instead of the usual: a value for JSON, bytes, or a function of the request.
        posted: the ids of the prompts, in order.
    """

    def __init__(self):
        super().__init__()
        self.answers, self.posted = {}, []

    def application(self):
        """Every address."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request):
        path, _, rest = request.match_info["path"].partition("/")
        if path == "prompt":
            self.posted.append(json.loads(await request.text())["prompt_id"])
        usual = {
            "object_info": {rest: {}}, "prompt": {}, "queue": {"queue_running": [], "queue_pending": []},
            "history": {rest: GOOD}, "view": b"video", "upload": {}, "interrupt": {},
        }
        answer = self.answers.get(path, usual[path])
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(body=answer) if isinstance(answer, bytes) else web.json_response(answer)


@pytest.fixture
def liar(monkeypatch):
    monkeypatch.setattr(run, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(run, "_PAUSES", (0.05, 0.05))
    with Liar() as server:
        yield server


@pytest.fixture
def batch(root, workflow, liar):
    def start(*more):
        return main([str(root), "--server", liar.url, "--workflow", str(workflow), "--wait", "1", *map(str, more)])

    return start


def of_all(make):
    """An answer to /history in which every prompt has this entry."""
    async def answer(request):
        return make(request.match_info["path"].partition("/")[2])

    return answer


def entry(messages=(), outputs=None, status="success"):
    return {"status": {"status_str": status, "messages": messages}, "outputs": outputs or {}}


DEEP = b"[" * 200_000
ENTRIES = {
    "a list": [], "a text": "x", "a number": 5, "false": False, "no status": {}, "no object": {"status": 3},
    "outputs": {"status": {}, "outputs": [1]}, "messages": entry([1, [2], [[], {}], ["execution_start"], None]),
    "a time": entry([["execution_start", {"timestamp": 1e300}], ["execution_success", {"timestamp": True}]]),
    "a late time": entry([["execution_start", {"timestamp": 10**18}], ["execution_success", {"timestamp": -5}]]),
    "a message": entry([["execution_error", 7], ["execution_start", None]], status="error"),
    "files": entry(outputs={"1": {"images": [{"filename": [], "type": "output"}, 5, {"type": "output"}]}}),
}


@pytest.mark.parametrize("odd", ENTRIES.values(), ids=ENTRIES)
def test_an_odd_history_fails_its_case_once(root, add_case, batch, lines, liar, odd):
    for case in "12":
        add_case(case)
    liar.answers["history"] = of_all(lambda prompt: {prompt: odd if prompt == liar.posted[0] else GOOD})
    assert batch() == 1
    first, second = sorted(lines(), key=lambda line: line["case"])
    assert first["status"] == "failed" and first["error"] and second["status"] == "done"
    assert first["started"] is None and first["finished"] is None and first["seconds"] is None
    assert batch() == 1 and len(liar.posted) == 2 == len(lines())


@pytest.mark.parametrize("answer", [
    b"", b"[]", b"null", DEEP, b'{"a":' * 50_000, b"<html>", b'{"x": ' + b"9" * 9000 + b"}", b"\xff\xfe",
])
@pytest.mark.parametrize("path", ["history", "queue", "object_info", "prompt", "upload"])
def test_what_is_no_answer_ends_in_a_sentence(root, add_case, batch, liar, capsys, path, answer):
    add_case("1")
    liar.answers[path] = answer
    assert batch() == 1
    said = capsys.readouterr()
    results = root / "lumosx_results.jsonl"
    text = said.err + (results.read_text() if results.exists() else "")
    assert "does not answer like a ComfyUI" in text and "Traceback" not in text
    # Of a case alone is only what was asked for a case alone.
    assert results.exists() == (path in ("history", "prompt", "upload"))


@pytest.mark.parametrize("queue", [{}, {"queue_running": 5, "queue_pending": []},
                                   {"queue_running": [5], "queue_pending": []},
                                   {"queue_running": [[]], "queue_pending": []}])
def test_an_odd_queue_ends_in_a_sentence(root, add_case, batch, liar, capsys, queue):
    add_case("1")
    liar.answers["queue"] = queue
    assert batch() == 1 and "does not answer like a ComfyUI" in capsys.readouterr().err
    liar.answers.clear()
    assert batch() == 0 and len(liar.posted) == 1


@pytest.mark.parametrize("errors", [5, [5], {"1": 5}, {"1": {"errors": 5}}, {"1": {"errors": [5, None, "\x1b[2J"]}},
                                    {"1": {"class_type": ["x"], "errors": [{"message": {}, "details": 3}]}}])
@pytest.mark.parametrize("status", [200, 400])
def test_odd_refusals_fail_their_case(root, add_case, batch, lines, liar, errors, status):
    async def answer(request):
        return web.json_response({"error": ["x"], "node_errors": errors}, status=status)

    add_case("1")
    liar.answers["prompt"] = answer
    assert batch() == 1
    line, = lines()
    assert line["status"] == "failed" and line["error"].isprintable()


def test_what_a_server_says_is_one_short_line_without_commands_for_the_terminal(root, add_case, batch, lines, liar):
    add_case("1")
    raised = {"node_type": "N\x1b]0;x\x07", "exception_message": "a\nb\x1b[2J" + "c" * 100_000}
    liar.answers["history"] = of_all(lambda prompt: {prompt: entry([["execution_error", raised]], status="error")})
    assert batch() == 1
    error = lines()[0]["error"]
    assert error.startswith("N?]0;x?: a b?[2Jccc") and error.isprintable() and len(error) <= 1000


@pytest.mark.parametrize("name", [
    "x.exe", "x.sh", "x.mp4.lnk", "x", ".mp4", "x.mp4 ", "x.mp4\0", "x.py", "x.safetensors", "x.m\u0440\u0034",
])
def test_only_videos_and_pictures_are_fetched(root, add_case, batch, lines, liar, tmp_path, name):
    add_case("1")
    videos = tmp_path / "videos"
    odd = {**SAVED, "filename": name}
    liar.answers["history"] = of_all(lambda prompt: {prompt: entry(outputs={"8": {"images": [odd]}})})
    assert batch("--download", videos) == 1
    assert list(videos.iterdir()) == [] and "neither a video nor a picture" in lines()[0]["error"]
    liar.answers["history"] = of_all(lambda prompt: {prompt: entry(outputs={"8": {"images": [odd, SAVED]}})})
    assert batch("--download", videos, "--retry-failed") == 0
    assert [path.relative_to(videos).as_posix() for path in videos.rglob("*.*")] == ["1/2.mp4"]
    assert lines()[0]["downloaded"] == [str(videos / "1" / "2.mp4")]


@pytest.mark.parametrize("name", ["../../x.mp4", "/etc/x.MP4", "x.mp4/", "C:\\x.mp4", "..\\x.mp4", "a/../../x.mp4",
                                  "con.mp4", "\x1b[2J.mp4", "x" * 5000 + ".mp4", "\ud800.mp4", "a\nb.mp4"])
def test_no_name_of_a_server_leads_anywhere(root, add_case, batch, lines, liar, tmp_path, name):
    add_case("1")
    folder = tmp_path / "one" / "videos"
    odd = {"filename": name, "subfolder": "../..", "type": "output"}
    liar.answers["history"] = of_all(lambda prompt: {prompt: entry(outputs={"8": {"images": [odd]}})})
    before = {path for path in tmp_path.rglob("*") if root not in path.parents}
    batch("--download", folder)
    made = {path for path in tmp_path.rglob("*") if root not in path.parents} - before
    assert made <= {folder.parent, folder, folder / "1.mp4"}
    assert (folder / "1.mp4").exists() == (len(name) < 1000)


async def endless(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    with_room = True
    while with_room:
        try:
            await answer.write(b"x" * 65536)
        except ConnectionError:
            with_room = False
    return answer


def test_answers_have_a_size(root, add_case, batch, lines, liar, monkeypatch, capsys, tmp_path):
    for case in "12":
        add_case(case)
    monkeypatch.setattr(client, "MOST_ANSWER", 1_000_000)
    monkeypatch.setattr(client, "MOST_FILE", 1_000_000)
    liar.answers["queue"] = endless
    assert batch() == 1 and "has more than 1000000 bytes" in capsys.readouterr().err
    liar.answers = {"history": endless}
    assert batch() == 1 and len(lines()) == 2
    assert all("has more than 1000000 bytes" in line["error"] for line in lines())
    liar.answers = {"view": endless}
    assert batch("--retry-failed", "--download", tmp_path / "videos") == 1
    assert all(re.search("server: .* 1000000 bytes", line["error"]) for line in lines())
    assert list((tmp_path / "videos").iterdir()) == []
    liar.answers = {"view": b"x" * 2_000_000}
    assert batch("--retry-failed", "--download", tmp_path / "videos") == 1
    assert all(re.search("server: .*2000000 .*1000000", line["error"]) for line in lines())


@pytest.mark.parametrize("path", ["history", "queue", "view"])
def test_a_server_that_sends_a_byte_now_and_then_is_away(
    root, add_case, batch, liar, monkeypatch, capsys, tmp_path, path
):
    async def drip(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            try:
                await answer.write(b" ")
            except ConnectionError:
                return answer
            await asyncio.sleep(0.02)

    add_case("1")
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(client, "LEAST_RATE", 10_000)
    liar.answers[path] = drip
    began = time.monotonic()
    assert batch("--download", tmp_path / "videos") == 1 and time.monotonic() - began < 10
    assert "did not answer for 1 s (it sends too slowly)" in capsys.readouterr().err
    liar.answers.clear()
    assert batch("--download", tmp_path / "videos") == 0 and len(liar.posted) == 1


@pytest.mark.parametrize("how", ["forgets", "closes on upload", "closes on post"])
def test_a_case_that_the_server_always_loses_fails_once(root, add_case, batch, lines, liar, how):
    """As one that is too large for its memory, and ends it at every restart."""
    async def close(request):
        liar.posted.append("closed")
        request.transport.close()
        return web.Response()

    add_case("1")
    liar.answers["history"] = {}
    liar.answers["view"] = of_all(lambda _: web.Response(status=404))
    if how != "forgets":
        liar.answers["upload" if how == "closes on upload" else "prompt"] = close
    assert batch() == 1
    line, = lines()
    assert line["status"] == "failed" and "3 times" in line["error"] and "--retry-failed" in line["error"]
    tries = len(liar.posted)
    assert tries == (6 if how == "closes on post" else 3)
    assert batch() == 1 and len(liar.posted) == tries
    liar.answers = {}
    assert batch("--retry-failed") == 0 and lines()[0]["status"] == "done"


def queues(liar, *states):
    """Let the prompt be "running", "waiting" or "lost" at each question in turn, and after that in the history."""
    left = list(states)

    async def queue(request):
        state = left.pop(0) if left else "ended"
        liar.answers["history"] = of_all(lambda prompt: {prompt: GOOD} if state == "ended" else {})
        held = [[0, liar.posted[-1], {}, {}, []]]
        return web.json_response({
            "queue_running": held if state == "running" else [], "queue_pending": held if state == "waiting" else [],
        })

    liar.answers |= {"queue": queue, "view": of_all(lambda _: web.Response(status=404))}


def test_a_prompt_that_waits_for_long_is_not_posted_again(root, add_case, batch, lines, liar):
    """SETTLE_SECONDS is 0 here: what the server does not know twice in a row is posted again."""
    add_case("1")
    queues(liar, *["waiting"] * 20, "running")
    assert batch() == 0 and lines()[0]["status"] == "done" and len(liar.posted) == 1
    queues(liar, "waiting", "lost", "lost", "waiting")
    add_case("2")
    assert batch() == 0 and len(liar.posted) == 3


class Clock:
    """A time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_prompt_must_be_unknown_all_the_time_to_be_posted_again(root, add_case, batch, lines, liar, monkeypatch):
    monkeypatch.setattr(run, "time", Clock())
    monkeypatch.setattr(run, "POLL_SECONDS", 10)
    monkeypatch.setattr(run, "SETTLE_SECONDS", 15)
    add_case("1")
    queues(liar, *["lost", "lost", "waiting"] * 3, "running")
    assert batch() == 0 and len(liar.posted) == 1
    add_case("2")
    queues(liar, "lost", "lost", "lost", "running")
    assert batch() == 0 and len(liar.posted) == 3


@pytest.mark.parametrize(("running", "status"), [(5, "done"), (8, "failed")])
def test_a_case_that_is_posted_again_has_its_whole_time(
    root, add_case, batch, lines, liar, monkeypatch, running, status
):
    """It ran before the server forgot it; a minute is the limit of each try."""
    monkeypatch.setattr(run, "time", Clock())
    monkeypatch.setattr(run, "POLL_SECONDS", 10)
    add_case("1")
    queues(liar, *["running"] * 5, "lost", *["running"] * running)
    batch("--timeout", 1)
    assert lines()[0]["status"] == status and len(set(liar.posted)) == 1 and len(liar.posted) == 2
    assert ("1 minutes" in (lines()[0]["error"] or "")) == (status == "failed")


WHOLE = b"\0\0\0\x08ftyp" + b"\0\0\0\x08mdat" + b"\0\0\0\x08moov"


@pytest.mark.parametrize(
    ("videos", "taken"),
    [([WHOLE, WHOLE[:-8]], "00001"), ([WHOLE[:-1], WHOLE], "00002"), ([WHOLE, WHOLE], "00002")],
    ids=["the second cut off", "the first cut off", "both whole"],
)
def test_of_the_videos_under_a_prefix_a_whole_one_is_taken(root, add_case, batch, lines, liar, videos, taken):
    async def view(request):
        number = int(request.query["filename"].rpartition("_00")[2].partition("_")[0])
        return web.Response(body=videos[number - 1]) if number <= len(videos) else web.Response(status=404)

    add_case("1")
    liar.answers |= {"history": {}, "view": view}
    assert batch() == 0 and len(liar.posted) == 1
    (output,) = lines()[0]["outputs"]
    assert output["filename"].endswith(f"_{taken}_.mp4") and output["type"] == "output"


def test_losses_are_counted_over_restarts_of_the_batch(root, add_case, batch, lines, liar, monkeypatch):
    add_case("1")
    liar.answers |= {"history": {}, "view": of_all(lambda _: web.Response(status=404))}
    for number in range(1, 4):
        def sleep(seconds, number=number):
            if len(liar.posted) >= number:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(run.time, "sleep", sleep)
            assert batch() == 130
        assert len(liar.posted) == number
    assert batch() == 1 and len(liar.posted) == 3 and "3 times" in lines()[0]["error"]


@pytest.mark.slow
def test_videos_without_end_are_not_looked_at_for_ever(root, add_case, batch, lines, liar, monkeypatch):
    asked = []

    async def there(request):
        asked.append(request.query["filename"])
        return web.Response(body=b"no video")

    add_case("1")
    liar.answers |= {"history": {}, "view": there}
    assert batch() == 1 and "3 times" in lines()[0]["error"]
    assert len(asked) == 3 * 100


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are shorter")
def test_a_name_that_cannot_be_written_fails_its_case_alone(root, add_case, batch, lines, liar, tmp_path):
    for case in ("1", "x" * 252, "y", "z"):
        add_case(case, "n")
    (tmp_path / "videos" / "y.mp4").mkdir(parents=True)
    assert batch("--download", tmp_path / "videos") == 1
    errors = {line["case"][:1]: line["error"] for line in lines()}
    assert errors["1"] is None and errors["z"] is None and len(lines()) == 4
    assert "cannot be written (File name too long)" in errors["x"] and "(Is a directory)" in errors["y"]
    assert batch("--download", tmp_path / "videos") == 1 and len(liar.posted) == 4


def test_a_full_disk_ends_the_batch_and_loses_nothing(root, add_case, batch, lines, liar, tmp_path, full_disk, capsys):
    for case in "12":
        add_case(case)
    liar.answers["view"] = b"x" * 100_000
    videos = tmp_path / "videos"
    with full_disk(50_000):
        assert batch("--download", videos) == 1
    assert "1.mp4 cannot be written (File too large)" in capsys.readouterr().err
    assert list(videos.iterdir()) == []
    assert batch("--download", videos) == 0 and len(lines()) == 2 == len(liar.posted)
    assert [path.stat().st_size for path in videos.iterdir()] == [100_000] * 2


def test_any_error_of_a_case_is_its_line(root, add_case, batch, lines, liar, monkeypatch):
    real = run.load_case

    def odd(folder, *rest):
        if folder.name == "1":
            raise RuntimeError("a\nb")
        return real(folder, *rest)

    for case in "12":
        add_case(case)
    monkeypatch.setattr(run, "load_case", odd)
    assert batch() == 1
    errors = {line["case"]: line["error"] for line in lines()}
    assert errors["2"] is None and errors["1"].startswith("case: 1 ") and "RuntimeError: a?b" in errors["1"]
    assert batch() == 1 and len(liar.posted) == 1
