"""Text encoders as ComfyUI's tokenizers have them."""

import comfy.text_encoders.hunyuan_video
import comfy.text_encoders.wan
import pytest
import torch

from lumosx_core.models.hunyuan.config import LLAVA
from lumosx_core.models.polyvivid.template import template_string
from lumosx_core.models.wan.config import UMT5
from lumosx_core.tiny.text import TOKENIZER_KEY, tokenizer_model
from tools.llama_tokens import llama_tokenizer


@pytest.mark.parametrize("prompt", ["A man waves.", ""])
def test_umt5_ends_a_prompt_and_pads_it(prompt):
    model = torch.frombuffer(bytearray(tokenizer_model()), dtype=torch.uint8)
    tokenizer = comfy.text_encoders.wan.WanT5Tokenizer(tokenizer_data={TOKENIZER_KEY: model})
    (tokens,) = tokenizer.tokenize_with_weights(prompt)[UMT5.key]
    ids = [identity for identity, _ in tokens]
    end = ids.index(UMT5.end)
    assert len(ids) == UMT5.length and ids[end + 1:] == [UMT5.pad] * (UMT5.length - end - 1)


def test_llava_ends_a_prompt():
    try:
        tokenize = llama_tokenizer()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert tokenize(template_string("A man waves.", ()))[-1] == LLAVA.end


def test_comfyui_keeps_llava_s_tokens_under_the_key_with_this_pad_and_width(monkeypatch):
    given = {}
    base = comfy.text_encoders.hunyuan_video.sd1_clip.SDTokenizer
    monkeypatch.setattr(base, "__init__", lambda self, *_, **options: given.update(options))
    comfy.text_encoders.hunyuan_video.LLAMA3Tokenizer()
    assert given["embedding_key"] == LLAVA.key and given["pad_token"] == LLAVA.pad
    assert given["embedding_size"] == LLAVA.width and given["min_length"] == LLAVA.length
