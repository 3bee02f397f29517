"""A small text encoder in UMT5's form, with its tokenizer: both made here, from a corpus and a seed."""

from __future__ import annotations

import io
import math
from pathlib import Path

import sentencepiece
import torch

from .seeded import seeded_normal

MODEL_DIM = 4096
HEADS = 2
HEAD_DIM = 64
FFN_DIM = 64
LAYERS = 1
POSITION_BUCKETS = 32
_EXACT_BUCKETS, _BUCKETS_EACH_WAY, _FARTHEST = 8, 16, 128
_FORGETTING = 0.12
"""By how much a word's pull on another one falls with each token between them."""
_MIXING = 3.0
"""Strength of what a token takes over from its neighbours, against its own word."""
_NEVER = -30.0

PAD_ID = 0
END_ID = 1
UNKNOWN_ID = 2
VOCABULARY_LIMIT = 1500

TOKENIZER_KEY = "spiece_model"
"""Under this name UMT5 files for ComfyUI carry the tokenizer, as bytes."""

_CORPUS = Path(__file__).with_name("corpus.txt")
_TOKENIZER = Path(__file__).with_name("tokenizer.model")


def tokenizer_model() -> bytes:
    """The sentencepiece model that ships; ``train_tokenizer`` made it."""
    return _TOKENIZER.read_bytes()


def train_tokenizer() -> bytes:
    """Train the sentencepiece model on the corpus beside this file.

    The same bytes every time with one version of sentencepiece; other versions may cut words elsewhere, which is why
    the file itself ships.

    Ids follow UMT5: 0 pad, 1 end of text, 2 unknown. Text is not normalised and unknown characters fall back to bytes,
    so that decoding gives back any text.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_CORPUS.read_text(encoding="utf-8").splitlines()),
        model_writer=model,
        model_type="unigram",
        vocab_size=VOCABULARY_LIMIT,
        hard_vocab_limit=False,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        pad_id=PAD_ID,
        eos_id=END_ID,
        unk_id=UNKNOWN_ID,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def encoder_config(vocabulary_size: int) -> dict[str, int]:
    """What differs from UMT5-XXL's configuration, under its names."""
    return {
        "d_model": MODEL_DIM,
        "d_kv": HEAD_DIM,
        "num_heads": HEADS,
        "d_ff": FFN_DIM,
        "num_layers": LAYERS,
        "vocab_size": vocabulary_size,
    }


def encoder_state_dict(
    vocabulary_size: int, seed: int = 0, dtype: torch.dtype = torch.float16
) -> dict[str, torch.Tensor]:
    """Every weight of the encoder under UMT5's own names.

    Words are random vectors. The attention's two heads add what stands before and what stands behind, the nearest
    most, so that a verb carries whose it is.

    Args:
        vocabulary_size: number of the tokenizer's pieces.
        seed: 0 or more.
        dtype: of the returned tensors; they are made in float32.
    """
    weights: dict[str, torch.Tensor] = {}

    def normal(name: str, *shape: int, scale: float, centre: float = 0.0) -> None:
        weights[name] = (centre + scale * seeded_normal(seed, name, shape)).to(dtype)

    normal("shared.weight", vocabulary_size, MODEL_DIM, scale=1.0)
    for index in range(LAYERS):
        _random_layer(f"encoder.block.{index}", normal)
        bias = f"encoder.block.{index}.layer.0.SelfAttention.relative_attention_bias.weight"
        weights[bias] = _looking_back_and_ahead().to(dtype)
    normal("encoder.final_layer_norm.weight", MODEL_DIM, scale=0.05, centre=1.0)
    return weights


def _looking_back_and_ahead() -> torch.Tensor:
    """[buckets, heads]: T5's relative biases that let one head see the tokens before and the other those behind."""
    places = torch.arange(_BUCKETS_EACH_WAY).float()
    growth = (_FARTHEST / _EXACT_BUCKETS) ** (1 / (_BUCKETS_EACH_WAY - _EXACT_BUCKETS))
    distances = torch.where(places < _EXACT_BUCKETS, places, _EXACT_BUCKETS * growth ** (places - _EXACT_BUCKETS))
    seen = -_FORGETTING * distances
    seen[0] = -2.0
    unseen = torch.full_like(seen, _NEVER)
    # A last token would see nothing behind it, so both heads may see the token itself.
    unseen[0] = -2.0
    return torch.stack([torch.cat([seen, unseen]), torch.cat([unseen, seen])], dim=1)


def _random_layer(block: str, normal) -> None:
    attention = f"{block}.layer.0.SelfAttention"
    inner = HEADS * HEAD_DIM
    fan_in = 1 / math.sqrt(MODEL_DIM)
    # T5 does not divide its logits by the square root of the head's size, so queries carry it.
    normal(f"{attention}.q.weight", inner, MODEL_DIM, scale=0.1 * fan_in / math.sqrt(HEAD_DIM))
    normal(f"{attention}.k.weight", inner, MODEL_DIM, scale=fan_in)
    normal(f"{attention}.v.weight", inner, MODEL_DIM, scale=fan_in)
    normal(f"{attention}.o.weight", MODEL_DIM, inner, scale=_MIXING / math.sqrt(inner))
    feed_forward = f"{block}.layer.1.DenseReluDense"
    normal(f"{feed_forward}.wi_0.weight", FFN_DIM, MODEL_DIM, scale=fan_in)
    normal(f"{feed_forward}.wi_1.weight", FFN_DIM, MODEL_DIM, scale=fan_in)
    normal(f"{feed_forward}.wo.weight", MODEL_DIM, FFN_DIM, scale=0.5 / math.sqrt(FFN_DIM))
    for layer in range(2):
        normal(f"{block}.layer.{layer}.layer_norm.weight", MODEL_DIM, scale=0.05, centre=1.0)


def text_encoder_state_dict(seed: int = 0) -> dict[str, torch.Tensor]:
    """Encoder and tokenizer in one file's worth of tensors, as UMT5 files for ComfyUI hold them."""
    tokenizer = tokenizer_model()
    pieces = sentencepiece.SentencePieceProcessor(model_proto=tokenizer).get_piece_size()
    weights = encoder_state_dict(pieces, seed)
    weights[TOKENIZER_KEY] = torch.frombuffer(bytearray(tokenizer), dtype=torch.uint8)
    return weights
