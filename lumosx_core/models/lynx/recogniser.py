"""The face recogniser whose embeddings Lynx was trained on: ArcFace IR-SE50 of facexlib (spec section 3).

Another recogniser's embedding has the same shape and means another face, so only this network will do: improved
residual units (Deng et al. 2019, "ArcFace") with squeeze-and-excitation (Hu et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import LumosXError
from ...weights.opening import open_weights

_COUNTER = ".num_batches_tracked"
_FILE = "recognition_arcface_ir_se50.pth of facexlib (release v0.1.0)"


@dataclass(frozen=True)
class RecogniserSizes:
    """Sizes of the network.

    Attributes:
        crop: width and height of its pictures.
        stages: channels and units of each stage; the first unit of a stage halves the picture.
        stem: channels before the first stage.
        squeeze: how many channels share one in the middle of squeeze-and-excitation.
        embedding: numbers that come out.
    """

    crop: int = 112
    stages: tuple[tuple[int, int], ...] = ((64, 3), (128, 4), (256, 14), (512, 3))
    stem: int = 64
    squeeze: int = 16
    embedding: int = 512


class SqueezeExcitation(nn.Module):
    """Scale every channel by what the means of all channels say."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // squeeze, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // squeeze, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, channels, h, w] to the same shape."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * self.fc2(self.fc1(means).relu()).sigmoid()


class ResidualUnit(nn.Module):
    """[n, before, h, w] to [n, after, h / stride, w / stride]."""

    def __init__(self, before: int, after: int, stride: int, squeeze: int) -> None:
        super().__init__()
        self.shortcut_layer = nn.MaxPool2d(1, stride) if before == after else nn.Sequential(
            nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(before), nn.Conv2d(before, after, 3, padding=1, bias=False), nn.PReLU(after),
            nn.Conv2d(after, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after),
            SqueezeExcitation(after, squeeze),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class FaceRecogniser(nn.Module):
    """Its parameters have the names of facexlib's file."""

    def __init__(self, sizes: RecogniserSizes = RecogniserSizes()) -> None:  # noqa: B008
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, sizes.stem, 3, padding=1, bias=False), nn.BatchNorm2d(sizes.stem), nn.PReLU(sizes.stem)
        )
        widths = [sizes.stem] + [channels for channels, units in sizes.stages for _ in range(units)]
        strides = [2 if unit == 0 else 1 for _, units in sizes.stages for unit in range(units)]
        self.body = nn.Sequential(*(
            ResidualUnit(before, after, stride, sizes.squeeze)
            for before, after, stride in zip(widths, widths[1:], strides)
        ))
        side = sizes.crop // 2 ** len(sizes.stages)
        # Dropout has no weights, but a number.
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(widths[-1]), nn.Dropout(0.6), nn.Flatten(),
            nn.Linear(widths[-1] * side * side, sizes.embedding), nn.BatchNorm1d(sizes.embedding),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures as ``recogniser_input`` gives them, [n, 3, 112, 112], to embeddings [n, 512] of unit length."""
        return F.normalize(self.output_layer(self.body(self.input_layer(x))), dim=1)


def recogniser_input(crops: torch.Tensor) -> torch.Tensor:
    """RGB crops [n, 112, 112, 3] uint8 to [n, 3, 112, 112] float32 in [-1, 1], in the order blue, green, red."""
    return ((crops.float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).flip(1)


def load_recogniser(path: Path, device: torch.device | str = "cpu") -> FaceRecogniser:
    """Read the network from facexlib's file, or from the same tensors in a safetensors file; no code in it is run.

    Returns:
        In float32, ready for use.

    Raises:
        LumosXError: the file is damaged or holds another network.
    """
    with torch.device("meta"):
        network = FaceRecogniser()
    expected = network.state_dict()
    with open_weights(path) as source:
        held = {name: info.shape for name, info in source.tensors.items() if not name.endswith(_COUNTER)}
        wanted = {name: tuple(tensor.shape) for name, tensor in expected.items() if not name.endswith(_COUNTER)}
        odd = [name for name in {**wanted, **held} if wanted.get(name) != held.get(name)]
        if odd:
            raise LumosXError(
                f"{path}: it is not ArcFace IR-SE50 ({len(odd)} of its tensors do not fit, such as {odd[0][:60]}); "
                f"take {_FILE}."
            )
        # Copied, so that no mapping keeps the file.
        state = {name: source.read(name).to(device, torch.float32, copy=True) for name in wanted}
    # Steps of training are counted for nothing that is used here.
    state |= {name: torch.tensor(0, device=device) for name in expected if name.endswith(_COUNTER)}
    network.load_state_dict(state, assign=True)
    return network.train(False).requires_grad_(False)


def mean_embedding(embeddings: Sequence[torch.Tensor]) -> torch.Tensor:
    """One embedding of several photos of a person: their mean, brought back to unit length.

    Lynx was trained with one photo; this is untrained.

    Args:
        embeddings: each [512], of unit length.

    Returns:
        [512].

    Raises:
        LumosXError: there is none, or they cancel each other out, as embeddings of different people may.
    """
    mean = torch.stack(list(embeddings)).mean(dim=0) if embeddings else torch.zeros(1)
    length = mean.norm()
    if not length > 1e-3:
        raise LumosXError("face: there are no photos whose faces agree; choose one or more photos of one person.")
    return mean / length
