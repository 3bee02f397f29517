"""Models in several files without an index, whose names say which part each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from ..errors import LumosXError
from .source import WeightSource, check_tensor_names


class SplitFile(WeightSource):
    """Parts of one model as one source. Each part is a whole file of its format.

    Args:
        paths: of all parts, in order (see ``file_names.part_files``).
        open_part: opens one of them.

    Raises:
        LumosXError: a part is missing, parts are of different formats, or two hold a tensor of the same name.
    """

    def __init__(self, paths: Sequence[Path], open_part: Callable[[Path], WeightSource]) -> None:
        self.path = paths[0]
        _check_presence(paths)
        with ExitStack() as opened:
            parts = [opened.enter_context(open_part(path)) for path in paths]
            self._held: dict[str, WeightSource] = {}
            for part in parts:
                self._add(part, parts[0].format)
            check_tensor_names(self.path, self._held)
            self._opened = opened.pop_all()
        self.format = parts[0].format
        self.tensors = {name: part.tensors[name] for name, part in self._held.items()}
        self.metadata = {key: text for part in reversed(parts) for key, text in part.metadata.items()}

    def _add(self, part: WeightSource, format: str) -> None:
        if part.format != format:
            raise LumosXError(f"{part.path}: it is {part.format}, but the first part is {format}; get the parts again.")
        for name in part.tensors:
            if name in self._held:
                both = f"{self._held[name].path.name[:80]} and {part.path.name[:80]}"
                raise LumosXError(f"{self.path}: both {both} hold {name[:80]!r}; get all parts of the model again.")
            self._held[name] = part

    def read(self, name: str) -> torch.Tensor:
        return self._held[name].read(name)

    def close(self) -> None:
        self._held = {}
        self._opened.close()


def _check_presence(paths: Sequence[Path]) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        raise LumosXError(
            f"{missing[0]}: this part of the model{more} missing; put all {len(paths)} parts into one folder, with "
            "their original names."
        )
