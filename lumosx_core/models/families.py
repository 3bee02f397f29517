"""FAMILIES: the families of video transformers that LumosX knows, each with its sizes, its inputs and its adapters.

Weight files are recognised through this tuple, and whatever needs a family's latents, texts or cost finds it here.
docs/architecture.md lists what to write for a new one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from .hunyuan import cost as hunyuan_cost
from .hunyuan.config import HUNYUAN_LATENT, HUNYUAN_MARK, LLAVA, HunyuanConfig
from .latents import LatentSpec
from .lynx.file_names import is_lynx
from .polyvivid.file_names import is_adapter
from .text import TextSpec
from .wan import cost as wan_cost
from .wan.config import MODULATION, UMT5, WAN21_1_3B, WAN21_14B, WAN21_LATENT, WAN22_5B, WanConfig

Shapes = Mapping[str, Sequence[int]]
"""Name to shape of each tensor."""


@dataclass(frozen=True)
class Adapter:
    """A kind of file that is used together with a transformer of a family.

    Attributes:
        what: what such a file is, in words that fit after "it seems to be".
        recognise: whether a file whose tensors have these names is one.
    """

    what: str
    recognise: Callable[[Collection[str]], bool]


@dataclass(frozen=True)
class Family:
    """A family of video transformers.

    Attributes:
        name: of the family.
        mark: the name of a tensor that each of its transformers has, under whatever prefix, and no other family does.
        recognise: the shapes of a transformer's tensors, without their prefix, to what it seems to be, in words.
        variants: tensor names that show a transformer of another kind, and what that is; the first that fits counts.
        config: the class of its sizes, with ``of_module`` and ``of_shapes``.
        latent, text: what its text-to-video models take.
        cost: sizes, video tokens and text tokens to the floating-point operations of one forward.
        adapters: kinds of files that go with it.
    """

    name: str
    mark: str
    recognise: Callable[[Shapes], str]
    variants: tuple[tuple[re.Pattern[str], str], ...]
    config: type[WanConfig] | type[HunyuanConfig]
    latent: LatentSpec
    text: TextSpec
    cost: Callable[..., int]
    adapters: tuple[Adapter, ...] = ()


_WAN_SIZES = {WAN21_1_3B.dim: "Wan2.1-T2V-1.3B", WAN21_14B.dim: "Wan-T2V-14B", WAN22_5B.dim: "Wan2.2-TI2V-5B"}


def _recognise_wan(shapes: Shapes) -> str:
    dim, embedding = _last(shapes, MODULATION), shapes.get("patch_embedding.weight", ())
    if len(embedding) < 2:
        return "part of a Wan transformer"
    if embedding[1] == WAN21_LATENT.channels or dim == WAN22_5B.dim:
        return _WAN_SIZES.get(dim, f"a Wan text-to-video transformer of {dim} channels")
    return f"an image or control variant of Wan ({embedding[1]} input channels, {dim} wide)"


def _recognise_hunyuan(shapes: Shapes) -> str:
    embedding = shapes.get("img_in.proj.weight", ())
    if len(embedding) < 2:
        return "part of a HunyuanVideo transformer"
    if tuple(embedding[1:]) == (HUNYUAN_LATENT.channels, *HUNYUAN_LATENT.patch):
        return "HunyuanVideo"
    return f"an image or other variant of HunyuanVideo ({embedding[1]} input channels, {embedding[0]} wide)"


def _last(shapes: Shapes, name: str) -> int:
    shape = shapes.get(name, ())
    return shape[-1] if shape else 0


WAN = Family(
    name="Wan",
    mark=MODULATION,
    recognise=_recognise_wan,
    variants=tuple((re.compile(pattern), what) for pattern, what in (
        (r"\bvace_(blocks|patch_embedding)\.", "a VACE (control) variant of Wan"),
        (r"\bcasual_audio_encoder\.", "Wan2.2-S2V (sound to video)"),
        (r"\baudio_proj\.", "an audio-driven variant of Wan, such as HuMo"),
        (r"\bface_adapter\.", "Wan2.2-Animate"),
        (r"\bcontrol_adapter\.", "a camera-control variant of Wan"),
        (r"\bpatch_embedding_(mask|pose|global)\.", "a pose or dance variant of Wan"),
        (r"\bref_conv\.", "a Wan Fun variant with a reference image"),
        (r"\bimg_emb\.|\.cross_attn\.k_img\.", "a Wan I2V (image-to-video) model"),
        (r"\bcondition_embedder\.|blocks\.0\.attn1\.to_q\.", "Wan in the naming of diffusers"),
    )),
    config=WanConfig,
    latent=WAN21_LATENT,
    text=UMT5,
    cost=wan_cost.forward_flops,
    adapters=(Adapter("a part of Lynx (resampler or adapter layers for Wan2.1-14B)", is_lynx),),
)
HUNYUAN_VIDEO = Family(
    name="HunyuanVideo",
    mark=HUNYUAN_MARK,
    recognise=_recognise_hunyuan,
    variants=(),
    config=HunyuanConfig,
    latent=HUNYUAN_LATENT,
    text=LLAVA,
    cost=hunyuan_cost.forward_flops,
    adapters=(Adapter("a PolyVivid adapter (for HunyuanVideo)", is_adapter),),
)
FAMILIES = (WAN, HUNYUAN_VIDEO)


def adapter_kind(names: Collection[str]) -> Adapter | None:
    """Which family's adapter a file with tensors of these names is; None if it is none."""
    kinds = (adapter for family in FAMILIES for adapter in family.adapters)
    return next((adapter for adapter in kinds if adapter.recognise(names)), None)
