"""What a HunyuanVideo is to our functions: ``network.HunyuanNetwork`` and ComfyUI's HunyuanVideo are ones.

Only type checkers look at these classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import nn


class HunyuanSizes(Protocol):
    """``patch_size`` is the latent frames, rows and columns of a token."""

    @property
    def patch_size(self) -> Sequence[int]: ...


class HunyuanModule(Protocol):
    """A whole transformer, as far as a method uses it outside of blocks."""

    @property
    def params(self) -> HunyuanSizes: ...
    @property
    def img_in(self) -> nn.Module: ...
    @property
    def time_in(self) -> nn.Module: ...
