"""The shipped workflows: as described, core nodes and ours only, the same graphs as their API forms in tests."""

import json
import re

import pytest
from PIL import Image

from lumosx_core.tiny.demo_pictures import demo_pictures
from lumosx_core.tiny.trained import POLYVIVID
from tools.client import ComfyClient
from tools.server import ROOT
from tools.shipped_workflows import API_FORMS, WORKFLOWS, api_form, workflow
from tools.templates.catalogue import templates
from tools.templates.writing import api_text, as_graph, graph_text
from tools.ui_form import NOTES, PRIMITIVE, to_api

# They need real weights; the others run on the stand-ins.
REAL = [name for name in API_FORMS if API_FORMS[name] not in ("demo_scene", "snapshots", "polyvivid", "finish")]
# They have no encoder of ours; Lynx's settings have a test of their own.
ENCODED = [name for name in API_FORMS if API_FORMS[name] not in ("lynx", "finish")]
ENCODERS = ("LumosX_RelationalEncode", "LumosX_PolyVividEncode")
# Files of the pack itself, which no page can call missing.
SHIPPED_FILES = {"LumosX_PolyVivid": POLYVIVID.name}
# Which input of a loader names a file, and the folder of models/ that it belongs to.
FILE_INPUTS = {
    "CLIPLoader": ("clip_name", "text_encoders"),
    "VAELoader": ("vae_name", "vae"),
    "LoraLoaderModelOnly": ("lora_name", "loras"),
    "LumosX_ModelLoader": ("model_name", "diffusion_models"),
    "UNETLoader": ("unet_name", "diffusion_models"),
    "UpscaleModelLoader": ("model_name", "upscale_models"),
    "LumosX_LynxLoader": ("file_1", "diffusion_models"),
}
RELEASED_FOLDER = "https://huggingface.co/Alibaba-DAMO-Academy/LumosX/tree/main/LumosX_models"


@pytest.fixture(scope="module")
def info(server):
    return ComfyClient(server.url).object_info()


def inputs_of(name, *class_types):
    """Of the first node of one of these classes."""
    return next(node["inputs"] for node in api_form(name).values() if node["class_type"] in class_types)


@pytest.mark.parametrize("template", templates(), ids=lambda template: template.name)
def test_the_files_are_what_the_descriptions_say(template, info):
    """After a change: python dev.py templates."""
    graph = as_graph(template, info)
    assert (WORKFLOWS / f"{template.name}.json").read_text(encoding="utf-8") == graph_text(graph)
    assert (ROOT / "tests/workflows" / f"{template.api}.json").read_text(encoding="utf-8") == api_text(graph, info)


def test_names_sort_from_the_first_try_on():
    numbers = [int(name.partition(" ")[0]) for name in API_FORMS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_workflow_has_an_api_form_and_a_picture():
    assert {path.stem for path in WORKFLOWS.glob("*.json")} == set(API_FORMS)
    assert {path.stem for path in WORKFLOWS.glob("*.jpg")} == set(API_FORMS)


@pytest.mark.parametrize("name", API_FORMS)
def test_a_picture_is_small_enough_for_a_list(name):
    path = WORKFLOWS / f"{name}.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and 400 <= picture.width <= 800
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("name", ENCODED)
def test_the_negative_prompt_is_left_to_the_release(name):
    assert inputs_of(name, *ENCODERS)["negative_prompt"] == ""


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
def test_notes_say_how_and_which_files(name):
    texts = [node["widgets_values"][0] for node in workflow(name)["nodes"] if node["type"] in NOTES]
    assert texts[0].startswith("# ") and not any(text.startswith("# ") for text in texts[1:])
    # Some pages write it blue on blue in Vue nodes.
    assert not any("`" in text for text in texts)
    if name in REAL:
        files = [value for node in api_form(name).values() for value in node["inputs"].values()
                 if isinstance(value, str) and value.endswith((".safetensors", ".gguf"))]
        assert len(files) >= 3 and all(file in "".join(texts) for file in files)


@pytest.mark.parametrize("name", API_FORMS)
def test_plots_of_a_score_are_shown_and_its_marked_frames_are_saved_as_a_video(name, info):
    nodes = api_form(name)
    led = {}
    for node in nodes.values():
        for source in node["inputs"].values():
            if isinstance(source, list):
                led.setdefault(tuple(source), set()).add(node["class_type"])
    makers = {number for number, node in nodes.items() if node["class_type"] == "CreateVideo"}
    for number, node in nodes.items():
        outputs = info[node["class_type"]]["output_name"]
        if "scores_json" not in outputs:
            continue
        assert "PreviewImage" in led[number, outputs.index("plot")], node["class_type"]
        if "annotated" in outputs:
            marked = [number, outputs.index("annotated")]
            [maker] = [maker for maker in makers if nodes[maker]["inputs"]["images"] == marked]
            assert led[maker, 0] == {"SaveVideo"}


def test_frames_that_a_score_leaves_out_do_not_make_its_video_faster():
    """A score that looks at every n-th frame gives n times fewer, so that its video is as long as the other."""
    nodes = api_form("7 A folder of cases with scores")
    for node in nodes.values():
        if node["class_type"] == "CreateVideo":
            step = nodes[node["inputs"]["images"][0]]["inputs"].get("every_nth_frame", 1)
            assert node["inputs"]["fps"] * step == 16


@pytest.mark.parametrize("name", API_FORMS)
def test_loaders_say_where_their_files_are(name):
    """The page lists what it calls missing by this: the name has to be the widget's value."""
    for node in workflow(name)["nodes"]:
        files = [value for value in node.get("widgets_values", []) if str(value).endswith((".safetensors", ".gguf"))]
        if node["type"] not in FILE_INPUTS:
            shipped = [SHIPPED_FILES[node["type"]]] if node["type"] in SHIPPED_FILES else []
            assert files == shipped and "models" not in node["properties"], node["type"]
            continue
        input_name, folder = FILE_INPUTS[node["type"]]
        assert api_form(name)[str(node["id"])]["inputs"][input_name] == files[0]
        if files[0].endswith(".gguf"):
            # Some pages do not list GGUF files, and would call it missing for ever.
            assert "models" not in node["properties"]
            continue
        models = node["properties"]["models"]
        assert [model["name"] for model in models] == files and {model["directory"] for model in models} == {folder}
        for model in models:
            if node["type"] == "LumosX_ModelLoader":
                assert model["url"] == RELEASED_FOLDER
            else:
                assert re.fullmatch(r"https://huggingface\.co/\S+/resolve/main/\S+", model["url"])
                assert model["url"].endswith("/" + model["name"])


def test_lynx_is_sampled_as_the_release_does_it():
    """docs/lynx.md lists these; the prompts go through the guidance, and nothing of the pack samples."""
    nodes = {node["class_type"]: node["inputs"] for node in api_form("8 Lynx one face").values()}
    sampler = nodes["KSampler"]
    assert (sampler["cfg"], sampler["steps"], sampler["sampler_name"]) == (5.0, 50, "uni_pc")
    assert nodes["LumosX_LynxGuidance"]["image_cfg"] == 2.0 and nodes["ModelSamplingSD3"]["shift"] == 3.0
    assert (nodes["LumosX_Lynx"]["id_scale"], nodes["LumosX_Lynx"]["ref_scale"]) == (1.0, 1.0)
    size = nodes["EmptyHunyuanLatentVideo"]
    assert (size["width"], size["height"], size["length"]) == (832, 480, 81)


@pytest.mark.parametrize("name", [name for name in REAL if name in ENCODED])
def test_only_the_packed_file_has_to_be_made_by_hand(name):
    texts = "".join(node["widgets_values"][0] for node in workflow(name)["nodes"] if node["type"] in NOTES)
    packed = inputs_of(name, "LumosX_ModelLoader")["model_name"].endswith(".gguf")
    assert RELEASED_FOLDER in texts and ("Convert Weights" in texts) == packed


@pytest.mark.parametrize("name", [name for name in REAL if name in ENCODED])
def test_sizes_and_settings_are_the_releases(name):
    size, videos = inputs_of(name, "LumosX_RelationalEncode"), {"best_of_four": 4}.get(API_FORMS[name], 1)
    assert [size[key] for key in ("width", "height", "frames", "batch_size")] == [832, 480, 81, videos]
    assert inputs_of(name, "CreateVideo")["fps"] == 16
    sampler = inputs_of(name, "LumosX_Sampler")
    settings = {"few_steps": ["CausVid", 3, 1.0], "best_of_four": ["release", 12, 6.0]}.get(
        API_FORMS[name], ["release", 50, 6.0]
    )
    assert [sampler[key] for key in ("schedule", "steps", "cfg")] == settings
    assert sampler["shift"] == 8.0 and sampler["denoise"] == 1.0


@pytest.mark.parametrize("name", ENCODED)
def test_every_phrase_is_in_the_prompt(name):
    prompt = inputs_of(name, *ENCODERS)["prompt"]
    if isinstance(prompt, str):
        phrases = [value for node in api_form(name).values() for key, value in node["inputs"].items()
                   if key.endswith("phrase") and value]
        assert len(phrases) >= 2 and all(prompt.count(phrase) == 1 for phrase in phrases)


@pytest.mark.parametrize("name", API_FORMS)
def test_pictures_are_those_that_the_pack_puts_there(name, server):
    for node in workflow(name)["nodes"]:
        if node["type"] == "LoadImage":
            [picture] = node["widgets_values"]
            assert node["title"] and picture in demo_pictures() and (server.base / "input" / picture).is_file()


def test_the_page_offers_the_workflows(server):
    from urllib.request import urlopen

    with urlopen(f"{server.url}/workflow_templates") as answer:
        assert sorted(json.load(answer)["lumosx"]) == sorted(API_FORMS)
