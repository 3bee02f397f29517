"""A terminal that lacks letters, and what ends a command early."""

import argparse
import io
import sys

import pytest

from lumosx_core.cli import accept_all_letters, run_command, say
from lumosx_core.errors import LumosXError


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


@pytest.mark.parametrize(
    ("ending", "code", "sentence"),
    [
        (None, 7, ""),
        (LumosXError("--size: it is too small."), 1, "--size: it is too small.\n"),
        (OSError(28, "No space left", "out\x1b.bin"), 1, "out?.bin: it cannot be written or read (No space left).\n"),
        (OSError("no number"), 1, "a file: it cannot be written or read (no number).\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_what_ends_a_command_is_an_exit_code_and_a_sentence(capsys, ending, code, sentence):
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int)

    def run(options):
        assert options.size == 3
        if ending is not None:
            raise ending
        return 7

    assert run_command(parser, run, ["--size", "3"], "Stopped.") == code
    assert capsys.readouterr() == ("", sentence)


def test_wrong_arguments_leave_with_2(capsys):
    with pytest.raises(SystemExit) as left:
        run_command(argparse.ArgumentParser(), lambda options: 0, ["--unknown"], "Stopped.")
    assert left.value.code == 2 and "--unknown" in capsys.readouterr().err


def test_other_errors_are_bugs_and_keep_their_traceback():
    def run(options):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(argparse.ArgumentParser(), run, [], "Stopped.")
