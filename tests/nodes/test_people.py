"""People kept and used again on a real server, up to the same video."""

import json
import shutil
import zipfile

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tools.client import ExecutionFailed, PromptRejected

SCENE = ("20", "21", "22", "23", "30", "31", "32", "33", "34")


@pytest.fixture
def people(server):
    """models/lumosx/people of the server, emptied afterwards."""
    folder = server.base / "models" / "lumosx" / "people"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bound(built):
    """The nodes of a hand-built scene; "30" is the man with a hat and a full body, "34" the binder."""
    built["30"]["inputs"]["full_body"] = ["23", 0]
    return {number: built[number] for number in SCENE}


def saving(**inputs):
    return {"40": {"class_type": "LumosX_SavePerson", "inputs": {"name": "Bob", **inputs}}}


def loading(person="Bob", **inputs):
    return {"41": {"class_type": "LumosX_LoadPerson", "inputs": {"person": person, **inputs}}}


def watched(output):
    return {"42": {"class_type": "PreviewAny", "inputs": {"source": ["41", output]}}}


@pytest.fixture
def latent(client, graph, server):
    """latent(nodes) samples the demo on the scene of "34"."""
    def run(nodes):
        demo = {number: graph[number] for number in ("1", "3", "4", "5")}
        prompt = "A man on the left with a red hat and a woman on the right, near a white lamp in a sunny park"
        demo["4"]["inputs"].update(relations=["34", 0], prompt=prompt)
        demo["50"] = {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "person"}}
        saved = client.run({**demo, **nodes}, timeout=300).outputs["50"]["latents"][0]
        return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]

    return run


def test_a_person_who_was_kept_makes_the_same_video(client, bound, latent, people):
    exact = latent(bound)
    client.run({**bound, **saving(subject=["30", 0], note="from the beach", views=["21", 0])}, timeout=300)
    options = client.object_info()["LumosX_LoadPerson"]["input"]["required"]["person"]
    assert (options[1]["options"] if options[0] == "COMBO" else options[0]) == ["Bob"]
    again = {**bound, **loading()}
    again["34"]["inputs"]["subject_1"] = ["41", 0]
    assert torch.equal(latent(again), exact)
    # A zip file that somebody sent is the same person.
    with zipfile.ZipFile(people / "Sent.zip", "w") as archive:
        for file in (people / "Bob").rglob("*.*"):
            archive.write(file, f"Bob/{file.relative_to(people / 'Bob').as_posix()}")
    again["41"]["inputs"]["person"] = "Sent.zip"
    assert torch.equal(latent(again), exact)
    # A person whose picture was changed is read anew.
    again["41"]["inputs"]["person"] = "Bob"
    Image.new("RGB", (9, 9), "red").save(people / "Bob" / "face_man on the left.png")
    assert not torch.equal(latent(again), exact)


def test_what_is_saved_and_what_comes_out(client, bound, people):
    ran = client.run({**bound, **saving(relations=["34", 0], number=2, note="tall", views=["22", 0])}, timeout=300)
    assert '"woman on the right"' in ran.outputs["40"]["text"][0] and len(ran.outputs["40"]["images"]) == 1
    content = json.loads((people / "Bob" / "person.json").read_text(encoding="utf-8"))
    assert (content["face"]["phrase"], content["views"], content["note"]) == (
        "woman on the right", ["views/01.png"], "tall",
    )
    shown = {str(60 + slot): {"class_type": "PreviewImage", "inputs": {"images": ["41", slot]}} for slot in (1, 2, 3)}
    ran = client.run({**loading(phrase="the pilot"), **shown, **watched(5)}, timeout=300)
    assert [len(ran.outputs[number]["images"]) for number in ("61", "62", "63")] == [1, 1, 1]
    assert '"the pilot"' in ran.outputs["42"]["text"][0] and "tall" in ran.outputs["42"]["text"][0]


def test_names_get_numbers_and_replacing_is_asked_for(client, bound, people):
    for words in ("first", "second"):
        bound["30"]["inputs"]["phrase"] = words
        client.run({**bound, **saving(subject=["30", 0])}, timeout=300)
    bound["30"]["inputs"]["phrase"] = "third"
    client.run({**bound, **saving(subject=["30", 0], replace=True)}, timeout=300)
    found = {path.name: json.loads((path / "person.json").read_text(encoding="utf-8"))["face"]["phrase"]
             for path in people.iterdir()}
    assert found == {"Bob": "third", "Bob_2": "second"}


@pytest.mark.parametrize("name", [
    "../Bob", "/tmp/Bob", "C:\\Bob", "a\0b", "", ".hidden", "con", "x.zip", "a.part", "a/b",
])
def test_bad_names_are_refused_when_queued(client, bound, people, name):
    with pytest.raises(PromptRejected, match="name: .* cannot be a folder name"):
        client.run({**bound, **saving(subject=["30", 0], name=name)}, timeout=300)
    assert not people.exists()


@pytest.mark.parametrize("person", [
    "nobody", "../../models", "..", "../people/Bob", "/etc", "", "C:", "Bob/views", "a\0",
])
def test_nobody_outside_is_loaded(client, people, person):
    (people / "Bob" / "views").mkdir(parents=True)
    with pytest.raises(PromptRejected, match="person: "):
        client.run({**loading(person), **watched(5)}, timeout=300)


@pytest.mark.parametrize(("inputs", "sentence"), [
    ({}, "subject: nothing is linked"),
    ({"subject": ["30", 0], "relations": ["34", 0]}, "relations: a subject is linked too"),
    ({"subject": ["30", 0], "number": 2}, "number: it is 2"),
    ({"relations": ["34", 0], "number": 3}, "number: the relations hold 2 people"),
])
def test_who_is_saved_is_clear(client, bound, people, inputs, sentence):
    with pytest.raises(ExecutionFailed, match=sentence):
        client.run({**bound, **saving(**inputs)}, timeout=300)
    assert not people.exists()


def test_what_a_person_does_not_have_stops_only_what_is_linked_there(client, bound, people):
    del bound["30"]["inputs"]["face"]
    client.run({**bound, **saving(subject=["30", 0])}, timeout=300)
    ran = client.run({**loading(), **watched(5)}, timeout=300)
    assert "42" in ran.outputs
    for output in ("face", "views"):
        slot = {"face": 1, "views": 3}[output]
        shown = {"60": {"class_type": "PreviewImage", "inputs": {"images": ["41", slot]}}}
        with pytest.raises(ExecutionFailed, match=f"LumosX Load Person {output}: Bob has no"):
            client.run({**loading(), **shown}, timeout=300)


def test_a_person_to_a_case_and_back(client, bound, people, server):
    """By nodes alone: somebody of a case is kept, and a case is made of who is kept."""
    prompt = "a man on the left with a red hat"
    client.run({**bound, **saving(subject=["30", 0])}, timeout=300)
    bob = {**loading(), "43": {"class_type": "LumosX_Binder", "inputs": {"subject_1": ["41", 0]}}}
    case = {"44": {"class_type": "LumosX_SaveCase", "inputs": {
        "relations": ["43", 0], "prompt": prompt, "name": "n", "folder": "kept/case", "replace": True,
    }}}
    client.run({**bob, **case}, timeout=300)
    back = {"45": {"class_type": "LumosX_LoadCase", "inputs": {"case": "kept/case [output]"}}}
    client.run({**back, **saving(relations=["45", 0], name="Back")}, timeout=300)
    shutil.rmtree(server.base / "output" / "kept")
    both = [people / name for name in ("Bob", "Back")]
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in both]
    assert files[0] == files[1] and len(files[0]) == 5
