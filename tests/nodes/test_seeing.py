"""LumosX Relation Map and LumosX Who Is Who on a real server, behind the demo."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.client import PromptRejected

WORKFLOWS = Path(__file__).parents[1] / "workflows"


@pytest.fixture
def demo():
    """The demo's graph with two steps, "90", its map, and "93", the names of its things."""
    graph = json.loads((WORKFLOWS / "demo_scene.json").read_text(encoding="utf-8"))
    ids = {node["class_type"]: number for number, node in graph.items()}
    sampler, encode, decode = (ids[name] for name in ("LumosX_Sampler", "LumosX_RelationalEncode", "VAEDecode"))
    graph[sampler]["inputs"]["steps"] = 2
    graph["90"] = {"class_type": "LumosX_RelationMap", "inputs": {
        "model": graph[sampler]["inputs"]["model"], "positive": [encode, 0],
        "relations": graph[encode]["inputs"]["relations"], "latent": [sampler, 0], "images": [decode, 0],
    }}
    for number, output in ((91, 0), (92, 1)):
        graph[str(number)] = {"class_type": "SaveImage", "inputs": {"images": ["90", output], "filename_prefix": "map"}}
    graph["93"] = {"class_type": "LumosX_WhoIsWho", "inputs": {
        "images": [decode, 0], "relations": graph[encode]["inputs"]["relations"], "faces": False, "heat": ["90", 2],
    }}
    graph["94"] = {"class_type": "SaveImage", "inputs": {"images": ["93", 0], "filename_prefix": "who"}}
    graph["95"] = {"class_type": "PreviewAny", "inputs": {"source": ["93", 1]}}
    wanted, frontier = set(), ["91", "92", "94", "95"]
    while frontier:
        number = frontier.pop()
        wanted.add(number)
        links = [value[0] for value in graph[number]["inputs"].values() if isinstance(value, list)]
        frontier += [link for link in links if link not in wanted]
    return {number: graph[number] for number in wanted}


def test_the_demo_shows_where_its_references_are_read(client, server, demo):
    outputs = client.run(demo, timeout=300).outputs
    folder = server.base / "output"
    frames = [np.asarray(Image.open(folder / one["subfolder"] / one["filename"])) for one in outputs["91"]["images"]]
    [encode] = [node["inputs"] for node in demo.values() if node["class_type"] == "LumosX_RelationalEncode"]
    [(height, width)] = {frame.shape[:2] for frame in frames}
    assert len(frames) == encode["frames"] and height * encode["width"] == width * encode["height"]
    assert not all(np.array_equal(frame, frames[0]) for frame in frames)
    assert len(outputs["92"]["images"]) == len(outputs["90"]["images"]) == len(outputs["93"]["images"]) == 1
    assert len(outputs["94"]["images"]) == encode["frames"]
    [report] = outputs["95"]["text"]
    assert "| heat |" in report and "Warning" not in report and "not found" not in report


@pytest.mark.parametrize(("name", "value"), [("noise_levels", "2"), ("blocks", "first")])
def test_what_no_run_can_use_is_named_before_it(client, demo, name, value):
    demo["90"]["inputs"][name] = value
    with pytest.raises(PromptRejected, match=f"{name}: "):
        client.run(demo, timeout=60)


@pytest.mark.parametrize("name", ["embedder", "detector"])
def test_a_face_model_that_is_not_known_is_refused_when_queued(client, name):
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}},
        "2": {"class_type": "LumosX_LoadCase", "inputs": {"case": "[LumosX demo]"}},
        "3": {"class_type": "LumosX_WhoIsWho", "inputs": {"images": ["1", 0], "relations": ["2", 0], name: "guess"}},
    }
    with pytest.raises(PromptRejected, match=name):
        client.run(graph, timeout=60)
