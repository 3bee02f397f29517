"""LumosX Convert Weights on a real server: from a checkpoint folder to a video, refusals, and interrupts."""

import json

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from safetensors.torch import save_file

from lumosx_core.models.wan.config import WanConfig
from tools.client import ExecutionFailed, Interrupted, PromptRejected
from tools.weight_files import write_gguf


@pytest.fixture(scope="module")
def release(folder, weights):
    """A checkpoint folder as the release has it, with last weights and an optimiser beside the averaged ones."""
    last = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    state = {"ema": weights, "model": last, "optim": {"step": 7, "exp_avg": torch.ones(3)}}
    dcp.save(state, checkpoint_id=folder / "LumosX_models" / "all", no_dist=True)
    return "LumosX_models/"


def graph_of(source, to, name):
    inputs = {"source": source, "format": to, "file_name": name}
    return {"1": {"class_type": "LumosX_ConvertWeights", "inputs": inputs}}


def leftovers(folder):
    return [path.name for path in folder.iterdir() if ".part" in path.name]


@pytest.mark.parametrize(("to", "bound"), [("bf16", 2e-2), ("fp8_scaled", 0.3), ("q8_0", 3e-2), ("q4_0", 0.5)])
def test_the_release_folder_becomes_a_file_that_makes_the_same_video(
    client, sample, folder, release, weights, to, bound
):
    name = f"converted_{to}"
    run = client.run(graph_of(release, to, name), timeout=300)
    file = name + (".gguf" if to.startswith("q") else ".safetensors")
    assert run.outputs["1"]["text"][0].startswith(f"{folder / file}: {to}, ")
    save_file(weights, folder / "converted_from.safetensors")
    exact, ours = sample("converted_from.safetensors"), sample(file)
    assert 0 < ((ours - exact).norm() / exact.norm()).item() < bound
    assert not leftovers(folder)


@pytest.mark.parametrize("kind", ["plain checkpoint", "model. checkpoint", "parts", "pt", "gguf"])
def test_every_kind_of_source(client, sample, folder, weights, kind):
    exact = weights
    source = kind
    if kind == "plain checkpoint":
        dcp.save(weights, checkpoint_id=folder / source, no_dist=True)
        source += "/"
    elif kind == "model. checkpoint":
        dcp.save({"model": weights, "optimizer": {"lr": 1.0}}, checkpoint_id=folder / source, no_dist=True)
        source += "/"
    elif kind == "parts":
        source = write_parts(folder / kind, weights)
    elif kind == "pt":
        source = "source.pt"
        torch.save({"ema": weights}, folder / source)
    else:
        source = "source.gguf"
        exact = write_gguf(folder / source, "Q6_K", weights)
    name = f"from {kind}"
    client.run(graph_of(source, "f32", name), timeout=300)
    save_file(exact, folder / f"exact {kind}.safetensors")
    assert torch.equal(sample(f"{name}.safetensors"), sample(f"exact {kind}.safetensors"))


def write_parts(folder, weights):
    """Two safetensors files with an index; return the index's name for the node."""
    folder.mkdir()
    names = sorted(weights)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file)
        places.update(dict.fromkeys(part, file))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")
    return f"{folder.name}/{index.name}"


def test_stock_loaders_read_what_it_writes(client, sample, folder, release):
    client.run(graph_of(release, "fp8_scaled", "converted_stock"), timeout=300)
    stock = {
        "60": {"class_type": "UNETLoader", "inputs": {
            "unet_name": "converted_stock.safetensors", "weight_dtype": "default",
        }},
        "61": {"class_type": "LumosX_Model", "inputs": {"model": ["60", 0]}},
    }
    ours = sample("converted_stock.safetensors")
    assert torch.equal(sample("converted_stock.safetensors", stock, "61"), ours)


def test_an_existing_file_is_refused_and_left_as_it_is(client, folder, release):
    (folder / "converted_there.safetensors").write_bytes(b"mine")
    with pytest.raises(ExecutionFailed, match="converted_there.safetensors: it already exists; delete it"):
        client.run(graph_of(release, "bf16", "converted_there"), timeout=300)
    assert (folder / "converted_there.safetensors").read_bytes() == b"mine"


def test_converting_and_loading_in_one_graph_works_again_and_again(client, graph, folder, release):
    graph.update(graph_of(release, "q5_1", "converted_chain"))
    graph["1b"] = graph.pop("1")
    graph["1"] = {"class_type": "LumosX_TinyModels", "inputs": {}}
    graph["3"] = {"class_type": "LumosX_ModelLoader", "inputs": {"model_name": ["1b", 0]}}
    assert client.run(graph, timeout=300).outputs["8"]["images"]
    made = (folder / "converted_chain.gguf").stat()
    graph["1b"]["inputs"]["file_name"] = "converted_chain.gguf"
    again = client.run(graph, timeout=300)
    assert "already exists and was made from this source; nothing to do." in again.outputs["1b"]["text"][0]
    assert (folder / "converted_chain.gguf").stat().st_mtime_ns == made.st_mtime_ns


@pytest.mark.parametrize(
    "name",
    ["", "  ", "../up", "a/b", "a\\b", ".hidden", "C:x", "nul\0", "NUL", "con.txt", "CONOUT$", "lpt\u00b2", "x" * 300],
)
def test_names_that_are_no_plain_names_are_refused_when_queued(client, release, name):
    with pytest.raises(PromptRejected, match="file_name: .* is not a plain file name"):
        client.run(graph_of(release, "bf16", name), timeout=300)


def test_the_name_of_a_part_is_refused_when_queued(client, release):
    with pytest.raises(PromptRejected, match="file_name: .* is the name of one part of several"):
        client.run(graph_of(release, "bf16", "model-00001-of-00002"), timeout=300)


@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_parts_without_an_index(client, sample, folder, weights, ending):
    """Listed once; what is made is the whole."""
    meant = {}
    for number in (1, 2):
        part = {name: weights[name] for name in sorted(weights)[number - 1::2]}
        path = folder / f"convert_parts-0000{number}-of-00002.{ending}"
        if ending == "gguf":
            part = write_gguf(path, "Q5_1", part)
        else:
            save_file(part, path)
        meant.update(part)
    listed = str(client.object_info("LumosX_ConvertWeights")["input"])
    assert f"convert_parts-00001-of-00002.{ending}" in listed and f"parts-00002-of-00002.{ending}" not in listed
    client.run(graph_of(f"convert_parts-00001-of-00002.{ending}", "f32", f"from parts {ending}"), timeout=300)
    save_file(meant, folder / f"exact parts {ending}.safetensors")
    assert torch.equal(sample(f"from parts {ending}.safetensors"), sample(f"exact parts {ending}.safetensors"))


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "x" * 5000, "nul\0", "gone.pt"])
def test_sources_that_are_not_there(client, name):
    refused = "source: .* (is not in ComfyUI's|cannot be a file name)"
    with pytest.raises((ExecutionFailed, PromptRejected), match=refused):
        client.run(graph_of(name, "bf16", "none"), timeout=300)


def test_other_models_are_refused(client, folder):
    save_file({"decoder.conv1.weight": torch.zeros(1)}, folder / "converted_vae.safetensors")
    with pytest.raises(ExecutionFailed, match="converted_vae.safetensors: it seems to be a VAE"):
        client.run(graph_of("converted_vae.safetensors", "bf16", "converted_none"), timeout=300)
    assert not (folder / "converted_none.safetensors").exists()


def test_progress_is_shown_and_an_interrupt_leaves_nothing(client, folder):
    shapes = WanConfig(512, 8192, 4).shapes()
    save_file({name: torch.rand(shape) for name, shape in shapes.items()}, folder / "converted_big.safetensors")
    seen = []

    def watch(kind, data):
        if kind == "progress" and data["node"] == "1":
            seen.append(data["value"] / data["max"])

    def stop(kind, data):
        watch(kind, data)
        if seen and seen[-1] > 0.1:
            client.interrupt()

    big = graph_of("converted_big.safetensors", "q4_0", "converted_stopped")
    with pytest.raises(Interrupted):
        client.run(big, on_event=stop, timeout=300)
    assert not leftovers(folder) and not (folder / "converted_stopped.gguf").exists()
    seen.clear()
    client.run(big, on_event=watch, timeout=300)
    # ComfyUI passes only some of them on.
    assert len(seen) > 3 and seen == sorted(seen) and 0.9 < seen[-1] <= 1
    assert (folder / "converted_stopped.gguf").is_file()


def test_the_new_file_says_where_it_comes_from(client, folder, release):
    client.run(graph_of(release, "f16", "converted_metadata"), timeout=300)
    with safe_open(folder / "converted_metadata.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["lumosx.source_name"] == "LumosX_models" and metadata["lumosx.converted_to"] == "f16"
    assert len(metadata["lumosx.source_sha256"]) == 64
