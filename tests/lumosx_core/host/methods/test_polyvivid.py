"""A PolyVivid adapter on ComfyUI's own HunyuanVideo, loaded by its own loader and run by its own samplers."""

import copy
import logging
from types import SimpleNamespace

import comfy.sample
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.polyvivid import with_subjects
from lumosx_core.host.methods.polyvivid import (
    WRAPPER_KEY,
    Part,
    PartWrapper,
    SubjectsWrapper,
    _built,
    check_adapter,
    layers_of,
)
from lumosx_core.models.polyvivid.checkpoint import StoredAdapter
from lumosx_core.models.polyvivid.config import RunOptions
from lumosx_core.models.polyvivid.positions import TextLayout
from support.hunyuan_files import SIGMA, SMALL, small_adapter, write_small_adapter
from support.polyvivid_runs import (
    CONTEXT,
    LATENTS,
    LAYOUT,
    NOISE,
    POOLED,
    close,
    denoise,
    load,
    positive,
    random,
    reference,
    velocity,
)

ALL = Part()


def test_without_subjects_it_is_the_unpatched_model_bit_for_bit(model, adapted, caplog):
    with caplog.at_level(logging.WARNING):
        found = velocity(adapted(), positive(()))
    assert torch.equal(found, velocity(model, positive(())))
    assert "the conditioning holds no subjects, so the adapter has no effect" in caplog.text


def test_it_computes_what_the_golden_files_judge(network, adapted):
    expected = reference(network)
    assert close(velocity(adapted(), positive()), expected)
    assert close(velocity(adapted(chunk_tokens=5), positive()), expected)
    assert not close(expected, reference(network, options=RunOptions(strength=0.0)), 1e-2)


@pytest.mark.parametrize("options", [
    {"strength": 0.5}, {"strength": 0.0}, {"layers": frozenset({1})}, {"layers": frozenset()}, {"fractional": True},
], ids=str)
def test_options_do_what_they_do_in_our_own_network(network, adapted, options):
    assert close(velocity(adapted(**options), positive()), reference(network, options=RunOptions(**options)))


@pytest.mark.parametrize("settings", [
    {"inject_rope": "full"}, {"inject_norm": "gated"}, {"vec_mode": "zero"},
], ids=str)
def test_settings_of_the_file_are_followed(network, adapted, adapters, settings):
    adapter = small_adapter(**settings)
    write_small_adapter(adapters / "other.safetensors", adapter)
    found = velocity(adapted("other.safetensors"), positive())
    assert close(found, reference(network, adapter)) and not close(found, reference(network), 1e-3)


def test_without_chosen_layers_and_outside_its_part_it_is_the_base_model_bit_for_bit(model, adapted):
    """The text still has the subjects' tokens."""
    plain = velocity(model, [[CONTEXT, {"pooled_output": POOLED}]])
    assert torch.equal(velocity(adapted(layers=frozenset()), positive()), plain)
    assert torch.equal(velocity(adapted(part=Part(0.95, 1.0)), positive()), plain)
    whole = velocity(adapted(), positive())
    assert torch.equal(velocity(adapted(part=Part(0.0, 0.95)), positive()), whole) and not torch.equal(whole, plain)


def test_a_step_at_the_end_of_the_part_is_in_it(model, adapted):
    sampling = model.get_model_object("model_sampling")
    for percent in (0.25, 0.5):
        sigma = float(sampling.percent_to_sigma(percent))
        whole = velocity(adapted(), positive(), sigma)
        for part in (Part(0.0, percent), Part(percent, 1.0)):
            assert torch.equal(velocity(adapted(part=part), positive(), sigma), whole)
        outside = velocity(adapted(part=Part(percent + 0.01, 1.0)), positive(), sigma)
        assert not torch.equal(outside, whole)


@pytest.mark.parametrize(("sigma", "held"), [
    (0.75 + 2e-6, False), (0.75 + 1e-6, True), (0.6, True), (0.5 - 1e-6, True), (0.5 - 2e-6, False),
])
def test_a_part_holds_its_ends_and_what_rounding_adds(sigma, held):
    sampling = SimpleNamespace(percent_to_sigma=lambda percent: 1.0 - percent)
    assert PartWrapper(Part(0.25, 0.5))._holds(sampling, sigma) == held


def test_rows_of_a_batch_share_the_subjects(network, adapted):
    noise = torch.cat([NOISE, random(*NOISE.shape, seed=9)])
    assert close(velocity(adapted(), positive(), noise=noise), reference(network, noise=noise))


def test_forty_subjects(network, adapted):
    layout = TextLayout((30, *[4] * 39), ((2, 2),) * 40, 1)
    latents, context = [random(1, 16, 1, 4, 4, seed=seed) for seed in range(40)], random(1, layout.tokens, 48, seed=50)
    expected = denoise(network, SIGMA * NOISE, SIGMA, latents=latents, layout=layout, context=context)
    assert close(velocity(adapted(), positive(latents, layout, context)), expected)
    # The last of them counts.
    fewer = positive([*latents[:-1], latents[0]], layout, context)
    assert not close(velocity(adapted(), fewer), expected, 1e-3)


def test_guidance_runs_both_branches_with_subjects(adapted):
    negative = [with_subjects(
        [CONTEXT[:, :5], {"pooled_output": POOLED}], list(LATENTS), TextLayout.without_images(5, 2)
    )]

    def made(model, cfg):
        return comfy.sample.sample(
            model, NOISE, 2, cfg, "euler", "simple", positive(), negative, torch.zeros_like(NOISE), disable_pbar=True
        )

    model = adapted()
    one, three = made(model, 1.0), made(model, 3.0)
    assert torch.isfinite(three).all() and not torch.equal(one, three)


def test_copies_of_the_model_share_the_adapters_weights(adapted):
    model = adapted()
    clone = model.clone()
    (module,), (other,) = ([one.model for one in each.get_additional_models()] for each in (model, clone))
    assert module is other
    wrapper = SubjectsWrapper(module, RunOptions())
    assert copy.deepcopy(wrapper) is wrapper
    assert not any(torch.is_tensor(value) for value in clone.model_options.values())


def test_a_second_node_replaces_the_first_ones_adapter(network, adapted, adapters):
    write_small_adapter(adapters / "second.safetensors", small_adapter(seed=7))
    model = adapted("second.safetensors", base=adapted())
    assert len(model.get_additional_models_with_key(WRAPPER_KEY)) == 1
    assert close(velocity(model, positive()), reference(network, small_adapter(seed=7)))


def test_half_precision_adapters_keep_their_dtype(adapted, adapters, network):
    write_small_adapter(adapters / "half.safetensors", dtype=torch.bfloat16)
    model = adapted("half.safetensors")
    (patcher,) = model.get_additional_models()
    assert {one.dtype for one in patcher.model.parameters()} == {torch.bfloat16}
    assert close(velocity(model, positive()), reference(network), 2e-2)


def test_an_adapter_of_several_precisions_is_kept_in_bfloat16():
    adapter = small_adapter()
    tensors = dict(adapter.state_dict())
    first = next(iter(tensors))
    tensors[first] = tensors[first].half()
    built = _built(StoredAdapter(adapter.config, tensors))
    assert {one.dtype for one in built.parameters()} == {torch.bfloat16}


def test_missing_subjects_are_said_once(caplog):
    wrapper, sampling = PartWrapper(ALL), SimpleNamespace(percent_to_sigma=lambda percent: 1 - percent)
    for _ in range(3):
        wrapper(lambda *given: given, SimpleNamespace(model_sampling=sampling), [[{}], None], None, torch.ones(1), {})
    assert caplog.text.count("the conditioning holds no subjects") == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_costs_no_more_than_it_costs_the_base(base_file, network, adapted, dtype):
    model = load(base_file, dtype=dtype)
    model.set_model_compute_dtype(dtype)
    with torch.no_grad():
        base = network(SIGMA * NOISE, torch.tensor([1000 * SIGMA]), CONTEXT, POOLED, torch.tensor([6.0]))
    plain = velocity(model, [[CONTEXT, {"pooled_output": POOLED}]])
    bound = 1.2 * ((plain - base).norm() / base.norm()).item()
    assert 0 < bound < 0.4
    assert close(velocity(adapted(base=model), positive()), reference(network), bound)


def test_a_node_that_computes_the_blocks_itself_is_a_warning(adapted, caplog):
    model = adapted()
    model.add_object_patch("diffusion_model.forward_orig", lambda img, *others, **options: torch.zeros_like(img))
    with caplog.at_level(logging.WARNING):
        velocity(model, positive())
        assert caplog.text.count("no block of the model ran, so the subjects have no effect") == 1
    caplog.clear()
    velocity(adapted(), positive())
    velocity(adapted(layers=frozenset()), positive())
    assert "no block of the model ran" not in caplog.text


def test_what_does_not_fit_ends_in_a_sentence(model, adapted, adapters, tiny, tmp_path):
    save_file({"a": torch.zeros(1)}, adapters / "none.safetensors")
    write_small_adapter(adapters / "deep.safetensors", small_adapter())
    with pytest.raises(LumosXError, match="^model: this is a WanModel, not a HunyuanVideo"):
        adapted(base=tiny[0])
    with pytest.raises(LumosXError, match="^adapter: 'gone.safetensors' is not in ComfyUI's models/model_patches"):
        adapted("gone.safetensors")
    with pytest.raises(LumosXError, match="^adapter: none.safetensors is not a PolyVivid adapter"):
        check_adapter("none.safetensors")
    with pytest.raises(LumosXError, match="^start_percent: 0.8 is after end_percent"):
        adapted(part=Part(0.8, 0.2))
    with pytest.raises(LumosXError, match="^layers: the PolyVivid adapter has no weights"):
        adapted(layers=frozenset({5}))
    with pytest.raises(LumosXError, match="^positive: the model gets 19 text tokens, but the PolyVivid encoder made"):
        velocity(adapted(), positive(context=CONTEXT[:, :-1]))
    with pytest.raises(LumosXError, match="^positive: it carries guiding_frame_index of another method"):
        entry = positive()[0]
        velocity(adapted(), [[entry[0], {**entry[1], "guiding_frame_index": 0}]])


def test_an_unpatched_model_says_that_the_node_is_missing(model):
    with pytest.raises(LumosXError, match="^model: it does not know PolyVivid's conditioning"):
        velocity(model, positive())


def test_a_wan_says_so_too(tiny):
    entry = [torch.zeros(1, LAYOUT.tokens, 4096), {"pooled_output": POOLED}]
    with pytest.raises(LumosXError, match="^model: it does not know PolyVivid's conditioning"):
        velocity(tiny[0], [with_subjects(entry, LATENTS, LAYOUT)])


@pytest.mark.parametrize(("text", "layers"), [
    ("", None), (" ", None), ("0", {0}), ("0-2, 5", {0, 1, 2, 5}), ("7;7 1", {1, 7}),
])
def test_layers_from_a_text(text, layers):
    assert layers_of(text) == (None if layers is None else frozenset(layers))


@pytest.mark.parametrize("text", ["a", "3-1", "-1", "64", "0..4", "1.5", "٣"])
def test_a_text_that_names_no_layers_is_refused(text):
    with pytest.raises(LumosXError, match="^layers: "):
        layers_of(text)


def test_the_small_base_is_what_comfyui_takes_it_for(model):
    params = model.model.diffusion_model.params
    assert (params.hidden_size, params.depth, params.context_in_dim) == (128, 2, SMALL.context_in_dim)


@pytest.mark.parametrize(("sigma", "held"), [
    (0.75, True), (0.25, True), (0.5, True), (0.75 + 1e-6, True), (0.25 - 1e-6, True), (0.75 + 1.01e-6, False),
    (0.25 - 1.01e-6, False), (1.0, False), (0.0, False),
])
def test_a_step_belongs_to_the_part_in_which_it_begins(sigma, held):
    """Noise levels come down in float32."""
    sampling = SimpleNamespace(percent_to_sigma=lambda percent: 1 - percent)
    assert PartWrapper(Part(0.25, 0.75))._holds(sampling, sigma) == held


@pytest.mark.parametrize(("sigma", "held"), [(1000.0, True), (1000.001, True), (1000.0011, False), (999.0, False)])
def test_large_noise_levels_are_less_exact(sigma, held):
    sampling = SimpleNamespace(percent_to_sigma=lambda percent: 1000.0)
    assert PartWrapper(Part(0.0, 1.0))._holds(sampling, sigma) == held
