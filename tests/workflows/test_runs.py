"""The workflows on the real loaders, run as shipped on small files of the same formats."""

import io
import json
from pathlib import Path

import av
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lumosx_core.runner.graph import read_graph
from support.small_models import on_small_models, photographed_case
from tools.client import failure

HERE = Path(__file__).parent
REFERENCES = {
    "faces": {"man on the left", "woman on the right"},
    "clothes": {
        "man on the left", "green jacket", "red hat", "woman on the right", "yellow dress", "blue guitar", "sunny park",
    },
    "small_card": {"man on the left", "green jacket", "woman on the right", "yellow dress"},
    "few_steps": {"man on the left", "green jacket", "woman on the right", "yellow dress"},
    "repair": {"man on the left", "woman on the right"},
}


@pytest.fixture
def small(server):
    """small(name): a shipped workflow in API form on small files."""
    return lambda name: on_small_models(json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")), server)


def only(graph, class_type):
    """The one node of a class: (id, inputs)."""
    [(number, node)] = [(number, node) for number, node in graph.items() if node["class_type"] == class_type]
    return number, node["inputs"]


def frames_of(data):
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def latent_of(client, server, graph):
    """The latent that the graph samples."""
    sampler, _ = only(graph, "LumosX_Sampler")
    saver = {"class_type": "SaveLatent", "inputs": {"samples": [sampler, 0], "filename_prefix": "workflows"}}
    saved = client.run({**graph, "90": saver}, timeout=300).outputs["90"]["latents"][0]
    return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]


@pytest.mark.parametrize("name", REFERENCES)
def test_every_reference_is_bound_and_a_video_comes_out(client, small, name):
    graph = small(name)
    encode, _ = only(graph, "LumosX_RelationalEncode")
    graph["90"] = {"class_type": "PreviewAny", "inputs": {"source": [encode, 3]}}
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    save, _ = only(graph, "SaveVideo")
    frames = frames_of(client.view(run.outputs[save]["images"][0]))
    assert len(frames) == 5 and frames[0].shape == (48, 64, 3) and frames[0].std() > 0
    report = run.outputs["90"]["text"][0]
    bound = {words for words in REFERENCES[name] if f'"{words}" -> "{words}" at token' in report}
    assert bound == REFERENCES[name]
    assert report.count(" at token ") == len(bound)
    assert "Warning" not in report


def test_the_small_card_keeps_its_weights_packed_and_its_budget(client, small):
    graph = small("small_card")
    loader, inputs = only(graph, "LumosX_ModelLoader")
    assert inputs["vram_budget"] == 2.5
    graph["90"] = {"class_type": "ModelSave", "inputs": {"model": [loader, 0], "filename_prefix": "workflows"}}
    assert "packed in GGUF blocks" in failure(client, graph).message


def test_the_lora_changes_the_video(client, server, small):
    graph = small("few_steps")
    _, sampler = only(graph, "LumosX_Sampler")
    assert (sampler["schedule"], sampler["cfg"]) == ("CausVid", 1.0)
    changed = latent_of(client, server, graph)
    only(graph, "LoraLoaderModelOnly")[1]["strength_model"] = 0.0
    plain = latent_of(client, server, graph)
    assert torch.isfinite(changed).all() and (changed - plain).norm() > 1e-3 * plain.norm()


def test_a_batch_names_videos_and_scores_by_the_case(client, server, small):
    graph = small("batch")
    # As it opens, and with a case of the user's own.
    for case, name in ((None, "portraits"), (photographed_case(server, "case one", 0), "case one")):
        if case:
            only(graph, "LumosX_LoadCase")[1]["case"] = case
        run = client.run(graph, timeout=300)
        assert not run.node_errors
        savers = [number for number, node in graph.items() if node["class_type"] == "SaveVideo"]
        videos = [run.outputs[number]["images"][0] for number in savers]
        assert {(saved["subfolder"], saved["filename"]): len(frames_of(client.view(saved))) for saved in videos} == {
            ("LumosX batch", f"{name}_00001_.mp4"): 13, ("LumosX batch people", f"{name}_00001_.mp4"): 4,
            ("LumosX batch clothes", f"{name}_00001_.mp4"): 4,
        }
        folder = server.base / "output" / "LumosX batch"
        assert len(json.loads((folder / f"{name} scores_00001_.json").read_bytes())["frames"]) == 4
        with Image.open(folder / f"{name} scores_00001_.png") as plot:
            assert plot.width > 100
        shown = [number for number, node in graph.items() if node["class_type"] == "PreviewAny"]
        assert len(shown) == 2 and all(run.outputs[number]["text"][0] for number in shown)


def test_lynx_finds_the_face_of_its_photo_and_leaves_video_and_card(client, server, small):
    graph = small("lynx")
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    frames = frames_of(client.view(run.outputs[only(graph, "SaveVideo")[0]]["images"][0]))
    assert len(frames) == 5 and frames[0].shape == (48, 64, 3)
    said = " ".join(text for output in run.outputs.values() for text in output.get("text", ()))
    assert "reference layers: 4 layers for a model that is 256 channels wide" in said and "Photo 1: a face" in said
    assert [card.name for card in (server.base / "output" / "lynx").glob("person*.safetensors")]
    previews = run.outputs[only(graph, "LumosX_LynxIdentity")[0]]["images"]
    sizes = [Image.open(io.BytesIO(client.view(preview))).size for preview in previews]
    assert sizes == [(112, 112), (256, 256)]


def test_two_chunks_are_one_video_without_doubled_frames(client, small):
    graph = small("two_chunks")
    joined, follow = (only(graph, kind) for kind in ("LumosX_JoinClips", "LumosX_Continue"))
    assert joined[1]["overlap"] == [follow[0], 1]
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    save, _ = only(graph, "SaveVideo")
    frames = frames_of(client.view(run.outputs[save]["images"][0]))
    assert len(frames) == 9 and frames[0].shape == (48, 64, 3)
    assert all((one != other).any() for one, other in zip(frames, frames[1:]))


def test_one_of_four_videos_is_made_again_from_its_noise(client, small):
    graph = small("best_of_four")
    (_, first), (_, again) = sorted(
        ((number, node["inputs"]) for number, node in graph.items() if node["class_type"] == "LumosX_Sampler"),
        key=lambda pair: pair[1]["latent"][0] == only(graph, "LumosX_BestOf")[0],
    )
    assert first["seed"] == again["seed"]
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    assert run.outputs[only(graph, "LumosX_BestOf")[0]]["text"][0].count("\n| ") == 4
    assert len(frames_of(client.view(run.outputs[only(graph, "SaveVideo")[0]]["images"][0]))) == 5


def test_a_finished_video_is_larger_and_as_fast_as_before(client, small):
    graph = small("finish")
    if "UpscaleModelLoader" not in client.object_info():
        pytest.skip("this ComfyUI runs without spandrel, which it asks for")
    only(graph, "ImageScale")[1].update(width=64, height=48)
    enlarge, _ = only(graph, "ImageUpscaleWithModel")
    graph["90"] = {"class_type": "PreviewImage", "inputs": {"images": [enlarge, 0]}}
    run = client.run(graph, timeout=300)
    assert not run.node_errors
    enlarged = [Image.open(io.BytesIO(client.view(saved))).size for saved in run.outputs["90"]["images"]]
    assert enlarged == [(4 * 32, 4 * 24)] * 3
    data = client.view(run.outputs[only(graph, "SaveVideo")[0]]["images"][0])
    frames = frames_of(data)
    assert len(frames) == 3 and frames[0].shape == (48, 64, 3)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].average_rate == 12


def test_the_batch_command_takes_the_graph():
    graph = read_graph(HERE / "batch.json").filled("a case", "lumosx_batch/a case")
    assert only(graph, "LumosX_LoadCase")[1]["case"] == "a case"
    prefixes = [node["inputs"]["filename_prefix"] for node in graph.values() if node["class_type"] == "SaveVideo"]
    assert len(set(prefixes)) == 3 and all(prefix.startswith("lumosx_batch/a case") for prefix in prefixes)
