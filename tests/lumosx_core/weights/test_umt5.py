"""UMT5's encoder by the names and shapes in a file alone."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.weights import umt5
from lumosx_core.weights.source import TensorInfo
from lumosx_core.weights.umt5 import TOKENIZER, find_text_encoder

CONFIG = {"d_model": 4096, "d_kv": 3, "num_heads": 2, "d_ff": 5, "num_layers": 2, "vocab_size": 7}
FIRST = "encoder.block.0.layer.0.SelfAttention"


def source(changed=None, prefix="", left_out=(), **extra):
    """A small encoder's file, in which tensors have other shapes, are left out or added."""
    shapes = {**umt5._shapes(CONFIG), **(changed or {}), **extra}
    tensors = {f"{prefix}{name}": TensorInfo("BF16", shape) for name, shape in shapes.items() if name not in left_out}
    return SimpleNamespace(path=Path("a.safetensors"), tensors=tensors, metadata={}, format="safetensors")


@pytest.mark.parametrize("prefix", ["", "text_encoders.umt5xxl.transformer."])
@pytest.mark.parametrize("extra", [
    {}, {TOKENIZER: (9,)}, {"encoder.embed_tokens.weight": (7, 4096)}, {f"{FIRST}.q.scale_weight": ()},
])
def test_an_encoder_is_found_with_its_sizes(prefix, extra):
    found = find_text_encoder(source(prefix=prefix, **extra))
    assert found.config == CONFIG and found.names == {name: f"{prefix}{name}" for name in umt5._shapes(CONFIG)}
    assert found.tokenizer == (f"{prefix}{TOKENIZER}" if TOKENIZER in extra else None)


@pytest.mark.parametrize(("given", "words"), [
    ({"left_out": ["shared.weight"]}, "it seems to be"),
    ({"left_out": [name for name in umt5._shapes(CONFIG) if name.startswith("encoder.block")]}, "it seems to be"),
    ({"left_out": ["shared.weight"], "encoder.embed_tokens.weight": (7, 4096)}, "it seems to be"),
    ({"left_out": [f"{FIRST}.q.weight"]}, "is a text encoder, but not UMT5's"),
    ({"changed": {f"{FIRST}.q.weight": (6,)}}, "is a text encoder, but not UMT5's"),
    ({"changed": {f"{FIRST}.q.weight": (0, 4096)}}, "is a text encoder, but not UMT5's"),
    ({"changed": {"shared.weight": (7, 768)}}, "is a text encoder of width 768"),
    ({"changed": {f"{FIRST}.q.weight": (5, 4096)}}, "is a text encoder of width 4096"),
    ({"left_out": ["encoder.block.1.layer.0.layer_norm.weight"]},
     r"1 of its tensors are missing \(encoder.block.1.layer.0.layer_norm"),
    ({"changed": {"encoder.block.1.layer.1.DenseReluDense.wo.weight": (4096, 6)}},
     r"wo.weight has the shape \[4096, 6\] instead of \[4096, 5\]"),
    ({"decoder.block.0.weight": (1,)}, "it holds 'decoder.block.0.weight'"),
    ({"encoder.block.2.other.weight": (1,)}, "10 of its tensors are missing"),
])
def test_what_is_no_whole_encoder_is_named(given, words):
    with pytest.raises(LumosXError, match=f"^a.safetensors: .*{words}"):
        find_text_encoder(source(**given))


@pytest.mark.parametrize(("name", "host"), [
    ("token_embedding.weight", "shared.weight"), ("norm.weight", "encoder.final_layer_norm.weight"),
    ("blocks.12.attn.q.weight", "encoder.block.12.layer.0.SelfAttention.q.weight"),
    ("blocks.123.norm2.weight", "encoder.block.123.layer.1.layer_norm.weight"),
    ("blocks.1234.norm2.weight", "blocks.1234.norm2.weight"), ("blocks.0.other.weight", "blocks.0.other.weight"),
    ("shared.weight", "shared.weight"),
])
def test_wans_own_names(name, host):
    assert umt5._host_name(name) == host


def test_a_copy_of_the_embedding_belongs_to_transformers_names_alone():
    own = source(left_out=["shared.weight"], **{"token_embedding.weight": (7, 4096)})
    assert find_text_encoder(own).names["shared.weight"] == "token_embedding.weight"
    own.tensors["encoder.embed_tokens.weight"] = TensorInfo("BF16", (7, 4096))
    with pytest.raises(LumosXError, match="it holds 'encoder.embed_tokens.weight'"):
        find_text_encoder(own)
