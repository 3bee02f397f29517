"""Which tensor is stored how: the one place that decides it.

Only the two-dimensional weights inside ``blocks.`` are reduced: nearly all parameters are there. What everything passes
through (patch, text and time embeddings, the time projection, the head) and all norms, biases and modulations are kept:
as BF16 beside scaled fp8; in a GGUF as city96's converter and loader have it, that is as F32 with one dimension or
five, up to 1024 numbers, or the name ``modulation``, and otherwise as BF16, or as F16 if the source is neither BF16 nor
F32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..errors import LumosXError
from .blocks import block_sizes
from .source import TORCH_KINDS, TensorInfo

PLAIN = {"f32": "F32", "f16": "F16", "bf16": "BF16"}
FP8 = "fp8_scaled"
BLOCKS = {"q8_0": "Q8_0", "q5_1": "Q5_1", "q5_0": "Q5_0", "q4_1": "Q4_1", "q4_0": "Q4_0"}
INT8, NVFP4 = "int8", "nvfp4"
FORMATS = (*PLAIN, FP8, *BLOCKS, INT8, NVFP4)
"""What can be made: the block types are those that the gguf package can quantise. Saved workflows hold these: only
append."""
FP8_KIND = "F8_E4M3"
SCALED_KINDS = {FP8: FP8_KIND, INT8: "I8", NVFP4: "U8"}
"""The kind of a weight that has scales beside it, by format."""
NVFP4_BLOCK = 16
"""Numbers of a row that share a scale. ComfyUI would pad rows and columns to whole multiples of it."""
_SMALL = 1024


@dataclass(frozen=True)
class Stored:
    """How one tensor goes into a file.

    Attributes:
        name: in the file.
        kind: a key of TORCH_KINDS, or a block type.
        shape: the logical shape.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes without padding."""
        numbers = math.prod(self.shape)
        if self.kind in TORCH_KINDS:
            return numbers * TORCH_KINDS[self.kind].itemsize
        block, block_bytes = block_sizes(self.kind)
        return numbers // block * block_bytes


def ending(to: str) -> str:
    """The file ending of a format.

    Raises:
        LumosXError: no such format can be made.
    """
    if to not in FORMATS:
        raise LumosXError(f"to: {to} cannot be made; choose one of {', '.join(FORMATS)}.")
    return ".gguf" if to in BLOCKS else ".safetensors"


def choose_kind(name: str, info: TensorInfo, to: str) -> str:
    """The kind in which a tensor of the transformer is stored.

    Args:
        name: Wan's own, without prefix.
        info: of the source.
        to: one of FORMATS.
    """
    if to in PLAIN:
        return PLAIN[to]
    if to in SCALED_KINDS:
        fits = to != NVFP4 or not any(size % NVFP4_BLOCK for size in info.shape)
        return SCALED_KINDS[to] if is_reduced(name, info) and fits else "BF16"
    if is_reduced(name, info):
        return "F16" if info.shape[-1] % block_sizes(BLOCKS[to])[0] else BLOCKS[to]
    if len(info.shape) in (1, 5) or name.endswith(".modulation") or math.prod(info.shape) <= _SMALL:
        return "F32"
    return "BF16" if info.kind in ("BF16", "F32") else "F16"


def is_reduced(name: str, info: TensorInfo) -> bool:
    """Whether a tensor is one of those that are stored in fewer bits."""
    return name.startswith("blocks.") and name.endswith(".weight") and len(info.shape) == 2


def largest_number(kind: str) -> float:
    """The largest magnitude that a kind holds; the scales of fp8 reach everything, those of blocks are float16."""
    if kind == FP8_KIND:
        return torch.finfo(torch.float32).max
    return torch.finfo(TORCH_KINDS.get(kind, torch.float16)).max
