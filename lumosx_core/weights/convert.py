"""Any file with a LumosX transformer, rewritten in another precision, tensor by tensor."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ..errors import LumosXError
from ..files import unfinished_beside
from . import checksum
from .blocks import is_packed
from .checksum import WeightsDigest
from .dense import is_plain, logical_info, read_dense
from .encode import check_blocks, encode
from .file_names import part_named
from .gguf_package import require_gguf
from .gguf_writer import GGUFStreamWriter
from .kitchen import require_kitchen
from .opening import open_weights
from .precision import BLOCKS, INT8, NVFP4, SCALED_KINDS, Stored, choose_kind, ending, is_reduced
from .quantised import find_quantised_layers, settings_in_metadata
from .safetensors_writer import SafetensorsWriter
from .scaled import SCALED, stored_tensors
from .source import WeightSource
from .transformer import find_transformer

ProgressCallback = Callable[[int, int, str], None]
"""Called with bytes done, bytes to do and what is being done; whatever it raises ends the conversion."""
_HEADER_ROOM = 1 << 20


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        path: the new file.
        to: the format that was asked for.
        nbytes: size of the new file.
        kinds: how many tensors are stored in which kind.
        fallback: tensors that stayed in 16 bits since their rows or columns are not whole numbers of blocks.
        second_hand: kinds of the source that had lost precision already and were requantised or widened.
        source_sha256: checksum of the source's files, see ``checksum``.
        weights_sha256: checksum of the new file's tensors.
    """

    path: Path
    to: str
    nbytes: int
    kinds: dict[str, int]
    fallback: tuple[str, ...]
    second_hand: tuple[str, ...]
    source_sha256: str
    weights_sha256: str

    def __str__(self) -> str:
        """A few lines for people."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        lines = [f"{self.path}: {self.to}, {self.nbytes / 1e6:.1f} MB, {kinds}."]
        if self.fallback:
            more = f" and {len(self.fallback) - 1} more" if len(self.fallback) > 1 else ""
            kept = "F16" if self.to in BLOCKS else "BF16"
            lines.append(f"{self.fallback[0]}{more} stayed {kept}: the rows are not whole numbers of blocks.")
        if self.second_hand:
            lines.append(f"The source was already {', '.join(self.second_hand)}; its loss of precision is added.")
        return "\n".join(lines)


def check_conversion(source_path: Path, target_path: Path, to: str = "bf16", replace: bool = False) -> None:
    """Find what would stop ``convert`` before it writes anything; reads what the source says of itself, no weights.

    Raises:
        LumosXError: source or target will not do, or the disk is too full.
    """
    source_path, target_path = Path(source_path), Path(target_path)
    _check_target(source_path, target_path, to, replace)
    with open_weights(source_path) as source:
        _check_space(target_path, _Job(source, source_path.name, to, _nobody).target_bytes)


def convert(
    source_path: Path,
    target_path: Path,
    to: str = "bf16",
    progress: ProgressCallback | None = None,
    replace: bool = False,
) -> ConversionReport:
    """Rewrite a transformer under Wan's own names.

    One tensor is in memory at a time, as it was read and as it becomes, beside what the source maps from disk. Measured
    with a transformer of Wan2.1-T2V-1.3B's width, in largest float32 tensors of the source: 0.2 to 0.7 from safetensors
    and torch's files, 1.2 to 1.8 from checkpoint folders, 1.7 to 2.1 from GGUF. The new file appears complete or not at
    all, and nothing that is there loses its place to it unless ``replace`` is set.

    Args:
        source_path: anything that ``open_weights`` reads.
        target_path: a new file, ending in ``.gguf`` for block types and in ``.safetensors`` for the rest.
        to: one of ``precision.FORMATS``.
        progress: see Progress.
        replace: whether the new file may take the place of a file of that name, once it is complete.

    Raises:
        LumosXError: source or target will not do, a number is not finite or too large, or the disk is full.
    """
    source_path, target_path = Path(source_path), Path(target_path)
    _check_target(source_path, target_path, to, replace)
    with open_weights(source_path) as source:
        job = _Job(source, source_path.absolute().name, to, progress or _nobody)
        _check_space(target_path, job.target_bytes)
        source_sha256 = checksum.files_sha256(job.files, job.advance)
        with _unfinished(target_path, replace) as part:
            return job.run(part, target_path, source_sha256)


def _nobody(done: int, total: int, name: str) -> None:
    """Progress that nobody needs."""


class _Job:
    """One conversion: what is read, what is written, and how far it is."""

    def __init__(self, source: WeightSource, name: str, to: str, progress: ProgressCallback) -> None:
        self.source, self.name, self.to, self.progress = source, name, to, progress
        self.names = find_transformer(source)
        self.layers = find_quantised_layers(source, self.names)
        self.infos = {
            name: logical_info(source, self.names[name], self.layers.get(name)) for name in sorted(self.names)
        }
        self.weights = [Stored(name, choose_kind(name, info, to), info.shape) for name, info in self.infos.items()]
        # Each weight as it is stored, with its scales behind it.
        self.stored = {weight.name: self._stored(weight) for weight in self.weights}
        self.tensors = [tensor for tensors in self.stored.values() for tensor in tensors]
        self.target_bytes = sum(tensor.nbytes for tensor in self.tensors)
        self.files = checksum.source_files(source.path)
        # Before anything is read, so that a change in the meantime shows later.
        self.state = checksum.files_state(self.files)
        self.done, self.total = 0, self.target_bytes + sum(self.files.values())

    def run(self, part: Path, target: Path, source_sha256: str) -> ConversionReport:
        """Write everything."""
        # Unique, as long as a checksum, and replaced by it once all tensors are written.
        placeholder = uuid.uuid4().hex * 2
        digest = WeightsDigest()
        with closing(self._writer(part, source_sha256, placeholder)) as writer:
            for weight in self.weights:
                self._write(weight, writer, digest)
        _fill_in(part, writer.header_bytes, placeholder, digest.hexdigest())
        return self._report(part, target, source_sha256, digest.hexdigest())

    def _writer(self, part: Path, source_sha256: str, weights_sha256: str) -> SafetensorsWriter | GGUFStreamWriter:
        metadata = {
            checksum.SOURCE_SHA256: source_sha256,
            # A name may contain bytes that are not text, which a header cannot.
            checksum.SOURCE_NAME: self.name.encode(errors="backslashreplace").decode(),
            checksum.SOURCE_STATE: self.state,
            checksum.CONVERTED_TO: self.to,
            checksum.WEIGHTS_SHA256: weights_sha256,
        }
        if self.to in BLOCKS:
            return GGUFStreamWriter(part, self.weights, metadata, BLOCKS[self.to])
        scaled = [name for name, tensors in self.stored.items() if len(tensors) > 1]
        if scaled:
            settings = {"format": SCALED[self.to].name}
            metadata |= settings_in_metadata({name.removesuffix(".weight"): settings for name in scaled})
        return SafetensorsWriter(part, self.tensors, metadata)

    def _write(self, weight: Stored, writer: SafetensorsWriter | GGUFStreamWriter, digest: WeightsDigest) -> None:
        # A function of its own, so that no tensor outlives it while the next one is read.
        for stored, data in self._encoded(weight):
            digest.add(stored.name, stored.kind, stored.shape, data)
            writer.write(stored.name, data)

    def advance(self, count: int, name: str) -> None:
        """Tell how many bytes more are done, and of what."""
        self.done += count
        self.progress(self.done, self.total, name)

    def _encoded(self, weight: Stored) -> Iterator[tuple[Stored, memoryview]]:
        """One tensor of the target, and its scales if it has any, as bytes."""
        advance = partial(self.advance, name=weight.name)
        stored = self.names[weight.name]
        where = f"{self.source.path}: {stored}"
        if self._passes_through(weight):
            packed = self.source.read(stored)
            check_blocks(packed, weight.kind, where, advance)
            yield weight, checksum.tensor_bytes(packed)
        elif len(self.stored[weight.name]) > 1:
            encoded = SCALED[self.to].encode(self._read(weight), where, advance)
            for number, (tensor, data) in enumerate(zip(self.stored[weight.name], encoded)):
                yield tensor, checksum.tensor_bytes(data)
                # The weight's own bytes were told while it was encoded.
                advance(data.nbytes if number else 0)
        else:
            tensor = encode(self._read(weight), weight.kind, where, advance)
            yield weight, checksum.tensor_bytes(tensor)

    def _stored(self, weight: Stored) -> tuple[Stored, ...]:
        """A weight as it is in the file, and its scales."""
        if weight.kind == SCALED_KINDS.get(self.to):
            return stored_tensors(self.to, weight.name, weight.shape)
        return (weight,)

    def _read(self, weight: Stored) -> torch.Tensor:
        return read_dense(self.source, self.names[weight.name], self.layers.get(weight.name))

    def _passes_through(self, weight: Stored) -> bool:
        """Whether the source's own blocks can be copied."""
        stored = self.names[weight.name]
        return is_packed(weight.kind) and self.source.tensors[stored].kind == weight.kind

    def _report(self, part: Path, target: Path, source_sha256: str, weights_sha256: str) -> ConversionReport:
        wanted = {**BLOCKS, **SCALED_KINDS}.get(self.to)
        fallback = (
            weight.name for weight in self.weights
            if wanted and is_reduced(weight.name, self.infos[weight.name]) and weight.kind != wanted
        )
        second_hand = {
            self.infos[weight.name].kind for weight in self.weights
            if not is_plain(self.source, self.names[weight.name]) and not self._passes_through(weight)
        }
        return ConversionReport(
            target, self.to, part.stat().st_size, dict(Counter(tensor.kind for tensor in self.tensors)),
            tuple(fallback), tuple(sorted(second_hand)), source_sha256, weights_sha256,
        )


def _check_target(source: Path, target: Path, to: str, replace: bool) -> None:
    wanted = ending(to)
    if target.suffix.lower() != wanted:
        raise LumosXError(f"{target}: {to} is written as {wanted}; use that extension, or choose another format.")
    if part_named(target.name) is not None:
        raise LumosXError(f"{target}: the name is that of one part of a model in several; choose another name.")
    if _is_taken(target):
        if _is_same(source, target):
            raise LumosXError(f"{target}: source and target are the same file; choose another target.")
        if not replace:
            raise LumosXError(f"{target}: it already exists; delete it first or choose another name.")
    if not target.parent.is_dir():
        raise LumosXError(f"{target}: there is no folder {target.parent}; create it first.")
    if to in BLOCKS:
        require_gguf()
    elif to in (INT8, NVFP4):
        require_kitchen()


def _is_taken(path: Path) -> bool:
    """Whether there is something at a path, be it a link to nowhere."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LumosXError(f"{path}: cannot be written ({error.strerror}); choose another name.") from error
    return True


def _is_same(source: Path, target: Path) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        return False


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < needed + _HEADER_ROOM:
        raise LumosXError(
            f"{target}: it needs {needed / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB left; free some space or "
            "choose another disk."
        )


@contextmanager
def _unfinished(target: Path, replace: bool) -> Iterator[Path]:
    """A path beside the target to write to; it becomes the target at the end, or is gone."""
    try:
        with unfinished_beside(target) as part:
            yield part
            if replace:
                os.replace(part, target)
            else:
                _give_name(part, target)
    except FileExistsError as error:
        raise LumosXError(
            f"{target}: it was created in the meantime; delete it first or choose another name."
        ) from error
    except OSError as error:
        raise LumosXError(f"{target}: cannot be written ({error}); check its folder and the free space.") from error


def _give_name(part: Path, target: Path) -> None:
    """Let a file appear under a name that nothing has.

    Raises:
        FileExistsError: something has it.
    """
    try:
        # Unlike a rename, it never takes the place of another file.
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        # Not every file system has links.
        if _is_taken(target):
            raise FileExistsError(target) from None
        os.rename(part, target)


def _fill_in(path: Path, header_bytes: int, placeholder: str, text: str) -> None:
    """Replace a text in a file's header by another of the same length, and see the file to the disk."""
    with path.open("r+b") as file:
        place = file.read(header_bytes).index(placeholder.encode())
        file.seek(place)
        file.write(text.encode())
        file.flush()
        # Otherwise a power cut may leave the name without the content.
        os.fsync(file.fileno())
