"""Cases saved and loaded on a real server, with full bodies, up to the same video."""

import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tools.client import ExecutionFailed, PromptRejected

SCENE = ("20", "21", "22", "23", "30", "31", "32", "33", "34")


@pytest.fixture
def bound(built):
    """The nodes of a hand-built scene, with a full body beside a group; "34" is the binder."""
    built["31"]["inputs"]["full_body"] = ["22", 0]
    return {number: built[number] for number in SCENE}


@pytest.fixture
def saving(bound, built, server):
    """The scene and "40", a node that saves it as saved/case."""
    prompt = built["4"]["inputs"]["prompt"]
    yield {**bound, "40": {"class_type": "LumosX_SaveCase", "inputs": {
        "relations": ["34", 0], "prompt": prompt, "name": "park", "folder": "saved/case", "replace": False,
    }}}
    shutil.rmtree(server.base / "output" / "saved", ignore_errors=True)


@pytest.fixture
def latent(client, graph, server):
    """latent(nodes, relations, prompt) samples the demo on a scene."""
    def run(nodes, relations, prompt):
        demo = {number: graph[number] for number in ("1", "3", "4", "5")}
        demo["4"]["inputs"].update(relations=relations, prompt=prompt)
        demo["50"] = {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "case"}}
        saved = client.run({**demo, **nodes}, timeout=300).outputs["50"]["latents"][0]
        return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]

    return run


def load_of(case, **inputs):
    return {"41": {"class_type": "LumosX_LoadCase", "inputs": {"case": case, **inputs}}}


def test_a_saved_case_makes_the_same_video(client, latent, bound, saving, server):
    exact = latent(bound, ["34", 0], saving["40"]["inputs"]["prompt"])
    assert torch.equal(latent({**saving, **load_of(["40", 0])}, ["41", 0], ["41", 1]), exact)
    options = client.object_info()["LumosX_LoadCase"]["input"]["required"]["case"]
    name = "saved/case_00001 [output]"
    assert name in (options[1]["options"] if options[0] == "COMBO" else options[0])
    chosen = load_of(name)
    assert torch.equal(latent(chosen, ["41", 0], ["41", 1]), exact)
    # A case that was changed is read anew.
    face = server.base / "output/saved/case_00001/subjects/1/face_man on the left.png"
    Image.new("RGB", (9, 9), "red").save(face)
    assert not torch.equal(latent(chosen, ["41", 0], ["41", 1]), exact)


def test_numbers_and_replacing(client, saving, server):
    first = client.run(saving, timeout=300)
    assert "Saved in" in first.outputs["40"]["text"][0] and "full body of subject 2" in first.outputs["40"]["text"][0]
    saving["40"]["inputs"]["name"] = "again"
    client.run(saving, timeout=300)
    saving["40"]["inputs"].update(name="third", folder="saved/case_00001", replace=True)
    client.run(saving, timeout=300)
    folder = server.base / "output" / "saved"
    captions = {path.name: (path / "caption.txt").read_text(encoding="utf-8") for path in folder.iterdir()}
    assert {name: text.partition(";")[0] for name, text in captions.items()} == {
        "case_00001": "third", "case_00002": "again",
    }


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("folder", "../case", "folder: '../case' is not a plain folder name"),
        ("folder", "/tmp/case", "is not a plain folder name"),
        ("folder", "C:\\case", "is not a plain folder name"),
        ("folder", "a\0b", "is not a plain folder name"),
        ("name", "a;b", "name: 'a;b' cannot be the name of a case"),
        ("name", "", "cannot be the name of a case"),
    ],
)
def test_bad_names_are_refused_when_queued(client, saving, name, value, sentence):
    saving["40"]["inputs"][name] = value
    with pytest.raises(PromptRejected) as caught:
        client.run(saving, timeout=300)
    assert sentence in str(caught.value)


def test_an_empty_prompt_and_a_name_outside_the_output_folder(client, saving):
    saving["40"]["inputs"]["prompt"] = " "
    with pytest.raises(ExecutionFailed, match="prompt: it is empty"):
        client.run(saving, timeout=300)
    with pytest.raises(PromptRejected, match="is not inside ComfyUI's output folder"):
        client.run({**load_of("../models [output]"), "42": {
            "class_type": "PreviewAny", "inputs": {"source": ["41", 3]},
        }}, timeout=300)


def test_full_bodies_of_a_folder_without_a_description(client, saving, server):
    client.run(saving, timeout=300)
    (server.base / "output/saved/case_00001/lumosx.json").unlink()
    shown = {"42": {"class_type": "PreviewAny", "inputs": {"source": ["41", 3]}}}
    for choice, expected in (("leave out", False), ("as stand-alone references", True)):
        nodes = load_of("saved/case_00001 [output]", full_body=choice)
        text = client.run({**nodes, **shown}, timeout=300).outputs["42"]["text"][0]
        assert ('Object: "woman on the right" (full body of subject 2)' in text) == expected
        assert ("fullfullbody_woman on the right.png was left out" in text) != expected


def test_a_subject_may_be_a_full_body_alone(client, bound, latent, saving):
    both = latent(bound, ["34", 0], saving["40"]["inputs"]["prompt"])
    del bound["31"]["inputs"]["face"]
    assert not torch.equal(latent(bound, ["34", 0], saving["40"]["inputs"]["prompt"]), both)
    bound["31"]["inputs"]["phrase"] = " "
    with pytest.raises(ExecutionFailed, match="LumosX Subject phrase: the phrase is empty"):
        latent(bound, ["34", 0], saving["40"]["inputs"]["prompt"])
