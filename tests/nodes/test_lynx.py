"""The nodes of Lynx on a real server: from a photo and files to a video, and to a card and back."""

import copy
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from support import lynx_files
from support.photographs import astronaut_file
from tools.client import refusal

WIDTH, BLOCKS = 256, 4
FILES = {"file_1": "lynx/resampler.safetensors", "file_2": "lynx/ip.safetensors", "file_3": "lynx/ref.gguf"}


@pytest.fixture(scope="module")
def placed(server, folder, weights):
    """Everything that the graph asks for, in the server's folders."""
    (folder / "lynx").mkdir(exist_ok=True)
    parts = {kind: lynx_files.adapter(kind, BLOCKS, WIDTH) for kind in ("full", "ref")}
    lynx_files.write(folder / FILES["file_1"], lynx_files.resampler(WIDTH))
    lynx_files.write(folder / FILES["file_2"], lynx_files.block_names(parts["full"]))
    lynx_files.write_gguf(folder / FILES["file_3"], lynx_files.block_names(parts["ref"]))
    save_file(weights, folder / "lynx_base.safetensors")
    own = server.base / "models" / "lumosx"
    own.mkdir(exist_ok=True)
    torch.save(lynx_files.recogniser(), own / "recognition_arcface_ir_se50.pth")
    (server.base / "input").mkdir(exist_ok=True)
    shutil.copy(astronaut_file(), server.base / "input" / "astronaut.png")


@pytest.fixture
def nodes(placed):
    """A graph in API form that ends in a latent."""
    text = {"class_type": "CLIPTextEncode"}
    return copy.deepcopy({
        "1": {"class_type": "LumosX_LynxLoader", "inputs": dict(FILES)},
        "2": {"class_type": "LoadImage", "inputs": {"image": "astronaut.png"}},
        "3": {"class_type": "LumosX_TinyModels", "inputs": {}},
        "4": {"class_type": "LumosX_LynxIdentity", "inputs": {
            "lynx": ["1", 0], "image": ["2", 0], "vae": ["3", 2], "clip": ["3", 1], "name": "Eileen",
            "detector": "CenterFace",
        }},
        "5": {"class_type": "UNETLoader", "inputs": {
            "unet_name": "lynx_base.safetensors", "weight_dtype": "default",
        }},
        "6": {"class_type": "LumosX_Lynx", "inputs": {
            "model": ["5", 0], "identity": ["4", 0], "id_scale": 1.0, "ref_scale": 1.0, "start_percent": 0.0,
            "end_percent": 1.0,
        }},
        "7": {**text, "inputs": {"clip": ["3", 1], "text": "a woman in a park"}},
        "8": {**text, "inputs": {"clip": ["3", 1], "text": "dark"}},
        "9": {"class_type": "LumosX_LynxGuidance", "inputs": {
            "model": ["6", 0], "positive": ["7", 0], "negative": ["8", 0], "image_cfg": 2.0,
        }},
        "10": {"class_type": "EmptyHunyuanLatentVideo", "inputs": {
            "width": 64, "height": 48, "length": 5, "batch_size": 1,
        }},
        "11": {"class_type": "KSampler", "inputs": {
            "model": ["9", 0], "positive": ["9", 1], "negative": ["9", 2], "latent_image": ["10", 0], "seed": 1,
            "steps": 2, "cfg": 5.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
        }},
        "12": {"class_type": "SaveLatent", "inputs": {"samples": ["11", 0], "filename_prefix": "lynx"}},
        "13": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    })


def latent(client, server, nodes):
    saved = client.run(nodes, timeout=300).outputs["12"]["latents"][0]
    return load_file(server.base / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"]


def test_from_a_photo_to_a_video_to_a_card_and_back(client, server, nodes):
    with_face = latent(client, server, nodes)
    assert with_face.isfinite().all()
    nodes["20"] = {"class_type": "LumosX_SaveLynxIdentity", "inputs": {"identity": ["4", 0], "name": "Eileen"}}
    ran = client.run(nodes, timeout=300)
    assert "full identity" in ran.outputs["20"]["text"][0]
    nodes["21"] = {"class_type": "LumosX_LoadLynxIdentity", "inputs": {
        "card": "Eileen.safetensors [output]", "lynx": ["1", 0],
    }}
    nodes["1"]["inputs"] = {"file_1": FILES["file_3"]}
    nodes["6"]["inputs"]["identity"] = ["21", 0]
    for unused in ("2", "4", "20"):
        del nodes[unused]
    from_card = latent(client, server, nodes)
    # Keys and values are kept in half precision.
    assert (from_card - with_face).norm() / with_face.norm() < 2e-3
    nodes["9"]["inputs"]["model"] = ["6", 0]
    nodes["6"]["inputs"].update(id_scale=0.0, ref_scale=0.0)
    assert (latent(client, server, nodes) - with_face).norm() / with_face.norm() > 1e-2


def test_a_second_prompt_with_the_same_face_runs_neither_resampler_nor_reference_pass(client, server, nodes):
    """The node that runs the resampler is not run, and nothing is turned into keys and values again."""
    def folded():
        return [server.log_text().count(f"Lynx turned its {part} into") for part in ("ID layers", "reference layers")]

    # A person that no other test has made.
    nodes["4"]["inputs"]["name"] = "somebody else"
    before, first = folded(), latent(client, server, nodes)
    assert folded() == [count + 1 for count in before]
    nodes["11"]["inputs"]["seed"] = 2
    nodes["7"]["inputs"]["text"] = "a woman at the sea"
    ran = client.run(nodes, timeout=300)
    assert {"1", "4", "6"} <= set(ran.cached) and not {"9", "11"} & set(ran.cached)
    # Another strength is another MODEL, of the same person.
    nodes["6"]["inputs"]["ref_scale"] = 0.5
    weaker = latent(client, server, nodes)
    assert folded() == [count + 1 for count in before]
    assert (weaker - first).norm() / first.norm() > 1e-2


def test_the_loader_says_what_the_files_hold_and_identities_show_both_crops(client, nodes):
    nodes["11"]["inputs"]["steps"] = 1
    outputs = client.run(nodes, timeout=300).outputs
    report = outputs["13"]["text"][0]
    assert "resampler: 3 tokens of 256 channels" in report and "full, 4 layers" in report and "ref.gguf" in report
    assert len(outputs["4"]["images"]) == 2


@pytest.mark.parametrize(("node", "given", "said"), [
    ("1", {"file_1": "lynx_base.safetensors"}, "not a part of Lynx"),
    ("1", {"file_1": "../secret.safetensors"}, "file_1: ../secret.safetensors is not in"),
    ("1", {"file_2": FILES["file_1"], "file_3": "lynx/other.safetensors"}, "both hold a resampler"),
    ("6", {"blocks": "3-1"}, "blocks: \"3-1\" is not a number or a range"),
    ("6", {"start_percent": 0.8, "end_percent": 0.2}, "end_percent: 0.2 is before start_percent"),
])
def test_what_cannot_be_is_refused_before_anything_runs(client, folder, nodes, node, given, said):
    lynx_files.write(folder / "lynx/other.safetensors", lynx_files.resampler(32))
    nodes[node]["inputs"].update(given)
    # Else what does not depend on the wrong input would run.
    del nodes["13"]
    assert said in refusal(client, nodes)
