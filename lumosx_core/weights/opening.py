"""Open any kind of weight file or folder by what is in it."""

from __future__ import annotations

from pathlib import Path

from ..errors import LumosXError
from .checkpoint_folder import CheckpointFolder
from .checkpoint_index import METADATA
from .file_names import first_parts, part_files, part_named
from .gguf_package import require_gguf
from .safetensors_file import INDEX_ENDING, SafetensorsFile
from .source import WeightSource
from .split_file import SplitFile
from .torch_file import TorchFile

READABLE = "safetensors, GGUF, torch's .pt and .pth, or a folder of torch.distributed.checkpoint"
_GGUF = b"GGUF"
_HEAD = 512
_LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, as its format allows; those that we read are shorter still."""

_OTHERS = (
    (b"version https://git-lfs", "it is a Git LFS pointer, not the file itself; fetch it with git lfs pull"),
    (b"<!doctype html", "it is a web page, not the file itself; use the page's download link"),
    (b"<html", "it is a web page, not the file itself; use the page's download link"),
    (b"<?xml", "it is a server's message, not the file itself; download it again"),
    (b"\x1f\x8b", "it is packed with gzip; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "it is packed with 7-Zip; unpack it first"),
    (b"rar!\x1a\x07", "it is packed with RAR; unpack it first"),
)
"""How other contents begin, in lower case, and what to say of them."""


def open_weights(path: Path) -> WeightSource:
    """Open a weight file, the index of a sharded one, or a checkpoint folder.

    Args:
        path: a safetensors, GGUF or torch file under any name; any part of a model whose parts are named
            ``…-00001-of-00003.…`` and lie side by side; a ``*.safetensors.index.json``; a folder that holds one such
            index or the parts of one such model; or a folder of torch.distributed.checkpoint, or that whose subfolder
            ``all`` is one.

    Raises:
        LumosXError: there is nothing at ``path``, or nothing that can be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _open_folder(path)
        if not path.is_file():
            raise LumosXError(f"{path}: there is no such file or folder; choose another or download it first.")
        paths = part_files(path)
        return _open_file(path) if len(paths) == 1 else SplitFile(paths, _open_file)
    except OSError as error:
        raise LumosXError(f"{path}: cannot be read ({error.strerror}); check its permissions and the disk.") from error


def checkpoint_place(path: Path) -> Path | None:
    """The folder itself or its subfolder ``all``, whichever is a checkpoint; None if neither is."""
    return next((folder for folder in (path, path / "all") if (folder / METADATA).is_file()), None)


def _open_folder(path: Path) -> WeightSource:
    checkpoint = checkpoint_place(path)
    if checkpoint is not None:
        return CheckpointFolder(checkpoint)
    for folder in (path, path / "all"):
        if any(folder.glob("*.distcp")):
            raise LumosXError(f"{folder}: its file {METADATA} is missing; get the whole folder, including hidden "
                "files.")
    indexes = sorted(path.glob(f"*{INDEX_ENDING}"))
    if len(indexes) == 1:
        return SafetensorsFile(indexes[0])
    if indexes:
        raise LumosXError(f"{path}: it holds {len(indexes)} models; give the *{INDEX_ENDING} of one of them.")
    parts = first_parts(file.name for file in path.iterdir() if part_named(file.name) is not None)
    if len(parts) == 1:
        return SplitFile(part_files(path / parts[0]), _open_file)
    if parts:
        raise LumosXError(f"{path}: it holds {len(parts)} models in parts; give the first part of one of them.")
    raise LumosXError(
        f"{path}: this folder holds neither a checkpoint's {METADATA} nor a *{INDEX_ENDING} nor the parts of "
        "a model; give the weight file."
    )


def _open_file(path: Path) -> WeightSource:
    if path.name.endswith(".distcp") or path.name == METADATA:
        raise LumosXError(f"{path}: it is one part of a checkpoint folder; give the folder {path.parent} instead.")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise LumosXError(f"{path}: it is empty; download it again.")
    if head.startswith(_GGUF):
        return _open_gguf(path)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return TorchFile(path)
    if path.name.endswith(INDEX_ENDING) or _is_safetensors(head):
        return SafetensorsFile(path)
    raise LumosXError(f"{path}: {_describe(head)}.")


def _open_gguf(path: Path) -> WeightSource:
    require_gguf()
    from .gguf_file import GGUFFile

    return GGUFFile(path)


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER


def _describe(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, problem in _OTHERS:
        if text.startswith(beginning):
            return problem
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return "it is a file of torch before 1.6 or a bare Python object; save it again with a current torch"
    return f"it is not a weight file, or its beginning is damaged; LumosX reads {READABLE}"
