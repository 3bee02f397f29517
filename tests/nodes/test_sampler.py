"""The sampling options on the running server: refused when queued, or run to a video."""

import pytest

from tools.client import PromptRejected


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"steps": 50, "schedule": "CausVid"}, "steps: schedule CausVid has 3 steps, not 50; use 3"),
        ({"steps": 3, "schedule": "FastWan", "denoise": 0.5}, "denoise: schedule FastWan starts from noise; use 1"),
        ({"schedule": "Fast"}, 'schedule: "Fast" is not a choice; choose one of release, CausVid, FastWan'),
        ({"steps": 0}, "steps: 0 must be from 1 to"),
    ],
)
@pytest.mark.parametrize("node", ["LumosX_Sampler", "LumosX_Schedule"])
def test_schedules_are_refused_when_queued(client, graph, node, inputs, sentence):
    if node == "LumosX_Sampler":
        graph["5"]["inputs"].update(inputs)
    else:
        graph = with_schedule(graph, **inputs)
    # The report needs no sampler, and a graph with one sound output runs.
    del graph["9"]
    with pytest.raises(PromptRejected) as caught:
        client.run(graph, timeout=300)
    assert sentence in str(caught.value)


def with_schedule(graph, **inputs):
    """The graph, sampled by SamplerCustomAdvanced."""
    graph["50"] = {"class_type": "LumosX_Schedule", "inputs": {"steps": 3, "shift": 8.0, "denoise": 1.0, **inputs}}
    graph["51"] = {"class_type": "RandomNoise", "inputs": {"noise_seed": 4}}
    graph["52"] = {"class_type": "CFGGuider", "inputs": {
        "model": ["3", 0], "positive": ["4", 0], "negative": ["4", 1], "cfg": 1.0,
    }}
    graph["5"] = {"class_type": "SamplerCustomAdvanced", "inputs": {
        "noise": ["51", 0], "guider": ["52", 0], "sampler": ["50", 0], "sigmas": ["50", 1], "latent_image": ["4", 2],
    }}
    return graph


def test_options_reach_the_sampler(client, graph):
    graph["5"]["inputs"].update(guidance_end_step=1, schedule="FastWan", cfg=1.0)
    assert client.run(graph, timeout=300).outputs["8"]
    assert client.run(with_schedule(graph, guidance_end_step=1, schedule="CausVid"), timeout=300).outputs["8"]


def test_a_linked_number_is_checked_when_the_node_runs(client, graph):
    graph["60"] = {"class_type": "PrimitiveInt", "inputs": {"value": 2}}
    graph["5"]["inputs"].update(steps=["60", 0], schedule="FastWan", cfg=1.0, seed=60)
    assert client.run(graph, timeout=300).outputs["8"]
