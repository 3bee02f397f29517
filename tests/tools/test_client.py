"""The client against the real server, with ComfyUI's own nodes."""

import pytest

from tools.client import ExecutionFailed, Interrupted, PromptRejected

VIDEO = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 9, "color": 255}},
    "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 16}},
    "3": {
        "class_type": "SaveVideo",
        "inputs": {"video": ["2", 0], "filename_prefix": "client/video", "format": "mp4", "codec": "h264"},
    },
}


def changed(node, **inputs):
    """Return the workflow VIDEO with other inputs for one node."""
    return {**VIDEO, node: {**VIDEO[node], "inputs": {**VIDEO[node]["inputs"], **inputs}}}


def blurs(count):
    """Return a workflow that takes a second or so for each of its nodes."""
    image = {"width": 1024, "height": 1024, "batch_size": 4, "color": 0}
    prompt = {"0": {"class_type": "EmptyImage", "inputs": image}}
    for position in range(count):
        inputs = {"image": [str(position), 0], "blur_radius": 15, "sigma": 3.0}
        prompt[str(position + 1)] = {"class_type": "ImageBlur", "inputs": inputs}
    prompt["preview"] = {"class_type": "PreviewImage", "inputs": {"images": [str(count), 0]}}
    return prompt


def test_a_run_tells_what_ran_and_what_came_from_the_cache(client):
    client.run(changed("1", color=1))
    first = client.run(VIDEO)
    assert first.executed == ["1", "2", "3"]
    assert first.previews == 0
    second = client.run(changed("3", filename_prefix="client/other"))
    assert second.executed == ["3"]
    assert {"1", "2"} <= set(second.cached)
    file = second.outputs["3"]["images"][0]
    assert client.view(file)[4:8] == b"ftyp"
    assert client.history(second.prompt_id)["status"]["completed"]


def test_events_arrive_in_order(client):
    seen = []
    run = client.run(changed("1", color=2), on_event=lambda kind, data: seen.append((kind, data)))
    assert seen == run.events
    assert [kind for kind, _ in seen][0] == "execution_start"
    assert [kind for kind, _ in seen][-1] == "execution_success"


def test_a_wrong_input_is_rejected_with_its_reason(client):
    with pytest.raises(PromptRejected, match="^EmptyImage: Value 0 smaller than min of 1: width$") as rejection:
        client.submit(changed("1", width=0))
    assert rejection.value.body["node_errors"]["1"]["class_type"] == "EmptyImage"


def test_a_failing_node_is_reported_with_its_message(client):
    prompt = {
        "1": {"class_type": "RegexReplace", "inputs": {"string": "a", "regex_pattern": "(", "replace": "b"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    with pytest.raises(ExecutionFailed) as failure:
        client.run(prompt)
    assert failure.value.node_id == "1"
    assert failure.value.node_type == "RegexReplace"
    assert failure.value.message.startswith("missing ), unterminated subpattern")
    assert failure.value.message == failure.value.message.strip()
    assert "in execute" in failure.value.traceback
    assert failure.value.run.executed == ["1"]


def test_an_interrupted_run_ends_early(client):
    with pytest.raises(Interrupted) as interruption:
        client.run(blurs(6), on_event=lambda kind, data: kind == "executing" and client.interrupt())
    assert "preview" not in interruption.value.run.executed
    assert client.run(changed("1", color=3)).executed == ["1", "2", "3"]


def test_a_run_that_takes_too_long_is_interrupted(client):
    with pytest.raises(TimeoutError, match="did not finish within 0.2 s"):
        client.run(blurs(6), timeout=0.2)
    assert client.run(changed("1", color=4)).executed == ["1", "2", "3"]


def test_free_forgets_cached_results(client):
    client.run(VIDEO)
    client.free()
    assert client.run(VIDEO).executed == ["1", "2", "3"]
