"""The template of PolyVivid, run as it ships on the small HunyuanVideo."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest

from support.tiny_hunyuan import skip_without_tokenizer

HERE = Path(__file__).parent


@pytest.fixture
def graph():
    """The template with few steps, and with the encoder's report."""
    skip_without_tokenizer()
    graph = json.loads((HERE / "polyvivid.json").read_text(encoding="utf-8"))
    numbers = {node["class_type"]: number for number, node in graph.items()}
    graph[numbers["KSampler"]]["inputs"]["steps"] = 4
    graph["90"] = {"class_type": "PreviewAny", "inputs": {"source": [numbers["LumosX_PolyVividEncode"], 2]}}
    return graph, numbers


def frames_of(client, run, number):
    with av.open(io.BytesIO(client.view(run.outputs[number]["images"][0]))) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_picture_is_a_subject_and_counts(client, graph):
    graph, numbers = graph
    run = client.run(graph, timeout=300)
    report = run.outputs["90"]["text"][0]
    assert '"The man on the left looks like <image 1>"' in report and "<image 2>" in report
    frames = frames_of(client, run, numbers["SaveVideo"])
    assert frames.shape == (9, 576, 768, 3)
    del graph[numbers["LumosX_PolyVividEncode"]]["inputs"]["relations"]
    without = frames_of(client, client.run(graph, timeout=300), numbers["SaveVideo"])
    assert np.abs(frames.astype(int) - without).mean() > 0.5
