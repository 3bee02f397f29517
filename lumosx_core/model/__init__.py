"""The relational forward over any module with the submodule names of Wan2.1-T2V."""

from .forward import RelationalOptions, relational_forward

__all__ = ["RelationalOptions", "relational_forward"]
