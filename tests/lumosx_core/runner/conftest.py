"""Folders of small cases, a workflow that takes a second, and what a real server did with them."""

import json
import shutil
import time
import uuid

import av
import pytest

from lumosx_core.runner.__main__ import main
from lumosx_core.runner.graph import DEMO
from lumosx_core.tiny.demo_case import CAPTION, write_demo_case

FRAMES = 5


@pytest.fixture(scope="session")
def drawn_case(tmp_path_factory):
    """The drawn case; drawing takes longer than copying."""
    return write_demo_case(tmp_path_factory.mktemp("drawn") / "case")


@pytest.fixture
def add_case(root, drawn_case):
    """Puts a case into the root; the text before the prompt is its name."""
    def add(folder, name=None):
        text = CAPTION.partition(";")[2] + f" Take {folder}."
        shutil.copytree(drawn_case, root / folder)
        (root / folder / "caption.txt").write_text(f"{name or folder};{text}", encoding="utf-8")

    return add


@pytest.fixture
def root(tmp_path):
    """A folder for cases; the server puts the videos of folders of one name together, so each test has its own."""
    path = tmp_path / f"root-{uuid.uuid4().hex}"
    path.mkdir()
    return path


@pytest.fixture
def graph():
    """The batch's own graph at its smallest."""
    nodes = json.loads(DEMO.read_text(encoding="utf-8"))
    nodes["4"]["inputs"] |= {"width": 64, "height": 48, "frames": FRAMES}
    nodes["5"]["inputs"] |= {"steps": 1}
    return nodes


@pytest.fixture
def workflow(tmp_path, graph):
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(graph), encoding="utf-8")
    return path


@pytest.fixture
def arguments(root, workflow, server):
    """A command line that works."""
    return [str(root), "--server", server.url, "--workflow", str(workflow), "--wait", "60"]


@pytest.fixture
def batch(arguments):
    """Runs a batch in this process; further arguments come last and win."""
    return lambda *more: main([*arguments, *map(str, more)])


@pytest.fixture
def lines(root):
    """Reads the results as a list."""
    def read():
        text = (root / "lumosx_results.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    return read


@pytest.fixture
def executed(server):
    """How many prompts the server has executed since the test began."""
    def count():
        # The server says so a moment after the prompt is in its history.
        time.sleep(0.5)
        return server.log_text().count("Prompt executed in") - before

    before = server.log_text().count("Prompt executed in")
    return count


@pytest.fixture
def is_whole():
    """Whether a file is a video that can be decoded to its last frame."""
    def check(path):
        try:
            with av.open(str(path)) as video:
                return len(list(video.decode(video=0))) == FRAMES
        except av.FFmpegError:
            return False

    return check
