"""LoRAs none of whose keys fit, loaded by ComfyUI's own loaders, in front of LumosX Model and behind it."""

from types import SimpleNamespace

import comfy.hooks
import comfy.sd
import pytest
import torch

from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling import loras
from lumosx_core.host.sampling.loras import _lora_of, _model_path, lora_warnings
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions


@pytest.fixture(scope="module")
def base(tiny):
    return tiny[0]


def lora(stem):
    """A rank-2 LoRA of one layer, 256 wide, under any name."""
    return {f"{stem}.lora_A.weight": torch.full((2, 256), 0.05), f"{stem}.lora_B.weight": torch.full((256, 2), 0.05)}


FITTING = lora("diffusion_model.blocks.0.self_attn.q")
DIFFUSERS = lora("transformer.transformer_blocks.0.attn1.to_q")
OTHER_SIZE_OF_MODEL = lora("diffusion_model.blocks.39.self_attn.q")
# As the 14B model's LoRAs, which have every name of the 1.3B model too.
WIDER = {
    "diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.full((2, 640), 0.05),
    "diffusion_model.blocks.0.self_attn.q.lora_B.weight": torch.full((640, 2), 0.05),
}


def loaded(model, weights, strength=1.0):
    return comfy.sd.load_lora_for_models(model, None, weights, strength, 0.0)[0]


@pytest.mark.parametrize("weights", [DIFFUSERS, OTHER_SIZE_OF_MODEL, WIDER, lora("unet_name_of_nobody")])
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_lora_that_fits_nothing_is_named_by_any_sampler(base, weights, first):
    if first == "ours":
        model = loaded(relational_model(base, RelationalOptions()), weights)
    else:
        model = relational_model(loaded(base, weights), RelationalOptions())
    (warning,) = lora_warnings(model)
    assert warning.startswith("model: a LoRA has no effect, since none of its keys fit this model")
    assert lora_warnings(model.clone()) == [warning]


def test_loras_that_fit_are_not_named(base):
    assert lora_warnings(base) == []
    assert lora_warnings(relational_model(loaded(loaded(base, FITTING), FITTING, -0.5), RelationalOptions())) == []


def test_one_of_several_is_enough(base):
    for weights in ((FITTING, DIFFUSERS), (DIFFUSERS, FITTING), (FITTING, WIDER), (WIDER, FITTING)):
        model = base
        for one in weights:
            model = loaded(model, one)
        assert len(lora_warnings(relational_model(model, RelationalOptions()))) == 1


def test_what_else_draws_a_new_id_is_no_lora(base):
    model = relational_model(base, RelationalOptions()).clone()
    model.set_model_compute_dtype(torch.bfloat16)
    assert lora_warnings(model) == []
    wrapped = base.clone()
    wrapped.add_weight_wrapper("diffusion_model.blocks.0.self_attn.q.weight", lambda weight: weight)
    assert lora_warnings(wrapped.clone()) == []


def test_merged_models_are_no_loras(base):
    from comfy_extras.nodes_model_merging import ModelMergeSimple

    assert lora_warnings(ModelMergeSimple().merge(base, base, 0.5)[0]) == []


def test_the_run_says_so_once(base, encode, make_scene, caplog):
    encoded = encode(make_scene())

    def run(model):
        plan = SamplingPlan(seed=3, steps=2)
        return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]

    plain = run(relational_model(base, RelationalOptions()))
    assert "a LoRA has no effect" not in caplog.text
    assert torch.equal(run(relational_model(loaded(base, DIFFUSERS), RelationalOptions())), plain)
    assert caplog.text.count("model: a LoRA has no effect") == 1


def hooked(conditioning, weights, strength=1.0):
    hooks = comfy.hooks.create_hook_lora(lora=weights, strength_model=strength, strength_clip=0.0)
    return comfy.hooks.set_hooks_for_conditioning(conditioning, hooks=hooks)


@pytest.mark.parametrize(
    ("weights", "strength", "lines"), [(DIFFUSERS, 1.0, 1), (WIDER, 1.0, 1), (DIFFUSERS, 0.0, 0), (FITTING, 1.0, 0)]
)
def test_a_hook_that_fits_nothing_is_named(base, encode, make_scene, caplog, weights, strength, lines):
    """The host does not print its keys at all. A later run of the same model without the hook is not blamed for it."""
    encoded, model = encode(make_scene()), relational_model(base, RelationalOptions())
    plan = SamplingPlan(seed=3, steps=1)
    positive = hooked(encoded.positive, weights, strength)
    run_sampler(model, positive, encoded.negative, encoded.latent, plan)
    assert caplog.text.count("a LoRA has no effect") == lines
    caplog.clear()
    run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)
    assert "a LoRA has no effect" not in caplog.text


GRAPH = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "x"}},
    "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["1", 0], "lora_name": "a.safetensors"}},
    "3": {"class_type": "Power Lora Loader (rgthree)", "inputs": {
        "model": ["2", 0], "clip": ["9", 0], "lora_1": {"on": True, "lora": "b.safetensors", "strength": 1},
    }},
    "4": {"class_type": "LumosX_Model", "inputs": {"model": ["3", 0], "ratio": 0.5}},
    "5": {"class_type": "CFGGuider", "inputs": {"model": ["4", 0], "positive": ["8", 0], "negative": ["8", 1]}},
    "6": {"class_type": "Reroute", "inputs": {"": ["5", 0]}},
    "7": {"class_type": "SamplerCustomAdvanced", "inputs": {"guider": ["6", 0], "sampler": ["8", 0]}},
}


def test_the_graph_is_followed_from_the_sampler_to_the_loaders():
    found = [_lora_of(node) for node in _model_path(GRAPH, "7")]
    assert found == ["", "", "", "", "b.safetensors", "a.safetensors", ""]
    off = {"model": ["1", 0], "lora_1": {"on": False, "lora": "b.safetensors"}, "lora_name": "None"}
    assert _lora_of({"class_type": "Stack", "inputs": off}) == ""
    assert _lora_of({"class_type": "X", "inputs": {"lora_name": "a.safetensors", "strength_model": 0}}) == ""
    endless = {"1": {"inputs": {"model": ["2", 0]}}, "2": {"inputs": {"model": ["1", 0]}}}
    assert len(list(_model_path(endless, "1"))) == 2


@pytest.mark.parametrize("most", [1, 3])
def test_only_so_many_nodes_are_followed(monkeypatch, most):
    monkeypatch.setattr(loras, "_MOST_NODES", most)
    assert len(list(_model_path(GRAPH, "7"))) == most


@pytest.mark.parametrize(("inputs", "following"), [
    ({"model": ["a", 0], "guider": ["b", 0]}, "a"), ({"model1": ["b", 0], "model2": ["a", 0]}, "b"),
    ({"clip": ["a", 0]}, "a"), ({"clip": ["a", 0], "vae": ["b", 0]}, None), ({"model": ["a", 0, 1]}, None),
    ({"model": "a"}, None), ({}, None),
])
def test_which_link_a_model_came_by(inputs, following):
    graph = {"a": {"inputs": {}}, "b": {"inputs": {}}, "node": {"inputs": inputs}, "bare": {}}
    expected = [graph["node"]] + ([graph[following]] if following else [])
    assert list(_model_path(graph, "node")) == expected
    assert list(_model_path(graph, "bare")) == [{}] and list(_model_path(graph, "gone")) == []


@pytest.mark.parametrize(("node", "name"), [
    ({}, ""), ({"inputs": {"lora_name": ""}}, ""), ({"inputs": {"lora_name": "None"}}, ""),
    ({"inputs": {"lora_name": 3}}, ""), ({"inputs": {"LoRA_A": "a", "lora_b": "b"}}, "a, b"),
    ({"class_type": "LoraStack", "inputs": {"lora_name": "None"}}, "LoraStack"),
    ({"class_type": "LoraStack", "inputs": {"strength_model": 0}}, ""),
    ({"inputs": {"lora_1": {"lora": "a"}, "lora_2": {"on": False, "lora": "b"}, "lora_3": {}}}, "a"),
    ({"inputs": {"lora_name": "a", "strength_model": 0}}, ""),
    ({"inputs": {"lora_name": "a", "strength_model": 0.5}}, "a"),
])
def test_the_files_that_a_loader_names(node, name):
    assert _lora_of(node) == name


@pytest.mark.parametrize(("steps", "names", "which"), [
    ([True], ["a"], None), ([False], [], None), ([], ["a"], None), ([False], ["a"], "(a)"),
    ([False], None, "(which one is"), ([False, True], ["a", "b"], "(a)"), ([False, False], ["a", "b"], "(a, b)"),
    ([False], ["a", "b"], "(one of a, b)"),
    ([False, False, True], ["a", "b"], "(a, b)"),
])
def test_a_lora_is_named_as_far_as_the_graph_tells(monkeypatch, steps, names, which):
    monkeypatch.setattr(loras, "_patched_steps", lambda patcher, hooked: steps)
    monkeypatch.setattr(loras, "_loader_names", lambda: names)
    found = lora_warnings(None)
    assert len(found) == (which is not None) and all(which in one for one in found)


def chain(*steps):
    """Clones of a model, each with whether it drew a new id, whether weights got patches, and what else changed."""
    patcher = SimpleNamespace(parent=None, patches_uuid=0, patches=0, other=0)
    made = [patcher]
    for new_id, effective, other in steps:
        patcher = SimpleNamespace(
            parent=patcher, patches_uuid=patcher.patches_uuid + new_id, patches=patcher.patches + effective,
            other=other,
        )
        made.append(patcher)
    return made


@pytest.mark.parametrize(("steps", "hooked", "found"), [
    ([], (), []), ([(0, 0, 0)], (), []), ([(0, 1, 0)], (), []), ([(1, 1, 0)], (), [True]), ([(1, 0, 0)], (), [False]),
    ([(1, 0, 1)], (), []), ([(1, 1, 1)], (), [True]), ([(1, 0, 0)], (1,), []), ([(1, 1, 0)], (1,), [True]),
    ([(1, 1, 0), (0, 0, 0), (1, 0, 0)], (), [True, False]), ([(1, 0, 0), (1, 1, 0)], (), [False, True]),
])
def test_a_new_id_is_a_lora_unless_something_else_explains_it(monkeypatch, steps, hooked, found):
    monkeypatch.setattr(loras, "_counts", lambda patcher, patches: patches)
    monkeypatch.setattr(loras, "_otherwise_changed", lambda patcher, before: bool(patcher.other))
    made = chain(*steps)
    with_hooks = [made[index] for index in hooked]
    assert loras._patched_steps(made[-1], with_hooks) == found


@pytest.mark.parametrize(("change", "changed"), [
    ({}, False), ({"model": "other"}, True), ({"weight_wrapper_patches": {"a": 1}}, True),
    ({"object_patches": {"manual_cast_dtype": 1}}, True), ({"object_patches": {"other": 1}}, False),
])
def test_what_else_draws_a_new_id(change, changed):
    before = {"model": "model", "weight_wrapper_patches": {}, "object_patches": {}}
    assert loras._otherwise_changed(SimpleNamespace(**{**before, **change}), SimpleNamespace(**before)) == changed


@pytest.mark.parametrize(("key", "up", "down", "mid", "offset", "fits"), [
    ("a.weight", (4, 2), (2, 3), None, None, True), ("a.weight", (4, 2), (1, 3), None, None, False),
    ("a.weight", (5, 2), (2, 3), None, None, False), ("a.weight", (3, 2), (2, 4), None, None, True),
    ("a.weight", (5, 2), (2, 3), 1, None, True), ("a.weight", (5, 2), (2, 3), None, (0, 1, 2), True),
    ("a.bias", (5, 2), (2, 3), None, None, True), ("b.weight", (4, 2), (2, 3), None, None, True),
    ("b.weight", (4, 2), (2, 4), None, None, False),
])
def test_a_patch_fits_that_has_as_many_numbers_as_its_weight(key, up, down, mid, offset, fits):
    layers = {"a": SimpleNamespace(in_features=3, out_features=4), "b": SimpleNamespace(weight=torch.zeros(12))}
    patcher = SimpleNamespace(model=SimpleNamespace(get_submodule=layers.__getitem__))
    adapter = loras.LoRAAdapter(set(), (torch.zeros(up), torch.zeros(down), 1.0, mid, None, None))
    assert loras._fits(patcher, key, (1.0, adapter, 1.0, offset, None)) == fits
    assert loras._fits(patcher, key, (1.0, "other", 1.0, None, None))
    counts = loras._counts(patcher, {key: [(1.0, adapter, 1.0, offset, None)] * 2, "none": []})
    assert counts == ({key: 2} if fits else {})
