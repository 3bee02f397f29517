"""``python -m lumosx_core.weights``: convert weight files and look into them, without ComfyUI."""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..cli import run_command
from . import checksum
from .convert import ProgressCallback, convert
from .opening import open_weights
from .precision import FORMATS
from .recognise import describe_contents


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, or 1 with a sentence on stderr, or 130 after Ctrl-C. Wrong arguments leave with 2.
    """
    return run_command(
        _parser(), lambda options: _show(options.run(options)), arguments, "Interrupted; nothing was left behind."
    )


def _show(text: str) -> int:
    try:
        print(text, flush=True)
    except OSError as error:
        # Python would flush it again at the end, and fail again.
        sys.stdout = None
        print(f"The work is done, but its report cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lumosx_core.weights", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    converting = commands.add_parser("convert", help="rewrite a transformer in another precision")
    converting.add_argument("source", type=Path, help="a weight file of any kind, or a checkpoint folder")
    converting.add_argument("target", type=Path, help="a new file, .gguf for q8_0 … q4_0, else .safetensors")
    converting.add_argument("--to", choices=FORMATS, default="bf16", help="bf16 unless said otherwise")
    converting.set_defaults(run=_convert)
    inspecting = commands.add_parser("inspect", help="show what a file contains")
    inspecting.add_argument("file", type=Path)
    inspecting.add_argument("--verify", action="store_true", help="compare its weights with the checksum in it")
    inspecting.set_defaults(run=_inspect)
    return parser


def _convert(options: argparse.Namespace) -> str:
    with _shown_progress() as show, _stopping_between_pieces(show) as progress:
        return str(convert(options.source, options.target, options.to, progress))


def _inspect(options: argparse.Namespace) -> str:
    with open_weights(options.file) as source:
        size = _stored_bytes(source.path) / 1e6
        kinds = Counter(info.kind for info in source.tensors.values())
        lines = [
            f"{source.path}: {source.format}, {size:.1f} MB, {describe_contents(source)}",
            ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        ]
        for key in (checksum.CONVERTED_TO, checksum.SOURCE_NAME, checksum.SOURCE_SHA256, checksum.WEIGHTS_SHA256):
            if key in source.metadata:
                lines.append(f"{key}: {source.metadata[key]}")
        if options.verify:
            checksum.verify_weights(source)
            lines.append("The weights are those that were written.")
    return "\n".join(lines)


def _stored_bytes(path: Path) -> int:
    return sum(checksum.source_files(path).values())


@contextmanager
def _shown_progress() -> Iterator[ProgressCallback]:
    """A bar where tqdm is installed and someone looks, else a line for each tenth; nothing where nobody can."""
    if sys.stderr is None:
        yield lambda done, total, name: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield _Tenths()
        return
    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:
        def show(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.set_postfix_str(name, refresh=False)
            bar.update(done - bar.n)

        yield show


@contextmanager
def _stopping_between_pieces(show: ProgressCallback) -> Iterator[ProgressCallback]:
    """Let Ctrl-C take effect at the next progress; a second one at once.

    An exception at any moment would also hit the native code of the readers, which take it for a damaged file.
    """
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def progress(done: int, total: int, name: str) -> None:
        if asked:
            raise KeyboardInterrupt
        show(done, total, name)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield progress
    finally:
        signal.signal(signal.SIGINT, before)


class _Tenths:
    """Progress as a few plain lines."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, done: int, total: int, name: str) -> None:
        tenth = 10 * done // total
        if tenth > self._shown:
            self._shown = tenth
            print(f"{10 * tenth} %  {name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
