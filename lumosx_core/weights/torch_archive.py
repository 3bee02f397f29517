"""The zip archives of ``torch.save``, read without torch: neither its zip reader nor its unpickler sees the file.

The layout is that of torch's serialization notes: ``NAME/data.pkl`` describes the objects, ``NAME/data/0`` … are the
bytes of the tensors, stored without compression, ``NAME/byteorder`` says in which order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import LumosXError
from .records import Damaged, Foreign, read_records
from .torch_tensors import StorageReader, TensorMaker, TooLarge, may_mention
from .zip_entries import NotCanonical, OpenArchive, Repacked, Stretch, find_entries

MOST_STEPS = 1 << 19
"""Opcodes of data.pkl; a tensor takes about 45, so this is enough for MOST_TENSORS and something beside them."""

_STEP_BYTES = 8
"""Bytes of data.pkl for each opcode that is allowed; torch writes about 4."""

_LONGEST_NOTE = 64
"""Bytes of ``byteorder``."""


def load_archive(file: OpenArchive, path: Path, mapped: bool = False, most_steps: int = MOST_STEPS) -> object:
    """What was saved, with its tensors on the CPU.

    Args:
        file: the archive, open for reading, beginning at 0; its own bytes are read unless it is mapped.
        path: of the file, for messages and for mapping.
        mapped: map the tensors from ``path`` instead of reading them; writing to them does not touch the file.
        most_steps: opcodes of the description of what was saved; half a million take about half a second.

    Returns:
        Plain containers, numbers, text and dense tensors, which are views of what is stored and need no gradients. Of
        other objects that torch allows, such as a device, inert records.

    Raises:
        LumosXError: damaged, ambiguous, compressed, big-endian, larger than any model needs, or asking for anything
            else than dense tensors in plain containers.
    """
    try:
        entries = _entries_in_folder(find_entries(file), path)
        table, largest = entries["data.pkl"], most_steps * _STEP_BYTES
        if table.size > largest:
            raise LumosXError(f"{path}: its table of contents is larger than any model needs; get it again.")
        order = entries.get("byteorder")
        if order is not None and _read(file, order, _LONGEST_NOTE) != b"little":
            raise LumosXError(
                f"{path}: it was saved on a big-endian machine; save it again as safetensors with a current torch."
            )
        maker = TensorMaker(entries, StorageReader(file, path, mapped))
        return read_records(_read(file, table, largest), may_mention, maker.make, most_steps)
    except Foreign as error:
        raise LumosXError(
            f"{path}: loading it would run {str(error)[:60]!r}, which plain weights never need; take the safetensors "
            "version of it."
        ) from error
    except TooLarge as error:
        raise LumosXError(
            f"{path}: {error} bytes, more than there are in the file; it is damaged, get it again."
        ) from error
    except Repacked as error:
        raise LumosXError(f"{path}: it was packed by another program; save it again with torch.") from error
    except (NotCanonical, Damaged) as error:
        raise LumosXError(f"{path}: its archive is damaged; get it again.") from error


def _entries_in_folder(listed: Mapping[str, Stretch], path: Path) -> dict[str, Stretch]:
    """The entries by their name inside the archive's one folder."""
    folder = next(iter(listed), "").partition("/")[0]
    entries = {name.removeprefix(f"{folder}/"): stretch for name, stretch in listed.items()}
    if "constants.pkl" in entries:
        raise LumosXError(f"{path}: it is a TorchScript program; take the safetensors version of it.")
    if "data.pkl" not in entries:
        raise LumosXError(f"{path}: it is a zip archive, but not one of torch's; unpack it and give the file inside.")
    if not all(name.startswith(f"{folder}/") for name in listed):
        raise LumosXError(f"{path}: it was packed by another program; save it again with torch.")
    return entries


def _read(file: OpenArchive, stretch: Stretch, most: int) -> bytes:
    file.seek(stretch.start)
    return file.read(min(stretch.size, most))
