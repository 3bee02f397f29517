"""Lynx's adapters folded into keys and values for one MODEL: made when a run first needs them, kept for the next."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import comfy.model_management
import torch
from comfy.ldm.flux.math import apply_rope1
from comfy.ldm.modules.attention import attention_pytorch

from ...models.lynx.adapters import ID_LAYERS, REF_LAYERS, LynxPerson
from ...models.lynx.attention import KeysValues
from ...models.lynx.folding import Norm, fold_identities, fold_references
from ...models.lynx.identity import ReferenceInputs, projected_identity
from ...models.lynx.reference import reference_features
from ...models.wan.module import WanModule

MOST_KEPT = 2
"""Kept of each adapter at once: Wan2.2 has two models, and a run with a LoRA and one without may take turns."""
_KEPT = "folds"
_WORDS = {ID_LAYERS: "ID layers", REF_LAYERS: "reference layers"}
_log = logging.getLogger("LumosX")


class HostWan(WanModule, Protocol):
    """ComfyUI's WanModel, or one derived from it."""

    def rope_encode(
        self, t: int, h: int, w: int, /, *, device: torch.device, dtype: torch.dtype
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class Folded:
    """Keys and values of one adapter, on the CPU.

    Attributes:
        rows: which of ``PERSON`` and ``NOBODY`` they hold, in order.
        pairs: block to [rows, tokens, width]; all blocks that have the adapter.
    """

    rows: tuple[int, ...]
    pairs: Mapping[int, KeysValues]

    @property
    def nbytes(self) -> int:
        """Of all keys and values."""
        return sum(tensor.nbytes for pair in self.pairs.values() for tensor in (pair.keys, pair.values))


class Folds:
    """What one person becomes on each MODEL; it lives as long as the person.

    Args:
        person: whose tokens and reference are folded.
    """

    def __init__(self, person: LynxPerson) -> None:
        self._identity, self._adapters = person.identity, person.adapters
        self._kept: dict[str, list[tuple[object, weakref.ref[HostWan], Folded]]] = {ID_LAYERS: [], REF_LAYERS: []}

    @classmethod
    def of(cls, person: LynxPerson) -> Folds:
        """Those of a person, so that another scale, mask or choice of blocks makes nothing anew."""
        return person.kept.setdefault(_KEPT, cls(person))

    def find(self, part: str, model: HostWan, key: object, rows: Iterable[int], like: torch.Tensor) -> Folded:
        """Keys and values for a forward.

        Args:
            part: ``ID_LAYERS`` or ``REF_LAYERS``.
            model: the diffusion model, its weights ready to run.
            key: changes whenever its weights do.
            rows: of ``PERSON`` and ``NOBODY``.
            like: a tensor of the device and dtype to compute on and in.

        Raises:
            LumosXError: an adapter's file is gone, damaged or was changed.
        """
        key, rows = (key, like.dtype), tuple(sorted(set(rows)))
        kept = [one for one in self._kept[part] if one[1]() is not None]
        for known, owner, folded in kept:
            if known == key and owner() is model and set(rows) <= set(folded.rows):
                return folded
        others = [one for one in kept if one[0] != key or one[1]() is not model]
        # Released before the new ones are made, or more would be held for a while.
        self._kept[part] = others[-(MOST_KEPT - 1):]
        fold = self._fold_ids if part == ID_LAYERS else self._fold_refs
        folded = Folded(rows, fold(model, rows, like))
        self._kept[part].append((key, weakref.ref(model), folded))
        _log.info(
            "LumosX: Lynx turned its %s into %.0f MB of keys and values; later runs reuse them.", _WORDS[part],
            folded.nbytes / 1e6,
        )
        return folded

    def _fold_ids(self, model: HostWan, rows: tuple[int, ...], like: torch.Tensor) -> dict[int, KeysValues]:
        identity, adapters = self._identity, self._adapters
        with ExitStack() as files:
            needed = identity.projected is None and ID_LAYERS in adapters
            reader = files.enter_context(adapters.reader(ID_LAYERS)) if needed else None
            projected = (
                (block, pair.of_rows(torch.tensor(rows)))
                for block, pair in projected_identity(identity, reader, like.device, like.dtype)
            )
            return fold_identities(identity.kind, projected, _norms(model, "cross_attn"), "cpu")

    def _fold_refs(self, model: HostWan, rows: tuple[int, ...], like: torch.Tensor) -> dict[int, KeysValues]:
        reference = self._identity.reference
        if reference is None:
            raise ValueError("nobody without a reference picture has reference layers")
        with self._adapters.reader(REF_LAYERS) as reader:
            features = _features(model, reference, rows, like)
            norms = _norms(model, "self_attn")
            return fold_references(reader, features, norms, dtype=like.dtype, keep_on="cpu")


def _norms(model: HostWan, layer: str) -> list[Norm]:
    """Each block's norm of the keys in a layer."""
    return [getattr(getattr(block, "_orig_mod", block), layer).norm_k for block in model.blocks]


def _features(model: HostWan, reference: ReferenceInputs, rows: tuple[int, ...], like: torch.Tensor):
    """The reference pass of some rows, block by block; see ``reference_features``."""
    latents = reference.latents[list(rows)].to(like)
    heads = getattr(model.blocks[0], "_orig_mod", model.blocks[0]).self_attn.num_heads
    freqs = model.rope_encode(*latents.shape[2:], device=like.device, dtype=like.dtype)

    def rotate(x: torch.Tensor) -> torch.Tensor:
        return apply_rope1(x.unflatten(-1, (heads, -1)), freqs).flatten(2)

    for features in reference_features(model, latents, reference.padded_text().to(like), rotate, attention_pytorch):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield features
