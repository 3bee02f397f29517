"""Workflows as they were released, and one from before: they are kept for ever, and run with the nodes of today."""

import json
from pathlib import Path

import pytest

from support.small_models import on_small_models
from tools.client import ComfyClient
from tools.ui_form import to_api

RELEASED = Path(__file__).parents[1] / "released"
FILES = sorted(RELEASED.glob("*/*.json"))


@pytest.fixture(scope="module")
def info(server):
    return ComfyClient(server.url).object_info()


def test_every_version_kept_its_workflows():
    versions = {path.stem for path in RELEASED.glob("*.json")}
    assert versions and versions | {"early"} == {path.parent.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}: {path.stem}")
def test_a_released_workflow_still_runs(path, client, server, info):
    graph = on_small_models(to_api(json.loads(path.read_text(encoding="utf-8")), info), server)
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    [video] = [number for number, node in graph.items() if node["class_type"] == "SaveVideo"]
    assert run.outputs[video]["images"]
