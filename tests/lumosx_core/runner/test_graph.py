"""Workflows of a batch: read, refused and filled in."""

import hashlib
import json
from pathlib import Path

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.runner.graph import DEMO, plain, read_graph

WORKFLOWS = Path(__file__).parents[3] / "workflows"


def test_the_packaged_graph_is_the_demos():
    demo = json.loads((Path(__file__).parents[2] / "workflows" / "demo.json").read_text(encoding="utf-8"))
    graph = read_graph(DEMO)
    assert graph.nodes == {key: demo[key] for key in graph.nodes}
    assert graph.sha256 == hashlib.sha256(DEMO.read_bytes()).hexdigest() and graph.seed == 0


def test_a_case_and_its_prefix_are_filled_in(graph, workflow):
    read = read_graph(workflow)
    filled = read.filled("batch/one", "batch/one-1")
    assert filled["2"]["inputs"] == {**graph["2"]["inputs"], "case": "batch/one"}
    assert filled["8"]["inputs"]["filename_prefix"] == "batch/one-1"
    assert read.video_prefixes("batch/one-1") == ["batch/one-1"]
    assert read.nodes == graph, "the graph itself stays as it was"


@pytest.mark.parametrize(("inputs", "taken"), [
    ({}, False), ({"full_body": "leave out"}, False), ({"full_body": "as stand-alone references"}, True),
    ({"full_body": ["7", 0]}, True),
])
def test_whole_persons_are_checked_as_the_graph_takes_them(graph, workflow, inputs, taken):
    graph["2"]["inputs"] = {"case": "x", **inputs}
    workflow.write_text(json.dumps(graph))
    assert read_graph(workflow).full_bodies is taken


def test_several_savers_get_prefixes_of_their_own(graph, workflow):
    # A linked prefix is no name that can be found again.
    graph["8:2"] = {"class_type": "SaveVideo", "inputs": {**graph["8"]["inputs"], "filename_prefix": ["2", 2]}}
    workflow.write_text(json.dumps(graph))
    read = read_graph(workflow)
    filled = read.filled("c", "p")
    assert [filled[key]["inputs"]["filename_prefix"] for key in ("8", "8:2")] == ["p-8", "p-8_2"]
    assert read.video_prefixes("p") == ["p-8", "p-8_2"]


@pytest.mark.parametrize("other", [
    {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}},
    {"class_type": "SaveVideo", "inputs": {"filename_prefix": "x", "format": "webm"}},
])
def test_names_of_anything_but_mp4_are_not_guessed(graph, workflow, other):
    workflow.write_text(json.dumps({**graph, "9": other}))
    assert read_graph(workflow).video_prefixes("p") is None


def test_only_typed_seeds_are_set(graph, workflow):
    graph["10"] = {"class_type": "RandomNoise", "inputs": {"noise_seed": 3}}
    graph["11"] = {"class_type": "KSampler", "inputs": {"seed": ["10", 0]}}
    workflow.write_text(json.dumps(graph))
    read = read_graph(workflow)
    assert read.seed is None, "0 and 3"
    seeded = read.with_seed(2**64 - 1)
    assert seeded.seed == 2**64 - 1 and seeded.nodes["11"]["inputs"]["seed"] == ["10", 0]
    assert seeded.sha256 == read.sha256 and read.nodes["10"]["inputs"]["noise_seed"] == 3


def _without(*keys):
    return lambda graph: {key: node for key, node in graph.items() if key not in keys}


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda graph: {"nodes": [], "links": []}, "is .* Export"),
    (lambda graph: [graph], "is not a graph in API format"),
    (lambda graph: {**graph, "12": {"inputs": {}}}, "is not a graph in API format"),
    (lambda graph: {**graph, "12": {"class_type": "X", "inputs": []}}, "is not a graph in API format"),
    (lambda graph: {**graph, "12": {"class_type": 3, "inputs": {}}}, "is not a graph in API format"),
    (lambda graph: {**graph, "12": 3}, "is not a graph in API format"),
    (lambda graph: {**graph, "12": None}, "is not a graph in API format"),
    (lambda graph: 3, "is not a graph in API format"),
    (_without("2"), "has 0 LumosX Load Case nodes"),
    (lambda graph: {**graph, "13": graph["2"]}, "has 2 LumosX Load Case nodes"),
    (_without("8"), ".*filename_prefix"),
])
def test_what_cannot_work_is_refused(graph, workflow, change, sentence):
    workflow.write_text(json.dumps(change(graph)))
    with pytest.raises(LumosXError, match=f"^workflow: .* {sentence}"):
        read_graph(workflow)


def test_a_missing_file_and_no_json_are_refused(tmp_path):
    with pytest.raises(LumosXError, match="cannot be read"):
        read_graph(tmp_path / "gone.json")
    with pytest.raises(LumosXError, match="is not JSON"):
        read_graph(Path(__file__))


def test_the_shipped_workflows_are_distinguished_from_api_form():
    for path in WORKFLOWS.glob("*.json"):
        with pytest.raises(LumosXError, match="Export"):
            read_graph(path)


def test_names_become_plain():
    assert plain('a/b: "é" 100%') == "a_b_100_" and len(plain("x" * 300)) == 60
