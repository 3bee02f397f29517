"""ComfyUI's own HunyuanVideo text encoder and LLaVA vision model, small: for tests, and as nodes on a test server."""

import json
import os
import tempfile
from pathlib import Path

import torch

HIDDEN = 48
_LLAMA = {
    "hidden_size": HIDDEN, "intermediate_size": 64, "num_hidden_layers": 5, "num_attention_heads": 1,
    "num_key_value_heads": 1,
}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 12}
_VISION = {
    "attention_dropout": 0.0, "dropout": 0.0, "hidden_act": "quick_gelu", "hidden_size": 32, "image_size": 336,
    "intermediate_size": 32, "layer_norm_eps": 1e-5, "model_type": "clip_vision_model", "num_attention_heads": 2,
    "num_channels": 3, "num_hidden_layers": 3, "patch_size": 14, "projection_dim": 16, "torch_dtype": "float32",
    "projector_type": "llava3",
}
TOKENIZER = "LUMOSX_TEST_LLAMA_TOKENIZER"
"""The folder of LLaVA's tokenizer, for copies of ComfyUI that lack it."""


def _fill(module, seed):
    """ComfyUI leaves weights as the memory was, since it loads them from a file."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        scale = max(1, parameter[0].numel() if parameter.ndim > 1 else 1) ** -0.5
        value = 1 + 0.1 * drawn if "norm" in name and name.endswith("weight") else drawn * scale
        parameter.data = value.to(parameter.dtype)
    return module.requires_grad_(False)


def small_clip():
    """comfy.sd.CLIP around ComfyUI's HunyuanVideoClipModel."""
    import comfy.sd
    import comfy.text_encoders.hunyuan_video as hunyuan

    class Tokenizer(hunyuan.HunyuanVideoTokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data={}):  # noqa: B006
            folder = os.environ.get(TOKENIZER)
            if not folder:
                super().__init__(embedding_directory, tokenizer_data)
                return
            plain = hunyuan.LLAMA3Tokenizer
            try:
                hunyuan.LLAMA3Tokenizer = _tokenizer_in(hunyuan, folder)
                super().__init__(embedding_directory, tokenizer_data)
            finally:
                hunyuan.LLAMA3Tokenizer = plain

    class Target:
        params = {}
        clip = hunyuan.HunyuanVideoClipModel
        tokenizer = Tokenizer

    options = {"llama_model_config": _LLAMA, "clip_l_model_config": _CLIP_L, "dtype": torch.float32}
    with torch.inference_mode(False):
        clip = comfy.sd.CLIP(Target, model_options=options)
        _fill(clip.cond_stage_model, 1)
    return clip


def _tokenizer_in(module, folder):
    class LLAMA3Tokenizer(module.sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory=None, min_length=1, tokenizer_data={}):  # noqa: B006
            super().__init__(
                folder, embedding_directory=embedding_directory, pad_with_end=False, embedding_size=4096,
                embedding_key="llama", tokenizer_class=module.LlamaTokenizerFast, has_start_token=True,
                has_end_token=False, pad_to_max_length=False, max_length=99999999, pad_token=128258,
                min_length=min_length, tokenizer_data=tokenizer_data,
            )

    return LLAMA3Tokenizer


def small_vision():
    """ComfyUI's ClipVisionModel with LLaVA's projector, as wide as the small text encoder."""
    import comfy.clip_model
    import comfy.clip_vision
    import comfy.ops

    with torch.inference_mode(False), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(_VISION), encoding="utf-8")
        vision = comfy.clip_vision.ClipVisionModel(str(path))
        # The class has its output width in its code.
        vision.model.multi_modal_projector = comfy.clip_model.LlavaProjector(
            _VISION["hidden_size"], HIDDEN, torch.float32, "cpu", comfy.ops.manual_cast
        )
        _fill(vision.model.float(), 2)
    return vision


class SmallPolyVividModels:
    """A node that hands both out."""

    RETURN_TYPES = ("CLIP", "CLIP_VISION")
    FUNCTION = "make"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        """None."""
        return {"required": {}}

    def make(self):
        """Both models."""
        return small_clip(), small_vision()


NODE_CLASS_MAPPINGS = {"Test_SmallPolyVividModels": SmallPolyVividModels}
