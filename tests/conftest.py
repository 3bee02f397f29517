"""Makes the host's modules importable for tests and lends them one real server for the whole run."""

import atexit
import contextlib
import gc
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from support.spread import unit
from tools import in_process
from tools.client import ComfyClient
from tools.server import BASE_FOLDERS, ROOT, ComfyServer, needs_cpu_flag


def _find_comfyui():
    comfyui = Path(os.environ.get("LUMOSX_TEST_COMFYUI") or ROOT / ".venv" / "comfyui")
    if not (comfyui / "main.py").is_file():
        pytest.exit("There is no ComfyUI to test against: run the tests with python dev.py test.", returncode=4)
    return comfyui


def _prepare_in_process_imports(comfyui):
    base = Path(tempfile.mkdtemp(prefix="lumosx-tests-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    for name in BASE_FOLDERS:
        (base / name).mkdir()
    in_process.prepare(comfyui, needs_cpu_flag(), base)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and so would the programs that tests stop with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# torch's first call of a kind takes long; that says nothing about the code under test.
# In CI every run tries the same examples, so that a change is not refused by luck; elsewhere each run tries others.
settings.register_profile("lumosx", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("lumosx")
COMFYUI = _find_comfyui()
_prepare_in_process_imports(COMFYUI)


SLOW = ("slow", "server", "browser", "compile")
"""Marks of the tests that --quick leaves out."""
ALL_SLOW = re.compile(rf"^pytestmark = pytest\.mark\.({'|'.join(SLOW)})$", re.MULTILINE)
PAGES = Path(__file__).with_name("browser")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help=f"leave out what is marked {', '.join(SLOW)}")


def pytest_ignore_collect(collection_path, config):
    """With --quick, do not import what is left out as a whole."""
    if not config.option.quick:
        return None
    is_file = collection_path.suffix == ".py"
    return collection_path == PAGES or is_file and bool(ALL_SLOW.search(collection_path.read_text("utf-8"))) or None


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect without looking for garbage, a fifth of the time: what is imported and collected stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config, items):
    """Mark what opens a page or uses the running server, leave out what is slow when asked to be quick, order files."""
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker("browser")
            # A page sometimes fails for a reason of its own; a warning then says what it held.
            item.add_marker(pytest.mark.flaky(reruns=1))
        if "server" in item.fixturenames:
            item.add_marker("server")
    slow = [item for item in items if any(item.get_closest_marker(mark) for mark in SLOW)]
    if config.option.quick:
        config.hook.pytest_deselected(items=slow)
        left_out = set(slow)
        items[:] = [item for item in items if item not in left_out]
    elif "PYTEST_XDIST_WORKER" in os.environ:
        # The tests in the browser are the longest units. The quick files at the end fill the time in which another
        # worker is still busy with a slow one.
        pages, first = {item.path for item in items if item.get_closest_marker("browser")}, {item.path for item in slow}
        items.sort(key=lambda item: (item.path not in pages, item.path not in first))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let one process open pages with classic nodes and another one pages with Vue nodes; other files stay whole."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return unit(nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def comfyui_dir():
    """The folder of the ComfyUI under test."""
    return COMFYUI


@pytest.fixture(scope="session")
def server(comfyui_dir):
    """One running ComfyUI with the pack; its models, inputs and outputs are private to this test run."""
    with ComfyServer(comfyui_dir) as running:
        yield running


@pytest.fixture
def client(server):
    """A client of the running server."""
    return ComfyClient(server.url)


@pytest.fixture
def full_disk():
    """full_disk(bytes) cuts every file of this process short there, as a disk does that gets full: real errors."""
    @contextlib.contextmanager
    def limited(room):
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    return limited
