"""Lynx's parts by the files that hold them: looked at once, opened again only while their numbers are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import LumosXError
from ...weights.opening import open_weights
from .identity import Identity
from .layers import LayerReader, adapter_checksum
from .recognise import FoundLayers, FoundResampler, find_lynx
from .resampler import Resampler, load_resampler
from .sizes import AdapterSizes, ResamplerSizes, check_pair

RESAMPLER, ID_LAYERS, REF_LAYERS = "resampler", "id_layers", "ref_layers"
PARTS = (RESAMPLER, ID_LAYERS, REF_LAYERS)
_NAMES = {RESAMPLER: "a resampler", ID_LAYERS: "ID layers", REF_LAYERS: "reference layers"}


@dataclass(frozen=True)
class Adapters:
    """Where each part of Lynx is and how large it is. No file is kept open.

    Attributes:
        files: part to the file that holds it; parts that no file holds are left out.
        sizes: part to its sizes, for the same parts.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    sizes: Mapping[str, ResamplerSizes | AdapterSizes] = field(default_factory=dict)

    def layers(self, part: str) -> AdapterSizes | None:
        """The sizes of ID layers or of reference layers; None without them."""
        sizes = self.sizes.get(part)
        return sizes if isinstance(sizes, AdapterSizes) else None

    @classmethod
    def of_files(cls, paths: Sequence[Path]) -> Adapters:
        """The parts that some files hold, recognised by the names and shapes of their tensors.

        Raises:
            LumosXError: a file holds no part, two hold the same one, or resampler and ID layers do not belong together.
        """
        files: dict[str, Path] = {}
        sizes: dict[str, ResamplerSizes | AdapterSizes] = {}
        for path in dict.fromkeys(paths):
            with open_weights(path) as source:
                found = find_lynx(source)
            for part in PARTS:
                held = getattr(found, part)
                if held is None:
                    continue
                if part in files:
                    raise LumosXError(
                        f"lynx: {files[part].name} and {path.name} both hold {_NAMES[part]}; choose one of them."
                    )
                files[part], sizes[part] = path, held.sizes
        resampler, id_layers = sizes.get(RESAMPLER), sizes.get(ID_LAYERS)
        if isinstance(resampler, ResamplerSizes) and isinstance(id_layers, AdapterSizes):
            check_pair(resampler, id_layers)
        return cls(files, sizes)

    def __contains__(self, part: str) -> bool:
        return part in self.files

    @contextmanager
    def open(self, part: str) -> Iterator[FoundResampler | FoundLayers]:
        """A part in its open file.

        Raises:
            LumosXError: the file is gone, or has changed since it was looked at.
        """
        with open_weights(self.files[part]) as source:
            found = getattr(find_lynx(source), part)
            if found is None or found.sizes != self.sizes[part]:
                raise LumosXError(f"{self.files[part]}: it was changed since it was chosen; queue the workflow again.")
            yield found

    @contextmanager
    def reader(self, part: str) -> Iterator[LayerReader]:
        """The layers of ``ID_LAYERS`` or ``REF_LAYERS``, one at a time; raises as ``open``."""
        with self.open(part) as found:
            if not isinstance(found, FoundLayers):
                raise ValueError(f"{part} has no layers")
            yield LayerReader(found)

    def resampler(self) -> Resampler:
        """On the CPU in float32; raises as ``open``."""
        with self.open(RESAMPLER) as found:
            if not isinstance(found, FoundResampler):
                raise ValueError(f"{RESAMPLER} has layers")
            return load_resampler(found)

    def checksum(self, part: str, after_each: Callable[[], None] = lambda: None) -> str:
        """See ``adapter_checksum``: all numbers of the part are read. Raises as ``open``."""
        with self.open(part) as found:
            return adapter_checksum(found, after_each)


@dataclass(frozen=True, eq=False)
class LynxPerson:
    """An identity, with the adapters that act for it.

    Attributes:
        identity: of one person.
        adapters: of the same kind; reference layers are read from there when the person is put onto a model.
        kept: what a host makes of the person once and finds again, such as folded keys and values.
    """

    identity: Identity
    adapters: Adapters
    kept: dict[str, Any] = field(default_factory=dict, repr=False)
