"""Lynx on a MODEL through the real KSampler, against the plain composition."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lynx import Appearance, lynx_guidance, lynx_model, lynx_wrapper
from support.lynx_people import (
    GUIDANCE,
    SIZE,
    Plain,
    conditioning,
    dual_sample,
    lynx_sample,
    make_person,
    random,
    relative,
    sample,
    sigmas_of,
    write_adapters,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The small transformer in float32, through ComfyUI's loader."""
    import comfy.sd
    from safetensors.torch import save_file

    from tools.weight_files import small_transformer

    path = tmp_path_factory.mktemp("base") / "small.safetensors"
    save_file(small_transformer(), path)
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model(str(path))


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """adapters(kind="full", ref=True)."""
    made, folder = {}, tmp_path_factory.mktemp("lynx")

    def write(kind="full", ref=True):
        if (kind, ref) not in made:
            (folder / f"{kind}{ref}").mkdir()
            made[kind, ref] = write_adapters(folder / f"{kind}{ref}", kind, ref)
        return made[kind, ref]

    return write


@pytest.fixture(scope="module")
def texts():
    return conditioning(1), conditioning(2)


@pytest.fixture(params=[None, GUIDANCE], ids=["cfg 1", "three branches"])
def guidance(request):
    """Of ``lynx_sample`` and ``plain_guided``."""
    return request.param


def plain_v(plain, texts, branch):
    """branch: "c", "i", "u"; or "C" and "N", the prompt and the negative without adapters."""
    text = texts[0 if branch in "cC" else 1][0][0]
    row = {"c": 0, "i": 0, "u": 1, "C": None, "N": None}[branch]
    return lambda x, sigma: plain.velocity(x, sigma, text, row)


def plain_guided(plain, texts, guidance, branches="ciu"):
    """The velocity of ``branches`` under a guidance of ``lynx_sample``."""
    def velocity(x, sigma):
        if guidance is None:
            return plain_v(plain, texts, branches[0])(x, sigma)
        text_scale, image_scale = guidance
        v_c, v_i, v_u = (plain_v(plain, texts, branch)(x, sigma) for branch in branches)
        return v_u + image_scale * (v_i - v_u) + text_scale * (v_c - v_i)

    return velocity


@pytest.mark.parametrize(("kind", "ref", "scales"), [
    ("full", True, (1.0, 1.0)), ("full", True, (0.7, 0.6)), ("full", True, (0.0, 1.0)), ("full", True, (1.0, 0.0)),
    ("lite", False, (1.0, 0.0)), ("lite", True, (0.7, 0.6)),
])
def test_without_guidance_it_is_the_plain_composition(base, adapters, texts, kind, ref, scales):
    person = make_person(adapters(kind, ref))
    model = lynx_model(base, person, Appearance(*scales))
    plain = Plain(base.model.diffusion_model, person, *scales)
    expected = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 3), plain_v(plain, texts, "c"))
    assert relative(sample(model, *texts), expected) < 2e-5
    untouched = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 3), plain_v(plain, texts, "C"))
    assert relative(untouched, expected) > 1e-3
    assert relative(sample(base, *texts), untouched) < 2e-5


def lora_of(model, strength=1.0):
    """A LoRA on the model's weights, as LoRA loaders put it there."""
    import comfy.sd

    from tools.weight_files import make_lora, small_transformer

    layers = ("blocks.0.self_attn.q", "blocks.1.self_attn.o", "blocks.1.cross_attn.norm_k", "blocks.2.ffn.0")
    lora = make_lora(small_transformer(), layers=[layer for layer in layers if "norm" not in layer])
    return comfy.sd.load_lora_for_models(model, None, lora, strength, 0)[0]


@pytest.mark.slow
def test_steps_outside_of_the_window_are_as_without_lynx(base, adapters, texts, guidance):
    person = make_person(adapters())
    model = lynx_model(base, person, Appearance(start_percent=0.2, end_percent=0.6))
    sampling, plain = base.get_model_object("model_sampling"), Plain(base.model.diffusion_model, person)
    start, end = (sampling.percent_to_sigma(percent) for percent in (0.2, 0.6))
    acted = []

    def velocity(x, sigma):
        acted.append(end - 1e-6 <= float(sigma) <= start + 1e-6)
        return plain_guided(plain, texts, guidance, "ciu" if acted[-1] else "CNN")(x, sigma)

    expected = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 6), velocity)
    assert set(acted) == {True, False}
    assert relative(lynx_sample(model, texts, guidance, 6), expected) < 2e-5


def test_a_deselected_block_runs_as_without_lynx(base, adapters, texts, guidance):
    person, blocks = make_person(adapters()), frozenset({0, 3})
    model = lynx_model(base, person, Appearance(0.7, 0.6, blocks=blocks))
    plain = Plain(base.model.diffusion_model, person, 0.7, 0.6, blocks)
    expected = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 2), plain_guided(plain, texts, guidance))
    assert relative(lynx_sample(model, texts, guidance, 2), expected) < 2e-5
    nowhere = lynx_model(base, person, Appearance(blocks=frozenset()))
    assert torch.equal(sample(nowhere, *texts, steps=2), sample(base, *texts, steps=2))


@pytest.mark.slow
@pytest.mark.parametrize("image_scale", [2.0, 1.0, 5.0])
def test_guidance_by_image_and_text_through_every_sampler(base, adapters, texts, image_scale, caplog):
    """KSampler, LumosX Sampler and DualCFGGuider make the same three-branch prediction."""
    person, text_scale, steps = make_person(adapters()), 5.0, 2
    model = lynx_model(base, person, Appearance())
    guided, positive, negative, nobody = lynx_guidance(model, *texts, image_scale)
    plain = Plain(base.model.diffusion_model, person)

    def velocity(x, sigma):
        v_c, v_i, v_u = (plain_v(plain, texts, branch)(x, sigma) for branch in "ciu")
        return v_u + image_scale * (v_i - v_u) + text_scale * (v_c - v_i)

    noise, sigmas = random(*SIZE, seed=5), sigmas_of(base, steps)
    expected = plain.sample(noise, sigmas, velocity)
    assert relative(sample(guided, positive, negative, steps, text_scale), expected) < 1e-5
    # Whoever links only the model gets the same.
    assert relative(sample(guided, *texts, steps, text_scale), expected) < 1e-5
    conds = positive, negative, nobody
    assert relative(dual_sample(model, conds, (text_scale, image_scale), sigmas), expected) < 1e-5
    # One step of LumosX Sampler is an Euler step, down to no noise.
    one = plain.sample(noise, torch.tensor([1.0, 0.0]), velocity)
    assert relative(lumosx_sample(guided, positive, negative, text_scale), one) < 1e-5
    assert "no reference reaches" not in caplog.text


def lumosx_sample(model, positive, negative, cfg):
    import comfy.sample

    from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler

    noise = random(*SIZE, seed=5)
    drawn = comfy.sample.prepare_noise
    comfy.sample.prepare_noise = lambda *_: noise
    try:
        latent = {"samples": torch.zeros_like(noise)}
        result = run_sampler(model, positive, negative, latent, SamplingPlan(seed=0, steps=1, cfg=cfg))["samples"]
    finally:
        comfy.sample.prepare_noise = drawn
    return model.model.process_latent_in(result)


def test_without_the_guidance_node_the_negative_has_nobody(base, adapters, texts):
    """As the release does for lite."""
    person = make_person(adapters("lite", False))
    model, plain = lynx_model(base, person, Appearance()), Plain(base.model.diffusion_model, person)

    def velocity(x, sigma):
        v_c, v_u = (plain_v(plain, texts, branch)(x, sigma) for branch in "cu")
        return v_u + 5 * (v_c - v_u)

    expected = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 2), velocity)
    assert relative(sample(model, *texts, 2, 5.0), expected) < 1e-5


class Counts:
    """How often adapters' layers were read, and reference passes and the resampler were run, by watching the core."""

    def __init__(self, monkeypatch):
        import lumosx_core.host.methods.lynx_folds as folds
        from lumosx_core.models.lynx.layers import LayerReader
        from lumosx_core.models.lynx.resampler import Resampler

        self.read = self.passes = self.resampled = 0
        read, features, resample = LayerReader.read, folds.reference_features, Resampler.forward

        def resampling(network, *arguments):
            self.resampled += 1
            return resample(network, *arguments)

        def reading(reader, *arguments, **options):
            self.read += 1
            return read(reader, *arguments, **options)

        def passing(*arguments):
            self.passes += 1
            return features(*arguments)

        monkeypatch.setattr(Resampler, "forward", resampling)
        monkeypatch.setattr(LayerReader, "read", reading)
        monkeypatch.setattr(folds, "reference_features", passing)


def test_a_reference_pass_once_a_run_and_none_in_the_next(base, adapters, texts, monkeypatch):
    counts = Counts(monkeypatch)
    model = lynx_model(base, make_person(adapters()), Appearance())
    first = sample(model, *texts, steps=3, cfg=5.0)
    # The resampler for the person and for nobody.
    assert (counts.passes, counts.read, counts.resampled) == (1, 8, 2)
    assert torch.equal(sample(model, *texts, steps=3, cfg=5.0), first)
    # A clone, as ModelSampling and others make it, has the same weights.
    sample(model.clone(), *texts, steps=1, cfg=5.0)
    guided, positive, negative, _ = lynx_guidance(model, *texts, 2.0)
    sample(guided, positive, negative, steps=1, cfg=5.0)
    assert (counts.passes, counts.read, counts.resampled) == (1, 8, 2)


def test_without_guidance_only_the_person_is_folded(base, adapters, texts):
    model = lynx_model(base, make_person(adapters()), Appearance())
    sample(model, *texts, steps=1)
    (role,) = lynx_wrapper(model).people
    kept = [folded for entries in role.folds._kept.values() for _, _, folded in entries]
    # Keys and values of 7 tokens (3 and 4 registers) and of 16 (a reference of 8 x 8), in 4 blocks.
    assert [folded.rows for folded in kept] == [(0,), (0,)]
    assert sum(folded.nbytes for folded in kept) == 4 * 2 * (7 + 16) * 256 * 4


def test_other_scales_masks_and_blocks_make_nothing_anew(base, adapters, texts, monkeypatch):
    person, counts = make_person(adapters()), Counts(monkeypatch)
    appearances = [Appearance(), Appearance(0.5, 0.6), Appearance(blocks=frozenset({1})), Appearance(end_percent=0.9),
                   Appearance(region=torch.ones(1, 8, 8)), Appearance(id_scale=0.0)]
    results = [sample(lynx_model(base, person, one), *texts, steps=1) for one in appearances]
    assert (counts.passes, counts.read) == (1, 8)
    assert relative(results[1], results[0]) > 1e-3 < relative(results[2], results[0])


@pytest.mark.parametrize("behind", [False, True])
def test_a_lora_before_or_behind_changes_the_reference_pass_too(base, adapters, texts, monkeypatch, behind, guidance):
    person, counts = make_person(adapters()), Counts(monkeypatch)
    model = lynx_model(base if behind else lora_of(base), person, Appearance())
    measured = lynx_sample(model, texts, guidance, 2, behind=lora_of if behind else None)
    assert counts.passes == 1
    plain, without = (Plain(network, person) for network in (merged_model(lora_of(base)), base.model.diffusion_model))
    noise, sigmas = random(*SIZE, seed=5), sigmas_of(base, 2)
    expected = plain.sample(noise, sigmas, plain_guided(plain, texts, guidance))
    assert relative(measured, expected) < 1e-5
    assert relative(without.sample(noise, sigmas, plain_guided(without, texts, guidance)), expected) > 1e-3


def test_another_strength_of_a_lora_behind_runs_the_reference_pass_again(base, adapters, texts, monkeypatch):
    model, counts = lynx_model(base, make_person(adapters()), Appearance()), Counts(monkeypatch)
    runs = [lora_of(model, 1.0), lora_of(model, 0.5), lora_of(model, 1.0), model]
    for passes, one in enumerate(runs, 1):
        sample(one, *texts, steps=1)
        assert counts.passes == passes


def merged_model(patcher):
    """The diffusion model with its LoRAs in its weights, as a copy."""
    import copy

    patcher.patch_model()
    merged = copy.deepcopy(patcher.model.diffusion_model)
    patcher.unpatch_model()
    return merged


@pytest.mark.slow
def test_two_people_on_two_clones_do_not_disturb_each_other(base, adapters, texts, guidance):
    people = [make_person(adapters(), seed) for seed in (0, 1)]
    models = [lynx_model(base, person, Appearance()) for person in people]
    first = [lynx_sample(model, texts, guidance) for model in models]
    again = [lynx_sample(model, texts, guidance) for model in reversed(models)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    for person, measured in zip(people, first):
        plain = Plain(base.model.diffusion_model, person)
        expected = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 1), plain_guided(plain, texts, guidance))
        assert relative(measured, expected) < 1e-5
    assert relative(first[0], first[1]) > 1e-3
    assert torch.equal(sample(base, *texts, steps=1), sample(base.clone(), *texts, steps=1))


def test_nothing_stays_on_the_transformer(base, adapters, texts):
    network = base.model.diffusion_model
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sample(lynx_model(base, make_person(adapters()), Appearance()), *texts, steps=1, cfg=5.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not any("forward" in vars(module) for module in network.modules())


def test_a_region_in_one_half_and_another_person_in_the_other(base, adapters, texts, guidance):
    """With a mask of everything it is the same as without; the masks add up to it for one person."""
    person = make_person(adapters())
    left = torch.zeros(1, 64, 80)
    left[..., :40] = 1

    def sampled(model):
        return lynx_sample(model, texts, guidance)

    whole = sampled(lynx_model(base, person, Appearance()))
    assert relative(sampled(lynx_model(base, person, Appearance(region=torch.ones(1, 8, 8)))), whole) < 2e-5
    halves = base
    for mask in (left, 1 - left):
        halves = lynx_model(halves, person, Appearance(region=mask))
    assert relative(sampled(halves), whole) < 2e-5
    nowhere = sampled(lynx_model(base, person, Appearance(region=torch.zeros(9, 16, 16))))
    assert relative(nowhere, sample(base, *texts, 1, 1.0 if guidance is None else guidance[0])) < 2e-5


def test_a_mask_of_another_length_is_a_sentence(base, adapters, texts):
    model = lynx_model(base, make_person(adapters()), Appearance(region=torch.ones(5, 8, 8)))
    with pytest.raises(LumosXError, match=r"^mask: .* 5 pictures.* 9 frames"):
        sample(model, *texts, steps=1)


@pytest.mark.parametrize("guidance", [None, (5.0, 1.0), GUIDANCE], ids=["cfg 1", "two branches", "three branches"])
def test_a_batch_has_a_person_in_each_row(base, adapters, texts, guidance):
    people = [make_person(adapters(), seed) for seed in (0, 1)]
    alone = [lynx_sample(lynx_model(base, person, Appearance()), texts, guidance) for person in people]
    both = base
    for row, person in enumerate(people):
        both = lynx_model(both, person, Appearance(rows=frozenset({row})))
    noise = random(*SIZE, seed=5).expand(2, -1, -1, -1, -1).contiguous()
    measured = lynx_sample(both, texts, guidance, noise=noise)
    for row in (0, 1):
        assert relative(measured[row], alone[row][0]) < 1e-5


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_a_gguf_base_is_the_composition_over_what_its_blocks_stand_for(base, adapters, texts, tmp_path, kind, guidance):
    from lumosx_core.host.weights.loader import load_patcher
    from tools.weight_files import write_gguf

    meant = write_gguf(tmp_path / "base.gguf", kind)
    with torch.inference_mode(False):
        packed = load_patcher(str(tmp_path / "base.gguf"))
    person = make_person(adapters())
    measured = lynx_sample(lynx_model(packed, person, Appearance()), texts, guidance)
    import copy

    network = copy.deepcopy(base.model.diffusion_model)
    network.load_state_dict(meant)
    plain = Plain(network, person)
    expected = plain.sample(random(*SIZE, seed=5), sigmas_of(base, 1), plain_guided(plain, texts, guidance))
    assert relative(measured, expected) < 2e-3


@pytest.mark.parametrize("keys", [["diffusion_model"], [f"diffusion_model.blocks.{index}" for index in range(4)]])
def test_a_compiled_model_is_right_and_the_log_says_that_it_runs_as_it_is(
    base, adapters, texts, caplog, keys, guidance
):
    from comfy_extras.nodes_torch_compile import set_torch_compile_wrapper

    person = make_person(adapters())
    expected = lynx_sample(lynx_model(base, person, Appearance()), texts, guidance, 2)
    for order in ("before", "behind"):
        model = base.clone()
        model = model if order == "before" else lynx_model(model, person, Appearance())
        set_torch_compile_wrapper(model, backend="eager", keys=keys)
        model = lynx_model(model, person, Appearance()) if order == "before" else model
        caplog.clear()
        assert relative(lynx_sample(model, texts, guidance, 2), expected) < 2e-5
        assert "torch.compile has no effect" in caplog.text


def test_a_compiled_model_needs_a_pytorch_that_can_leave_compiling_out(base, adapters, texts, monkeypatch):
    from comfy_extras.nodes_torch_compile import set_torch_compile_wrapper

    model = lynx_model(base, make_person(adapters()), Appearance())
    monkeypatch.delattr(torch.compiler, "set_stance")
    assert sample(model, *texts, steps=1).isfinite().all()
    set_torch_compile_wrapper(model, backend="eager", keys=["diffusion_model"])
    with pytest.raises(LumosXError, match="^model: LumosX Lynx and torch.compile work together from PyTorch 2.6 on"):
        sample(model, *texts, steps=1)


def test_latents_that_a_host_packed_into_one_row_are_estimated_as_they_are(base):
    """A share for every token cannot be told from them."""
    from lumosx_core.host.methods.lynx import _with_room_for_shares

    def estimated(*shape):
        return _with_room_for_shares(lambda patcher, shape, conds: shape, base, [*shape], {})

    assert estimated(1, 1, 960) == [1, 1, 960]
    # Of latents as they are, each video has the same share.
    assert estimated(1, 16, 1000, 8, 8)[2] == estimated(4, 16, 1000, 8, 8)[2] > 1000


def test_references_of_lumosx_are_a_sentence(base, adapters, encode, make_scene):
    encoded = encode(make_scene())
    model = lynx_model(base, make_person(adapters()), Appearance())
    with pytest.raises(LumosXError, match="^positive: .* LumosX Relational Encode"):
        sample(model, encoded.positive, encoded.negative, steps=1)


def test_marked_conditionings_on_a_model_without_lynx_are_a_sentence(base, adapters, texts):
    _, positive, negative, _ = lynx_guidance(lynx_model(base, make_person(adapters()), Appearance()), *texts, 2.0)
    with pytest.raises(LumosXError, match="^model: .* this model has no Lynx"):
        sample(base, positive, negative, steps=1, cfg=5.0)


def test_lora_hooks_are_refused_unless_the_reference_layers_are_off(base, adapters, texts):
    """The reference pass is run once, while hooks change weights from step to step."""
    import comfy.hooks

    from tools.weight_files import make_lora, small_transformer

    hooks = comfy.hooks.create_hook_lora(make_lora(small_transformer()), 1.0, 0.0)
    positive = comfy.hooks.set_hooks_for_conditioning(texts[0], hooks)
    model = lynx_model(base, make_person(adapters()), Appearance())
    with pytest.raises(LumosXError, match="^positive: it carries LoRA hooks"):
        sample(model, positive, texts[1], steps=1)
    with_ids = lynx_model(base, make_person(adapters()), Appearance(ref_scale=0.0))
    assert sample(with_ids, positive, texts[1], steps=1).isfinite().all()


def test_what_does_not_fit_is_a_sentence(base, adapters, texts, tmp_path):
    from support import lynx_files
    from support.lynx_people import Adapters

    person = make_person(adapters())
    with pytest.raises(LumosXError, match="^blocks: the model has blocks 0 to 3, but 7 is named"):
        lynx_model(base, person, Appearance(blocks=frozenset({1, 7})))
    Appearance(start_percent=0.5, end_percent=0.5).check()
    with pytest.raises(LumosXError, match="^end_percent: 0.2 is before start_percent"):
        lynx_model(base, person, Appearance(start_percent=0.5, end_percent=0.2))
    with pytest.raises(LumosXError, match="^model: no LumosX Lynx is on it"):
        lynx_guidance(base, *texts, 2.0)
    narrow = lynx_files.write(tmp_path / "narrow.safetensors", lynx_files.release_names(lynx_files.adapter("ref")))
    from dataclasses import replace

    small = replace(person, adapters=Adapters.of_files([narrow]))
    with pytest.raises(LumosXError, match="^model: it is 256 channels wide"):
        lynx_model(base, small, Appearance())
