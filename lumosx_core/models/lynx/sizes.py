"""Sizes of Lynx's parts (arXiv 2509.15496), and whether parts fit each other and the transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import LumosXError
from ..wan.config import WanConfig

AdapterKind = Literal["full", "lite", "ref"]
"""``full`` and ``lite`` are ID layers, on text cross-attention; ``ref`` are reference layers, on self-attention."""

HEAD_CHANNELS = 64
"""Channels of an attention head of the resampler; its file does not say."""


@dataclass(frozen=True)
class ResamplerSizes:
    """Sizes of the Perceiver resampler.

    Attributes:
        face_width: numbers of a face embedding; 512.
        width: channels inside; 1280.
        inner_width: channels of all attention heads together; 1280.
        hidden_width: channels inside a feed-forward; 5120.
        heads: 20.
        depth: layers; 4.
        queries: tokens that come out; 16.
        token_width: channels of such a token; 5120 (full) or 2048 (lite).
    """

    face_width: int
    width: int
    inner_width: int
    hidden_width: int
    heads: int
    depth: int
    queries: int
    token_width: int


@dataclass(frozen=True)
class AdapterSizes:
    """Sizes of the ID layers or of the reference layers.

    Attributes:
        kind: which layers they are.
        input_width: channels of what keys and values are made of: 5120 (full, ref) or 2048 (lite).
        width: channels of the transformer, those of ``WAN21_14B``.
        registers: learned tokens behind the identity tokens; 16 (full) or 0.
        blocks: blocks of the transformer that have a layer, in order: all of them, or every second one (lite).
    """

    kind: AdapterKind
    input_width: int
    width: int
    registers: int
    blocks: tuple[int, ...]


def folded_bytes(adapter: AdapterSizes, tokens: int, people: int = 1, itemsize: int = 2) -> int:
    """Bytes of an adapter's keys and values while sampling.

    Args:
        tokens: identity tokens, or reference tokens, see ``WAN21_LATENT.token_grid``.
        people: rows; guidance needs a second one for nobody.
        itemsize: bytes of a number.
    """
    return 2 * len(adapter.blocks) * people * (tokens + adapter.registers) * adapter.width * itemsize


def adapter_flops(adapter: AdapterSizes, video_tokens: int, tokens: int) -> int:
    """Floating-point operations that an adapter adds to one forward of one video; see ``wan.cost.forward_flops``.

    Args:
        video_tokens: queries of each layer.
        tokens: identity tokens, or reference tokens.
    """
    return 4 * len(adapter.blocks) * video_tokens * (tokens + adapter.registers) * adapter.width


def check_pair(resampler: ResamplerSizes, id_layers: AdapterSizes) -> None:
    """Refuse a resampler and ID layers of different kinds.

    Raises:
        LumosXError: the tokens of one are not what the other takes.
    """
    if resampler.token_width != id_layers.input_width:
        raise LumosXError(
            f"lynx: the resampler makes tokens of {resampler.token_width} channels, but the ID layers "
            f"({id_layers.kind}) take {id_layers.input_width}; choose both files from lynx_full or both from lynx_lite."
        )


def check_base(adapter: AdapterSizes, base: WanConfig) -> None:
    """Refuse a transformer for which an adapter was not made.

    Args:
        base: the sizes of the transformer.

    Raises:
        LumosXError: the width differs, or the layers do not lie on its blocks as they should.
    """
    if adapter.width != base.dim:
        raise LumosXError(
            f"model: it is {base.dim} channels wide, but the Lynx {adapter.kind} layers are made for {adapter.width}; "
            "choose a Wan 14B model."
        )
    step = 2 if adapter.kind == "lite" else 1
    if adapter.blocks != tuple(range(0, base.num_layers, step)):
        where = "every second block" if step == 2 else "every block"
        raise LumosXError(
            f"model: it has {base.num_layers} blocks, but the {len(adapter.blocks)} Lynx {adapter.kind} layers lie on "
            f"blocks {adapter.blocks[0]} to {adapter.blocks[-1]} and not on {where}; choose a model and a file that "
            "belong together."
        )
