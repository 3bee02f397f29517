"""The types in lumosx_core and nodes fit together, as pyrefly sees it."""

import subprocess
import sys

import pytest

from tools.archive import ROOT


@pytest.fixture
def mistakes(comfyui_dir):
    """Runs the checker over the project, or over given files, and returns the lines of what is wrong."""
    def check(*files):
        command = [sys.executable, "-m", "pyrefly", "check", "--config", ROOT / "pyproject.toml"]
        command += ["--python-interpreter-path", sys.executable, "--search-path", ROOT, "--search-path", comfyui_dir]
        command += ["--min-severity", "error", "--output-format", "min-text", *files]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        lines = [line for line in answer.stdout.splitlines() if line.startswith("ERROR")]
        assert answer.returncode == bool(lines), answer.stderr
        return lines

    return check


@pytest.mark.slow
def test_the_types_fit_together(mistakes):
    found = mistakes()
    assert not found, "\n".join(found)


MISTAKES = {
    "from lumosx_core.files import append_line\nappend_line(5, b'')": "bad-argument-type",
    "from lumosx_core.files import no_such_name": "missing-module-attribute",
    "import comfy.utils\ncomfy.utils.no_such_name": "missing-attribute",
    "from comfy_api.latest import io\nio.Schema(node_id=5)": "bad-argument-type",
    "import torch\ntorch.zeros(2).no_such_name": "missing-attribute",
    "import no_such_package": "missing-import",
}


def test_mistakes_are_found(mistakes, tmp_path):
    """Among them some that need to know ComfyUI and PyTorch."""
    for number, code in enumerate(MISTAKES):
        (tmp_path / f"mistake_{number}.py").write_text(code)
    found = sorted(mistakes(*tmp_path.iterdir()), key=lambda line: line[line.index("mistake_"):])
    assert [line.rpartition("[")[2].rstrip("]") for line in found] == list(MISTAKES.values())
