"""ComfyUI's own nodes of other methods, and its LoRA loader, in graphs on the running server."""

import pytest
import torch
from safetensors.torch import save_file

from tools.client import ExecutionFailed

SIZE = {"width": 64, "height": 48, "length": 5, "batch_size": 1}
START, CAMERA = {"start_image": ["70", 0]}, {"camera_conditions": ["71", 0]}
METHODS = {
    "WanImageToVideo": ("concat_latent_image", START),
    "WanFunControlToVideo": ("concat_latent_image", {"control_video": ["70", 0]}),
    "WanFirstLastFrameToVideo": ("concat_latent_image", START),
    "WanFunInpaintToVideo": ("concat_latent_image", START),
    "WanVaceToVideo": ("vace_frames", {"strength": 1.0, "reference_image": ["70", 0]}),
    "WanPhantomSubjectToVideo": ("time_dim_concat", {"images": ["70", 0]}),
    "WanCameraImageToVideo": ("camera_conditions", CAMERA),
    "WanSoundImageToVideo": ("reference_latents", {"ref_image": ["70", 0]}),
    "WanTrackToVideo": ("concat_latent_image", {"tracks": "[]", "temperature": 220.0, "topk": 2, **START}),
}


@pytest.fixture
def with_picture(graph):
    """The graph with a picture and a camera's path, for nodes that take one."""
    graph["70"] = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}}
    graph["71"] = {"class_type": "WanCameraEmbedding", "inputs": {
        "camera_pose": "Pan Up", "width": 64, "height": 48, "length": 5, "speed": 1.0,
        "fx": 0.5, "fy": 0.5, "cx": 0.5, "cy": 0.5,
    }}
    return graph


def failure(client, graph, node_id="5"):
    with pytest.raises(ExecutionFailed) as caught:
        client.run(graph, timeout=300)
    assert caught.value.node_id == node_id
    return caught.value.message


def with_stock_sampler(graph, **inputs):
    graph["5"] = {"class_type": "KSampler", "inputs": {
        "model": ["3", 0], "positive": ["4", 0], "negative": ["4", 1], "latent_image": ["4", 2], "seed": 1, "steps": 2,
        "cfg": 6.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0, **inputs,
    }}
    return graph


@pytest.mark.parametrize("node", METHODS)
def test_nodes_of_other_methods_stop_the_run_with_a_sentence(client, with_picture, node):
    graph, (name, inputs) = with_picture, METHODS[node]
    graph["60"] = {"class_type": node, "inputs": {
        "positive": ["4", 0], "negative": ["4", 1], "vae": ["1", 2], **SIZE, **inputs,
    }}
    links = {"positive": ["60", 0], "negative": ["60", 1]}
    graph["5"]["inputs"].update(links)
    assert f"positive: it carries {name} of another method" in failure(client, graph)
    assert f"positive: it carries {name} of another method" in failure(client, with_stock_sampler(graph, **links))


def test_values_for_other_models_stop_the_run_with_a_sentence(client, graph):
    graph["60"] = {"class_type": "FluxGuidance", "inputs": {"conditioning": ["4", 1], "guidance": 3.5}}
    graph["5"]["inputs"]["negative"] = ["60", 0]
    assert "negative: it carries guidance of another method (from FluxGuidance)" in failure(client, graph)


def test_a_negative_from_clip_text_encode(client, graph):
    """As every other Wan workflow is wired."""
    graph["60"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "blurred"}}
    graph["5"]["inputs"]["negative"] = ["60", 0]
    sentence = "negative: it has no LumosX references but positive has"
    assert sentence in failure(client, graph)
    graph["5"]["inputs"]["cfg"] = 1.0
    assert client.run(graph, timeout=300).outputs["8"]
    assert sentence in failure(client, with_stock_sampler(graph, negative=["60", 0]))
    assert client.run(with_stock_sampler(graph, negative=["60", 0], cfg=1.0), timeout=300).outputs["8"]


def test_a_zeroed_negative_runs(client, graph):
    graph["60"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["4", 1]}}
    graph["5"]["inputs"].update(negative=["60", 0], seed=60)
    assert client.run(graph, timeout=300).outputs["8"]


def test_an_area_is_called_by_its_name(client, graph):
    graph["60"] = {"class_type": "ConditioningSetArea", "inputs": {
        "conditioning": ["4", 0], "width": 32, "height": 48, "x": 0, "y": 0, "strength": 1.0,
    }}
    # The host wants areas of at least 64 pixels.
    graph["4"]["inputs"].update(width=128, height=96)
    graph["60"]["inputs"].update(width=64, height=96)
    graph["5"]["inputs"]["positive"] = ["60", 0]
    assert "positive: it is limited to an area of the picture" in failure(client, graph)


def test_references_that_are_lost_on_the_way_are_said_with_a_stock_sampler(client, graph, server):
    graph["60"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "blurred"}}
    for number, output in (("61", 0), ("62", 1)):
        graph[number] = {"class_type": "ConditioningConcat", "inputs": {
            "conditioning_to": ["60", 0], "conditioning_from": ["4", output],
        }}
    run = with_stock_sampler(graph, positive=["61", 0], negative=["62", 0])
    lost = "positive: it comes from LumosX Relational Encode"
    before = server.log_text().count(lost)
    assert client.run(run, timeout=300).outputs["8"]
    assert server.log_text().count(lost) == before + 1
    # What was made with references may be refined without them.
    run = with_stock_sampler(graph, positive=["60", 0], negative=["60", 0])
    assert client.run(run, timeout=300).outputs["8"]
    assert server.log_text().count(lost) == before + 1


@pytest.mark.parametrize("sampler", ["ours", "stock"])
def test_a_lora_that_fits_nothing_is_named_by_its_file(client, graph, server, sampler):
    folder = server.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    stems = {"fits": "diffusion_model.blocks.0.self_attn.q", "diffusers": "transformer.blocks.0.attn1.to_q"}
    for name, stem in stems.items():
        halves = {f"{stem}.lora_A.weight": torch.ones(2, 256) / 99, f"{stem}.lora_B.weight": torch.ones(256, 2) / 99}
        save_file(halves, folder / f"{name}_{sampler}.safetensors")
        source = ["60", 0] if "60" in graph else ["1", 0]
        graph["61" if "60" in graph else "60"] = {"class_type": "LoraLoaderModelOnly", "inputs": {
            "model": source, "lora_name": f"{name}_{sampler}.safetensors", "strength_model": 0.7,
        }}
    graph["3"]["inputs"]["model"] = ["61", 0]
    if sampler == "stock":
        graph = with_stock_sampler(graph)
    before = server.log_text().count("a LoRA has no effect")
    client.run(graph, timeout=300)
    log = server.log_text()
    assert log.count("a LoRA has no effect") == before + 1
    line = [line for line in log.splitlines() if "a LoRA has no effect" in line][-1]
    assert f"diffusers_{sampler}.safetensors" in line and "fits_" not in line
