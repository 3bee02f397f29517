"""Lynx's adapters folded into keys and values for one MODEL: made when a run first needs them, kept for the next."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import comfy.model_management
import torch
from comfy.ldm.flux.math import apply_rope1
from comfy.ldm.modules.attention import attention_pytorch
from torch import nn

from ...models.lynx.adapters import ID_LAYERS, REF_LAYERS, Person
from ...models.lynx.attention import KeysValues
from ...models.lynx.folding import fold_identities, fold_references
from ...models.lynx.identity import Reference, projected_identity
from ...models.lynx.reference import reference_features

MOST_KEPT = 2
"""Kept at once: a run with a LoRA and one without do not take turns in making them anew."""


@dataclass(frozen=True)
class Folded:
    """Keys and values of both adapters, on the CPU.

    Attributes:
        rows: which of ``PERSON`` and ``NOBODY`` they hold, in order.
        ids, refs: block to [rows, tokens, width]; without the blocks that have no adapter.
    """

    rows: tuple[int, ...]
    ids: Mapping[int, KeysValues]
    refs: Mapping[int, KeysValues]

    @property
    def nbytes(self) -> int:
        """Of all keys and values."""
        pairs = [*self.ids.values(), *self.refs.values()]
        return sum(tensor.nbytes for pair in pairs for tensor in (pair.keys, pair.values))


class Folds:
    """What one person becomes on one MODEL.

    Args:
        person: whose tokens and reference are folded.
        id_blocks, ref_blocks: blocks that have the adapter.
    """

    def __init__(self, person: Person, id_blocks: frozenset[int], ref_blocks: frozenset[int]) -> None:
        self.person = person
        self.id_blocks, self.ref_blocks = id_blocks, ref_blocks
        self._kept: list[tuple[object, weakref.ref[nn.Module], Folded]] = []

    def find(self, model: nn.Module, key: object, rows: Sequence[int], like: torch.Tensor) -> Folded:
        """Keys and values for a forward.

        Args:
            model: the diffusion model, its weights ready to run.
            key: changes whenever its weights do; None: nothing is kept.
            rows: of ``PERSON`` and ``NOBODY``.
            like: a tensor of the device and dtype to compute on and in.

        Raises:
            LumosXError: an adapter's file is gone, damaged or was changed.
        """
        key = None if key is None else (key, like.dtype)
        kept = [one for one in self._kept if one[1]() is not None]
        for known, owner, folded in kept:
            if key is not None and known == key and owner() is model and set(rows) <= set(folded.rows):
                return folded
        # Before the new ones are made, since both would be held otherwise.
        self._kept = [one for one in kept if one[0] != key or one[1]() is not model][-(MOST_KEPT - 1):]
        folded = self._fold(model, tuple(sorted(set(rows))), like)
        if key is not None:
            self._kept.append((key, weakref.ref(model), folded))
        return folded

    def _fold(self, model: nn.Module, rows: tuple[int, ...], like: torch.Tensor) -> Folded:
        blocks = [getattr(block, "_orig_mod", block) for block in model.blocks]
        return Folded(rows, self._fold_ids(blocks, rows, like), self._fold_refs(model, blocks, rows, like))

    def _fold_ids(
        self, blocks: Sequence[nn.Module], rows: tuple[int, ...], like: torch.Tensor
    ) -> dict[int, KeysValues]:
        identity, adapters = self.person.identity, self.person.adapters
        if not self.id_blocks:
            return {}
        with ExitStack() as files:
            needed = identity.projected is None and ID_LAYERS in adapters
            reader = files.enter_context(adapters.reader(ID_LAYERS)) if needed else None
            chosen = (
                (block, pair.of_rows(torch.tensor(rows)))
                for block, pair in projected_identity(identity, reader, like.device, like.dtype)
                if block in self.id_blocks
            )
            return fold_identities(identity.kind, chosen, [block.cross_attn.norm_k for block in blocks], "cpu")

    def _fold_refs(
        self, model: nn.Module, blocks: Sequence[nn.Module], rows: tuple[int, ...], like: torch.Tensor
    ) -> dict[int, KeysValues]:
        if not self.ref_blocks:
            return {}
        norms = [block.self_attn.norm_k for block in blocks]
        with self.person.adapters.reader(REF_LAYERS) as reader:
            features = _features(model, self.person.identity.reference, rows, like)
            return fold_references(reader, features, norms, self.ref_blocks, like.dtype, "cpu")


def _features(model: nn.Module, reference: Reference, rows: tuple[int, ...], like: torch.Tensor):
    """The reference pass of some rows, block by block; see ``reference_features``."""
    latents = reference.latents[list(rows)].to(like)
    heads = getattr(model.blocks[0], "_orig_mod", model.blocks[0]).self_attn.num_heads
    freqs = model.rope_encode(*latents.shape[2:], device=like.device, dtype=like.dtype)

    def rotate(x: torch.Tensor) -> torch.Tensor:
        return apply_rope1(x.unflatten(-1, (heads, -1)), freqs).flatten(2)

    for features in reference_features(model, latents, reference.padded_text().to(like), rotate, attention_pytorch):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield features
