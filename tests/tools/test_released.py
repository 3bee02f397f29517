"""What a newer version may change about its nodes, and what would break saved workflows."""

import copy
import json

import pytest

from lumosx_core.scene.prompt import negative_text
from tools import released


@pytest.fixture
def old():
    """The first release's nodes."""
    return json.loads((released.FOLDER / "0.1.0.json").read_text(encoding="utf-8"))


@pytest.fixture
def new(old):
    """The same, to be changed."""
    return copy.deepcopy(old)


def found(old, new):
    return list(released.broken(old, new))


def sampler(nodes, name):
    return next(one for one in nodes["LumosX_Sampler"]["inputs"] if one["id"] == name)


def test_nothing_changed(old, new):
    assert found(old, new) == []


def test_additions_pass(old, new):
    new["LumosX_New"] = {"inputs": [], "outputs": [], "output_node": False}
    inputs = new["LumosX_Sampler"]["inputs"]
    inputs += [
        {"id": "speed", "type": "INT", "required": False, "default": 0},
        {"id": "picture", "type": "IMAGE", "required": False},
    ]
    new["LumosX_Sampler"]["outputs"].append("STRING")
    sampler(new, "steps")["max"] += 1
    sampler(new, "steps")["min"] -= 1
    sampler(new, "schedule")["options"].append("another")
    assert found(old, new) == []


def test_a_node_that_is_gone(old, new):
    del new["LumosX_Sampler"]
    assert found(old, new) == ["LumosX_Sampler is gone"]


def test_a_moved_input(old, new):
    inputs = new["LumosX_Sampler"]["inputs"]
    inputs[4], inputs[5] = inputs[5], inputs[4]
    assert found(old, new) == [
        "LumosX_Sampler.seed: in its place is steps", "LumosX_Sampler.steps: in its place is seed",
    ]


def test_an_input_that_is_gone(old, new):
    last = new["LumosX_Sampler"]["inputs"].pop()["id"]
    assert found(old, new) == [f"LumosX_Sampler.{last}: in its place is nothing"]


def test_a_default_may_change_where_it_means_the_same(old, new):
    """Empty stands for the text that was there, and for nothing else."""
    [negative] = [one for one in new["LumosX_RelationalEncode"]["inputs"] if one["id"] == "negative_prompt"]
    assert negative_text("") == negative["default"]
    negative["default"] = ""
    assert found(old, new) == []
    negative["default"] = "blurred"
    assert len(found(old, new)) == 1
    sampler(new, "schedule")["default"] = ""
    assert len(found(old, new)) == 2


@pytest.mark.parametrize(("name", "field", "value"), [
    ("steps", "default", 49), ("steps", "type", "FLOAT"), ("end_step", "required", False), ("cfg", "step", 0.25),
    ("seed", "control_after_generate", None), ("schedule", "multiselect", True),
])
def test_what_must_stay_as_it_is(old, new, name, field, value):
    was = sampler(new, name).get(field)
    sampler(new, name)[field] = value
    assert found(old, new) == [f"LumosX_Sampler.{name}: {field} was {was!r} and is {value!r}"]


@pytest.mark.parametrize(("field", "by"), [("min", 1), ("max", -1)])
def test_a_narrower_range(old, new, field, by):
    sampler(new, "steps")[field] += by
    assert len(found(old, new)) == 1 and found(old, new)[0].startswith(f"LumosX_Sampler.steps: {field} was ")


@pytest.mark.parametrize("field", ["min", "max"])
def test_a_bound_where_there_was_none(old, new, field):
    del sampler(old, "steps")[field]
    assert f"steps: {field} was None and is " in found(old, new)[0]


def test_a_choice_that_is_gone(old, new):
    option = sampler(new, "schedule")["options"].pop()
    assert found(old, new) == [f"LumosX_Sampler.schedule: it no longer takes {[option]}"]


@pytest.mark.parametrize("added", [
    {"id": "speed", "type": "INT", "required": True, "default": 0}, {"id": "speed", "type": "INT", "required": False},
])
def test_a_new_input_that_old_workflows_cannot_fill(old, new, added):
    new["LumosX_Sampler"]["inputs"].append(added)
    assert found(old, new) == ["LumosX_Sampler.speed: it is new, so it must be optional and have a default"]


def test_a_new_input_amid_the_old_ones(old, new):
    new["LumosX_Sampler"]["inputs"].insert(6, {"id": "speed", "type": "INT", "required": False, "default": 0})
    assert "LumosX_Sampler.cfg: in its place is speed" in found(old, new)


def test_another_output_and_a_node_that_no_longer_runs_alone(old, new):
    new["LumosX_Sampler"]["outputs"].insert(0, "STRING")
    new["LumosX_SaveCase"]["output_node"] = False
    sentences = found(old, new)
    assert len(sentences) == 2 and "the outputs ['LATENT'] have become ['STRING', 'LATENT']" in " ".join(sentences)
    assert "LumosX_SaveCase is no longer an output node" in sentences


def test_file_lists_are_left_out_and_hosts_say_the_same(old):
    kinds = {"required": {"model_name": ["COMBO", {"options": ["mine.gguf"], "default": "mine.gguf"}]}}
    said = {"LumosX_ModelLoader": {
        "input": kinds, "input_order": {"required": ["model_name"]}, "output": ["MODEL"], "output_node": False,
        "category": "LumosX",
    }}
    plain = released.nodes_of(said)
    kinds["required"]["model_name"][1].update(multiselect=False, advanced=True, tooltip="which")
    kinds["required"]["model_name"][1]["options"] = []
    assert released.nodes_of(said) == plain
    assert plain["LumosX_ModelLoader"]["inputs"] == old["LumosX_ModelLoader"]["inputs"][:1]
