"""PyTorch's containers of modules under types that say which modules they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from torch import nn

if TYPE_CHECKING:
    Held = TypeVar("Held", bound=nn.Module)

    class ModuleList(nn.ModuleList, Generic[Held]):
        """``torch.nn.ModuleList``."""

        def __init__(self, modules: Iterable[Held] = ()) -> None: ...
        def __iter__(self) -> Iterator[Held]: ...
        @overload
        def __getitem__(self, idx: int) -> Held: ...
        @overload
        def __getitem__(self, idx: slice) -> ModuleList[Held]: ...

    class ModuleDict(nn.ModuleDict, Generic[Held]):
        """``torch.nn.ModuleDict``."""

        def __init__(self, modules: Mapping[str, Held]) -> None: ...
        def __getitem__(self, key: str) -> Held: ...
else:
    ModuleList, ModuleDict = nn.ModuleList, nn.ModuleDict
