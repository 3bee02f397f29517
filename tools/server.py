"""A real ComfyUI server with this checkout as its only custom node pack."""

import contextlib
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tools.launch import LIFELINE, WITHOUT

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = Path(__file__).resolve().with_name("launch.py")
PACK_NAME = "lumosx"
PACK_ENTRIES = (
    "__init__.py",
    "nodes",
    "lumosx_core",
    "workflows",
    "web",
    "locales",
    "pyproject.toml",
    "requirements.txt",
    "LICENSE",
    "README.md",
)
BASE_FOLDERS = ("custom_nodes", "input", "output", "temp", "user")
MODEL_FOLDERS = ("diffusion_models", "text_encoders", "vae", "loras")
START_SECONDS = 300
STOP_SECONDS = 10
LOG_TAIL_LINES = 30
# Names the folder of another page (a comfyui_frontend_package's "static") to serve instead of the host's own.
FRONTEND = "LUMOSX_TEST_FRONTEND"

# Requests to this machine must not go through a proxy that the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(RuntimeError):
    """The ComfyUI server could not be started or could not load the pack, or it ended by itself."""


def needs_cpu_flag():
    """Return True when torch sees no accelerator, so that ComfyUI has to be started with --cpu."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return True
    import torch

    accelerators = (torch.cuda, torch.backends.mps, getattr(torch, "xpu", None))
    return not any(accelerator is not None and accelerator.is_available() for accelerator in accelerators)


@contextlib.contextmanager
def reserved_port():
    """A TCP port of this machine that nothing listens on and that the system gives to nobody else in the block.

    A server can listen on it at once, since asyncio's servers set SO_REUSEADDR as well.
    """
    with socket.socket() as holder:
        if os.name != "nt":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if os.name == "nt":
            # There the port would be refused to the server, too.
            holder.close()
        yield port


def copy_pack(custom_nodes, archive=None, name=PACK_NAME):
    """Replace CUSTOM_NODES/NAME by this checkout's entries, or by what the file `archive` holds; return its path."""
    target = Path(custom_nodes) / name
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    if archive is not None:
        shutil.unpack_archive(archive, target, "zip")
        return target
    for entry in PACK_ENTRIES:
        source = ROOT / entry
        if source.is_dir():
            shutil.copytree(source, target / entry, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.is_file():
            shutil.copy2(source, target / entry)
    return target


def prepare_base(base, models, archive=None, names=(PACK_NAME,)):
    """Fill the base directory: ComfyUI's folders, the pack (under each of `names`), and model paths to `models`."""
    for name in BASE_FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    for name in MODEL_FOLDERS:
        (models / name).mkdir(parents=True, exist_ok=True)
    for name in names:
        copy_pack(base / "custom_nodes", archive, name)
    paths = {"base_path": str(models), "is_default": True, **{name: name for name in MODEL_FOLDERS}}
    # JSON is YAML too, whatever characters the path has.
    _model_paths_file(base).write_text(json.dumps({PACK_NAME: paths}, ensure_ascii=False), encoding="utf-8")


def command_line(python, comfyui_dir, base, port, extra_args=(), names=(PACK_NAME,)):
    """Return the command that starts ComfyUI with the pack on `port`; later arguments win over earlier ones."""
    command = [python, LAUNCHER, comfyui_dir, "--base-directory", base]
    command += ["--extra-model-paths-config", _model_paths_file(base)]
    command += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", *names, "--disable-api-nodes"]
    command += ["--listen", "127.0.0.1", "--port", port, "--database-url", "sqlite:///:memory:"]
    command += ["--preview-method", "latent2rgb"]
    if needs_cpu_flag():
        command.append("--cpu")
    if os.environ.get(FRONTEND):
        command += ["--front-end-root", os.environ[FRONTEND]]
    return [str(part) for part in (*command, *extra_args)]


def _launch(command, without=(), **options):
    # What puts our packages on the path would hide ComfyUI's own modules of the same names.
    hidden = ("PYTHONPATH", "PYTHONSAFEPATH")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", LIFELINE: "1", WITHOUT: ",".join(without)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, **options)


def _model_paths_file(base):
    return Path(base) / "model_paths.yaml"


class ComfyServer:
    """A headless server for as long as the `with` block lasts.

    `base` (default: a temporary folder, removed at the end) holds input, output and the copy of the pack; `models`
    (default: BASE/models) is where ComfyUI looks for and saves models first; `log` (default: a file in the base
    directory) receives what the server prints. `archive` is a zip file to take the pack from instead of this checkout;
    the modules in `without` are not there for the server. `names` are the folders that the pack is copied to, each a
    pack of its own for ComfyUI.

    Entering raises ServerError when the server ends early, does not answer in time or cannot load the pack.
    """

    def __init__(
        self, comfyui_dir, python=sys.executable, base=None, log=None, extra_args=(), models=None, archive=None,
        without=(), names=(PACK_NAME,),
    ):
        self.comfyui_dir = Path(comfyui_dir)
        self.python = python
        self.base = Path(base).resolve() if base else None
        self.models = Path(models).resolve() if models else None
        self.log = Path(log).resolve() if log else None
        self.extra_args = extra_args
        self.archive = archive
        self.without = without
        self.names = names
        self.url = None
        self._owns_base = base is None
        self._process = None
        self._last_log = ""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        """Start the process and wait until it answers; raises ServerError when it does not."""
        if self.base is None:
            self.base = Path(tempfile.mkdtemp(prefix="lumosx-host-")).resolve()
        self.models = self.models or self.base / "models"
        self.log = self.log or self.base / "comfyui.log"
        prepare_base(self.base, self.models, self.archive, self.names)
        with reserved_port() as port:
            self._start_at(port)
        if any(f"(IMPORT FAILED): {self.base / 'custom_nodes' / name}" in self.log_text() for name in self.names):
            raise ServerError(f"ComfyUI could not load the pack. Its last lines:\n{self.log_tail()}")

    def _start_at(self, port):
        self.url = f"http://127.0.0.1:{port}"
        command = command_line(self.python, self.comfyui_dir, self.base, port, self.extra_args, self.names)
        # A group of its own: Ctrl-C reaches the caller, which then stops the server in order.
        if os.name == "nt":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            group = {"start_new_session": True}
        with open(self.log, "wb") as log:
            self._process = _launch(command, self.without, stdout=log, stderr=subprocess.STDOUT, **group)
        self._wait_until_it_answers()

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                raise ServerError(f"ComfyUI ended while starting. Its last lines:\n{self.log_tail()}")
            try:
                with _opener.open(self.url + "/system_stats", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise ServerError(f"ComfyUI did not answer within {START_SECONDS} s. Its last lines:\n{self.log_tail()}")

    def alive(self):
        """Return whether the server's process is running."""
        return self._process is not None and self._process.poll() is None

    def has_ended(self, patience=3):
        """Return whether the process has ended, or does so within `patience` seconds (its connections close first)."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log_text(self):
        """Return all that the server printed so far; works after `stop` as well."""
        if self.log is not None and self.log.exists():
            self._last_log = self.log.read_text(encoding="utf-8", errors="replace")
        return self._last_log

    def log_tail(self):
        """Return the last lines of the server's output."""
        return "\n".join(self.log_text().rstrip().splitlines()[-LOG_TAIL_LINES:])

    def stop(self):
        """End the process, by force if it does not end by itself, and remove a temporary base directory."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        self.log_text()
        if self._owns_base and self.base is not None:
            shutil.rmtree(self.base, ignore_errors=True)


def _end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    process.stdin.close()


def serve(comfyui_dir, state_dir, arguments):
    """Run ComfyUI in the foreground until Ctrl-C and return its exit code; `arguments` go to ComfyUI."""
    port = _port_in(arguments)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            print(f"Port {port} is in use: stop the program there or pass --port NUMBER.", file=sys.stderr)
            return 1
    base = Path(state_dir).resolve()
    prepare_base(base, base / "models")
    print(f"Starting ComfyUI at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    command = command_line(sys.executable, comfyui_dir, base, port, arguments)
    process = _launch(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        _end_after_interrupt(process)
        return 0


def _end_after_interrupt(process):
    try:
        # The terminal sent Ctrl-C to ComfyUI as well: it is ending already.
        process.wait(STOP_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        _end(process)


def _port_in(arguments, default=8188):
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--port":
            value = value or "".join(arguments[position + 1 : position + 2])
            return int(value) if value.isdigit() else default
    return default


if __name__ == "__main__":
    sys.exit(serve(os.environ["LUMOSX_TEST_COMFYUI"], os.environ["LUMOSX_TEST_STATE"], sys.argv[1:]))
