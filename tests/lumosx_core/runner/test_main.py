"""Batches on a real ComfyUI, from the command line's point of view."""

import json
import re
import threading
import time
from dataclasses import fields
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lumosx_core.runner.__main__ import main
from lumosx_core.runner.journal import Journal, Posted, Results, only_runner


def test_a_folder_of_cases_becomes_videos_and_lines(
    root, add_case, batch, lines, executed, client, server, tmp_path, is_whole, capsys, monkeypatch
):
    # What the environment says about proxies is not for this server.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    odd = '2 "é" 100% [output]'
    for folder in ("10", odd, "a", "torn.part"):
        add_case(folder)
    (root / "a" / "caption.txt").write_text((root / "a" / "caption.txt").read_text().partition(";")[2])
    (root / "a" / "Notizen: é \"2\".txt").touch()
    for passed_over in (".hidden", "empty"):
        (root / passed_over).mkdir()
    videos = tmp_path / "videos"
    assert batch("--download", videos, "--seed", 7) == 0
    said = capsys.readouterr()
    assert "empty, torn.part" in said.err and ".hidden" not in said.err and "[3/3] a: done" in said.err
    assert "3 done, 0 failed" in said.out and str(root / "lumosx_results.jsonl") in said.out
    assert [line["case"] for line in lines()] == [line["name"] for line in lines()] == [odd, "10", "a"]
    for line in lines():
        assert line["status"] == "done" and line["error"] is None and line["seed"] == 7
        started, finished = (datetime.fromisoformat(line[name]) for name in ("started", "finished"))
        assert line["seconds"] == (finished - started).total_seconds() > 0 and len(line["outputs"]) == 1
        assert line["downloaded"] == [str(videos / f"{line['case']}.mp4")] and is_whole(videos / f"{line['case']}.mp4")
        filled = client.history(line["prompt_id"])["prompt"][2]
        assert filled["5"]["inputs"]["seed"] == 7
    sent = {path.name for path in (server.base / "input" / "lumosx_batch" / root.name).glob("*/a/*.txt")}
    assert sent == {"caption.txt", 'Notizen: é "2".txt'}
    assert {path.name for path in root.iterdir() if path.is_file()} == {
        "lumosx_results.jsonl", "lumosx_results.jsonl.lock"}
    before = lines()
    assert batch("--seed", 8) == 0 and executed() == 3 and lines() == before
    assert "3 cases were done earlier" in capsys.readouterr().err


def test_broken_cases_do_not_stop_good_ones(root, add_case, batch, lines, executed, capsys):
    for folder in ("1", "2 broken", "3 unnamed", "4"):
        add_case(folder)
    picture = root / "2 broken" / "objects" / "blue guitar.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:100])
    caption = root / "3 unnamed" / "caption.txt"
    text = caption.read_text()
    caption.write_text("x;Nobody is here.")
    assert batch() == 1
    assert "4 cases: 2 done, 2 failed" in capsys.readouterr().out
    by_case = {line["case"]: line for line in lines()}
    assert len(lines()) == 4 and [by_case[case]["status"] for case in ("1", "4")] == ["done", "done"]
    assert re.match("case: objects/blue guitar.png ", by_case["2 broken"]["error"])
    assert by_case["2 broken"]["prompt_id"] is None
    assert "LumosX_RelationalEncode: " in by_case["3 unnamed"]["error"] and by_case["3 unnamed"]["outputs"] == []
    picture.write_bytes(whole)
    caption.write_text(text)
    assert batch() == 1 and executed() == 3, "what failed is not run again unasked"
    assert batch("--retry-failed") == 0 and executed() == 5
    assert sorted(line["case"] for line in lines()) == ["1", "2 broken", "3 unnamed", "4"]


def test_a_graph_that_the_server_refuses_fails_its_cases(add_case, root, batch, graph, workflow, lines, executed):
    add_case("1")
    graph["5"]["inputs"]["steps"] = 0
    workflow.write_text(json.dumps(graph))
    assert batch() == 1 and executed() == 0
    assert re.match("LumosX_Sampler: steps: 0 .*10000", lines()[0]["error"])
    # ComfyUI would run the other half and say so beside its yes.
    graph["9"] = {"class_type": "PreviewAny", "inputs": {"source": ["2", 3]}}
    workflow.write_text(json.dumps(graph))
    assert batch("--retry-failed") == 1
    assert re.match("LumosX_Sampler: steps: 0 .*10000", lines()[0]["error"]) and len(lines()) == 1


def test_a_case_that_runs_too_long_is_stopped(add_case, root, batch, graph, workflow, lines, client):
    add_case("1")
    graph["5"]["inputs"]["steps"] = 5000
    workflow.write_text(json.dumps(graph))
    assert batch("--timeout", 0.01) == 1
    assert lines()[0]["status"] == "failed" and "0.01 minutes" in lines()[0]["error"]
    deadline = time.monotonic() + 30
    while client.queue()[0]:
        assert time.monotonic() < deadline, "the prompt goes on"
        time.sleep(0.1)


@pytest.fixture
def forgotten(root, add_case, batch, lines, client, server, executed):
    """A case that was executed, of which neither the server nor the results know; its line."""
    add_case("1")
    assert batch() == 0
    line = lines()[0]

    def forget():
        path = root / "lumosx_results.jsonl"
        Results(path).drop(["1"])
        known = {field.name: line[field.name] for field in fields(Posted) if field.name != "prefix"}
        prefix = f"{line['outputs'][0]['subfolder']}/{line['outputs'][0]['filename'].partition('_00001_')[0]}"
        journal = Journal(path.with_name(f"{path.name}.journal"))
        journal.server = server.url
        journal.put(Posted(prefix=prefix, **known))
        client.forget(line["prompt_id"])
        return line

    return forget


def test_after_a_restart_a_whole_video_is_taken_and_a_torn_one_made_again(
    forgotten, batch, lines, executed, server, capsys
):
    line = forgotten()
    assert batch() == 0 and executed() == 1, "the video was there"
    assert lines() == [line | {"seconds": None, "started": None, "finished": None}]
    forgotten()
    output = line["outputs"][0]
    video = server.base / "output" / output["subfolder"] / output["filename"]
    video.write_bytes(video.read_bytes()[:-1])
    assert batch() == 0 and executed() == 2
    assert "it is posted again" in capsys.readouterr().err
    assert lines()[0]["prompt_id"] == line["prompt_id"]
    assert [file["filename"] for file in lines()[0]["outputs"]] == [output["filename"].replace("00001", "00002")]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["gone"], "ROOT: .*gone"),
    (["ROOT", "--download", "workflow.json"], "download: workflow.json "),
    (["ROOT", "--results", "gone/results.jsonl"], "results: .*gone"),
    (["ROOT/1"], "ROOT: .*/1 "),
    (["empty"], "ROOT: .*empty.* caption.txt"),
    (["ROOT", "--server", "ftp://127.0.0.1"], "server: [^ ]*127.0.0.1[^ ]* "),
    (["ROOT", "--server", "http://user:word@127.0.0.1"], "server: [^ ]*127.0.0.1[^ ]* "),
    (["ROOT", "--server", "http://127.0.0.1:99999"], "server: [^ ]*127.0.0.1[^ ]* "),
    (["ROOT", "--server", "127.0.0.1:8188"], "server: [^ ]*127.0.0.1[^ ]* "),
    (["ROOT", "--workflow", "gone.json"], "workflow: gone.json "),
    (["ROOT", "--server", "http://127.0.0.1:1", "--wait", "0"], "server: http://127.0.0.1:1 .* 0 s "),
])
def test_what_cannot_work_is_one_sentence(root, add_case, workflow, tmp_path, monkeypatch, capsys, arguments, sentence):
    add_case("1")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main([root.name + arguments[0][4:] if arguments[0][:4] == "ROOT" else arguments[0], *arguments[1:]]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search(sentence, last) and last.endswith(".")
    assert not (root / "lumosx_results.jsonl").exists()


@pytest.mark.parametrize("arguments", [[], ["ROOT", "--seed", "-1"], ["ROOT", "--wait", "nan"],
                                       ["ROOT", "--timeout", "0"]])
def test_wrong_arguments_leave_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2 and "usage: python -m lumosx_core.runner" in capsys.readouterr().err


def test_without_a_workflow_the_stand_ins_are_named(root, add_case, tmp_path, capsys):
    add_case("1")
    assert main([str(root), "--server", "http://127.0.0.1:1", "--wait", "0"]) == 1
    assert "--workflow" in capsys.readouterr().err


def test_a_server_without_a_node_is_found_before_anything_is_posted(
    root, add_case, batch, graph, workflow, server, executed, capsys
):
    add_case("1")
    graph["9"] = {"class_type": "LumosX_NotYet", "inputs": {}}
    workflow.write_text(json.dumps(graph))
    assert batch() == 1 and executed() == 0
    assert f"server: {server.url} lacks LumosX_NotYet; install" in capsys.readouterr().err
    assert not (root / "lumosx_results.jsonl").exists()


def test_a_second_runner_is_refused(root, add_case, batch, capsys):
    add_case("1")
    with only_runner(root / "lumosx_results.jsonl"):
        assert batch() == 1
    assert "another batch is writing" in capsys.readouterr().err


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(302 if self.path.startswith("/object_info") else 200)
        self.send_header("Location", "/somewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_redirect_is_not_followed(root, add_case, capsys):
    add_case("1")
    with HTTPServer(("127.0.0.1", 0), _Elsewhere) as other:
        other.asked = []
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        assert main([str(root), "--server", url]) == 1
        other.shutdown()
    said = capsys.readouterr().err
    assert f"server: {url} " in said and "302" in said
    assert len(other.asked) == 1


OFFLINE = ("--server", "http://127.0.0.1:1", "--wait", "0")
"""A command line that ends before anything is posted."""


def write_results(root, *lines):
    (root / "lumosx_results.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def line_of(case, status):
    return json.dumps({"case": case, "status": status})


@pytest.mark.parametrize(("count", "numbers"), [
    (1, "2"), (10, "2, 3, 4, 5, 6, 7, 8, 9, 10, 11"), (11, "2, 3, 4, 5, 6, 7, 8, 9, 10, 11 …"),
])
def test_ten_lines_that_cannot_be_read_are_named_at_most(root, add_case, capsys, count, numbers):
    add_case("1")
    write_results(root, line_of("1", "done"), *["no JSON"] * count)
    assert main([str(root), *OFFLINE]) == 1
    assert f"results: ignored line {numbers} of {root}" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "left"), [((), ["1", "2"]), (("--retry-failed",), ["1"])])
def test_failed_cases_are_forgotten_only_if_asked(root, add_case, lines, capsys, option, left):
    add_case("1")
    add_case("2")
    write_results(root, line_of("1", "done"), line_of("2", "failed"))
    assert main([str(root), *OFFLINE, *option]) == 1
    assert [line["case"] for line in lines()] == left and "ignored line" not in capsys.readouterr().err
