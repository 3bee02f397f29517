"""LumosX Attention on a real server."""

import pytest

from tools.client import PromptRejected


@pytest.fixture
def choose(graph):
    """choose(backend): the demo's graph with that attention between model and sampler."""
    def build(backend):
        graph["60"] = {"class_type": "LumosX_Attention", "inputs": {"model": ["3", 0], "backend": backend}}
        graph["5"]["inputs"]["model"] = ["60", 0]
        # The report needs no model; the host would run that part whatever is wrong here.
        del graph["9"]
        return graph

    return build


def test_a_run_with_it_and_with_a_second_one_behind(client, choose):
    graph = choose("auto")
    graph["61"] = {"class_type": "LumosX_Attention", "inputs": {"model": ["60", 0], "backend": "pytorch"}}
    graph["5"]["inputs"]["model"] = ["61", 0]
    run = client.run(graph, timeout=300)
    assert {"60", "61"} <= {*run.executed, *run.cached} and run.outputs["8"]


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("sageattention 2", "backend: sageattention 2 needs an NVIDIA or AMD card, but models run on the CPU here;"),
        ("flash attention 9", 'backend: "flash attention 9" is not a choice; choose one of auto, pytorch,'),
    ],
)
def test_what_cannot_work_is_refused_when_queued(client, choose, backend, sentence):
    with pytest.raises(PromptRejected, match=sentence):
        client.run(choose(backend), timeout=300)


def test_the_list_holds_everything_whatever_is_installed(client):
    (kind, options) = client.object_info()["LumosX_Attention"]["input"]["required"]["backend"]
    listed = options["options"] if kind == "COMBO" else kind
    assert listed == [
        "auto", "pytorch", "sageattention 1", "sageattention 2", "flash attention 2", "flash attention 3", "xformers",
        "comfy-kitchen int8", "sageattention 3",
    ]
    assert options["default"] == "auto"
