"""LumosX Face Repair on the running server: by a mask, and refused when queued."""

import pytest

from tools.client import PromptRejected


@pytest.fixture
def repaired(graph):
    """The demo with its man's face repaired, or all of the picture that SolidMask covers, and a report in "93"."""
    graph["90"] = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 128, "height": 96}}
    graph["91"] = {"class_type": "LumosX_FaceRepair", "inputs": {
        "model": ["3", 0], "vae": ["1", 2], "positive": ["4", 0], "negative": ["4", 1], "images": ["6", 0],
        "relations": ["2", 0], "mask": ["90", 0], "seed": 0, "steps": 1, "cfg": 1.0, "shift": 5.0, "denoise": 0.5,
        "crop_size": 64, "padding": 0.5, "feather": 4, "person": 1,
    }}
    graph["92"] = {"class_type": "PreviewImage", "inputs": {"images": ["91", 2]}}
    graph["93"] = {"class_type": "PreviewAny", "inputs": {"source": ["91", 3]}}
    graph["94"] = {"class_type": "MaskPreview", "inputs": {"mask": ["91", 1]}}
    return {number: node for number, node in graph.items() if number not in ("7", "8", "9", "11")}


def test_a_masked_face_is_repaired_and_the_report_says_how(client, repaired):
    run = client.run(repaired, timeout=300)
    assert not run.node_errors
    report = run.outputs["93"]["text"][0]
    assert "repaired" in report and "frames 0 to 4" in report and "64 x 48" in report and "Warning" not in report
    assert len(run.outputs["92"]["images"]) == 1 and len(run.outputs["94"]["images"]) == 5


@pytest.mark.parametrize(("inputs", "named"), [
    ({"steps": 3, "schedule": "CausVid"}, "denoise"), ({"crop_size": 8}, "crop_size"), ({"denoise": 0.0}, "denoise"),
])
def test_what_is_wrong_is_refused_when_queued(client, repaired, inputs, named):
    repaired["91"]["inputs"].update(inputs)
    with pytest.raises(PromptRejected, match=named):
        client.run(repaired, timeout=300)
