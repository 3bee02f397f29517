"""Formats that store scales beside a weight, in the layouts of ComfyUI's own quantisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .encode import encode_fp8
from .kitchen import encode_int8, encode_nvfp4
from .nvfp4 import scale_shape
from .precision import FP8, FP8_KIND, INT8, NVFP4, SCALED_KINDS, Stored
from .quantised import FP8_FORMATS, INT8_FORMAT, NVFP4_FORMAT, SCALE, SCALE_OF_ALL

_Encoder = Callable[[torch.Tensor, str, Callable[[int], None]], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class ScaledFormat:
    """How one such format stores the weight of a layer.

    Attributes:
        name: ComfyUI's name of it.
        encode: from plain numbers to the weight and its scales, see ``encode.encode_fp8``.
    """

    name: str
    encode: _Encoder


SCALED = {
    FP8: ScaledFormat(FP8_FORMATS[FP8_KIND], encode_fp8),
    INT8: ScaledFormat(INT8_FORMAT, encode_int8),
    NVFP4: ScaledFormat(NVFP4_FORMAT, encode_nvfp4),
}
"""By the names in ``precision.FORMATS``."""


def stored_tensors(to: str, name: str, shape: tuple[int, ...]) -> tuple[Stored, ...]:
    """The weight of a layer and its scales, in the order in which ``encode`` returns them.

    Args:
        to: a key of SCALED.
        name: of the weight.
        shape: of the weight, as plain numbers: rows and columns.
    """
    (rows, columns), layer = shape, name.removesuffix("weight")
    kind, scale = SCALED_KINDS[to], f"{layer}{SCALE}"
    if to == FP8:
        return Stored(name, kind, shape), Stored(scale, "F32", ())
    if to == INT8:
        return Stored(name, kind, shape), Stored(scale, "F32", (rows, 1))
    return (
        Stored(name, kind, (rows, columns // 2)), Stored(scale, FP8_KIND, scale_shape(rows, columns)),
        Stored(f"{layer}{SCALE_OF_ALL}", "F32", ()),
    )
