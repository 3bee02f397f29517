"""A HunyuanVideo from a weight file as a network to train an adapter on."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import LumosXError
from ..models.hunyuan.config import HUNYUAN_LATENT, HunyuanConfig
from ..models.hunyuan.network import HunyuanNetwork
from ..weights.dense import read_dense
from ..weights.opening import open_weights
from ..weights.source import WeightSource

AXES = (16, 56, 56)
"""Of every HunyuanVideo; no tensor shows them."""
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "model.")


def check_hunyuan_file(path: Path) -> HunyuanConfig:
    """Read what a file says of itself, and no weights.

    Raises:
        LumosXError: it is not there, or holds no HunyuanVideo text-to-video model in plain numbers.
    """
    with open_weights(path) as source:
        return _sizes(source, path)[0]


def read_hunyuan(path: Path, dtype: torch.dtype) -> HunyuanNetwork:
    """The network of a weight file, on the CPU and frozen.

    Raises:
        LumosXError: as ``check_hunyuan_file``, or the file is damaged.
    """
    with open_weights(path) as source:
        config, names = _sizes(source, path)
        # Copies, since what is read may be mapped from a file that is closed here.
        weights = {name: read_dense(source, stored).to(dtype, copy=True) for name, stored in names.items()}
    # Of no memory until it is given the weights.
    with torch.device("meta"):
        network = HunyuanNetwork(config)
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False)


def _sizes(source: WeightSource, path: Path) -> tuple[HunyuanConfig, dict[str, str]]:
    """The model's sizes, and the name in the file of each of its tensors."""
    names = {_plain(stored): stored for stored in source.tensors}
    shapes = {name: tuple(source.tensors[stored].shape) for name, stored in names.items()}
    advice = "give HunyuanVideo's text-to-video model in bf16, such as hunyuan_video_t2v_720p_bf16.safetensors"
    try:
        config = HunyuanConfig.of_shapes(shapes, AXES)
    except (KeyError, LumosXError, ValueError, IndexError) as error:
        raise LumosXError(f"--base: {path} is not a HunyuanVideo in ComfyUI's naming; {advice}.") from error
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in HunyuanNetwork(config).state_dict().items()}
    if config.in_channels != HUNYUAN_LATENT.channels or any(name.endswith("scale_weight") for name in names):
        raise LumosXError(f"--base: {path} is a scaled fp8 file or an image-to-video variant; {advice}.")
    wrong = next((name for name, shape in wanted.items() if shapes.get(name) != shape), None)
    if wrong is not None:
        raise LumosXError(f"--base: {path} has no {wrong} of the shape {list(wanted[wrong])}; {advice}.")
    return config, {name: names[name] for name in wanted}


def _plain(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)
