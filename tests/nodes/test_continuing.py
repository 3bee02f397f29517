"""LumosX Continue and LumosX Join Clips on the running server: the next clip keeps what it is given, and is joined."""

import pytest
import torch
from safetensors.torch import load_file

from tools.client import ExecutionFailed, PromptRejected


@pytest.fixture
def continued(graph):
    """The demo's clip of five frames, and a second one in "91" that begins with its last frame; joined in "93"."""
    graph["90"] = {"class_type": "LumosX_Continue", "inputs": {
        "latent": ["4", 2], "vae": ["1", 2], "images": ["6", 0], "overlap_frames": 1,
    }}
    graph["91"] = {"class_type": "KSampler", "inputs": {
        "model": ["3", 0], "positive": ["4", 0], "negative": ["4", 1], "latent_image": ["90", 0], "seed": 1, "steps": 2,
        "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
    }}
    graph["92"] = {"class_type": "VAEDecode", "inputs": {"samples": ["91", 0], "vae": ["1", 2]}}
    graph["93"] = {"class_type": "LumosX_JoinClips", "inputs": {
        "first": ["6", 0], "second": ["92", 0], "overlap": ["90", 1],
    }}
    graph["94"] = {"class_type": "PreviewImage", "inputs": {"images": ["93", 0]}}
    for number, source in (("95", "90"), ("96", "91")):
        graph[number] = {"class_type": "SaveLatent", "inputs": {"samples": [source, 0], "filename_prefix": "continued"}}
    return {number: node for number, node in graph.items() if number not in ("7", "8", "9", "11")}


def test_the_next_clip_keeps_the_frames_and_is_joined_without_them(client, server, continued):
    run = client.run(continued, timeout=300)
    assert not run.node_errors and len(run.outputs["94"]["images"]) == 9
    given, made = (
        load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]
        for saved in (run.outputs[number]["latents"][0] for number in ("95", "96"))
    )
    assert given.shape == made.shape == (1, 16, 2, 6, 8) and not given[:, :, 1:].any()
    torch.testing.assert_close(made[:, :, :1], given[:, :, :1], rtol=1e-5, atol=1e-5)
    assert made[:, :, 1:].any()


def test_what_cannot_be_is_named_when_queued_or_run(client, continued):
    continued["90"]["inputs"]["overlap_frames"] = 3
    with pytest.raises(PromptRejected, match="overlap_frames: 3 "):
        client.run(continued, timeout=60)
    continued["90"]["inputs"]["overlap_frames"] = 5
    with pytest.raises(ExecutionFailed) as caught:
        client.run(continued, timeout=60)
    assert caught.value.node_id == "90" and caught.value.message.startswith("overlap_frames: 5 ")
