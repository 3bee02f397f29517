"""What the graph says of the sampler and the model behind an encoder."""

import copy
import json

import folder_paths
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lumosx_core.host import linked
from lumosx_core.host.graph import encoders_of
from lumosx_core.host.linked import LinkedModel, _is_sampler, read_run
from lumosx_core.models.wan.config import WanConfig
from lumosx_core.tiny.trained import TRAINED
from lumosx_core.weights.convert import convert
from lumosx_core.weights.precision import ending
from tools.shipped_workflows import API_FORMS, api_form
from tools.weight_files import small_transformer


def graph_of(sampler, **more):
    return {
        "1": {"class_type": "LumosX_TinyModels", "inputs": {}},
        "4": {"class_type": "LumosX_RelationalEncode", "inputs": {"clip": ["1", 1], "vae": ["1", 2]}},
        "5": {"class_type": sampler[0], "inputs": {
            "model": ["1", 0], "positive": ["4", 0], "negative": ["4", 1], "latent_image": ["4", 2], **sampler[1],
        }},
        **more,
    }


def is_relational(graph):
    return any(node["class_type"] == "LumosX_RelationalEncode" for node in graph.values())


RELATIONAL = [name for name in API_FORMS if is_relational(api_form(name))]


@pytest.fixture
def models(tmp_path, monkeypatch):
    _, endings = folder_paths.folder_names_and_paths["diffusion_models"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(tmp_path)], endings))
    return tmp_path


@pytest.mark.parametrize("name", RELATIONAL)
def test_every_template_has_its_samplers_behind_its_encoder(name):
    graph = api_form(name)
    samplers = [node for node in graph if _is_sampler(graph, node) and encoders_of(graph, node)]
    # Two clips that continue each other, and few steps before all steps.
    assert len(samplers) == (2 if API_FORMS[name] in ("two_chunks", "best_of_four") else 1)
    for sampler in samplers:
        inputs = graph[sampler]["inputs"]
        assert read_run(graph, sampler).forwards == inputs["steps"] * (1 if inputs["cfg"] == 1 else 2)


@pytest.mark.parametrize(("sampler", "forwards"), [
    (("LumosX_Sampler", {"steps": 50, "cfg": 6.0, "end_step": 10000, "guidance_end_step": 10000}), 100),
    (("LumosX_Sampler", {"steps": 50, "cfg": 6.0, "end_step": 10000, "guidance_end_step": 30}), 80),
    (("LumosX_Sampler", {"steps": 50, "cfg": 6.0, "start_step": 10, "end_step": 40, "guidance_end_step": 30}), 50),
    (("LumosX_Sampler", {"steps": 3, "cfg": 1.0}), 3),
    (("KSampler", {"steps": 20, "cfg": 4, "denoise": 0.5}), 40),
    (("KSamplerAdvanced", {"steps": 20, "cfg": 4, "start_at_step": 5, "end_at_step": 10000}), 30),
    (("KSampler", {"steps": ["9", 0], "cfg": 4}), None),
    (("KSampler", {"steps": 20, "cfg": ["9", 0]}), None),
    (("KSampler", {"steps": float("nan"), "cfg": 4}), None),
    (("KSampler", {"steps": "20", "cfg": 4}), None),
    (("KSampler", {"steps": 0, "cfg": 4}), None),
])
def test_forwards(sampler, forwards):
    assert read_run(graph_of(sampler), "5").forwards == forwards


@pytest.mark.parametrize(("guider", "forwards"), [
    (("CFGGuider", {"cfg": 6.0, "positive": ["4", 0], "negative": ["4", 1]}), 16),
    (("BasicGuider", {"conditioning": ["4", 0]}), 8),
])
def test_a_sampler_of_parts(guider, forwards):
    graph = {
        **graph_of(("x", {})),
        "5": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["8", 0], "guider": ["6", 0], "sampler": ["7", 0], "sigmas": ["7", 1], "latent_image": ["4", 2],
        }},
        "6": {"class_type": guider[0], "inputs": {"model": ["1", 0], **guider[1]}},
        "7": {"class_type": "LumosX_Schedule", "inputs": {"steps": 8, "shift": 8.0, "schedule": "release"}},
        "8": {"class_type": "RandomNoise", "inputs": {"noise_seed": 3}},
    }
    assert _is_sampler(graph, "5") and encoders_of(graph, "5") == {"4"}
    run = read_run(graph, "5")
    assert run.forwards == forwards and run.model.name == TRAINED.name


def test_the_small_model_is_as_small_as_it_is():
    model = read_run(graph_of(("KSampler", {})), "5").model
    assert model.name == TRAINED.name and model.nbytes == pytest.approx(TRAINED.stat().st_size, rel=0.01)
    assert model.shape.dim < 300 and model.shape.num_heads == model.shape.dim // 128


def loading(name, loader="LumosX_ModelLoader", **inputs):
    key = "unet_name" if loader == "UNETLoader" else "model_name"
    graph = graph_of(("KSampler", {"steps": 2, "cfg": 2}))
    graph["1"] = {"class_type": loader, "inputs": {key: name, "weight_dtype": "default", **inputs}}
    graph["2"] = {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["1", 0], "lora_name": "x.safetensors"}}
    graph["5"]["inputs"]["model"] = ["2", 0]
    return read_run(graph, "5").model


@pytest.mark.parametrize("loader", ["LumosX_ModelLoader", "UNETLoader"])
def test_the_file_that_is_loaded_whatever_loads_it(models, loader):
    weights = small_transformer()
    save_file(weights, models / "plain.safetensors")
    for to in ("q8_0", "fp8_scaled", "bf16"):
        name = f"made{ending(to)}"
        convert(models / "plain.safetensors", models / name, to, replace=True)
        model = loading(name, loader)
        assert model.nbytes == pytest.approx((models / name).stat().st_size, rel=0.15)
    assert model.shape == WanConfig.of_shapes({name: weight.shape for name, weight in weights.items()})
    assert loading("made.safetensors", loader, weight_dtype="fp8_e4m3fn").nbytes == model.nbytes / 2


def test_what_is_unknown_is_not_reported(models):
    assert loading("gone.safetensors") is None is loading("../../etc/passwd") is loading("gone/")
    (models / "other.safetensors").write_text("x")
    assert loading("other.safetensors") is None
    merged = graph_of(("KSampler", {"steps": 2, "cfg": 2}))
    save_file(small_transformer(), models / "one.safetensors")
    merged["2"] = {"class_type": "LumosX_ModelLoader", "inputs": {"model_name": "one.safetensors"}}
    merged["3"] = {"class_type": "ModelMergeSimple", "inputs": {"model1": ["1", 0], "model2": ["2", 0]}}
    merged["5"]["inputs"]["model"] = ["3", 0]
    assert read_run(merged, "5").model is None


def setting(graph, node="5"):
    return read_run(graph, node).setting


def test_the_setting_is_that_of_the_model_and_not_of_ids_seeds_or_words():
    sampler = ("KSampler", {"steps": 20, "cfg": 4, "seed": 1, "sampler_name": "euler"})
    one = graph_of(sampler)
    renamed = json.loads(json.dumps(one).replace('"1"', '"77"').replace('"5"', '"88"'))
    assert setting(renamed, "88") == setting(one)
    for name, value, same in (("seed", 2, True), ("steps", 9, True), ("sampler_name", "heun", False)):
        changed = copy.deepcopy(one)
        changed["5"]["inputs"][name] = value
        assert (setting(changed) == setting(one)) is same, name
    cached = copy.deepcopy(one)
    cached["6"] = {"class_type": "EasyCache", "inputs": {"model": ["1", 0], "reuse_threshold": 0.2}}
    cached["5"]["inputs"]["model"] = ["6", 0]
    other = copy.deepcopy(cached)
    other["6"]["inputs"]["reuse_threshold"] = 0.4
    assert len({setting(one), setting(cached), setting(other)}) == 3


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3), max_leaves=6,
)
NAMES = st.sampled_from(
    ["model", "guider", "sigmas", "sampler", "latent_image", "positive", "steps", "cfg", "unet_name"]
)
NODES = st.fixed_dictionaries({
    "class_type": st.sampled_from(["KSampler", "LumosX_RelationalEncode", "LumosX_TinyModels", "x"]),
    "inputs": st.dictionaries(NAMES, ANYTHING | st.tuples(st.sampled_from("123"), st.integers(0, 3)).map(list)),
})


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from("123"), NODES, min_size=1))
def test_a_graph_with_anything_in_it_is_read(graph):
    for node in graph:
        run = read_run(graph, node)
        assert run.model is None or type(run.model) is LinkedModel
        encoders_of(graph, node)


def test_a_checkpoint_folder_stands_for_the_file_that_is_made_of_it(models, monkeypatch):
    monkeypatch.setattr(linked, "made_file", lambda folder: models / f"made of {folder[:-1]}")
    assert linked._weights_named("all/") == models / "made of all"
    (models / "folder.safetensors").mkdir()
    (models / "file.safetensors").touch()
    assert linked._weights_named("folder.safetensors") is None is linked._weights_named("gone.safetensors")
    assert linked._weights_named("file.safetensors") == models / "file.safetensors"
    assert linked._weights_named(3) is None is linked._weights_named(["1", 0])


def test_links_between_the_nodes_of_a_model_are_places_and_not_ids():
    def graph(loader, lora, swapped=False):
        made = graph_of(("KSampler", {"steps": 2}))
        made[loader] = {"class_type": "UNETLoader", "inputs": {"unet_name": "x"}}
        made["other"] = {"class_type": "UNETLoader", "inputs": {"unet_name": "y"}}
        first, second = ([loader, 0], ["other", 0])[::-1 if swapped else 1]
        made[lora] = {"class_type": "ModelMergeSimple", "inputs": {"model1": first, "model2": second, "ratio": 0.5}}
        made["5"]["inputs"]["model"] = [lora, 0]
        return made

    assert setting(graph("7", "8")) == setting(graph("70", "80"))
    assert setting(graph("7", "8")) != setting(graph("7", "8", swapped=True))


@pytest.mark.parametrize(("value", "whole"), [
    (3, 3), (3.9, 3), (-3, -3), (0, 0), (True, None), ("3", None), (None, None), ([3], None), (float("nan"), None),
    (float("inf"), None), (1e9, None), (-1e9, None), (999_999_999, 999_999_999), (10 ** 9, None),
])
def test_a_number_of_steps_is_a_number_of_a_usual_size(value, whole):
    assert linked._whole(value) == whole


def test_the_nodes_of_a_model_come_once_and_in_one_order():
    graph = {
        "1": {"class_type": "a", "inputs": {"clip": ["2", 0], "model": ["3", 0], "strength": 1.0}},
        "2": {"class_type": "b", "inputs": {}}, "3": {"class_type": "c", "inputs": {"model": ["2", 1]}},
    }
    assert linked._model_nodes(graph, "1") == ["1", "2", "3"] and linked._model_nodes(graph, None) == []
    assert linked._model_nodes({"1": {"inputs": {"model": ["1", 0]}}}, "1") == ["1"]
