"""Texts as the tokens that the host's CLIP makes of them."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import LumosXError
from ...models.wan.config import UMT5
from ...scene.phrases import Tokens
from ...scene.prompt import tokenizer_text


class ClipTokenizer:
    """The tokenizer of a CLIP holding UMT5; each text is cut once.

    Args:
        clip: the host's CLIP.
    """

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self._known: dict[tuple[str, str], dict] = {}

    def __call__(self, text: str, source: str) -> Tokens:
        """The tokens of a text with the letters of each, without end and padding.

        Raises:
            LumosXError: as ``encoder_tokens``.
        """
        return _readable_tokens(self._clip, self.encoder_tokens(text, source))

    def encoder_tokens(self, text: str, source: str) -> dict:
        """What the CLIP's encoder takes.

        Args:
            source: the input that messages name.

        Raises:
            LumosXError: another encoder than UMT5, a text of more tokens than the model reads, or as ``read_text``.
        """
        if (text, source) not in self._known:
            tokens = self._clip.tokenize(tokenizer_text(text, source))
            _check_tokens(tokens, source)
            self._known[text, source] = tokens
        return self._known[text, source]


def _check_tokens(tokens: dict, source: str) -> None:
    """Refuse tokens of another encoder than UMT5, and more than the model reads.

    Raises:
        LumosXError: ``source`` is named for a text that is too long.
    """
    if UMT5.key not in tokens:
        found = ", ".join(tokens) or "nothing"
        raise LumosXError(
            f"clip: its tokens are for {found}, not for UMT5; take umt5_xxl_fp8_e4m3fn_scaled.safetensors in Load CLIP "
            "with type \"wan\", or load models_t5_umt5-xxl-enc-bf16.pth and other files in Wan's own names with LumosX "
            "Text Encoder Loader."
        )
    length = len(_ids(tokens)) + 1
    if length > UMT5.length:
        raise LumosXError(
            f"{source}: the text has {length} tokens, but the model reads {UMT5.length}; shorten it by about "
            f"{length - UMT5.length} tokens."
        )


def _ids(tokens: dict) -> list[int | None]:
    """Token ids without the end token and what follows it; an embedding in the text counts as None."""
    chunks = tokens[UMT5.key]
    ids = [None if torch.is_tensor(token[0]) else token[0] for chunk in chunks for token in chunk]
    while ids and ids[-1] == UMT5.pad:
        ids.pop()
    return ids[:-1] if ids and ids[-1] == UMT5.end else ids


def _readable_tokens(clip: Any, tokens: dict) -> Tokens:
    """What a CLIP made of a text, with the letters of each token."""
    ids = _ids(tokens)
    pieces = {}
    for (identity, _), piece in clip.tokenizer.untokenize([(token, 1.0) for token in set(ids) - {None}]):
        pieces[identity] = piece
    return Tokens(tuple(ids), tuple(pieces.get(token, " ") for token in ids))
