"""What is shown while a batch works."""

import io
import sys

from lumosx_core.runner.progress import shown_progress

GOOD = {"case": "a", "status": "done", "error": None, "seconds": 2.04}
BAD = {"case": "b", "status": "failed", "error": "case: no.", "seconds": None}


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_where_nobody_looks(capsys):
    with shown_progress(3, 1) as progress:
        progress.ended(GOOD, 2)
        progress.ended(BAD, 3)
    assert capsys.readouterr().err == "[2/3] a: done in 2.0 s\n[3/3] b: failed. case: no.\n"


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with shown_progress(3, 1) as progress:
        progress.ended(GOOD, 2)
        progress.ended(BAD, 3)
    shown = sys.stderr.getvalue()
    assert "1/3" in shown and "3/3" in shown and "b: failed. case: no.\n" in shown


def test_lines_without_tqdm(monkeypatch):
    monkeypatch.setattr(sys, "stderr", _Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with shown_progress(1, 0) as progress:
        progress.ended(GOOD, 1)
    assert sys.stderr.getvalue() == "[1/1] a: done in 2.0 s\n"
