"""The demo: its arguments, its progress, and one real run."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.media.video import write_video
from lumosx_core.tiny.demo_case import write_demo_case
from lumosx_core.tiny.world.cast import Split, split_of
from tools import demo
from tools.client import ExecutionFailed, PromptRejected, PromptResult
from tools.demo_lynx import FACE, WORDS, write_face
from tools.server import ServerError
from tools.strip import case_pictures, make_animation

CORE_WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 9, "color": 255}},
    "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 16}},
    "3": {
        "class_type": "SaveVideo",
        "inputs": {"video": ["2", 0], "filename_prefix": "demo/video", "format": "mp4", "codec": "h264"},
    },
}
PACK_WORKFLOW = {
    "1": {"class_type": "LumosX_LoadCase", "inputs": {"case": "built-in"}, "_meta": {"title": "Load Case"}},
    "2": {"class_type": "LumosX_RelationalEncode", "inputs": {"prompt": ["1", 1]}},
    "3": {"class_type": "LumosX_Sampler", "inputs": {"seed": 1}},
    "4": {"class_type": "SaveVideo", "inputs": {}},
}


@pytest.fixture
def case(tmp_path):
    """A case folder as far as the demo looks at it."""
    folder = tmp_path / "my case"
    folder.mkdir()
    (folder / "caption.txt").write_text("A man.")
    return folder


@pytest.fixture
def no_server(monkeypatch, tmp_path):
    """Make the demo's main fail the test when it goes as far as starting a server."""

    def started(*_):
        raise AssertionError("the server was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "make_video", started)
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)


def write_workflow(folder, prompt):
    path = folder / "workflow.json"
    path.write_text(json.dumps(prompt))
    return path


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_the_video_goes_to_the_current_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert demo.parse([]).out == Path.cwd() / "lumosx_demo.mp4"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", demo.DEMOS)
def test_the_workflow_of_each_model_takes_the_options_and_can_do_without_it(model, tmp_path):
    arguments = ["--model", model, "--out", str(tmp_path / "a.mp4"), "--prompt", "A man.", "--seed", "7"]
    options = demo._with_case(demo.parse(arguments), tmp_path)
    shown = options.demo
    on, off = demo.load_workflow(options), demo.load_workflow(replace(options, relations=False))
    for (kind, name), value in ((shown.prompt, "A man."), (shown.seed, 7)):
        assert value in [node["inputs"].get(name) for node in on.values() if node["class_type"] == kind]
    [changed] = [number for number in on if on[number] != off[number]]
    kind, values = shown.off
    assert on[changed]["class_type"] == kind
    assert {name: off[changed]["inputs"].get(name) for name in values} == values
    assert None not in off[changed]["inputs"].values()


@pytest.mark.parametrize("model", demo.DEMOS)
def test_the_workflow_of_each_model_loads_what_is_drawn_for_it(model, tmp_path):
    options = demo._with_case(demo.parse(["--model", model, "--out", str(tmp_path / "a.mp4")]), tmp_path / "case")
    nodes = demo.load_workflow(options).values()
    assert (options.demo.write_case is None) != (options.demo.write_pictures is None)
    if options.demo.write_case is not None:
        [case] = [node["inputs"]["case"] for node in nodes if node["class_type"] == "LumosX_LoadCase"]
        assert (options.case / "caption.txt").is_file() and options.case.name in case
    else:
        loaded = [node["inputs"]["image"] for node in nodes if node["class_type"] == "LoadImage"]
        assert sorted(loaded) == sorted(options.demo.write_pictures(tmp_path))
        assert all((tmp_path / name).is_file() for name in loaded)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "wan"], "Argument --model: invalid choice: 'wan'"),
        (["--case", "nowhere"], "There is no case folder"),
        (["--case", "empty"], "has no caption.txt: add one with the prompt in it."),
        (["--out", "video.avi"], "--out must name an .mp4 file, not video.avi."),
        (["--out", "folder.mp4"], "names the folder"),
        (["--out", "nowhere/video.mp4"], "cannot be written: No such file or directory."),
        (["--host-log", "nowhere/log.txt"], "cannot be written: No such file or directory."),
        (["--seed", "-1"], "--seed must be between 0 and 18446744073709551615, not -1."),
        (["--seed", "one"], "Argument --seed: invalid int value: 'one' (see python dev.py demo --help)."),
        (["--cose", "x"], "Unrecognized arguments: --cose x (see python dev.py demo --help)."),
        (["--workflow", "nowhere.json"], "cannot be read"),
        (["--model", "lynx", "--relations", "off"], "--case and --relations are for --model lumosx"),
        (["--model", "lynx", "--case", "nowhere"], "--case and --relations are for --model lumosx"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line_before_the_server_starts(
    arguments, sentence, no_server, tmp_path, capsys
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.mp4").mkdir()
    assert demo.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("LumosX demo: ")
    assert printed.err.count("\n") == 1
    assert sentence in printed.err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ExecutionFailed({"exception_message": " The hat is missing.\n"}, PromptResult()), "The hat is missing."),
        (PromptRejected("A: too small", {}), "A: too small"),
        (ServerError("ComfyUI ended."), "ComfyUI ended."),
        (PermissionError("no"), "no"),
    ],
)
def test_failures_are_reported_without_a_traceback(error, sentence, no_server, monkeypatch, tmp_path, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(demo, "make_video", fail)
    monkeypatch.setenv("LUMOSX_TEST_COMFYUI", str(tmp_path))
    monkeypatch.setenv("LUMOSX_TEST_STATE", str(tmp_path))
    assert demo.main(["--workflow", str(write_workflow(tmp_path, CORE_WORKFLOW))]) == 1
    assert capsys.readouterr().err == f"LumosX demo: {sentence}\n"


def test_options_are_filled_into_the_workflow(case, tmp_path):
    workflow = write_workflow(tmp_path, PACK_WORKFLOW)
    arguments = ["--case", f"{case}/", "--prompt", "A dog.", "--seed", "7", "--out", str(tmp_path / "a.mp4")]
    prompt = demo.load_workflow(demo.parse([*arguments, "--workflow", str(workflow)]))
    assert prompt["1"]["inputs"]["case"] == "lumosx_cases/my case [input]"
    assert prompt["2"]["inputs"]["prompt"] == "A dog."
    assert prompt["3"]["inputs"]["seed"] == 7


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_copied_case_brings_in_nothing_from_elsewhere(case, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (case / "objects").mkdir(exist_ok=True)
    (case / "objects" / "lamp.png").symlink_to(tmp_path / "secret.png")
    (case / "objects" / "gone.png").symlink_to("nowhere")
    (case / "all").symlink_to(tmp_path)
    demo._copy_case(case, tmp_path / "base" / "copy")
    assert not [path for path in (tmp_path / "base").rglob("*") if not path.is_symlink() and path.is_file()
                and path.read_bytes() == b"secret"]
    assert (tmp_path / "base" / "copy" / "caption.txt").is_file()


def test_a_workflow_without_options_stays_as_it_is(tmp_path):
    workflow = write_workflow(tmp_path, PACK_WORKFLOW)
    options = demo.parse(["--workflow", str(workflow), "--out", str(tmp_path / "a.mp4")])
    assert demo.load_workflow(options) == PACK_WORKFLOW


def test_relations_are_switched_off_in_the_model_and_nowhere_else(tmp_path):
    model = {"class_type": "LumosX_Model", "inputs": {"model": ["9", 0], "ratio": 0.5, "relational_attention": True}}
    workflow = write_workflow(tmp_path, {**PACK_WORKFLOW, "5": model})
    prompt = demo.load_workflow(demo.parse(["--relations", "off", "--workflow", str(workflow)]))
    off = {"model": ["9", 0], "ratio": 0.0, "relational_attention": True}
    assert prompt == {**PACK_WORKFLOW, "5": {**model, "inputs": off}}


def test_the_face_of_the_lynx_demo_is_one_that_no_training_has_seen(tmp_path):
    write_face(tmp_path)
    assert split_of(FACE) is Split.HELD_OUT
    sizes = [Image.open(tmp_path / name).size for name in WORDS]
    assert sizes == [(112, 112), (256, 256)]


def test_an_animation_shows_the_case_above_videos_of_one_length(tmp_path):
    case = write_demo_case(tmp_path / "case")
    grey, white = (tmp_path / f"{name}.mp4" for name in ("grey", "white"))
    for path, level in ((grey, 128), (white, 255)):
        write_video([np.full((96, 128, 3), level, np.uint8)] * 3, path, 16)
    frames = make_animation(case_pictures(case), {"with": grey, "without": white})
    assert len(frames) == 3 and {frame.size for frame in frames} == {frames[0].size}
    width, height = frames[0].size
    left, right = (np.asarray(frames[1])[height - 100, x].mean() for x in (width // 4, 3 * width // 4))
    assert abs(left - 128) < 6 and right > 249


def test_a_workflow_without_the_node_for_an_option_is_refused(tmp_path):
    workflow = write_workflow(tmp_path, CORE_WORKFLOW)
    options = demo.parse(["--workflow", str(workflow), "--seed", "1", "--out", str(tmp_path / "a.mp4")])
    with pytest.raises(demo.DemoError, match="has no LumosX_Sampler node"):
        demo.load_workflow(options)


def replay(progress, steps):
    progress.on_event("execution_cached", {"nodes": ["1"]})
    progress.on_event("executing", {"node": "3"})
    for step in range(1, steps + 1):
        progress.on_event("progress", {"node": "3", "value": step, "max": steps})
    progress.on_event("executing", {"node": "4"})
    progress.on_event("execution_success", {})
    progress.close()


def test_progress_off_a_terminal_is_a_few_plain_lines():
    stream = io.StringIO()
    replay(demo.ProgressLine(PACK_WORKFLOW, stream), 1000)
    lines = stream.getvalue().splitlines()
    assert 3 <= len(lines) <= 11
    assert "\r" not in stream.getvalue()
    assert lines[-1].startswith("100% Done (")


def test_progress_on_a_terminal_stays_on_one_line():
    stream = Terminal()
    replay(demo.ProgressLine(PACK_WORKFLOW, stream), 4)
    assert stream.getvalue().count("\n") == 1
    drawn = stream.getvalue().split("\r")
    assert any("48%" in line and "LumosX_Sampler 2/4" in line for line in drawn)
    assert "100%" in drawn[-1] and "Done" in drawn[-1]


@pytest.fixture
def demo_command(comfyui_dir, tmp_path):
    """The command line and environment of a real demo of ComfyUI's own nodes in tmp_path."""
    environment = {
        **os.environ,
        "LUMOSX_TEST_COMFYUI": str(comfyui_dir),
        "LUMOSX_TEST_STATE": str(tmp_path / "state"),
        "PYTHONPATH": str(demo.ROOT),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "tools.demo", "--workflow", str(write_workflow(tmp_path, CORE_WORKFLOW))]
    return {"args": [*command, "--out", "video.mp4"], "cwd": tmp_path, "env": environment, "text": True}


@pytest.mark.server
def test_a_real_demo_leaves_its_video_and_nothing_else(demo_command, tmp_path):
    answer = subprocess.run(**demo_command, capture_output=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"{tmp_path / 'video.mp4'}\n"
    assert (tmp_path / "video.mp4").read_bytes()[4:8] == b"ftyp"
    assert {path.name for path in tmp_path.iterdir()} == {"video.mp4", "state", "tmp", "workflow.json"}
    assert list((tmp_path / "tmp").glob("lumosx*")) == []


@pytest.mark.server
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole consoles only")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_demo_cleans_up(demo_command, tmp_path, number, code):
    process = subprocess.Popen(**demo_command, stderr=subprocess.PIPE)
    assert "Starting ComfyUI" in process.stderr.readline()
    process.send_signal(number)
    printed = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in printed
    assert not (tmp_path / "video.mp4").exists()
    assert list((tmp_path / "tmp").glob("lumosx*")) == []
