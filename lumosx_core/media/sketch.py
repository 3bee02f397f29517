"""What a reference picture shows in short: enough to see that it shows nothing, or the same as another one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import adaptive_avg_pool2d

from .pictures import same_proportions

CELLS = 64
_SAME_CELLS, _LIGHT_CELLS = 16, 8
# Steps of 8 bits. A blank picture can have faint noise or marks of JPEG, and a few odd pixels in a hundred.
_ONE_COLOUR = 8 / 255
_MOST_NOISE = 16 / 255
_MOST_ODD = 0.005
_MOST_PIXELS = 1 << 20
# What scaling and JPEG change, as a part of what the picture differs from one colour.
_SAME = 0.08
_SAME_SHAPE_PERCENT = 3
_SAME_LIGHT = 3.0

# Light of 8 x 8 cells of the picture that comes with ComfyUI and that Load Image shows first.
_EXAMPLE_LIGHT = bytes.fromhex(
    "b2c7c3a6a6b9cdb4a6b1dac0b9d5c6b5a6a6bbc2c6bfa6a6a6a7c6d0cdcbada6"
    "a59fa0c6c19b9d9e9a9797cccf9897979797a2d3d79e97979797c5bbe2999797"
)


@dataclass(frozen=True, eq=False)
class Sketch:
    """A picture in short.

    Attributes:
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        cells: [64, 64, 3] mean colours of its parts, in [0, 1].
        blank: nearly every pixel has one colour.
    """

    width: int
    height: int
    cells: torch.Tensor
    blank: bool

    @classmethod
    def of(cls, image: torch.Tensor) -> Sketch:
        """Of an IMAGE [1, H, W, 3] with values in [0, 1]."""
        picture = image[0].detach().float().cpu().permute(2, 0, 1)
        _, height, width = picture.shape
        cells = adaptive_avg_pool2d(picture[None], CELLS)[0].permute(1, 2, 0)
        return cls(width, height, cells, _is_blank(picture, cells))

    @property
    def is_example(self) -> bool:
        """Whether it is ComfyUI's own example picture, at whatever size."""
        if self.width != self.height:
            return False
        light = _fewer(self.cells, _LIGHT_CELLS).mean(2).flatten() * 255
        return float((light - torch.tensor(list(_EXAMPLE_LIGHT))).abs().mean()) <= _SAME_LIGHT

    def shows_same(self, other: Sketch) -> bool:
        """Whether both are the same picture, perhaps at another size or saved again; blank ones are not compared."""
        if self.blank or other.blank:
            return False
        sizes = (self.width, self.height), (other.width, other.height)
        if not same_proportions(*sizes, _SAME_SHAPE_PERCENT):
            return False
        both = [_fewer(each.cells, _SAME_CELLS) for each in (self, other)]
        content = min(_distance(cells, _usual_colour(cells)) for cells in both)
        return _distance(*both) <= _SAME * content

    def fitted(self, width: int, height: int) -> tuple[int, int]:
        """Its size in pixels once it is letterboxed into width x height."""
        scale = min(width / self.width, height / self.height)
        return max(1, int(self.width * scale)), max(1, int(self.height * scale))


def _is_blank(picture: torch.Tensor, cells: torch.Tensor) -> bool:
    """``picture``: [3, H, W]. Noise is averaged away in cells; fine patterns would be too, so it has to be faint."""
    step = max(1, int((picture.shape[1] * picture.shape[2] / _MOST_PIXELS) ** 0.5))
    pixels = picture[:, ::step, ::step].flatten(1).T
    usual = _usual_colour(pixels)
    if _odd(pixels, usual) <= _MOST_ODD:
        return True
    noise = float((pixels - usual).square().mean().sqrt())
    return noise <= _MOST_NOISE and _odd(_fewer(cells, _SAME_CELLS), usual) <= _MOST_ODD


def _odd(colours: torch.Tensor, usual: torch.Tensor) -> float:
    """Which part of the colours is not the usual one."""
    return float(((colours - usual).abs().amax(-1) > _ONE_COLOUR).float().mean())


def _fewer(cells: torch.Tensor, number: int) -> torch.Tensor:
    return adaptive_avg_pool2d(cells.permute(2, 0, 1)[None], number)[0].permute(1, 2, 0)


def _usual_colour(colours: torch.Tensor) -> torch.Tensor:
    return colours.reshape(-1, 3).median(0).values


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().mean())
