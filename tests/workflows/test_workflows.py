"""The shipped workflows: core nodes and ours only, and the same graphs as the API forms that the tests run."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from host.client import ComfyClient
from host.shipped_workflows import API_FORMS, WORKFLOWS, api_form, workflow
from host.ui_form import NOTES, PRIMITIVE, to_api

# They need real weights; the others run on the stand-ins.
REAL = [name for name in API_FORMS if API_FORMS[name] not in ("demo", "snapshots")]
# Which input of a loader names a file, and the folder that it comes from.
FILE_INPUTS = {
    "CLIPLoader": ("clip_name", "text_encoders"),
    "VAELoader": ("vae_name", "vae"),
    "LoraLoaderModelOnly": ("lora_name", "loras"),
}
TITLE_BAR = 30


@pytest.fixture(scope="module")
def info(server):
    return ComfyClient(server.url).object_info()


def inputs_of(name, class_type):
    [inputs] = [node["inputs"] for node in api_form(name).values() if node["class_type"] == class_type]
    return inputs


def box_of(node):
    """Left, top, right, bottom of a node with its title."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE_BAR, x + width, y + height


def test_every_workflow_has_an_api_form_and_a_picture():
    assert {path.stem for path in WORKFLOWS.glob("*.json")} == set(API_FORMS)
    assert {path.stem for path in WORKFLOWS.glob("*.jpg")} == set(API_FORMS)


@pytest.mark.parametrize("name", API_FORMS)
def test_a_picture_is_small_enough_for_a_list(name):
    path = WORKFLOWS / f"{name}.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and 400 <= picture.width <= 800
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("name", API_FORMS)
def test_the_negative_prompt_is_left_to_the_release(name):
    assert inputs_of(name, "LumosX_RelationalEncode")["negative_prompt"] == ""


@pytest.mark.parametrize("name", API_FORMS)
def test_both_forms_are_the_same_graph(name):
    assert to_api(workflow(name)) == api_form(name)


@pytest.mark.parametrize("name", API_FORMS)
def test_todays_nodes_read_the_same_graph(name, info):
    assert to_api(workflow(name), info) == api_form(name)


@pytest.mark.parametrize("name", API_FORMS)
def test_a_workflow_needs_nothing_but_the_core_and_us(name, info):
    for node in workflow(name)["nodes"]:
        if node["type"] in NOTES or node["type"] == PRIMITIVE:
            continue
        origin = info[node["type"]]["python_module"]
        assert origin in ("nodes", "custom_nodes.lumosx") or origin.startswith("comfy_extras."), node["type"]


@pytest.mark.parametrize("name", API_FORMS)
def test_our_inputs_are_saved_in_the_order_of_the_schema(name, info):
    for node in workflow(name)["nodes"]:
        if node["type"].startswith("LumosX_"):
            order = info[node["type"]]["input_order"]
            schema = [*order.get("required", []), *order.get("optional", [])]
            assert [entry["name"] for entry in node["inputs"]] == schema


@pytest.mark.parametrize("name", API_FORMS)
def test_links_agree_at_both_ends(name):
    graph = workflow(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link, source, slot, target, entry, kind in graph["links"]:
        assert link in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][entry]["link"] == link
        assert nodes[source]["outputs"][slot]["type"] == kind
    assert graph["last_link_id"] == max(link[0] for link in graph["links"])
    assert graph["last_node_id"] == max(nodes)


@pytest.mark.parametrize("name", API_FORMS)
def test_nothing_lies_on_anything(name):
    nodes = workflow(name)["nodes"]
    for one, other in combinations(nodes, 2):
        (left, top, right, bottom), (left_2, top_2, right_2, bottom_2) = box_of(one), box_of(other)
        apart = right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top
        assert apart, (one["type"], one["pos"], other["type"], other["pos"])


@pytest.mark.parametrize("name", REAL)
def test_all_but_the_note_is_in_a_group_with_a_title(name):
    graph = workflow(name)
    groups = [(x, y, x + width, y + height) for x, y, width, height in (g["bounding"] for g in graph["groups"])]
    assert all(group["title"] for group in graph["groups"])
    for node in graph["nodes"]:
        left, top, right, bottom = box_of(node)
        around = [g for g in groups if g[0] <= left and g[1] <= top and right <= g[2] and bottom <= g[3]]
        assert len(around) == (node["type"] not in NOTES), node["type"]


@pytest.mark.parametrize("name", API_FORMS)
def test_a_note_says_how(name):
    [note] = [node["widgets_values"][0] for node in workflow(name)["nodes"] if node["type"] in NOTES]
    if name in REAL:
        files = [value for node in api_form(name).values() for value in node["inputs"].values()
                 if isinstance(value, str) and value.endswith((".safetensors", ".gguf"))]
        assert len(files) >= 3 and all(file in note for file in files)


@pytest.mark.parametrize("name", REAL)
def test_stock_loaders_say_where_their_files_are(name):
    for node in workflow(name)["nodes"]:
        if node["type"] in FILE_INPUTS:
            file, folder = FILE_INPUTS[node["type"]]
            [model] = node["properties"]["models"]
            [entry] = [entry for entry in node["inputs"] if entry["name"] == file]
            assert entry["link"] is None and model["name"] in node["widgets_values"]
            assert model["directory"] == folder
            assert re.fullmatch(r"https://huggingface\.co/\S+/resolve/main/\S+", model["url"])
            assert model["url"].endswith("/" + model["name"])


@pytest.mark.parametrize("name", REAL)
def test_sizes_and_settings_are_the_releases(name):
    size = inputs_of(name, "LumosX_RelationalEncode")
    assert [size[key] for key in ("width", "height", "frames", "batch_size")] == [832, 480, 81, 1]
    assert inputs_of(name, "CreateVideo")["fps"] == 16
    sampler = inputs_of(name, "LumosX_Sampler")
    settings = ["CausVid", 3, 1.0] if API_FORMS[name] == "few_steps" else ["release", 50, 6.0]
    assert [sampler[key] for key in ("schedule", "steps", "cfg")] == settings
    assert sampler["shift"] == 8.0 and sampler["denoise"] == 1.0


@pytest.mark.parametrize("name", API_FORMS)
def test_every_phrase_is_in_the_prompt(name):
    prompt = inputs_of(name, "LumosX_RelationalEncode")["prompt"]
    if isinstance(prompt, str):
        phrases = [value for node in api_form(name).values() for key, value in node["inputs"].items()
                   if key.endswith("phrase") and value]
        assert len(phrases) >= 2 and all(prompt.count(phrase) == 1 for phrase in phrases)


@pytest.mark.parametrize("name", REAL)
def test_pictures_are_those_that_a_fresh_comfyui_has(name, comfyui_dir):
    for node in workflow(name)["nodes"]:
        if node["type"] == "LoadImage":
            assert node["title"] and (Path(comfyui_dir) / "input" / node["widgets_values"][0]).is_file()


def test_the_page_offers_the_workflows(server):
    from urllib.request import urlopen

    with urlopen(f"{server.url}/workflow_templates") as answer:
        assert sorted(json.load(answer)["lumosx"]) == sorted(API_FORMS)
