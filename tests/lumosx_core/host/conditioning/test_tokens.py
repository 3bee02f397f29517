"""What a text encoder's tokens may be."""

import re

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.tokens import _check_tokens, _ids
from lumosx_core.models.wan.config import UMT5


def tokens(count):
    return {UMT5.key: [[(7, 1.0)] * count + [(1, 1.0)]]}


@pytest.mark.parametrize(("given", "found"), [({}, "nothing"), ({"l": [], "g": []}, "l, g"), ({"t5xxl": []}, "t5xxl")])
def test_tokens_of_another_encoder_are_named(given, found):
    with pytest.raises(LumosXError, match=re.escape(f"clip: its tokens are for {found}, not for UMT5")):
        _check_tokens(given, "prompt")


@pytest.mark.parametrize("extra", [-1, 0, 1, 12])
def test_a_text_has_exactly_as_many_tokens_as_the_model_reads(extra):
    """With the end token."""
    given = tokens(UMT5.length - 1 + extra)
    if extra <= 0:
        _check_tokens(given, "prompt")
    else:
        with pytest.raises(LumosXError, match=f"prompt: the text has {UMT5.length + extra} .* about {extra} tokens"):
            _check_tokens(given, "prompt")


@pytest.mark.parametrize(("chunk", "ids"), [
    ([], []), ([UMT5.end], []), ([7], [7]), ([7, UMT5.end], [7]), ([UMT5.end, 7], [UMT5.end, 7]),
    ([7, UMT5.pad, 8, UMT5.end, UMT5.pad, UMT5.pad], [7, UMT5.pad, 8]), ([UMT5.pad], []), ([UMT5.end] * 2, [UMT5.end]),
    ([torch.zeros(4096), 7, UMT5.end], [None, 7]),
])
def test_ids_end_before_the_end_token(chunk, ids):
    assert _ids({UMT5.key: [[(token, 1.0) for token in chunk]]}) == ids
