"""A terminal that lacks letters."""

import io
import sys

import pytest

from lumosx_core.cli import accept_all_letters, say


def test_letters_that_a_stream_has_not_are_escaped(monkeypatch):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    for name, stream in zip(("stdout", "stderr"), streams):
        monkeypatch.setattr(sys, name, stream)
    with pytest.raises(UnicodeEncodeError):
        print("jalape\u00f1o")
    accept_all_letters()
    for stream in streams:
        print("jalape\u00f1o", file=stream, flush=True)
        assert stream.buffer.getvalue().rstrip() == b"jalape\\xf1o"


def test_streams_that_cannot_be_set_up_are_left_alone(monkeypatch):
    """As under pythonw, or where a program replaced them."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    accept_all_letters()


def test_names_do_nothing_to_a_terminal(capsys):
    say("| case |\n| \x1b[2J\u202eabc 白色 |")
    say("\x9b31m", sys.stderr)
    assert capsys.readouterr() == ("| case |\n| ?[2J?abc 白色 |\n", "?31m\n")
