"""What other packs put onto a MODEL, in the way in which they do it: it has its effect, or the reason is said."""

import types
from types import SimpleNamespace
from unittest.mock import patch

import comfy.sampler_helpers
import comfy.sd
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling import foreign
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions

PLAN = SamplingPlan(seed=3, steps=2)


@pytest.fixture(scope="module")
def base(placed_file):
    """A model of its own: the host leaves an attribute where a patch was, by which compiled code tells blocks apart."""
    return comfy.sd.load_diffusion_model(str(placed_file))


@pytest.fixture(scope="module")
def relational(base):
    return relational_model(base, RelationalOptions())


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene())


@pytest.fixture(scope="module")
def expected(relational, encoded):
    return sample(relational, encoded)


@pytest.fixture
def unloaded(monkeypatch):
    """Fails a test in which the model is loaded before the refusal."""
    def load(*_, **__):
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(comfy.sampler_helpers, "_prepare_sampling", load)


def sample(model, encoded):
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, PLAN)["samples"]


def refusal(model, encoded):
    with pytest.raises(LumosXError) as caught:
        sample(model, encoded)
    return str(caught.value)


def bound(function, owner):
    """A function as a method of one module, which is how packs replace a forward."""
    return types.MethodType(function, owner)


def patched(model, path, function=lambda self, x, *_, **__: x):
    """A clone on which a part's method is replaced."""
    clone = model.clone()
    owner = clone.get_model_object(f"diffusion_model.{path}".rpartition(".")[0])
    clone.add_object_patch(f"diffusion_model.{path}", bound(function, owner))
    return clone


class OtherPositions(torch.nn.Module):
    """As RifleX: a rotary embedder of another class."""

    def forward(self, ids):
        return torch.zeros(1, 1, ids.shape[1], ids.shape[2], 2, 2)


def test_another_rotary_embedder_is_refused_by_its_name(relational, encoded, unloaded):
    model = relational.clone()
    model.add_object_patch("diffusion_model.rope_embedder", OtherPositions())
    said = refusal(model, encoded)
    assert said.startswith("model: another node replaced rope_embedder (as RifleX does)") and "remove that node" in said


@pytest.mark.parametrize(
    "path",
    [
        "rope_embedder.forward", "rope_encode", "unpatchify", "blocks.2.forward", "head.forward",
        "a_future_part.forward",
    ],
)
def test_whatever_the_forward_passes_by_is_refused_before_the_model_is_loaded(relational, encoded, unloaded, path):
    model = relational.clone()
    model.add_object_patch(f"diffusion_model.{path}", lambda *_, **__: None)
    said = refusal(model, encoded)
    assert said.startswith(f"model: another node replaced {path.removesuffix('.forward') if 'rope_' in path else path}")


def test_a_block_or_attention_of_another_class_is_refused(relational, encoded, unloaded):
    for path in ("blocks.1", "blocks.1.self_attn", "head"):
        model = relational.clone()
        model.add_object_patch(f"diffusion_model.{path}", torch.nn.Identity())
        assert refusal(model, encoded).startswith(f"model: another node replaced {path},")


@pytest.mark.parametrize(
    "path",
    [
        "patch_embedding.forward", "text_embedding.forward", "time_embedding.0.forward", "time_projection.forward",
        "head.head.forward", "head.norm.forward", "blocks.0.norm1.forward", "blocks.3.norm2.forward",
        "blocks.1.self_attn.q.forward", "blocks.1.self_attn.norm_k.forward", "blocks.2.cross_attn.o.forward",
        "blocks.2.ffn.forward", "blocks.2.ffn.0.forward",
    ],
)
def test_whatever_the_forward_uses_has_its_effect(relational, encoded, expected, path):
    def weaker(self, x, *arguments, **options):
        return type(self).forward(self, x, *arguments, **options) * 0.5

    result = sample(patched(relational, path, weaker), encoded)
    assert result.isfinite().all() and not torch.equal(result, expected)


def test_a_feed_forward_in_chunks_runs_and_changes_nothing(relational, encoded, expected):
    """As WanChunkFeedForward of KJNodes."""
    calls = []

    def in_chunks(self, x):
        calls.append(x.shape[1])
        return torch.cat([torch.nn.Sequential.forward(self, part) for part in x.chunk(2, dim=1)], dim=1)

    model = relational.clone()
    for index in range(4):
        block = model.get_model_object(f"diffusion_model.blocks.{index}")
        model.add_object_patch(f"diffusion_model.blocks.{index}.ffn.forward", bound(in_chunks, block.ffn))
    torch.testing.assert_close(sample(model, encoded), expected, rtol=1e-4, atol=1e-4)
    assert len(calls) >= 4


def teacached(model, name="forward_orig"):
    """As ComfyUI-TeaCache: the model's inner forward is another one while the model runs."""
    model, calls = model.clone(), []

    def cached_forward(self, x, *_, **__):
        calls.append(1)
        return x

    diffusion_model = model.get_model_object("diffusion_model")

    def run(apply, arguments):
        with patch.multiple(diffusion_model, **{name: bound(cached_forward, diffusion_model)}):
            return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(run)
    return model, calls


@pytest.mark.parametrize("name", ["forward_orig", "_forward"])
def test_a_cache_in_the_place_of_the_inner_forward_is_named_once_a_run(relational, encoded, expected, caplog, name):
    model, calls = teacached(relational, name)
    assert torch.equal(sample(model, encoded), expected) and not calls
    line = f"model: another node replaced {name} (as TeaCache and MagCache do), which has no effect"
    assert caplog.text.count(line) == 1
    sample(model, encoded)
    assert caplog.text.count(line) == 2
    caplog.clear()
    assert torch.equal(sample(relational, encoded), expected) and not caplog.text


def test_an_inner_forward_as_an_object_patch_is_named_too(relational, encoded, expected, caplog):
    assert torch.equal(sample(patched(relational, "forward_orig"), encoded), expected)
    assert caplog.text.count("another node replaced forward_orig") == 1


def test_a_stand_in_for_the_whole_model_is_named(relational, encoded, caplog):
    """A function that never asks the model leaves every reference without effect."""
    model = relational.clone()
    model.set_model_unet_function_wrapper(lambda _, arguments: arguments["input"] * 0.5)
    sample(model, encoded)
    assert caplog.text.count("model: no reference had an effect, since another node replaced") == 1


def wrapped_attention(self, x, *_, **__):
    return x


def sageattn_forward(self, x, *_, **__):
    return x


@pytest.mark.parametrize(
    ("part", "function", "words", "others"),
    [
        ("cross_attn", wrapped_attention, ["NAG", "LumosX Negative at CFG 1"], ["Sage", "Enhance"]),
        ("self_attn", wrapped_attention, ["Enhance-A-Video"], ["Sage", "NAG"]),
        ("self_attn", sageattn_forward, ["SageAttention", "LumosX Attention"], ["NAG", "Enhance"]),
        ("cross_attn", sageattn_forward, ["SageAttention", "LumosX Attention"], ["NAG", "Enhance"]),
    ],
)
def test_each_kind_of_attention_patch_has_its_own_sentence(
    relational, encoded, unloaded, part, function, words, others
):
    said = refusal(patched(relational, f"blocks.1.{part}.forward", function), encoded)
    assert said.startswith(f"model: another node replaced the forward of blocks.1.{part}, which would undo relations")
    assert all(word in said for word in words) and not any(word in said for word in others)


@pytest.mark.parametrize("path", ["blocks.1.self_attn.forward", "blocks.1.cross_attn.forward", "rope_embedder.forward"])
def test_what_is_replaced_only_while_the_model_runs_is_refused_too(relational, encoded, path):
    model = relational.clone()
    part, _, name = path.rpartition(".")
    owner = model.get_model_object(f"diffusion_model.{part}")

    def run(apply, arguments):
        with patch.object(owner, name, bound(wrapped_attention, owner)):
            return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(run)
    said = refusal(model, encoded)
    assert said.startswith("model: another node replaced") and part.removesuffix(".forward") in said


def test_blocks_that_are_none_of_wans_are_refused(relational, encoded):
    """As block caches of other packs: one block that runs all the others."""
    model = relational.clone()
    diffusion_model = model.get_model_object("diffusion_model")

    def run(apply, arguments):
        with patch.dict(diffusion_model._modules, blocks=torch.nn.ModuleList([torch.nn.Identity()])):
            return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(run)
    assert refusal(model, encoded).startswith("model: another node replaced blocks.0,")


def test_a_patch_that_was_taken_off_leaves_nothing(relational, encoded, expected):
    for path in ("blocks.1.self_attn.forward", "rope_encode"):
        refusal(patched(relational, path), encoded)
    assert torch.equal(sample(relational, encoded), expected)


def test_the_hosts_own_methods_put_back_by_name_are_no_patches(relational, encoded, expected):
    model = relational.clone()
    for path in ("rope_encode", "blocks.1.self_attn.forward"):
        model.add_object_patch(f"diffusion_model.{path}", model.get_model_object(f"diffusion_model.{path}"))
    assert torch.equal(sample(model, encoded), expected)


@pytest.mark.slow
def test_what_only_moves_or_compiles_a_part_is_let_through(relational, encoded, expected):
    """As packs do that spread a model over several cards, and as KJNodes once compiled block by block."""
    model = relational.clone()
    model.add_object_patch("diffusion_model.blocks.1.to", lambda *_, **__: None)
    block = model.get_model_object("diffusion_model.blocks.2")
    model.add_object_patch("diffusion_model.blocks.2", torch.compile(block, backend="eager"))
    torch.testing.assert_close(sample(model, encoded), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["attn2_patch", "attn1_output_patch", "input_block_patch", "double_block", "a_future_patch"]
)
def test_patches_that_nobody_would_call_are_refused(relational, encoded, name):
    model = relational.clone()
    model.set_model_patch(lambda *_: None, name)
    assert refusal(model, encoded).startswith(f"model: another node set {name} on it")


def test_other_positions_by_the_hosts_option_are_refused(relational, encoded):
    """As Scale ROPE sets them."""
    model = relational.clone()
    model.model_options["transformer_options"]["rope_options"] = {"scale_t": 2.0}
    assert refusal(model, encoded).startswith("model: another node set rope_options on it")


def test_replaced_attention_is_refused_and_replaced_blocks_are_not(relational, encoded, expected):
    model = relational.clone()
    model.set_model_attn1_replace(lambda q, *_: q, "middle", 0)
    assert refusal(model, encoded).startswith("model: another node set attn1 on it")
    # SkipLayerGuidance also names single blocks, which Wan does not have.
    model = relational.clone()
    model.set_model_patch_replace(lambda arguments, _: arguments, "dit", "single_block", 7)
    assert torch.equal(sample(model, encoded), expected)


def test_without_references_every_patch_is_the_stock_models(relational, encoded):
    """Nothing is refused, and the patch has its effect."""
    from lumosx_core.host.sampling.run import _run_of

    plain = [[text, {k: v for k, v in options.items() if k != "model_conds"}] for text, options in encoded.positive]
    calls = []

    def watch(self, x, *_, **__):
        calls.append(1)
        return x

    model = patched(relational, "blocks.1.self_attn.forward", watch)
    run_sampler(model, plain, plain, encoded.latent, PLAN)
    assert calls and _run_of({}).answered is False


def test_compiled_parts_are_the_hosts_own():
    class Part(torch.nn.Module):
        def forward(self, x):
            return x

    part, stock = Part(), Part.forward
    assert foreign._is_own(SimpleNamespace(_orig_mod=part), stock)
    assert foreign._is_own(part.forward, stock) and foreign._is_own(part.forward)
    assert foreign._is_own(SimpleNamespace(_torchdynamo_orig_callable=part.forward), stock)
    assert not foreign._is_own(lambda x: x, stock) and not foreign._is_own(lambda x: x)
    assert not foreign._is_own(torch.nn.Identity().forward, stock)


@pytest.mark.parametrize(("options", "name"), [
    ({}, None), ({"patches": {"attn2_patch": []}}, None), ({"patches": {"attn2_patch": [print]}}, "attn2_patch"),
    ({"patches_replace": {"dit": {1: print}}}, None), ({"patches_replace": {"attn1": {}}}, None),
    ({"patches_replace": {"attn1": {1: print}}}, "attn1"), ({"rope_options": {}}, None),
    ({"rope_options": {"scale": 2}}, "rope_options"),
    ({"patches": {"a": [], "b": [print]}, "patches_replace": {"c": {1: print}}}, "b"),
])
def test_only_options_that_hold_something_are_unused(options, name):
    assert foreign._unused_option(options) == name


def test_a_model_without_a_module_for_positions_has_none_replaced():
    """As a transformer that is not ComfyUI's."""
    class Model:
        blocks, head = (), object.__new__(type("Head", (), {}))

    assert list(foreign._replaced_parts(Model())) == []
    model = Model()
    model.rope_embedder = torch.nn.Identity()
    assert [place for place, _ in foreign._replaced_parts(model)] == ["rope_embedder"]
