"""Graphs for the running server, made from the demo's."""

import copy
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tools.server import ROOT
from tools.weight_files import small_transformer

DEMO = Path(__file__).parents[1] / "workflows" / "demo.json"
PROMPT = "A man on the left with a red hat and a woman on the right, near a white lamp in a sunny park"


@pytest.fixture
def graph():
    """The demo's graph at a size that runs in a second or two."""
    nodes = json.loads(DEMO.read_text(encoding="utf-8"))
    nodes["4"]["inputs"].update(width=64, height=48, frames=5)
    nodes["5"]["inputs"].update(steps=2)
    return copy.deepcopy(nodes)


@pytest.fixture(scope="module")
def pack():
    """The pack in this process, loaded by its folder as ComfyUI does; the name of its package."""
    name = "lumosx_pack_in_process"
    spec = spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    yield name
    for loaded in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[loaded]


@pytest.fixture(scope="session")
def uploaded(server):
    """Names of pictures in the server's input folder: face, other, hat, lamp, clear (transparent)."""
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for name in ("face", "other", "hat", "lamp"):
        pixels = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(folder / "clear.png")
    return {name: f"{name}.png" for name in ("face", "other", "hat", "lamp", "clear")}


@pytest.fixture
def built(graph, uploaded):
    """The demo's graph with the scene built by hand from pictures instead of a case folder."""
    for number, name in enumerate(("face", "other", "hat", "lamp"), 20):
        graph[str(number)] = {"class_type": "LoadImage", "inputs": {"image": uploaded[name]}}
    graph["30"] = {"class_type": "LumosX_Subject", "inputs": {
        "face": ["20", 0], "phrase": "man on the left", "attribute_1": ["22", 0], "attribute_1_phrase": "red hat",
    }}
    graph["31"] = {"class_type": "LumosX_Subject", "inputs": {"face": ["21", 0], "phrase": "woman on the right"}}
    graph["32"] = {"class_type": "LumosX_Object", "inputs": {"image": ["23", 0], "phrase": "white lamp"}}
    graph["33"] = {"class_type": "LumosX_Background", "inputs": {"image": ["23", 0], "phrase": "sunny park"}}
    graph["34"] = {"class_type": "LumosX_Binder", "inputs": {
        "subject_1": ["30", 0], "subject_2": ["31", 0], "object_1": ["32", 0], "background": ["33", 0],
    }}
    del graph["2"]
    graph["4"]["inputs"].update(relations=["34", 0], prompt=PROMPT)
    return graph


@pytest.fixture(scope="session")
def folder(server):
    """Where the server looks for diffusion models."""
    path = server.base / "models" / "diffusion_models"
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def weights():
    """The small transformer in float32."""
    return small_transformer()


@pytest.fixture
def sample(client, graph, server):
    """sample(name, nodes, model) runs the demo on a weight file and returns its latent.

    `nodes` are added to the graph, in which "3" is our loader; "model" is the one whose MODEL the sampler gets.
    """
    def run(name, nodes=(), model="3", **inputs):
        graph["3"] = {"class_type": "LumosX_ModelLoader", "inputs": {"model_name": name, **inputs}}
        graph["5"]["inputs"]["model"] = [model, 0]
        for number in ("6", "7", "8", "9"):
            graph.pop(number, None)
        graph.update(nodes)
        graph["50"] = {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "test"}}
        saved = client.run(graph, timeout=300).outputs["50"]["latents"][0]
        return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]

    return run
