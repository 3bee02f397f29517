"""Relational attention, and the backends that may compute its dense calls."""

from .relational import (
    DenseAttention,
    TextKeys,
    WordPulls,
    relational_self_attention,
    relational_text_attention,
    text_attention,
)

__all__ = [
    "DenseAttention", "TextKeys", "WordPulls", "relational_self_attention", "relational_text_attention",
    "text_attention",
]
