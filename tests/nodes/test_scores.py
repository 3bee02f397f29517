"""LumosX Identity Score on a real server, from photographs to a report that names the swap."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from support.face_videos import people_of_photograph, still_video
from tools.client import ExecutionFailed, Interrupted, PromptRejected
from tools.stand_ins import hide_for


@pytest.fixture(scope="module")
def scored(server):
    """scored(frames=4, swap_at=None, **inputs): a graph that batches frames of two people and scores them."""
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    pair = people_of_photograph()[1:3]
    for number, person in enumerate(pair, 1):
        Image.fromarray(person.picture).save(folder / f"scored_person_{number}.png")

    def make(frames=4, swap_at=None, **inputs):
        graph = {}
        for number, pixels in enumerate(still_video(*pair, frames=frames, swap_at=swap_at)):
            name = f"scored_{frames}_{swap_at}_{number}.png"
            Image.fromarray(pixels).save(folder / name)
            graph[f"f{number}"] = {"class_type": "LoadImage", "inputs": {"image": name}}
            if number:
                before = "f0" if number == 1 else f"b{number - 1}"
                graph[f"b{number}"] = {
                    "class_type": "ImageBatch", "inputs": {"image1": [before, 0], "image2": [f"f{number}", 0]},
                }
        for number, phrase in enumerate(("woman", "man"), 1):
            graph[f"p{number}"] = {"class_type": "LoadImage", "inputs": {"image": f"scored_person_{number}.png"}}
            graph[f"s{number}"] = {
                "class_type": "LumosX_Subject", "inputs": {"face": [f"p{number}", 0], "phrase": phrase},
            }
        graph["bind"] = {"class_type": "LumosX_Binder", "inputs": {"subject_1": ["s1", 0], "subject_2": ["s2", 0]}}
        graph["score"] = {"class_type": "LumosX_IdentityScore", "inputs": {
            "images": [f"b{frames - 1}" if frames > 1 else "f0", 0], "relations": ["bind", 0], "mode": "recommended",
            "embedder": "dlib", "second_embedder": "none", "detector": "CenterFace", "every_nth_frame": 1,
            "order": "as the video starts", **inputs,
        }}
        return graph

    return make


def shown(graph, output):
    """The graph with an output of the score shown as text."""
    return {**graph, "show": {"class_type": "PreviewAny", "inputs": {"source": ["score", output]}}}


def test_a_swap_is_in_report_json_and_files(client, server, scored):
    graph = shown(scored(frames=6, swap_at=3, save_as="scored/run"), 0)
    graph["pictures"] = {"class_type": "PreviewImage", "inputs": {"images": ["score", 3]}}
    run = client.run(graph, timeout=300)
    report = run.outputs["show"]["text"][0]
    assert "frame 3: 1 woman -> 2 man" in report and "Saved as scored/run_00001_.json and .png" in report
    assert len(run.outputs["score"]["images"]) == 1 and len(run.outputs["pictures"]["images"]) == 6
    scores = json.loads((server.base / "output" / "scored" / "run_00001_.json").read_text(encoding="utf-8"))
    assert scores["order"]["changes"] == [{"frame": 3, "order": [2, 1]}]
    assert (server.base / "output" / "scored" / "run_00001_.png").is_file()


@pytest.mark.parametrize("inputs", [
    {"mode": "release", "order": "as listed"}, {"every_nth_frame": 3}, {"second_embedder": "dlib"},
    {"second_embedder": "CurricularFace IR-101"}, {"embedder": "automatic"},
])
def test_every_choice_runs(client, scored, inputs):
    score = float(client.run(shown(scored(frames=2, **inputs), 4), timeout=300).outputs["show"]["text"][0])
    assert 0.5 < score < 1


@pytest.mark.parametrize("name", ["../up", "/etc/up"])
def test_names_outside_the_output_folder_are_refused_when_queued(client, scored, name):
    with pytest.raises(PromptRejected, match="save_as: .* is not inside ComfyUI's output folder"):
        client.run(scored(frames=1, save_as=name), timeout=300)


def test_a_name_too_long_in_bytes_is_refused_when_queued(client, scored):
    with pytest.raises(PromptRejected, match="save_as: .* has a part longer than 150 bytes"):
        client.run(scored(frames=1, save_as="ä" * 100), timeout=300)


def test_missing_weights_say_where_to_put_them(client, server, scored):
    with pytest.raises(ExecutionFailed, match="embedder: ArcFace IR-100 needs the file .*backbone.pth"):
        client.run(scored(frames=1, embedder="ArcFace IR-100"), timeout=300)


def test_an_interrupt_stops_it(client, scored):
    def stop(kind, data):
        if kind == "progress" and data["node"] == "score" and data["value"] >= 1:
            client.interrupt()

    with pytest.raises(Interrupted):
        client.run(scored(frames=12), on_event=stop, timeout=300)


def test_on_a_fresh_install_the_node_counts_faces_and_stops_the_score_only(pack, tmp_path, monkeypatch):
    """In process, since the server has dlib."""
    from comfy_execution.graph_utils import ExecutionBlocker

    hide_for(monkeypatch, ["dlib", "face_recognition_models"])
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path / "models"))
    monkeypatch.setattr("folder_paths.temp_directory", str(tmp_path))
    relations = sys.modules[f"{pack}.lumosx_core.scene.relations"]
    people = people_of_photograph()[1:3]
    frames = torch.from_numpy(np.stack(still_video(*people, frames=2))).float() / 255
    scene = relations.Scene(subjects=tuple(
        relations.Subject(relations.Reference(
            relations.Kind.FACE, person.name, torch.from_numpy(person.picture.copy()).float()[None] / 255
        )) for person in people
    ))
    node = sys.modules[f"{pack}.nodes.scores"].LumosXIdentityScore
    result = node.execute(frames, scene, "recommended", "automatic", "none", "CenterFace", 1, "as the video starts")
    report, text, plot, annotated, score = result.args
    missing = json.loads(text)["missing"]
    assert report.startswith(f"- **Warning:** {missing}") and "pip install dlib-bin" in missing
    assert isinstance(score, ExecutionBlocker) and score.message == missing
    assert plot.shape[0] == 1 and plot.shape[3] == 3 and plot.std() > 0.05
    shown, = result.ui.as_dict()["images"]
    with Image.open(tmp_path / shown["filename"]) as picture:
        assert np.abs(np.asarray(picture) - annotated[0].numpy() * 255).max() <= 1


def test_weights_that_are_put_there_make_the_node_run_again(pack, tmp_path, monkeypatch):
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path))
    node = sys.modules[f"{pack}.nodes.scores"].LumosXIdentityScore
    before = node.fingerprint_inputs()
    (tmp_path / "lumosx").mkdir()
    (tmp_path / "lumosx" / "backbone.pth").write_bytes(b"")
    assert node.fingerprint_inputs() != before
