"""PolyVivid's nodes on a real server: ComfyUI's own HunyuanVideo classes, small, from prompt to latent.

A server of its own, since a node of the test's hands the small text encoder out: ComfyUI's loader knows one size.
"""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from support import polyvivid_models
from support.hunyuan_files import small_adapter, small_network, write_base, write_small_adapter
from tools.client import ComfyClient, failure, refusal
from tools.llama_tokens import tokenizer_folder
from tools.server import PACK_NAME, ComfyServer

NAME = "polyvivid_test_models"
PROMPT = "A man on the left with a red hat near a lamp"


@pytest.fixture(scope="module")
def server(comfyui_dir, tmp_path_factory):
    """Shadows the shared one."""
    try:
        folder = tokenizer_folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    base = tmp_path_factory.mktemp("polyvivid_server")
    shutil.copytree(
        polyvivid_models.__path__[0], base / "custom_nodes" / NAME, ignore=shutil.ignore_patterns("__pycache__")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(polyvivid_models.TOKENIZER, str(folder))
        whitelist = ("--whitelist-custom-nodes", PACK_NAME, NAME)
        for place in ("diffusion_models", "model_patches"):
            (base / "models" / place).mkdir(parents=True)
        write_base(base / "models" / "diffusion_models" / "hunyuan.safetensors", small_network())
        write_small_adapter(base / "models" / "model_patches" / "adapter.safetensors")
        write_small_adapter(base / "models" / "model_patches" / "seven.safetensors", small_adapter(seed=7))
        with ComfyServer(comfyui_dir, base=base, extra_args=whitelist) as running:
            random = np.random.default_rng(0)
            for name in ("face", "hat"):
                pixels = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(base / "input" / f"{name}.png")
            yield running


@pytest.fixture
def client(server):
    return ComfyClient(server.url)


@pytest.fixture
def graph():
    """A man and his hat through encoder, adapter and ComfyUI's own sampler."""
    return {
        "1": {"class_type": "Test_SmallPolyVividModels", "inputs": {}},
        "2": {"class_type": "LumosX_TinyModels", "inputs": {}},
        "3": {"class_type": "UNETLoader", "inputs": {"unet_name": "hunyuan.safetensors", "weight_dtype": "default"}},
        "4": {"class_type": "LumosX_PolyVivid", "inputs": {
            "model": ["3", 0], "adapter": "adapter.safetensors", "strength": 1.0,
        }},
        "20": {"class_type": "LoadImage", "inputs": {"image": "face.png"}},
        "21": {"class_type": "LoadImage", "inputs": {"image": "hat.png"}},
        "30": {"class_type": "LumosX_Subject", "inputs": {
            "face": ["20", 0], "phrase": "man on the left", "attribute_1": ["21", 0], "attribute_1_phrase": "red hat",
        }},
        "31": {"class_type": "LumosX_Binder", "inputs": {"subject_1": ["30", 0]}},
        "5": {"class_type": "LumosX_PolyVividEncode", "inputs": {
            "clip": ["1", 0], "prompt": PROMPT, "negative_prompt": "", "relations": ["31", 0], "clip_vision": ["1", 1],
            "vae": ["2", 2], "picture_side": 64,
        }},
        "6": {"class_type": "EmptyHunyuanLatentVideo", "inputs": {
            "width": 64, "height": 48, "length": 5, "batch_size": 1,
        }},
        "7": {"class_type": "KSampler", "inputs": {
            "model": ["4", 0], "positive": ["5", 0], "negative": ["5", 1], "latent_image": ["6", 0], "seed": 1,
            "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
        }},
        "8": {"class_type": "SaveLatent", "inputs": {"samples": ["7", 0], "filename_prefix": "polyvivid"}},
        "9": {"class_type": "PreviewAny", "inputs": {"source": ["5", 2]}},
        "10": {"class_type": "PreviewAny", "inputs": {"source": ["4", 1]}},
    }


@pytest.fixture
def latent(client, server):
    """latent(graph) runs it and returns what it saved."""
    def run(graph):
        saved = client.run(graph, timeout=600).outputs["8"]["latents"][0]
        return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]

    return run


def test_from_prompt_and_scene_to_a_latent(client, server, graph, latent):
    run = client.run(graph, timeout=600)
    report, about = (run.outputs[node]["text"][0] for node in ("9", "10"))
    assert '1. "The man on the left looks like <image 1>"' in report
    assert '2. "The red hat of the man on the left looks like <image 2>"' in report
    assert "adapter.safetensors: rank 4, layers 0-1" in about
    assert "picture_side" not in server.log_text()
    first = latent(graph)
    graph["4"]["inputs"]["strength"] = 0.0
    assert not torch.equal(latent(graph), first)
    graph["4"]["inputs"].update(strength=1.0, adapter="seven.safetensors")
    assert not torch.equal(latent(graph), first)


def test_without_relations_everything_is_as_with_comfyuis_own_nodes(graph, latent):
    for name in ("relations", "clip_vision", "vae"):
        del graph["5"]["inputs"][name]
    ours = latent(graph)
    for number, text in (("50", PROMPT), ("51", "")):
        graph[number] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 0], "text": text}}
    graph["7"]["inputs"].update(model=["3", 0], positive=["50", 0], negative=["51", 0])
    assert torch.equal(latent(graph), ours)


def test_a_model_without_the_node_says_so(client, graph):
    graph["7"]["inputs"]["model"] = ["3", 0]
    assert "put a LumosX PolyVivid node" in str(failure(client, graph))


@pytest.mark.parametrize(("node", "inputs", "sentence"), [
    ("4", {"adapter": "gone.safetensors"}, "adapter: 'gone.safetensors' is not in ComfyUI's models/model_patches"),
    ("4", {"layers": "three"}, "layers: 'three' is not a layer"),
    ("4", {"strength": 11.0}, "strength"),
    ("5", {"negative_subjects": "none"}, "negative_subjects: "),
])
def test_what_is_known_when_queued_is_refused_then(client, graph, node, inputs, sentence):
    graph[node]["inputs"].update(inputs)
    # The other previews would let the rest run.
    for number in ("9", "10") if node == "5" else ("9",):
        graph.pop(number)
    assert sentence in refusal(client, graph)


@pytest.mark.parametrize(("node", "inputs", "sentence"), [
    ("5", {"prompt": "A man."}, '"man on the left" is not in the prompt'),
    ("5", {"clip": ["2", 1]}, "clip: it is not HunyuanVideo's"),
    ("4", {"model": ["2", 0]}, "model: this is a WanModel, not a HunyuanVideo"),
    ("4", {"layers": "7"}, "layers: the PolyVivid adapter has no weights for [7]"),
])
def test_what_shows_when_the_node_runs_ends_in_a_sentence(client, graph, node, inputs, sentence):
    graph[node]["inputs"].update(inputs)
    assert sentence in str(failure(client, graph))
