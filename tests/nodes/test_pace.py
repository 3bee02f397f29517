"""LumosX Relational Encode says how long sampling takes here, once a run has shown it, and what the weights are."""

import json

import pytest

from lumosx_core.runner.client import json_body
from tools.client import Interrupted, Refused


@pytest.fixture
def kept(server):
    path = server.base / "user" / "__lumosx" / "pace.json"
    path.unlink(missing_ok=True)
    return path


def asked(client, runs):
    """As the page asks after a run."""
    return client._json("/lumosx/pace", json_body(runs=runs))["here"]


def prediction(run):
    return run.outputs["4"]["lumosx_encoding"][0]["prediction"]


def test_minutes_here_from_the_second_run_on(client, graph, kept):
    graph["5"]["inputs"].update(seed=901, steps=4)
    graph["9"]["inputs"]["source"] = ["4", 3]
    graph["4"]["inputs"]["negative_prompt"] = "first"
    first = client.run(graph, timeout=300)
    assert prediction(first)["here"] is None and "here for sampling" not in first.outputs["9"]["text"][0]
    [run] = json.loads(kept.read_text())["runs"]
    assert run["size"] == {"width": 64, "height": 48, "frames": 5} and 0 < run["seconds"] < 60
    # The page need not wait for another encoding.
    here = asked(client, prediction(first)["runs"])
    assert here["like"] is None and here["amount"] >= 1 and here["unit"] == "seconds"

    graph["4"]["inputs"]["negative_prompt"] = "second"
    second = client.run(graph, timeout=300)
    here = prediction(second)["here"]
    assert here["like"] is None and here["amount"] >= 1 and here["unit"] == "seconds"
    assert "- Time: about" in second.outputs["9"]["text"][0]

    # Another size says what it goes by; twice as many steps are the same setting.
    graph["4"]["inputs"].update(width=96, negative_prompt="third")
    graph["5"]["inputs"]["steps"] = 8
    third = prediction(client.run(graph, timeout=300))["here"]
    assert third["like"] == {"width": 64, "height": 48, "frames": 5}

    # Another model in its place is not known yet.
    graph["3"]["inputs"]["pool"] = 4
    graph["4"]["inputs"]["negative_prompt"] = "fourth"
    assert prediction(client.run(graph, timeout=300))["here"] is None


@pytest.mark.parametrize("runs", [
    [{"key": "0" * 63, "work": 1.0, "forwards": 1}], [{"key": "0" * 64, "work": 0, "forwards": 1}],
    [{"key": "0" * 64, "work": 1.0, "forwards": 1.5}], [{"key": "0" * 64, "work": 1.0, "forwards": 1}] * 17, None,
])
def test_only_what_a_result_holds_is_looked_up(client, runs):
    with pytest.raises(Refused, match="pace: runs"):
        asked(client, runs)


def test_a_pace_that_nobody_knows_is_none(client, kept):
    assert asked(client, [{"key": "0" * 64, "work": 1.0, "forwards": 1}]) is None and asked(client, []) is None


def test_the_weights_are_those_of_the_model_that_is_linked(client, graph, kept):
    graph["9"]["inputs"]["source"] = ["4", 3]
    graph["4"]["inputs"]["negative_prompt"] = "weights"
    run = client.run(graph, timeout=300)
    told = prediction(run)
    assert told["model"] == "lumosx_tiny_dit.safetensors" and told["weights_gb"] == pytest.approx(0.0113, abs=2e-4)
    report = run.outputs["9"]["text"][0]
    assert "Predicted for lumosx_tiny_dit.safetensors" in report and "the weights (11 MB)" in report
    assert "1.3B" not in report


def test_a_run_that_was_stopped_shows_nothing(client, graph, kept):
    graph["5"]["inputs"].update(seed=902, steps=400)

    def stop(kind, data):
        if kind == "progress" and data["node"] == "5" and data["value"] > 3:
            client.interrupt()

    with pytest.raises(Interrupted):
        client.run(graph, on_event=stop, timeout=300)
    assert not kept.exists()
