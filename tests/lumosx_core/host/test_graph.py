"""What leads to a node in the graph that runs."""

import sys
from types import SimpleNamespace

import pytest
from comfy_execution.utils import CurrentNodeContext

from lumosx_core.host.graph import encoders_of, from_encoder, running_graph


def graph_of(**inputs):
    """A sampler with these inputs behind an encoder, a node that mixes conditionings, and a guider."""
    return {
        "encoder": {"class_type": "LumosX_RelationalEncode", "inputs": {"positive": ["text", 0]}},
        "text": {"class_type": "LumosX_RelationalEncode", "inputs": {}},
        "mix": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["encoder", 0], "other": ["mix", 0]}},
        "guider": {"class_type": "CFGGuider", "inputs": {"positive": ["mix", 0], "cfg": 5}},
        "sampler": {"class_type": "KSampler", "inputs": inputs},
    }


@pytest.mark.parametrize(("name", "link", "found"), [
    ("positive", ["encoder", 0], {"encoder"}), ("negative", ["encoder", 1], {"encoder"}),
    ("positive", ["encoder", "1"], {"encoder"}), ("guider", ["guider", 0], {"encoder"}),
    ("positive", ["mix", 0], {"encoder"}),
    # Its latent and its report are no conditionings, nor is what comes by a latent.
    ("positive", ["encoder", 2], set()), ("positive", ["encoder", 3], set()), ("latent_image", ["encoder", 0], set()),
    ("positive", ["gone", 0], set()), ("positive", "encoder", set()), ("positive", ["encoder"], set()),
])
def test_encoders_are_found_by_way_of_conditionings(name, link, found):
    assert encoders_of(graph_of(**{name: link}), "sampler") == found


def test_outside_of_a_server_there_is_no_graph():
    assert running_graph() is None and not from_encoder()


def test_a_graph_that_no_longer_runs_or_lacks_the_node_is_none(monkeypatch):
    graph = graph_of()
    queue = SimpleNamespace(get_current_queue_volatile=lambda: ([(0, "other", {}), (1, "prompt", graph)], []))
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue)))
    monkeypatch.setitem(sys.modules, "server", server)
    for prompt, node, expected in (
        ("prompt", "sampler", (graph, "sampler")), ("prompt", "gone", None), ("other", "sampler", None),
        ("gone", "sampler", None),
    ):
        with CurrentNodeContext(prompt, node):
            assert running_graph() == expected
    monkeypatch.delattr(server.PromptServer, "instance")
    with CurrentNodeContext("prompt", "sampler"):
        assert running_graph() is None
