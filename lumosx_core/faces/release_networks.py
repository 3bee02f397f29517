"""The two PyTorch networks that the release scores faces with: ArcFace IResNet-100 and CurricularFace IR-101.

Both are a residual network of the improved residual units of Deng et al. 2019 ("ArcFace"), saved under different names.
A block is BN, 3x3, BN, PReLU, 3x3, BN plus its shortcut; the first block of each of the four stages halves the picture.
They differ in one thing: where a halving block keeps its width, CurricularFace's shortcut takes every second pixel and
ArcFace's has weights. Names of ArcFace: insightface/recognition/arcface_torch; of CurricularFace: Tencent/TFace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import LumosXError
from ..weights.opening import open_weights
from .vectors import CROP, CosineEmbedder

ARCFACE, CURRICULARFACE = "ArcFace", "CurricularFace"
# Layers with weights besides two a block, as each paper counts them.
_OTHER_LAYERS = {ARCFACE: 2, CURRICULARFACE: 3}
_STAGES = 4
_FIRST_TENSOR = {ARCFACE: "conv1.weight", CURRICULARFACE: "input_layer.0.weight"}
_MOST_AT_ONCE = 32
_SIDE = CROP // 2**_STAGES
"""Width and height of what is left of a crop after the stages."""

_OURS = {"conv1": "input_layer.0", "bn1": "input_layer.1", "prelu": "input_layer.2", "bn2": "output_layer.0",
         "fc": "output_layer.3", "features": "output_layer.4"}
_OUR_BLOCK = {"bn1": "res_layer.0", "conv1": "res_layer.1", "bn2": "res_layer.2", "prelu": "res_layer.3",
              "conv2": "res_layer.4", "bn3": "res_layer.5", "downsample": "shortcut_layer"}
_ARCFACE_BLOCK = re.compile(r"layer([1-4])\.(\d{1,3})\.(\w+)\.(.+)")
# Counts of training steps; older files lack them.
_COUNTER = ".num_batches_tracked"


class _Block(nn.Module):
    """[n, before, h, w] to [n, after, h / stride, w / stride]."""

    def __init__(self, before: int, after: int, stride: int, weighted: bool) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(before), nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after),
            nn.PReLU(after), nn.Conv2d(after, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after),
        )
        self.shortcut_layer = nn.MaxPool2d(1, stride)
        if weighted:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class FaceNetwork(nn.Module):
    """[n, 3, 112, 112] in [-1, 1] to [n, width]; its names are CurricularFace's.

    Args:
        kind: ARCFACE or CURRICULARFACE.
        blocks: (channels before, channels after, first of its stage) of each block.
        width: numbers in a face's vector.
    """

    def __init__(self, kind: str, blocks: Sequence[tuple[int, int, bool]], width: int = 512) -> None:
        super().__init__()
        stem, last = blocks[0][0], blocks[-1][1]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), nn.PReLU(stem)
        )
        self.body = nn.Sequential(*(
            _Block(before, after, 2 if first else 1, before != after or (first and kind == ARCFACE))
            for before, after, first in blocks
        ))
        # Dropout has no weights, but a number.
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(last), nn.Dropout(), nn.Flatten(), nn.Linear(last * _SIDE * _SIDE, width),
            nn.BatchNorm1d(width, affine=kind == ARCFACE),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output_layer(self.body(self.input_layer(x)))


def load_network(path: Path, kind: str) -> FaceNetwork:
    """Read a network of any depth and width from torch's or safetensors' file, in float32, ready for use.

    Args:
        path: the weights.
        kind: ARCFACE or CURRICULARFACE: whose names the file must have.

    Raises:
        LumosXError: the file is damaged or holds another network.
    """
    with open_weights(path) as source:
        # Copied, so that no mapping keeps the file.
        saved = {
            name: source.read(name).to(torch.float32, copy=True)
            for name in source.tensors if not name.endswith(_COUNTER)
        }
    state = dict(_renamed(saved)) if kind == ARCFACE else saved
    blocks = tuple(_blocks(state))
    last = state.get("output_layer.3.weight")
    stages = sum(first for *_, first in blocks)
    if _FIRST_TENSOR[kind] not in saved or stages != _STAGES or last is None or last.ndim != 2:
        raise _other_network(path, kind, "its tensors have other names")
    with torch.device("meta"):
        network = FaceNetwork(kind, blocks, len(last))
    expected = network.state_dict()
    state.update({name: torch.tensor(0) for name in expected if name.endswith(_COUNTER)})
    odd = [name for name in {**expected, **state} if not _same_shape(expected.get(name), state.get(name))]
    if odd:
        raise _other_network(path, kind, f"{len(odd)} of its tensors do not fit, such as {odd[0][:60]}")
    network.load_state_dict(state, assign=True)
    return network.train(False).requires_grad_(False)


def _same_shape(first: torch.Tensor | None, second: torch.Tensor | None) -> bool:
    return first is not None and second is not None and first.shape == second.shape


def _other_network(path: Path, kind: str, reason: str) -> LumosXError:
    return LumosXError(
        f"{path}: it is not a {kind} network ({reason}); use the file that docs/scoring_models.md names."
    )


def _renamed(saved: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """ArcFace's tensors under our names; tensors that have none keep their own."""
    counts = [sum(name.endswith(".conv1.weight") for name in saved if name.startswith(f"layer{stage}."))
              for stage in range(1, _STAGES + 1)]
    for name, tensor in saved.items():
        if match := _ARCFACE_BLOCK.fullmatch(name):
            stage, number, part, rest = match.groups()
            number = sum(counts[:int(stage) - 1]) + int(number)
            yield f"body.{number}.{_OUR_BLOCK.get(part, part)}.{rest}", tensor
        else:
            part, dot, rest = name.partition(".")
            yield _OURS.get(part, part) + dot + rest, tensor


def _blocks(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[int, int, bool]]:
    """Channels before and after each block, and whether a stage begins: the first, and where the width changes."""
    number = 0
    while (weight := state.get(f"body.{number}.res_layer.1.weight")) is not None and weight.ndim == 4:
        after, before = weight.shape[:2]
        yield before, after, number == 0 or before != after
        number += 1


class ReleaseEmbedder(CosineEmbedder):
    """One of the two networks.

    Args:
        path: its weights.
        kind: ARCFACE or CURRICULARFACE.
        device: where it runs.

    Raises:
        LumosXError: as ``load_network``.
    """

    def __init__(self, path: Path, kind: str, device: torch.device | str = "cpu") -> None:
        self._network: Any = load_network(path, kind).to(device)
        self._device = device
        layers = 2 * len(self._network.body) + _OTHER_LAYERS[kind]
        self.name = f"{kind} IR-{layers} ({path.name})"

    @torch.inference_mode()
    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        vectors = [np.zeros((0, self._network.output_layer[3].out_features), np.float32)]
        for start in range(0, len(crops), _MOST_AT_ONCE):
            batch = torch.from_numpy(np.stack(crops[start:start + _MOST_AT_ONCE])).to(self._device)
            batch = (batch.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
            vectors.append(self._network(batch).float().cpu().numpy())
        return np.concatenate(vectors)
