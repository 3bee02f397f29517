"""The sizes and the settings of an adapter, and those of one run."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import LumosXError
from ..hunyuan.config import HunyuanConfig

INJECT_ROPES = ("none", "spatial", "full")
INJECT_NORMS = ("plain", "gated")
VEC_MODES = ("video", "zero")
TEMPLATES = ("hunyuancustom",)
CFG_MODES = ("keep", "white")
MOST_LAYERS = 64
"""Double-stream blocks of an adapter's base; HunyuanVideo has 20."""
MOST_RANK = 1024
CHOICES = {
    "inject_rope": INJECT_ROPES, "inject_norm": INJECT_NORMS, "vec_mode": VEC_MODES, "template": TEMPLATES,
    "cfg_mode": CFG_MODES,
}
"""The settings that are words, and which they may be."""


@dataclass(frozen=True)
class AdapterConfig:
    """The sizes of an adapter, and what its weights were trained for.

    Attributes:
        hidden_size, mlp_size: widths of the base model.
        layers: the double blocks that the adapter has weights for, ascending.
        rank: inner width of every LoRA that a new adapter gets; an adapter from a file may have others.
        alpha: LoRAs are scaled by alpha / rank; None scales by 1.
        inject_rope: rotation of queries and keys in the injection: ``none``; ``spatial``, rows and columns;
            ``full``, time as well.
        inject_norm: ``plain``, or ``gated`` with the block's gates and an inner residual.
        vec_mode: what modulates subject tokens: ``video``, the same as the video's; ``zero``, the vector at timestep 0.
        template: how the prompt for the text encoder is put together, see ``template``.
        image_grid: rows and columns of the text encoder's tokens of a picture.
        ref_size: pixels of a side of the square that a subject's picture is fitted into for the VAE.
        cfg_mode: the subjects' pictures of the negative branch: ``keep`` the same, or ``white``.
    """

    hidden_size: int = HunyuanConfig.hidden_size
    mlp_size: int = HunyuanConfig().mlp_size
    layers: tuple[int, ...] = tuple(range(HunyuanConfig.depth))
    rank: int = 64
    alpha: float | None = 64.0
    inject_rope: str = "none"
    inject_norm: str = "plain"
    vec_mode: str = "video"
    template: str = "hunyuancustom"
    image_grid: tuple[int, int] = (24, 24)
    ref_size: int = 384
    cfg_mode: str = "keep"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise LumosXError(
                    f"{name}: {getattr(self, name)[:80]!r} is not supported; it must be one of {', '.join(allowed)}."
                )
        if not 1 <= self.rank <= MOST_RANK:
            raise LumosXError(f"rank: {self.rank} is out of range; it must be from 1 to {MOST_RANK}.")
        if not self.layers or list(self.layers) != sorted(set(self.layers)):
            raise LumosXError("layers: an adapter needs at least one layer, each once and in ascending order.")
        if self.layers[0] < 0 or self.layers[-1] >= MOST_LAYERS:
            raise LumosXError(f"layers: {self.layers[-1]} is out of range; layers go from 0 to {MOST_LAYERS - 1}.")

    @classmethod
    def for_base(cls, base: HunyuanConfig, rank: int, alpha: float | None = None, **settings) -> AdapterConfig:
        """An adapter in every double block of a base; without ``alpha`` it equals the rank."""
        return cls(
            base.hidden_size, base.mlp_size, tuple(range(base.depth)), rank, float(rank) if alpha is None else alpha,
            **settings,
        )

    def check_fits(self, base: HunyuanConfig) -> None:
        """Refuse a base model of other sizes.

        Raises:
            LumosXError: widths differ, or the adapter has weights for blocks that the base lacks.
        """
        sizes, needed = (base.hidden_size, base.mlp_size), (self.hidden_size, self.mlp_size)
        if sizes != needed:
            raise LumosXError(
                f"model: its blocks are {sizes[0]} wide ({sizes[1]} in the feed-forward), but the PolyVivid adapter is "
                f"for {needed[0]} ({needed[1]}); load the HunyuanVideo model that the adapter was trained on."
            )
        if self.layers[-1] >= base.depth:
            raise LumosXError(
                f"model: it has {base.depth} double blocks, but the PolyVivid adapter has weights for block "
                f"{self.layers[-1]}; load the HunyuanVideo model that the adapter was trained on."
            )


@dataclass(frozen=True)
class RunOptions:
    """What a user chooses for one run.

    Attributes:
        strength: factor of the injection; 0 leaves it out. The interaction (module A) is not scaled.
        layers: the layers in which the adapter works; None for all that it has weights for.
        fractional: whether subject grids of another size than their 24x24 text grid are laid over it.
        chunk_tokens: video tokens that go through the injection at a time; 0 is all of them.
        interaction: whether text and pictures attend to each other (module A); only ablations turn it off.
        rotary: whether the interaction rotates its tokens by their 3D positions; only ablations turn it off.
    """

    strength: float = 1.0
    layers: frozenset[int] | None = None
    fractional: bool = False
    chunk_tokens: int = 8192
    interaction: bool = True
    rotary: bool = True
