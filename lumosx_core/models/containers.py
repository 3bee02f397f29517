"""``torch.nn.ModuleList`` under a type that says which modules it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from torch import nn

if TYPE_CHECKING:
    Held = TypeVar("Held", bound=nn.Module)

    class ModuleList(nn.ModuleList, Generic[Held]):
        """For the type checker alone: PyTorch's own type says only that a list holds modules of some kind."""

        def __init__(self, modules: Iterable[Held] = ()) -> None: ...
        def __iter__(self) -> Iterator[Held]: ...
        @overload
        def __getitem__(self, idx: int) -> Held: ...
        @overload
        def __getitem__(self, idx: slice) -> ModuleList[Held]: ...
else:
    ModuleList = nn.ModuleList
