"""LumosX, a method of Wan2.1: the relational forward over any module with the submodule names of Wan2.1-T2V."""

from .forward import relational_forward, sequence_layout
from .options import RelationalOptions
from .tables import TableCache

__all__ = ["RelationalOptions", "TableCache", "relational_forward", "sequence_layout"]
