"""What the names of tensors in Lynx's files stand for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

RESAMPLER_MARKS = ("latents", "proj_in.weight", "layers.0.0.to_kv.weight")
"""Tensors that show a resampler when one prefix stands before all of them."""
ROLES = {
    "to_k_ip": ("ip", "k"), "to_v_ip": ("ip", "v"), "registers": ("ip", "registers"), "to_k_ref": ("ref", "k"),
    "to_v_ref": ("ref", "v"),
}
"""The word of a name that says which tensor of an adapter layer it is: the adapter, and the part of the layer."""


def resampler_prefix(names: Collection[str]) -> str | None:
    """What stands before the names of a resampler, the shortest if there are several; None if there is none."""
    mark, held = RESAMPLER_MARKS[-1], set(names)
    prefixes = sorted((name.removesuffix(mark) for name in held if name.endswith(mark)), key=len)
    return next((one for one in prefixes if all(f"{one}{name}" in held for name in RESAMPLER_MARKS)), None)


def is_lynx(names: Collection[str]) -> bool:
    """Whether a file with these tensors is a part of Lynx, and no transformer or other adapter."""
    if resampler_prefix(names) is not None:
        return True
    # IP-Adapters for other models have layers of the same names, beside what embeds their picture.
    of_images = any(name.startswith("image_proj.") for name in names)
    return not of_images and any(_is_of_layer(name.split(".")) for name in names)


def _is_of_layer(words: Sequence[str]) -> bool:
    """Whether a name stands for a key or a value of an adapter layer, which has a number."""
    places = (place for place, word in enumerate(words) if word in ROLES and word != "registers")
    return any(word.isdecimal() for place in places for word in words[:place])
