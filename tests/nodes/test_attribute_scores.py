"""LumosX Attribute Score and LumosX Motion Score on the running server."""

import json

import pytest
from PIL import Image

from support.drawing import draw_dress, draw_jacket
from support.dressed import dressed_frame
from support.face_videos import people_of_photograph
from tools.client import failure

JACKET, DRESS = draw_jacket((62, 140, 92)), draw_dress((250, 204, 66))


@pytest.fixture(scope="module")
def pictures(server):
    """The server's input folder gets two faces, their clothes, and two frames: worn right, and swapped."""
    first, _, second, *_ = people_of_photograph()
    faces = Image.fromarray(first.picture), Image.fromarray(second.picture)
    named = {
        "face_1": faces[0], "face_2": faces[1], "jacket": JACKET.convert("RGB"), "dress": DRESS.convert("RGB"),
        "right": Image.fromarray(dressed_frame(faces, (JACKET, DRESS))),
        "swapped": Image.fromarray(dressed_frame(faces, (DRESS, JACKET))),
    }
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    for name, picture in named.items():
        picture.save(folder / f"worn_{name}.png")
    return {name: f"worn_{name}.png" for name in named}


@pytest.fixture
def attributes(pictures):
    """A graph that scores two frames."""
    graph = {name: {"class_type": "LoadImage", "inputs": {"image": file}} for name, file in pictures.items()}
    for number, thing, phrase in ((1, "jacket", "green jacket"), (2, "dress", "yellow dress")):
        graph[f"subject_{number}"] = {"class_type": "LumosX_Subject", "inputs": {
            "face": [f"face_{number}", 0], "phrase": f"person {number}", "attribute_1": [thing, 0],
            "attribute_1_phrase": phrase,
        }}
    graph["scene"] = {"class_type": "LumosX_Binder", "inputs": {
        "subject_1": ["subject_1", 0], "subject_2": ["subject_2", 0],
    }}
    graph["video"] = {"class_type": "ImageBatch", "inputs": {"image1": ["right", 0], "image2": ["swapped", 0]}}
    graph["score"] = {"class_type": "LumosX_AttributeScore", "inputs": {
        "images": ["video", 0], "relations": ["scene", 0], "by": "everything there is", "locate": "person region",
        "embedder": "automatic", "detector": "CenterFace", "every_nth_frame": 1,
    }}
    for number, name in enumerate(("report", "json")):
        graph[name] = {"class_type": "PreviewAny", "inputs": {"source": ["score", number]}}
    return graph


def test_swapped_clothes_show_in_report_json_and_pictures(client, attributes):
    run = client.run(attributes, timeout=300)
    values = json.loads(run.outputs["json"]["text"][0])
    assert [attribute["win_rate"] for attribute in values["attributes"]] == [0.5, 0.5]
    report = run.outputs["report"]["text"][0]
    assert "| green jacket | 1 person 1 |" in report and "models/lumosx/clip-vit-large-patch14" in report
    # The plot, which only the node itself shows here.
    assert len(run.outputs["score"]["images"]) == 1


def test_the_plot_is_an_output_and_the_annotated_frames_stay_where_they_were(client, attributes):
    for name, output in (("annotated", 2), ("plot", 3)):
        attributes[name] = {"class_type": "PreviewImage", "inputs": {"images": ["score", output]}}
    run = client.run(attributes, timeout=300)
    assert [len(run.outputs[name]["images"]) for name in ("annotated", "plot")] == [2, 1]


def test_one_frame_of_two(client, attributes):
    attributes["score"]["inputs"].update(every_nth_frame=2, by="colour")
    values = json.loads(client.run(attributes, timeout=300).outputs["json"]["text"][0])
    assert values["watched_frames"] == [0] and values["notes"] == []
    assert [attribute["verdict"] for attribute in values["attributes"]] == ["on the right person"] * 2


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"by": "DINOv2"}, "by: DINOv2 has no weights; put model.safetensors"),
        ({"locate": "OWLv2 inside the person"}, "locate: OWLv2 has no weights; put model.safetensors"),
    ],
)
def test_missing_weights_that_were_asked_for_by_name(client, attributes, inputs, sentence):
    attributes["score"]["inputs"].update(inputs)
    assert sentence in str(failure(client, attributes))


def test_a_scene_without_attributes_is_refused(client, attributes):
    for number in (1, 2):
        del attributes[f"subject_{number}"]["inputs"]["attribute_1"]
        attributes[f"subject_{number}"]["inputs"]["attribute_1_phrase"] = ""
    assert "relations: there is no object" in str(failure(client, attributes))


def motion_graph(name, frames, **inputs):
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": frames}},
        "3": {"class_type": "LumosX_MotionScore", "inputs": {"images": ["2", 0], "fps": 16.0, **inputs}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 1]}},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["3", 2]}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["3", 3]}},
    }


def test_a_still_video_is_not_dynamic(client, pictures):
    outputs = client.run(motion_graph(pictures["right"], 12), timeout=300).outputs
    values = json.loads(outputs["4"]["text"][0])
    assert values["dynamic"] is False and values["frames_watched"] == 4
    assert outputs["5"]["text"][0].casefold() == "false"
    assert "a stand-in for RAFT" in outputs["3"]["text"][0]
    assert len(outputs["3"]["images"]) == len(outputs["6"]["images"]) == 1


def test_a_short_video_is_refused_with_the_frames_it_needs(client, pictures):
    assert "images: 9 frames are too few" in str(
        failure(client, motion_graph(pictures["right"], 9))
    )
