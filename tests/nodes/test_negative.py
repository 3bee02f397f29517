"""A negative prompt at cfg 1 on a real server: in the template of three steps, and beside ComfyUI's own node."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.small_models import on_small_models
from tools.client import ExecutionFailed

WORKFLOWS = Path(__file__).parents[1] / "workflows"


@pytest.fixture
def three_steps(server):
    """Template 6 on small files, with "95", the node in question, between the LoRA and the sampler."""
    graph = on_small_models(json.loads((WORKFLOWS / "few_steps.json").read_text(encoding="utf-8")), server)
    assert graph["15"]["inputs"]["cfg"] == 1.0
    graph["95"] = {"class_type": "LumosX_NegativeAtCfg1", "inputs": {
        "model": graph["15"]["inputs"]["model"], "negative": ["14", 1], "scale": 11.0,
    }}
    return graph


@pytest.fixture
def latent(client, server):
    """latent(graph): what the sampler of the graph makes."""
    def run(graph):
        saver = {"class_type": "SaveLatent", "inputs": {"samples": ["15", 0], "filename_prefix": "negative"}}
        wanted = {number: node for number, node in graph.items() if number not in ("16", "17", "18")}
        saved = client.run({**wanted, "90": saver}, timeout=300).outputs["90"]["latents"][0]
        return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]

    return run


def test_template_6_gets_a_negative_prompt(latent, three_steps):
    def with_negative(text, linked=True):
        three_steps["14"]["inputs"]["negative_prompt"] = text
        three_steps["15"]["inputs"]["model"] = ["95", 0] if linked else three_steps["95"]["inputs"]["model"]
        return latent(three_steps)

    # Without the node no negative prompt has an effect.
    plain = with_negative("hat", linked=False)
    assert torch.equal(with_negative("rain", linked=False), plain)
    guided = with_negative("hat")
    assert not torch.equal(guided, plain) and not torch.equal(with_negative("rain"), guided)
    three_steps["95"]["inputs"]["scale"] = 1.0
    assert torch.equal(with_negative("hat"), plain)


def test_a_text_of_clip_text_encode(latent, three_steps):
    three_steps["96"] = {"class_type": "CLIPTextEncode", "inputs": {
        "clip": three_steps["14"]["inputs"]["clip"], "text": "rain",
    }}
    three_steps["95"]["inputs"]["negative"] = ["96", 0]
    three_steps["15"]["inputs"]["model"] = ["95", 0]
    typed = latent(three_steps)
    del three_steps["96"]
    three_steps["95"]["inputs"]["negative"] = ["14", 1]
    three_steps["14"]["inputs"]["negative_prompt"] = "rain"
    assert torch.equal(latent(three_steps), typed)


def test_comfyuis_own_node_says_that_it_cannot_be_used(client, three_steps):
    if "NAGuidance" not in client.object_info():
        pytest.skip("this ComfyUI has no NAGuidance")
    three_steps["95"] = {"class_type": "NAGuidance", "inputs": {
        "model": three_steps["95"]["inputs"]["model"], "nag_scale": 5.0, "nag_alpha": 0.5, "nag_tau": 1.5,
    }}
    three_steps["15"]["inputs"]["model"] = ["95", 0]
    with pytest.raises(ExecutionFailed) as caught:
        client.run(three_steps, timeout=300)
    assert caught.value.node_id == "15"
    for part in ("attn1_output_patch", "Normalized Attention Guidance", "use LumosX Negative at CFG 1"):
        assert part in caught.value.message


def test_a_model_without_relations_is_refused(client, three_steps):
    three_steps["10"] = {"class_type": "UNETLoader", "inputs": {
        "unet_name": three_steps["10"]["inputs"]["model_name"], "weight_dtype": "default",
    }}
    three_steps["15"]["inputs"]["model"] = ["95", 0]
    with pytest.raises(ExecutionFailed, match="model: it has no relational forward"):
        client.run(three_steps, timeout=300)
