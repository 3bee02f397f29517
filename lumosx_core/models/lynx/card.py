"""Identity cards: a person in one small safetensors file, to be used later without face models or resampler.

With keys and values in it (13 MB for lite, 39 MB for full, below 1 MB without) the ID layers are not needed either.
Cards come from strangers: every size is looked at before anything is read, and nothing in them is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from ...errors import LumosXError, shown
from ...files import write_aside
from ...weights.checksum import WeightsDigest, tensor_bytes
from ...weights.opening import open_weights
from ...weights.safetensors_file import SafetensorsFile
from ...weights.source import TORCH_KINDS, TensorInfo
from ..wan.config import UMT5, WAN21_LATENT
from .attention import KeysValues
from .identity import Identity, ReferenceInputs
from .sizes import AdapterKind

CARD = "lumosx.lynx_card"
"""Metadata that only cards have: the version of their layout."""
VERSION = "1"
LARGEST_CARD = 1 << 27
"""Bytes."""

_FACTS, _CHECKSUM = "lumosx.lynx_facts", "lumosx.sha256"
_LONGEST_NAME, _MOST_FACTS = 200, 1 << 16
_KINDS = {kind: name for name, kind in TORCH_KINDS.items()}
_FLOATS, _HALVES = ("F32",), ("F16", "BF16")
# Name to kinds and to the largest allowed size of each side.
_LIMITS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "tokens": (_FLOATS, (2, 64, 8192)), "preview": (("U8",), (512, 512, 3)),
    "latents": (_FLOATS, (2, WAN21_LATENT.channels, 1, 128, 128)), "text": (_FLOATS, (UMT5.length, 8192)),
    "keys": (_HALVES, (128, 192, 8192)), "values": (_HALVES, (128, 192, 8192)),
}
# Smallest sizes where a side cannot vary.
_FIXED = {"tokens": (2, 1, 1), "preview": (1, 1, 3), "latents": (2, WAN21_LATENT.channels, 1, 1, 1)}
_REQUIRED, _TOGETHER = {"tokens", "preview"}, ({"latents", "text"}, {"keys", "values"})
_PARTS = ("resampler", "id_layers", "ref_layers")


@dataclass(frozen=True)
class _Facts:
    """What a card says in its metadata, checked."""

    kind: AdapterKind
    name: str
    blocks: tuple[int, ...]
    text_tokens: int
    made_with: Mapping[str, str]

    def as_json(self) -> str:
        return json.dumps(
            {"kind": self.kind, "name": self.name, "blocks": self.blocks, "text_tokens": self.text_tokens,
             "made_with": dict(self.made_with)}, sort_keys=True,
        )


def write_card(path: Path, identity: Identity) -> None:
    """Write a card, whole or not at all; one that is there already is replaced.

    Keys and values are stored in float16, or in bfloat16 where a number is too large for that.

    Raises:
        LumosXError: the disk is full, the file may not be written, or something in the identity is larger than on any
            card.
    """
    tensors, facts = _contents(identity)
    problem = _misfit(tensors, facts)
    text = facts.as_json()
    data = b"" if problem else save(tensors, {CARD: VERSION, _FACTS: text, _CHECKSUM: _checksum(tensors, text)})
    if problem or len(data) > LARGEST_CARD:
        raise LumosXError(
            f"identity: it does not fit on an identity card ({problem or f'{len(data)} bytes'}); make it from a "
            "picture and with adapters of the usual sizes."
        )
    try:
        write_aside(path, data)
    except OSError as error:
        raise LumosXError(
            f"{path}: the identity card cannot be written ({error.strerror or error}); choose another folder or make "
            "room on the disk."
        ) from error


def read_card(path: Path) -> Identity:
    """Read a card; the file may be deleted or replaced afterwards.

    Raises:
        LumosXError: it is no card, is damaged or was changed, or holds more than a card may.
    """
    with open_weights(path) as source:
        version = source.metadata.get(CARD)
        if not isinstance(source, SafetensorsFile) or version is None:
            raise LumosXError(f"{path}: it is no identity card of Lynx; choose one that LumosX saved.")
        if version != VERSION:
            raise LumosXError(
                f"{path}: it is an identity card of version {shown(version)[:20]!r}, but this LumosX reads {VERSION}; "
                "update LumosX."
            )
        if path.stat().st_size > LARGEST_CARD:
            raise LumosXError(f"{path}: it is larger than any identity card ({LARGEST_CARD >> 20} MB); get it again.")
        text = source.metadata.get(_FACTS, "")
        facts = _parse_facts(path, text)
        problem = _misfit_of_shapes(source.tensors)
        if problem:
            raise _damaged(path, problem)
        tensors = {name: source.read(name).clone() for name in source.tensors}
    problem = _misfit(tensors, facts)
    if problem or _checksum(tensors, text) != source.metadata.get(_CHECKSUM):
        raise _damaged(path, problem or "its checksum does not fit")
    return _identity(path, facts, tensors)


def _contents(identity: Identity) -> tuple[dict[str, torch.Tensor], _Facts]:
    """What goes on a card."""
    reference, queries = identity.reference, identity.tokens.shape[1]
    tensors = {"tokens": identity.tokens.float(), "preview": identity.preview}
    if reference is not None:
        tensors |= {"latents": reference.latents.float(), "text": reference.text.float()}
    if identity.projected is not None:
        pairs = identity.projected.values()
        tensors["keys"] = _halved(torch.stack([_without_repeats(pair.keys, queries) for pair in pairs]))
        tensors["values"] = _halved(torch.stack([_without_repeats(pair.values, queries) for pair in pairs]))
    facts = _Facts(
        identity.kind, identity.name, tuple(identity.projected or ()), reference.text_tokens if reference else 0,
        identity.made_with,
    )
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, facts


def _misfit(tensors: Mapping[str, torch.Tensor], facts: _Facts) -> str | None:
    """What no card holds, as words for a message; None if all is well."""
    infos = {name: TensorInfo(_KINDS[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()}
    problem = _misfit_of_shapes(infos) or _misfit_of_facts(facts)
    if problem is None and not all(tensor.isfinite().all() for tensor in tensors.values()):
        return "it holds numbers that are not finite"
    return problem


def _misfit_of_shapes(infos: Mapping[str, TensorInfo]) -> str | None:
    held = set(infos)
    if _REQUIRED - held or held - set(_LIMITS) or any(0 < len(held & pair) < len(pair) for pair in _TOGETHER):
        return f"it holds {', '.join(sorted(shown(name)[:40] for name in held)[:8]) or 'nothing'}"
    for name, info in infos.items():
        kinds, most = _LIMITS[name]
        least = _FIXED.get(name, (0 if name == "text" else 1,) + (1,) * (len(most) - 1))
        fits = len(info.shape) == len(most) and all(a <= side <= b for a, side, b in zip(least, info.shape, most))
        if info.kind not in kinds or not fits:
            return f"{name} is {info.kind} of the shape {list(info.shape)}"
    return None


def _misfit_of_facts(facts: _Facts) -> str | None:
    if not isinstance(facts.name, str) or len(facts.name) > _LONGEST_NAME:
        return f"its name is longer than {_LONGEST_NAME} letters"
    numbers = (*facts.blocks, facts.text_tokens)
    right = (
        facts.kind in ("full", "lite")
        and all(type(number) is int and 0 <= number <= 512 for number in numbers)
        and sorted(set(facts.blocks)) == list(facts.blocks)
        and set(facts.made_with) <= set(_PARTS)
        and all(isinstance(digits, str) and len(digits) <= 64 for digits in facts.made_with.values())
    )
    return None if right else "what it says of itself does not fit a card"


def _parse_facts(path: Path, text: str) -> _Facts:
    try:
        if len(text) > _MOST_FACTS:
            raise ValueError("too long")
        said = json.loads(text)
        return _Facts(said["kind"], said["name"], tuple(said["blocks"]), said["text_tokens"], dict(said["made_with"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"what it says of itself cannot be read ({type(error).__name__})") from error


def _identity(path: Path, facts: _Facts, tensors: Mapping[str, torch.Tensor]) -> Identity:
    queries = tensors["tokens"].shape[1]
    reference = projected = None
    if "latents" in tensors:
        if len(tensors["text"]) > facts.text_tokens:
            raise _damaged(path, "its text is longer than it says")
        reference = ReferenceInputs(tensors["latents"], tensors["text"], facts.text_tokens)
    if "keys" in tensors:
        keys, values = tensors["keys"], tensors["values"]
        if keys.shape != values.shape or len(keys) != len(facts.blocks) or keys.shape[1] < 2 * queries:
            raise _damaged(path, "its keys and values do not fit its tokens and blocks")
        projected = {
            block: KeysValues(_with_repeats(keys[place], queries), _with_repeats(values[place], queries))
            for place, block in enumerate(facts.blocks)
        }
    return Identity(
        facts.kind, tensors["tokens"], tensors["preview"], facts.name, reference, projected, facts.made_with
    )


def _without_repeats(pair: torch.Tensor, queries: int) -> torch.Tensor:
    """[2, queries + registers, width] as [2 * queries + registers, width]: both rows end in the same registers."""
    return torch.cat([pair[0, :queries], pair[1, :queries], pair[0, queries:]])


def _with_repeats(rows: torch.Tensor, queries: int) -> torch.Tensor:
    person, nobody, registers = rows.tensor_split([queries, 2 * queries])
    return torch.stack([torch.cat([person, registers]), torch.cat([nobody, registers])])


def _halved(numbers: torch.Tensor) -> torch.Tensor:
    half = numbers.half()
    return half if half.isfinite().all() else numbers.bfloat16()


def _checksum(tensors: Mapping[str, torch.Tensor], facts: str) -> str:
    digest = WeightsDigest()
    digest.add("facts", "text", (), memoryview(facts.encode()))
    for name, tensor in tensors.items():
        digest.add(name, _KINDS[tensor.dtype], tuple(tensor.shape), tensor_bytes(tensor))
    return digest.hexdigest()


def _damaged(path: Path, reason: str) -> LumosXError:
    return LumosXError(f"{path}: the identity card is damaged or was changed ({reason}); get it again.")
