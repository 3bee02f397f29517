"""LumosX Segmentation Gate and LumosX Clip Subjects on a real server, from a drawn clip's frames to its people."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from support.transformers_folders import write_clip
from tools.client import failure, refusal
from tools.clip_crops import draw_clip_crops


@pytest.fixture(scope="module")
def clip(server):
    """A drawn clip in the input folder: its frames, and as red parts of pictures the masks of each person."""
    made = draw_clip_crops(4, bridges=0)
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    for number, (pixels, masks) in enumerate(zip(made.clip, made.masks)):
        Image.fromarray(pixels).save(folder / f"clip_{number}.png")
        for person, mask in enumerate(masks):
            picture = np.zeros((*mask.shape, 3), np.uint8)
            picture[mask] = (255, 0, 0)
            Image.fromarray(picture).save(folder / f"clip_{number}_{person}.png")
    return made


@pytest.fixture
def add(graph):
    """add(class_type, **inputs) puts a node into an empty graph and returns its number."""
    graph.clear()

    def run(class_type, **inputs):
        number = str(len(graph) + 1)
        graph[number] = {"class_type": class_type, "inputs": inputs}
        return number

    return run


def batch_of(add, pictures, node="LoadImage", **inputs):
    """One batch of pictures or masks, by the host's own nodes."""
    numbers = [add(node, image=picture, **inputs) for picture in pictures]
    if node == "LoadImageMask":
        numbers = [add("MaskToImage", mask=[number, 0]) for number in numbers]
    batch = numbers[0]
    for number in numbers[1:]:
        batch = add("ImageBatch", image1=[batch, 0], image2=[number, 0])
    return add("ImageToMask", image=[batch, 0], channel="red") if node == "LoadImageMask" else batch


@pytest.fixture
def gated(add, clip):
    """The number of a gate over the whole clip."""
    people, frames = len(clip.script.roles), range(len(clip.clip))
    images = batch_of(add, [f"clip_{frame}.png" for frame in frames])
    masks = batch_of(
        add, [f"clip_{frame}_{person}.png" for frame in frames for person in range(people)], "LoadImageMask",
        channel="red",
    )
    phrases = "\n".join(role.phrase for role in clip.script.roles)
    return add("LumosX_SegmentationGate", images=[images, 0], masks=[masks, 0], phrases=phrases, check_by="off")


def test_from_frames_and_masks_to_one_picture_of_each_person(client, graph, add, clip, gated, server):
    subjects = add(
        "LumosX_ClipSubjects", crops=[gated, 0], by="colours", phrases=[gated, 1], frames=[gated, 2], tau=0.0,
    )
    report, words = add("PreviewAny", source=[subjects, 7]), add("PreviewAny", source=[subjects, 5])
    saved = add("SaveImage", images=[subjects, 4], filename_prefix="subjects")
    run = client.run(graph, timeout=300)
    people = [role.phrase for role in clip.script.roles]
    assert sorted(run.outputs[words]["text"][0].splitlines()) == sorted(people)
    assert f"{len(people)} subjects in {len(clip.clip)} frames" in run.outputs[report]["text"][0]
    assert len(run.outputs[saved]["images"]) == len(people) and run.outputs[subjects]["images"]
    for picture in run.outputs[saved]["images"]:
        with Image.open(server.base / "output" / picture["subfolder"] / picture["filename"]) as shown:
            assert any(np.array_equal(np.asarray(shown.convert("RGB")), crop) for crop in clip.pictures)


def test_what_is_linked_to_a_missing_subject_says_why(client, graph, add, clip, gated):
    subjects = add("LumosX_ClipSubjects", crops=[gated, 0], by="colours", frames=[gated, 2])
    add("PreviewImage", images=[subjects, 3])
    said = str(failure(client, graph))
    assert f"subject_4: the clip shows only {len(clip.script.roles)} subjects" in said


def test_faces_of_several_photos_become_people(client, graph, add, uploaded, server):
    """Two batches in a list, as LumosX Face Crop hands faces out; its frames go along."""
    one, two = (add("LoadImage", image=uploaded[name]) for name in ("face", "lamp"))
    both = add("ImageBatch", image1=[one, 0], image2=[two, 0])
    subjects = add("LumosX_ClipSubjects", crops=[both, 0], by="colours", frames="0, 1", tau=2.0)
    run = client.run({**graph, "r": {"class_type": "PreviewAny", "inputs": {"source": [subjects, 7]}}}, timeout=300)
    assert "1 subject in 2 frames" in run.outputs["r"]["text"][0]


def test_clip_checks_the_phrases(client, graph, add, clip, server):
    """With a real, small CLIP; labels of the boxes choose the phrase."""
    folder = server.models / "lumosx"
    folder.mkdir(parents=True, exist_ok=True)
    write_clip(folder)
    images = batch_of(add, ["clip_0.png"])
    masks = batch_of(add, ["clip_0_0.png", "clip_0_1.png"], "LoadImageMask", channel="red")
    height, width = clip.masks.shape[2:]
    boxes = add("PrimitiveStringMultiline", value=json.dumps(
        {"bboxes": [[0, 0, width, height], [0, 0, width, height]], "labels": ["a man", "a lamp"]}
    ))
    gate = add(
        "LumosX_SegmentationGate", images=[images, 0], masks=[masks, 0], phrases="a man", check_by="CLIP",
        boxes=[boxes, 0], min_similarity=-1.0,
    )
    report = add("PreviewAny", source=[gate, 4])
    text = client.run(graph, timeout=300).outputs[report]["text"][0]
    assert "1 of 1 kept." in text and "similarity" in text and 'not a phrase were ignored: "a lamp"' in text
    graph[gate]["inputs"]["min_similarity"] = 1.0
    assert "min_similarity: nothing is kept. The best similarity is" in str(failure(client, graph))
    for name in sorted(folder.rglob("*"), reverse=True):
        name.rmdir() if name.is_dir() else os.unlink(name)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"frames": "0 1"}, "frames: there are 2 numbers for"),
        ({"frames": "one"}, "frames: 'one'"),
        ({"phrases": "a\nb"}, "phrases: there are 2 lines for"),
        ({"by": "CLIP"}, "CLIP has no weights"),
        ({"tau": 0.000001, "frame_count": 900}, "no 301 of the"),
        ({"frame_count": 1}, "frame_count: it is 1, but the crops come from"),
    ],
)
def test_what_does_not_fit_ends_in_a_sentence(client, graph, add, gated, inputs, sentence):
    add("LumosX_ClipSubjects", **{"crops": [gated, 0], "by": "colours", "frames": [gated, 2], **inputs})
    assert sentence in str(failure(client, graph))


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"phrases": "a\nb\nc\nd\ne"}, "phrases: there are 5 for"),
        ({"phrases": "", "check_by": "CLIP"}, "phrases: it is empty"),
        ({"boxes": "[[1, 2, 3, 4]]"}, "boxes: there are boxes of 1 frames for"),
        ({"boxes": "where"}, "boxes: the text is not JSON"),
    ],
)
def test_what_a_gate_cannot_use_ends_in_a_sentence(client, graph, add, gated, inputs, sentence):
    if "boxes" in inputs:
        text = add("PrimitiveStringMultiline", value=inputs["boxes"])
        inputs = {"boxes": [text, 0]}
    graph[gated]["inputs"].update(inputs)
    assert sentence in str(failure(client, graph))


@pytest.mark.parametrize(("inputs", "name"), [({"by": "smell"}, "by"), ({"tau": 3.0}, "tau")])
def test_values_that_the_schema_does_not_allow_are_refused_when_queued(client, graph, add, uploaded, inputs, name):
    crop = add("LoadImage", image=uploaded["face"])
    add("LumosX_ClipSubjects", **{"crops": [crop, 0], "by": "colours", **inputs})
    assert name in refusal(client, graph)
