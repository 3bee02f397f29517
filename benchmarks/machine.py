"""Which machine and which packages a figure was measured with."""

import contextlib
import os
import platform
import tempfile
from pathlib import Path

import torch


def describe_machine():
    """One line: processor, cores, memory, card, Python and torch."""
    parts = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} CPU cores"]
    memory = Path("/proc/meminfo")
    if memory.is_file():
        parts.append(f"{int(memory.read_text().split()[1]) / 2**20:.0f} GiB of memory")
    parts.append(torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")
    return ", ".join([*parts, f"Python {platform.python_version()}, torch {torch.__version__}"])


@contextlib.contextmanager
def own_comfyui(cpu):
    """The ComfyUI of the tests in this process; gives the folder of its models and outputs, gone afterwards."""
    from tools import in_process
    from tools.server import BASE_FOLDERS

    with tempfile.TemporaryDirectory(prefix="lumosx-bench-") as base:
        for name in BASE_FOLDERS:
            (Path(base) / name).mkdir()
        in_process.prepare(os.environ["LUMOSX_TEST_COMFYUI"], cpu, Path(base))
        yield Path(base)


def reset_peak():
    """Forget this process's peak of resident memory and return what is resident now, in bytes; None if unknown."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def peak():
    """The most resident memory since ``reset_peak``, in bytes; mapped files count as far as they were touched."""
    return _status("VmHWM")


def _status(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None
