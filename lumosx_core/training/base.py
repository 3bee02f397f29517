"""A model from any weight file as a network to train on."""

from __future__ import annotations

from pathlib import Path

import torch

from ..models.wan.config import WanConfig
from ..models.wan.network import Network
from ..weights.dense import read_dense
from ..weights.opening import open_weights
from ..weights.quantised import find_quantised_layers
from ..weights.transformer import find_transformer


def check_base_file(path: Path) -> None:
    """Read what a file says of itself, and no weights.

    Raises:
        LumosXError: it is not there, or holds no transformer that LumosX runs.
    """
    with open_weights(path) as source:
        find_quantised_layers(source, find_transformer(source))


def read_base(path: Path, dtype: torch.dtype) -> Network:
    """The network of a weight file: safetensors, GGUF, fp8 or torch's, unpacked to plain numbers on the CPU.

    Args:
        dtype: of all weights but the patch embedding's, which is given float32.

    Raises:
        LumosXError: as ``check_base_file``, or the file is damaged.
    """
    with open_weights(path) as source:
        transformer = find_transformer(source)
        quantised = find_quantised_layers(source, transformer)
        # Copies, since what is read may be mapped from a file that is closed here.
        weights = {
            name: read_dense(source, stored, quantised.get(name)).to(
                torch.float32 if name.startswith("patch_embedding.") else dtype, copy=True
            )
            for name, stored in transformer.items()
        }
    # Of no memory until it is given the weights.
    with torch.device("meta"):
        network = Network(WanConfig.of_shapes({name: weight.shape for name, weight in weights.items()}))
    network.load_state_dict(weights, assign=True)
    return network
