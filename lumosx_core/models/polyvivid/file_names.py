"""What the names of an adapter's tensors in a file stand for (section 10 of the specification)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .adapter import INJECT_OPTIONAL, INJECT_PARTS, INTERACT_OPTIONAL, INTERACT_PARTS

# PEFT and ComfyUI put names of their own in front, and PEFT the name of the adapter behind.
_NAME = re.compile(r"(?:.*\.)?double_blocks\.(\d{1,3})\.(interact|inject)\.(.+)", re.DOTALL)
_LORA = re.compile(r"(.+)\.lora_(down|up|d|u|A|B)(?:\.default)?\.weight")
_SIDES = {"down": "down", "d": "down", "A": "down", "up": "up", "u": "up", "B": "up"}
_PLAIN = {"interact": (), "inject": ("fc.weight", "fc.bias", "alpha")}
_PARTS = {"interact": INTERACT_PARTS + INTERACT_OPTIONAL, "inject": INJECT_PARTS + INJECT_OPTIONAL}
_FUSED = {"interact": ("img_attn.qkv", "txt_attn.qkv"), "inject": ("qkv",)}
OPTIONAL = {"interact": INTERACT_OPTIONAL, "inject": (*INJECT_OPTIONAL, "alpha")}


@dataclass(frozen=True)
class TensorName:
    """What a tensor is.

    Attributes:
        layer: the double block.
        module: ``interact`` or ``inject``.
        part: the layer that a LoRA stands beside (``img_attn.q``, ``mlp.0`` …), or the tensor itself (``fc.weight``).
        side: ``down`` or ``up`` of a LoRA; None for other tensors.
    """

    layer: int
    module: str
    part: str
    side: str | None

    @classmethod
    def of(cls, name: str) -> TensorName | None:
        """What a name in a file stands for; None if it is none of an adapter's."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        layer, module, rest = int(found[1]), found[2], found[3]
        if rest in _PLAIN[module]:
            return cls(layer, module, rest, None)
        lora = _LORA.fullmatch(rest)
        if lora is None or lora[1] not in (*_PARTS[module], *_FUSED[module]):
            return None
        return cls(layer, module, lora[1], _SIDES[lora[2]])

    def __str__(self) -> str:
        """The name in the format that we write."""
        side = "" if self.side is None else f".lora_{self.side}.weight"
        return f"double_blocks.{self.layer}.{self.module}.{self.part}{side}"

    @property
    def separate(self) -> tuple[TensorName, ...]:
        """The names of queries, keys and values for a fused layer; this name alone for every other."""
        if self.part not in _FUSED[self.module]:
            return (self,)
        start = self.part.removesuffix("qkv")
        return tuple(TensorName(self.layer, self.module, f"{start}{one}", self.side) for one in "qkv")


def is_adapter(names) -> bool:
    """Whether a file with these tensors is a PolyVivid adapter."""
    names = list(names)
    return any(".interact." in name for name in names) and any(name.endswith(".inject.fc.weight") for name in names)
