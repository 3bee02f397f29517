"""Nothing is lost and nothing is repeated, whoever is killed and when."""

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tools.server
from lumosx_core.runner import run
from lumosx_core.runner.__main__ import main
from lumosx_core.runner.client import Server
from lumosx_core.runner.journal import Journal, Results
from lumosx_core.runner.protocol import ServerAway
from tools.client import ComfyClient

PACK = Path(__file__).parents[3]
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither a fork server nor signals for one process")
KILLS = 6


class Killed(BaseException):
    """Ends a runner in this process where a test wants it to end."""


def whole_videos(server, lines, is_whole):
    """The videos of a batch at the server that can be decoded to their end, by prefix."""
    folder = server.base / "output" / lines[0]["outputs"][0]["subfolder"]
    return sorted(path.name.partition("_0000")[0] for path in folder.glob("*.mp4") if is_whole(path))


def prefixes(lines):
    return sorted(line["outputs"][0]["filename"].partition("_0000")[0] for line in lines)


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "lumosx_core.runner", *arguments], cwd=PACK, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("owner", "name", "before"), [
    (Journal, "put", True), (Journal, "put", False), (Server, "upload", False), (Server, "post", True),
    (Server, "post", False), (Results, "add", True), (Results, "add", False), (Journal, "drop", False),
])
def test_an_end_at_every_step_leaves_one_execution_and_one_line(
    root, add_case, batch, lines, executed, monkeypatch, owner, name, before
):
    add_case("1")
    # Nothing of this process is still on its way to the server.
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0)
    real = getattr(owner, name)

    def killed(*arguments):
        if not before:
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, name, killed)
        batch()
    assert batch() == 0
    assert executed() == 1 and [line["status"] for line in lines()] == ["done"]


@posix
def test_kills_at_random_moments(root, add_case, arguments, lines, executed, server, is_whole):
    chance, count = random.Random(20), 6
    for number in range(count):
        add_case(str(number))
    context = multiprocessing.get_context("forkserver")
    # Each runner is a process of its own; only what they import is loaded once.
    context.set_forkserver_preload(["lumosx_core.runner.__main__"])
    kills = kills_under_way = 0
    while kills < KILLS:
        runner = context.Process(target=main, args=(arguments,))
        runner.start()
        runner.join(chance.uniform(0, chance.choice([0.4, 1, 3])))
        runner.kill()
        runner.join()
        if runner.exitcode == -signal.SIGKILL:
            kills += 1
            kills_under_way += (root / "lumosx_results.jsonl.journal").exists()
        else:
            add_case(str(count))
            count += 1
    assert kills_under_way >= KILLS // 3, "many kills hit a batch with prompts under way"
    last = start(arguments)
    assert last.wait() == 0, last.stderr.read()
    last.stderr.close()
    assert [line["status"] for line in lines()] == ["done"] * count
    assert sorted(line["case"] for line in lines()) == sorted(map(str, range(count)))
    assert executed() == count
    assert whole_videos(server, lines(), is_whole) == prefixes(lines())
    assert len({line["prompt_id"] for line in lines()}) == count


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)


@pytest.mark.server
def test_a_server_that_is_killed_and_comes_back(
    root, add_case, workflow, lines, comfyui_dir, tmp_path, is_whole, monkeypatch
):
    for number in range(5):
        add_case(str(number))
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(tools.server.reserved_port())
        monkeypatch.setattr(tools.server, "reserved_port", lambda: contextlib.nullcontext(port))
        server = stack.enter_context(tools.server.ComfyServer(comfyui_dir, base=tmp_path / "base"))
        client = ComfyClient(server.url)
        runner = start([str(root), "--server", server.url, "--workflow", str(workflow), "--wait", "200"])
        wait_for(lambda: (root / "lumosx_results.jsonl").exists() and client.queue()[0])
        first_life = server.log_text().count("Prompt executed in")
        server._process.kill()
        server._process.wait()
        with pytest.raises(ServerAway):
            client.queue()
        server.stop()
        server.start()
        assert runner.wait(200) == 0
        said = runner.stderr.read()
        runner.stderr.close()
        assert "does not answer" in said and "The server is back." in said
        assert sorted(line["case"] for line in lines()) == list("01234")
        assert {line["status"] for line in lines()} == {"done"}
        # A video that was whole when the server died is taken, one that was cut off is made again.
        assert whole_videos(server, lines(), is_whole) == prefixes(lines())
        assert first_life + server.log_text().count("Prompt executed in") <= 5


@posix
def test_ctrl_c_leaves_the_rest_to_the_next_run(root, add_case, arguments, batch, lines, executed):
    for number in range(3):
        add_case(str(number))
    runner = start(arguments)
    wait_for((root / "lumosx_results.jsonl.journal").exists)
    runner.send_signal(signal.SIGINT)
    assert runner.wait(30) == 130
    said = runner.stderr.read()
    runner.stderr.close()
    assert "Traceback" not in said and "the same command continues here" in said
    assert batch() == 0 and executed() == len(lines()) == 3


def test_a_server_that_never_comes_back_ends_the_batch_and_loses_nothing(
    root, add_case, batch, lines, executed, monkeypatch, capsys
):
    add_case("1")
    monkeypatch.setattr(run, "_PAUSES", (0.1, 0.1))
    real = Server._request

    def away_after_posting(self, path, *arguments):
        return real(Server("http://127.0.0.1:1") if path == "/queue" else self, path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Server, "_request", away_after_posting)
        assert batch("--wait", 0.5) == 1
    said = capsys.readouterr().err
    assert said.count("does not answer (") == 1 and "did not answer for 0.5 s" in said
    assert list(Journal(root / "lumosx_results.jsonl.journal").under_way) == ["1"]
    assert batch() == 0 and executed() == len(lines()) == 1
