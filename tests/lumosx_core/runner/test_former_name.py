"""``python -m lumosx_core.media.batch`` keeps working for one release."""

import subprocess
import sys

import pytest

from tools.server import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lumosx_core.runner", "lumosx_core.media.batch"])
def test_both_names_start_the_runner(name, tmp_path):
    command = [sys.executable, "-m", name, str(tmp_path / "gone")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1 and str(tmp_path / "gone") in answer.stderr
