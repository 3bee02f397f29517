"""LumosX Model Loader on the release's own folder: the first run, those after it, and an interrupt."""

import pytest
import torch
import torch.distributed.checkpoint as checkpoint
from safetensors.torch import save_file

from lumosx_core.models.wan.config import WanConfig
from tools.client import Interrupted, PromptRejected


def write(folder, weights):
    checkpoint.save({"ema": weights}, checkpoint_id=folder / "all", no_dist=True)


def names(folder, beginning):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith((beginning, "lumosx-")))


def test_the_release_folder_makes_a_video_and_is_converted_once(client, graph, sample, folder, weights):
    write(folder / "first_models", weights)
    assert "first_models/" in str(client.object_info("LumosX_ModelLoader")["input"])
    ours = sample("first_models/")
    assert names(folder, "first_models") == ["first_models", "first_models_bf16.safetensors"]
    # Nothing runs again: the folder is the same, though a file came to be beside it.
    assert client.run(graph, timeout=300).executed == []
    save_file({name: weight.bfloat16() for name, weight in weights.items()}, folder / "first_plain.safetensors")
    assert torch.equal(ours, sample("first_plain.safetensors"))
    assert torch.equal(ours, sample("first_models_bf16.safetensors"))


def test_it_shows_its_progress_and_an_interrupt_leaves_nothing(client, graph, folder):
    shapes = WanConfig(512, 8192, 4).shapes()
    write(folder / "stopped_models", {name: torch.rand(shape) for name, shape in shapes.items()})
    graph["3"] = {"class_type": "LumosX_ModelLoader", "inputs": {"model_name": "stopped_models/"}}
    seen = []

    def stop(kind, data):
        if kind == "progress" and data["node"] == "3":
            seen.append(data["value"] / data["max"])
            if seen[-1] > 0.3:
                client.interrupt()

    with pytest.raises(Interrupted):
        client.run(graph, on_event=stop, timeout=300)
    assert len(seen) > 1 and seen == sorted(seen) and seen[-1] < 1
    assert names(folder, "stopped_models") == ["stopped_models"]


def test_a_folder_that_cannot_be_converted_is_refused_when_queued(sample, folder, weights):
    write(folder / "odd_models", {name: weight for name, weight in weights.items() if "head" not in name})
    refusals = {
        "odd_models/": "odd_models/all: it seems to be",
        "gone_models/": "model_name: .*Alibaba-DAMO-Academy/LumosX there, whole",
    }
    for name, sentence in refusals.items():
        with pytest.raises(PromptRejected, match=sentence):
            sample(name)
