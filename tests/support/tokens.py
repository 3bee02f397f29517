"""Texts as the small tokenizer of the stand-ins cuts them."""

import sentencepiece

from lumosx_core.scene.phrases import Tokens
from lumosx_core.tiny.text import train_tokenizer


def small_tokenizer():
    """A ``Tokenizer``; it refuses nothing."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=train_tokenizer())

    def tokenize(text, source="prompt"):
        ids = processor.encode(text)
        return Tokens(tuple(ids), tuple(processor.id_to_piece(ids)))

    return tokenize
