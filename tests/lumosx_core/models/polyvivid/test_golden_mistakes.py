"""Each known wrong way to compute PolyVivid is noticed by a golden file, by about as much as its notes say."""

import re
from dataclasses import replace

import pytest
import torch

from lumosx_core.models.attention import dense_attention
from lumosx_core.models.polyvivid import forward as module
from lumosx_core.models.polyvivid import layer as layer_module
from lumosx_core.models.polyvivid import positions
from lumosx_core.models.polyvivid.config import RunOptions
from lumosx_core.models.polyvivid.injection import Injection
from lumosx_core.models.polyvivid.interaction import Interaction
from tools.golden_polyvivid import (
    FORWARD,
    RELATIVE_BOUND,
    layout_of,
    load,
    outputs,
    relative,
    tables,
    world,
)


@pytest.fixture(scope="module")
def golden():
    tensors, case = load(FORWARD)
    return tensors, layout_of(case["layout"])


def error_of(golden, name="out", **settings):
    """Of the whole adapted model over our network."""
    tensors, layout = golden
    return relative(next(outputs(tensors, layout, **settings)), tensors[name])


def test_without_a_mistake_there_is_no_error(golden):
    assert error_of(golden) < RELATIVE_BOUND


def swapped_ids(change):
    """``interaction_ids`` whose result a mistake changes."""
    def ids(layout, grids, fractional=False):
        text, image = positions.interaction_ids(layout, grids, fractional)
        return change(text.clone(), image.clone(), layout, grids)

    return ids


def in_the_slot_of_the_picture(text, image, layout, grids):
    image[:, 0] -= 1
    return text, image


def not_centred(text, image, layout, grids):
    return text, torch.cat([
        torch.cat([ids[:, :1], ids[:, 1:] + torch.tensor([rows // 2, columns // 2])], dim=1)
        for ids, (rows, columns) in zip(image.split([r * c for r, c in grids]), grids)
    ])


@pytest.mark.parametrize(("change", "cost"), [
    pytest.param(lambda text, image, *_: (text * 0, image * 0), 0.38, id="all ids zero"),
    pytest.param(lambda text, image, *_: (text[:, [0, 2, 1]], image[:, [0, 2, 1]]), 0.35, id="rows for columns"),
    pytest.param(in_the_slot_of_the_picture, 0.27, id="a subject's tokens at the time of its <image>"),
    pytest.param(not_centred, 0.33, id="subjects' ids not centred"),
])
def test_wrong_ids(golden, monkeypatch, change, cost):
    monkeypatch.setattr(module, "interaction_ids", swapped_ids(change))
    assert error_of(golden) == pytest.approx(cost, abs=0.04)


def test_whole_ids_in_place_of_fractional_ones():
    tensors, case = load(FORWARD.with_name("polyvivid_forward_cases.safetensors"))
    layout = layout_of(case["cases"]["fractional"]["layout"])
    found = next(outputs(tensors, layout, "fractional.", options=RunOptions(fractional=False)))
    assert relative(found, tensors["fractional.out"]) == pytest.approx(0.20, abs=0.04)


def test_loras_scaled_by_one(golden):
    assert error_of(golden, alpha=None) == pytest.approx(0.52, abs=0.04)


def test_the_interactions_loras_used_in_the_injection(golden):
    tensors = dict(world().parts["adapter"])
    for name in tensors:
        if found := re.fullmatch(r"(.+)\.inject\.(q|k|v|mlp\.0|mlp\.2)\.(lora_.+)", name):
            group = "img_mlp" if "mlp" in found[2] else "img_attn"
            tensors[name] = tensors[f"{found[1]}.interact.{group}.{found[2].removeprefix('mlp.')}.{found[3]}"]
    assert error_of(golden, weights=tensors) == pytest.approx(0.91, abs=0.04)


def test_gates_in_the_injection(golden):
    assert error_of(golden, inject_norm="gated") == pytest.approx(0.96, abs=0.04)


def test_subjects_exchanged(golden):
    tensors, layout = golden
    exchanged = {**tensors, "latent.0": tensors["latent.1"], "latent.1": tensors["latent.0"]}
    assert error_of((exchanged, layout)) == pytest.approx(0.37, abs=0.04)


@pytest.mark.parametrize("settings", [
    {"inject_rope": "spatial"}, {"inject_rope": "full"}, {"vec_mode": "zero"},
    {"options": RunOptions(strength=0.5)}, {"options": RunOptions(strength=0.0)},
    {"options": RunOptions(layers=frozenset([0, 2]))},
], ids=str)
def test_another_setting(golden, settings):
    assert error_of(golden, **settings) > 0.01


def test_adapter_left_out(golden):
    tensors, _ = golden
    assert relative(world().network()(*(tensors[name] for name in ("x", "t", "context", "y", "guidance"))),
                    tensors["out"]) > 0.1


def replaced_layer(monkeypatch, change):
    """The layer's computation with a mistake: ``change`` gets and returns (z_i, z, z_t) after the true one."""
    true = layer_module.adapted_layer

    def adapted(layer, block, shared, z_i, z, z_t, vec, base):
        return change((z_i, z, z_t), true(layer, block, shared, z_i, z, z_t, vec, base))

    monkeypatch.setattr(module, "adapted_layer", adapted)


def test_subjects_that_start_anew_in_every_layer(golden, monkeypatch):
    replaced_layer(monkeypatch, lambda before, after: (before[0], *after[1:]))
    assert error_of(golden) > 0.01


def test_text_that_does_not_keep_what_the_interaction_gave(golden, monkeypatch):
    """With it the adapter would be bit for bit off where FC is zero, which is not the model."""
    true = Interaction.forward
    monkeypatch.setattr(Interaction, "forward", lambda self, block, z_i, z_t, *rest: (
        true(self, block, z_i, z_t, *rest)[0], z_t
    ))
    assert error_of(golden) > 0.01


def test_strength_that_scales_the_interaction_too(golden, monkeypatch):
    true = Interaction.forward

    def half(self, block, z_i, z_t, *rest):
        after_i, after_t = true(self, block, z_i, z_t, *rest)
        return after_i, z_t + 0.5 * (after_t - z_t)

    monkeypatch.setattr(Interaction, "forward", half)
    assert error_of(golden, "out_strength_half", options=RunOptions(strength=0.5)) > 0.01


def test_no_residual_around_the_injection(golden, monkeypatch):
    """Equation 8 as it is printed: video tokens would be zero at the start of training."""
    true = layer_module.adapted_layer

    def without(layer, block, shared, z_i, z, z_t, vec, base):
        z_in = z
        return true(layer, block, shared, z_i, z, z_t, vec, lambda z, z_t: base(z - z_in, z_t))

    monkeypatch.setattr(module, "adapted_layer", without)
    assert error_of(golden) > 0.1


def test_keys_from_before_the_interaction(golden, monkeypatch):
    kept = {}
    true_interact, true_inject = Interaction.forward, Injection.forward

    def interact(self, block, z_i, *rest):
        kept["z_i"] = z_i
        return true_interact(self, block, z_i, *rest)

    monkeypatch.setattr(Interaction, "forward", interact)
    monkeypatch.setattr(Injection, "forward", lambda self, block, z, z_i, *rest: (
        true_inject(self, block, z, kept["z_i"], *rest)
    ))
    assert error_of(golden) > 0.01


@pytest.mark.parametrize(("change", "least"), [
    pytest.param(lambda block: {"query_norm": torch.nn.Identity()}, 1e-3, id="no norm of queries"),
    pytest.param(lambda block: {"proj": torch.nn.Identity()}, 1e-3, id="no output projection"),
    pytest.param(lambda block: {"norm2": torch.nn.Identity()}, 1e-3, id="no second LayerNorm"),
])
def test_a_left_out_layer_of_the_injection(change, least, monkeypatch):
    from lumosx_core.models.polyvivid import injection

    tensors, case = load(FORWARD.with_name("polyvivid_module_b.safetensors"))
    block, inject = world().network().double_blocks[case["layer"]], world().adapter().layer(case["layer"]).inject
    given = block, tensors["z"], tensors["z_i"], tensors["vec"], tensors["vec"], dense_attention
    assert relative(inject(*given), tensors["delta"]) < RELATIVE_BOUND

    class Changed(injection.Stream):
        @classmethod
        def of(cls, block, name):
            return replace(super().of(block, name), **change(block))

    monkeypatch.setattr(injection, "Stream", Changed)
    assert relative(inject(*given), tensors["delta"]) > least


def test_text_in_the_interaction_without_rotation():
    """The base model does not rotate text, the interaction does."""
    tensors, case = load(FORWARD.with_name("polyvivid_module_a.safetensors"))
    block = world().network().double_blocks[case["layer"]]
    image, text = tables(tensors["image_ids"], tensors["text_ids"])
    interact = world().adapter().layer(case["layer"]).interact
    given = block, tensors["z_i"], tensors["z_t"], tensors["vec"], tensors["vec"], image
    assert relative(interact(*given, text, dense_attention)[1], tensors["z_t_out"]) < RELATIVE_BOUND
    assert relative(interact(*given, None, dense_attention)[1], tensors["z_t_out"]) > 1e-3


@pytest.mark.parametrize(("change", "case"), [
    pytest.param(lambda text, image, *_: (text - torch.tensor([1.0, 0, 0]), image), "spec_vector", id="counted from 0"),
    pytest.param(lambda text, image, *_: (text.bfloat16().float(), image.bfloat16().float()), "long", id="bfloat16"),
    pytest.param(lambda text, image, *_: (text, image.round()), "fractional", id="rounded"),
])
def test_wrong_ids_in_the_positions_file(change, case):
    """Attention sees differences of positions only, so counting from 0 shows here alone."""
    tensors, cases = load(FORWARD.with_name("polyvivid_positions.safetensors"))
    one = cases[case]
    grids = tuple(map(tuple, one["latent_grids"]))
    text, image = swapped_ids(change)(layout_of(one), grids, one.get("fractional", False))
    wrong = max((text - tensors[f"{case}.text_ids"]).abs().max(), (image - tensors[f"{case}.image_ids"]).abs().max())
    assert wrong > 0.1
