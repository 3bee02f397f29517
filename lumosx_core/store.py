"""A folder of small safetensors files, found by hash, that never outgrows a bound and may be deleted at any time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from .files import remove_forgotten, write_aside
from .weights.checksum import tensor_bytes

_log = logging.getLogger("LumosX")

_ENDING = ".safetensors"
_ENTRY = re.compile(r"[0-9a-f]{64}\.safetensors")
_CHECKSUM = "lumosx_sha256"
_DAMAGE = (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What the package and torch raise over a damaged file."""


class TensorStore:
    """Tensors that took time to make, for later runs and for other processes on the same folder.

    It never raises over its files: what cannot be read is absent, and what cannot be written is said once in the log.

    Args:
        folder: made when it is first written to; files with other names than ours are left alone in it.
        limit: bytes of all entries together; those that were not read for longest make room for new ones.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._can_write = True

    def read(self, key: str) -> tuple[dict[str, torch.Tensor], dict[str, str]] | None:
        """Tensors on the CPU and the note that were written under a key; None if there is no complete file.

        Args:
            key: 64 hexadecimal digits.
        """
        path = self.folder / f"{key}{_ENDING}"
        try:
            # Not mapped: another process may take the file away while its tensors are in use.
            data = path.read_bytes() if path.stat().st_size <= self.limit else b""
        except OSError:
            return None
        entry = _parse(data)
        with suppress(OSError):
            if entry is None:
                path.unlink()
            else:
                os.utime(path)
        return entry

    def write(self, key: str, tensors: Mapping[str, torch.Tensor], note: Mapping[str, str]) -> None:
        """Keep tensors under a key, unless they alone are above the limit.

        Args:
            key: 64 hexadecimal digits.
            tensors: dense, on the CPU, of types that safetensors knows.
            note: text that comes back with them.
        """
        if not self._can_write:
            return
        # safetensors refuses tensors that share memory.
        tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        data = save_tensors(tensors, {**note, _CHECKSUM: _checksum(tensors, note)})
        if len(data) > self.limit:
            return
        path = self.folder / f"{key}{_ENDING}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            write_aside(path, data)
        except OSError as error:
            self._can_write = False
            _log.warning(
                "LumosX: %s: nothing can be stored there for later runs (%s); this run continues without it.",
                self.folder, error.strerror or error,
            )

    def _make_room(self, needed: int) -> None:
        """Remove what was read longest ago until this many bytes fit, and what was never finished."""
        remove_forgotten(self.folder)
        entries = []
        for path in self.folder.iterdir():
            # Another process may remove what was just listed.
            with suppress(OSError):
                if _ENTRY.fullmatch(path.name):
                    state = path.stat()
                    entries.append((state.st_mtime_ns, state.st_size, path))
        excess = needed + sum(size for _, size, _ in entries) - self.limit
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            with suppress(OSError):
                path.unlink(missing_ok=True)
                excess -= size


def _parse(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]] | None:
    """Tensors and note of a whole file, None of a damaged one."""
    try:
        tensors = load_tensors(data)
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        note = header["__metadata__"]
        whole = note.pop(_CHECKSUM) == _checksum(tensors, note)
    except _DAMAGE:
        return None
    return (tensors, note) if whole else None


def _checksum(tensors: Mapping[str, torch.Tensor], note: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(note), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
