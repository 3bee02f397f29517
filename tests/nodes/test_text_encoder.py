"""LumosX Text Encoder Loader on a real server: the release's names, and what is refused before anything runs."""

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.tiny.text import text_encoder_state_dict
from tools.client import PromptRejected
from tools.weight_files import wan_umt5_names


@pytest.fixture(scope="module")
def text_encoders(server):
    path = server.base / "models" / "text_encoders"
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def encoder(sample, graph, folder, weights):
    """encoder(name) runs the demo with a text encoder file and returns its latent."""
    save_file(weights, folder / "text_encoder_dit.safetensors")

    # Or the second would be taken from what is kept of the first.
    graph["4"]["inputs"]["reuse_encodings"] = False

    def run(name):
        nodes = {}
        if name is not None:
            nodes["70"] = {"class_type": "LumosX_TextEncoderLoader", "inputs": {"text_encoder": name}}
            graph["4"]["inputs"]["clip"] = ["70", 0]
        return sample("text_encoder_dit.safetensors", nodes)

    return run


def test_the_releases_file_makes_the_same_video(encoder, text_encoders):
    weights = text_encoder_state_dict()
    save_file(weights, text_encoders / "umt5_comfyui.safetensors")
    (text_encoders / "google" / "umt5-xxl").mkdir(parents=True)
    tokenizer = text_encoders / "google" / "umt5-xxl" / "spiece.model"
    torch.save(wan_umt5_names({name: tensor for name, tensor in weights.items() if name != "spiece_model"}),
               text_encoders / "models_t5_umt5-xxl-enc-bf16.pth")
    with pytest.raises(PromptRejected, match="contains no tokenizer; put google/umt5-xxl/spiece.model"):
        encoder("models_t5_umt5-xxl-enc-bf16.pth")
    tokenizer.write_bytes(weights["spiece_model"].numpy().tobytes())
    exact = encoder(None)
    assert torch.equal(encoder("models_t5_umt5-xxl-enc-bf16.pth"), exact)
    assert torch.equal(encoder("umt5_comfyui.safetensors"), exact)


def test_another_file_is_refused_before_anything_runs(encoder, text_encoders):
    save_file({"text_model.encoder.layers.0.mlp.fc1.weight": torch.zeros(1)}, text_encoders / "clip_l.safetensors")
    with pytest.raises(PromptRejected, match="clip_l.safetensors: it seems to be .*; LumosX needs UMT5-XXL"):
        encoder("clip_l.safetensors")
    with pytest.raises(PromptRejected, match="text_encoder: '../clip_l' is not in ComfyUI's models/text_encoders"):
        encoder("../clip_l")
