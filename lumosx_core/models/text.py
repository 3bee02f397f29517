"""What a transformer reads of a prompt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextSpec:
    """The text encoder of a family, as ComfyUI's CLIP knows it.

    Attributes:
        key: of the encoder's tokens in what a CLIP's tokenizer returns.
        end: id of the token that ends a prompt.
        pad: id of the tokens that may follow it.
        length: tokens of the longest text that the transformer was trained with.
        width: channels of the encoder's output.
    """

    key: str
    end: int
    pad: int
    length: int
    width: int
