"""What training takes from ComfyUI: words and pictures encoded as the nodes encode them."""

from __future__ import annotations

from typing import Any

import torch

from ..phrases import Tokens
from ..prompt_text import clean_text
from .encoder import END_TOKEN, ENCODER_KEY, check_tokens, readable_tokens


class TextSide:
    """A CLIP holding UMT5, for training."""

    def __init__(self, clip: Any):
        self._clip = clip

    def tokenise(self, text: str) -> Tokens:
        """The tokens that phrases are looked for in.

        Raises:
            LumosXError: another kind of CLIP, or a text that is too long.
        """
        tokens = self._clip.tokenize(clean_text(text))
        check_tokens(tokens, "prompt")
        return readable_tokens(self._clip, tokens)

    def encode(self, text: str) -> torch.Tensor:
        """[1, tokens, 4096] float32 up to the end token; what follows is zero in ComfyUI too."""
        (chunk,) = self._clip.tokenize(clean_text(text))[ENCODER_KEY]
        end = next(index for index, token in enumerate(chunk) if token[0] == END_TOKEN) + 1
        # ComfyUI pads to 512 tokens, which takes twice the time and gives the same.
        return self._clip.encode_from_tokens({ENCODER_KEY: [chunk[:end]]}).float().cpu()
