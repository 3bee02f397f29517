"""The second workflow, from two plain photographs to a video and a score, on a real server."""

import io
import json
import shutil
from pathlib import Path

import av
import pytest
from PIL import Image

from host.photographs import astronaut_file, six_people_file

GRAPH = Path(__file__).with_name("snapshots.json")


@pytest.fixture
def graph(server):
    """The workflow at a small size, its two photographs in the server's input folder."""
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    shutil.copy(six_people_file(), folder / "people.jpg")
    Image.open(astronaut_file()).convert("RGB").save(folder / "jacket.jpg")
    nodes = json.loads(GRAPH.read_text(encoding="utf-8"))
    nodes["10"]["inputs"].update(width=160, height=96, frames=9)
    nodes["11"]["inputs"].update(steps=2)
    return nodes


def test_from_photographs_to_a_video_and_its_score(client, graph):
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    with av.open(io.BytesIO(client.view(run.outputs["14"]["images"][0]))) as container:
        assert len(list(container.decode(video=0))) == 9
    assert run.outputs["3"]["images"] and run.outputs["5"]["images"], "the crops and the cut-out are shown"
    binding, score = (run.outputs[node]["text"][0] for node in ("15", "17"))
    for words in ("person on the left", "red jacket", "person on the right"):
        assert f'-> "{words}" at token' in binding
    assert "person on the left" in score and "person on the right" in score


def test_another_pick_is_another_scene_and_only_what_hangs_on_it_runs(client, graph):
    client.run(graph, timeout=300)
    graph["3"]["inputs"]["pick"] = "4, 2"
    assert {"3", "6", "7", "8", "10"} <= set(client.run(graph, timeout=300).executed)
    graph["3"]["inputs"]["pick"] = "4"
    with pytest.raises(Exception, match="LumosX Face Crop face_2"):
        client.run(graph, timeout=300)
