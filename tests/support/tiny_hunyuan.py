"""The encoders of the small HunyuanVideo, made once for each process, and its weights at chance."""

from functools import cache

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.models.hunyuan.network import HunyuanNetwork
from lumosx_core.tiny.hunyuan import SIZE
from support.hunyuan_files import filled
from tools.llama_tokens import tokenizer_folder


def skip_without_tokenizer():
    """Skip where this ComfyUI lacks LLaVA's vocabulary: some copies lack its largest files."""
    try:
        folder = tokenizer_folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    import comfy.text_encoders.hunyuan_video as module

    if not str(folder).startswith(module.__file__.rpartition("text_encoders")[0]):
        pytest.skip("this ComfyUI lacks LLaVA's tokenizer")


@cache
def encoders():
    """(clip, clip_vision, vae)."""
    skip_without_tokenizer()
    from lumosx_core.host.weights.tiny_hunyuan import load_hunyuan_encoders

    return load_hunyuan_encoders()


def write_small_hunyuan(path, seed=0):
    """A file of the small HunyuanVideo with random weights."""
    with torch.inference_mode(False):
        network = filled(HunyuanNetwork(SIZE), seed)
    save_file({name: tensor.bfloat16().contiguous() for name, tensor in network.state_dict().items()}, path)
    return path
