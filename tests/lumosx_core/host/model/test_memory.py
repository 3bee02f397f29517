"""What the host is told of memory, on its real way of loading models, and the budget that follows."""

import math
from dataclasses import replace
from types import SimpleNamespace

import comfy.model_management
import comfy.patcher_extension
import comfy.sd
import pytest
import torch
from comfy import conds

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.model import memory
from lumosx_core.host.model.memory import MARGIN, UNLIMITED, SamplingMemory, _most_free, most_references, planned_bytes
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.host.socket import BINDING, REFERENCES
from lumosx_core.models.lumosx import RelationalOptions, sequence_layout
from lumosx_core.models.lumosx.cost import GIGABYTE, least_budget, plan_forward
from lumosx_core.models.wan.config import WAN21_1_3B, WanConfig
from lumosx_core.scene.report import in_bytes

PREPARE = comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING
CARD = 8 * 2**30


def sample(model, encoded, drop=(), **plan):
    positive, negative = (
        [[text, {key: value for key, value in options.items() if key not in drop}] for text, options in conditioning]
        for conditioning in (encoded.positive, encoded.negative)
    )
    return run_sampler(model, positive, negative, encoded.latent, SamplingPlan(seed=1, **{"steps": 1, **plan}))


def seen_shape(model, encoded, drop=()):
    """The latent's shape that the host makes its estimate from."""
    shapes = []

    def watch(executor, patcher, noise_shape, conds, *arguments, **options):
        shapes.append(tuple(noise_shape))
        return executor(patcher, noise_shape, conds, *arguments, **options)

    model = model.clone()
    model.add_wrapper_with_key(PREPARE, "watch", watch)
    sample(model, encoded, drop)
    return shapes[0]


def free_memory(amount):
    """ComfyUI's ``get_free_memory`` as if this much were free."""
    def answer(device=None, torch_free_too=False):
        return (amount(), amount()) if torch_free_too else amount()

    return answer


def batches(model, encoded, drop=(), **plan):
    """How many rows each forward had."""
    rows = []

    def watch(executor, x, *arguments, **options):
        rows.append(len(x))
        return executor(x, *arguments, **options)

    model = model.clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.APPLY_MODEL, "watch", watch)
    result = sample(model, encoded, drop, **plan)
    return rows, result["samples"]


def test_each_reference_counts_as_a_latent_frame(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    batch, channels, frames, *size = encoded.latent["samples"].shape
    # Two faces, two attributes, an object and a background.
    assert seen_shape(model, encoded) == (batch, channels, frames + 6, *size)


def test_the_estimate_grows_in_proportion(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    plain = list(encoded.latent["samples"].shape)
    with_references = list(seen_shape(model, encoded))
    ratio = model.model.memory_required(with_references) / model.model.memory_required(plain)
    assert ratio == pytest.approx((plain[2] + 6) / plain[2])


def test_other_conditioning_counts_nothing(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    assert seen_shape(model, encoded, drop=("model_conds",)) == tuple(encoded.latent["samples"].shape)
    assert most_references([{"model_conds": {}}, {}]) == 0


def test_both_passes_run_together_only_where_references_fit_too(tiny, encode, make_scene, monkeypatch):
    """The host would let them: it looks at the video's tokens alone."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    batch, channels, frames, *size = encoded.latent["samples"].shape
    video_alone = model.model.memory_required([2 * batch, channels, frames, *size]) * 1.5
    rows, together = batches(model, encoded)
    assert rows == [2]
    monkeypatch.setattr(comfy.model_management, "get_free_memory", free_memory(lambda: video_alone * 1.1))
    rows, apart = batches(model, encoded)
    assert rows == [1, 1]
    torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-4)


def test_passes_run_together_with_the_hosts_margin_above_their_need(tiny, monkeypatch):
    """6 references and 3 frames are 9; half as much again has to be free."""
    binding, references = conds.CONDRegular(None), conds.CONDRegular([None] * 6)
    entry, x = {"model_conds": {BINDING: binding, REFERENCES: references}}, torch.zeros(1, 16, 3, 6, 8)
    enough = tiny[0].model.memory_required([2, 16, 9, 6, 8]) * 1.5
    for free, apart in ((enough * 1.01, False), (enough * 0.99, True)):
        monkeypatch.setattr(comfy.model_management, "get_free_memory", free_memory(lambda: free))  # noqa: B023
        assert UNLIMITED.runs_apart(tiny[0].model, x, [[entry], [entry]]) == apart
    assert not UNLIMITED.runs_apart(tiny[0].model, x, [[{"model_conds": {}}], None])


def test_only_models_on_the_same_card_make_room(monkeypatch):
    card, other = torch.device("cuda", 0), torch.device("cuda", 1)
    held = [(object(), card, 5), (object(), other, 70), (None, card, 900), (object(), card, 20)]
    monkeypatch.setattr(comfy.model_management, "current_loaded_models", [
        SimpleNamespace(model=model, device=device, model_loaded_memory=lambda size=size: size)
        for model, device, size in held
    ])
    monkeypatch.setattr(comfy.model_management, "get_free_memory", free_memory(lambda: 1000))
    monkeypatch.setattr(comfy.model_management, "extra_reserved_memory", lambda: 300)
    assert _most_free(card) == 1000 - 300 + 25 and _most_free(other) == 1000 - 300 + 70


def test_a_budget_runs_passes_one_after_the_other(tiny, encode, make_scene):
    encoded = encode(make_scene())
    free, bounded = (relational_model(tiny[0], RelationalOptions(), budget) for budget in (0.0, 4.0))
    rows, apart = batches(bounded, encoded)
    assert rows == [1, 1]
    torch.testing.assert_close(apart, batches(free, encoded)[1], rtol=1e-3, atol=1e-4)
    assert batches(bounded, encoded, cfg=1.0)[0] == [1]


def test_a_loaders_budget_stays_and_a_later_one_replaces_it(tiny, encode, make_scene):
    encoded = encode(make_scene())
    first = relational_model(tiny[0], RelationalOptions(), 4.0)
    assert batches(relational_model(first, RelationalOptions(ratio=0.4)), encoded)[0] == [1, 1]
    with pytest.raises(LumosXError, match="vram_budget: 0.001 GB is too little"):
        sample(relational_model(first, RelationalOptions(), 0.001), encoded)


@pytest.mark.parametrize("gigabytes", [-1.0, float("inf"), float("nan")])
def test_a_budget_that_is_no_number_is_refused(tiny, gigabytes):
    with pytest.raises(LumosXError, match="vram_budget: .* 0 for automatic"):
        relational_model(tiny[0], RelationalOptions(), gigabytes)


def test_a_budget_holds_without_references_too(tiny, encode, make_scene):
    """ComfyUI's own forward runs then, under its own estimate."""
    encoded = encode(make_scene())
    free, bounded = (relational_model(tiny[0], RelationalOptions(), budget) for budget in (0.0, 4.0))
    for model, rows in ((free, [2]), (bounded, [1, 1])):
        assert batches(model, encoded, ("model_conds",))[0] == rows
    expected, measured = (sample(model, encoded, ("model_conds",))["samples"] for model in (free, bounded))
    torch.testing.assert_close(measured, expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(LumosXError, match="vram_budget: 1e-06 GB is too little"):
        sample(relational_model(tiny[0], RelationalOptions(), 1e-6), encoded, ("model_conds",))


@pytest.fixture
def card(monkeypatch):
    """The host's loading, made to believe that the CPU is a card of 8 GiB on which nothing else lies.

    ratio: what the host loads at least, as a share of what is free; 0 on NVIDIA.
    """
    management = comfy.model_management

    def put_in(ratio):
        management.unload_all_models()
        monkeypatch.setattr(management, "is_device_cpu", lambda device: False)
        monkeypatch.setattr(management, "vram_state", management.VRAMState.NORMAL_VRAM)
        monkeypatch.setattr(management, "MIN_WEIGHT_MEMORY_RATIO", ratio)
        monkeypatch.setattr(
            management, "get_free_memory",
            free_memory(lambda: CARD - sum(one.model_loaded_memory() for one in management.current_loaded_models)),
        )

    yield put_in
    management.unload_all_models()


@pytest.mark.parametrize("ratio", [0.0, 0.4])
def test_the_host_loads_no_more_than_the_budget_leaves(tiny, encode, make_scene, card, ratio):
    encoded, sizes = encode(make_scene()), WanConfig.of_module(tiny[0].model.diffusion_model)
    binding = encoded.positive[0][1]["model_conds"]["lumosx_binding"].cond
    layout = sequence_layout(tiny[0].model.diffusion_model, encoded.latent["samples"].shape, binding)
    least = least_budget(layout, sizes, 4)
    expected = sample(relational_model(tiny[0], RelationalOptions()), encoded)["samples"]
    card(ratio)
    weights = tiny[0].model_size()
    budgets = [least, least + weights // 4, least + weights // 2, least + 2 * weights]
    kept = []
    for budget in budgets:
        model = relational_model(tiny[0], RelationalOptions(), (budget + 1) / GIGABYTE)
        loaded = []

        def watch(executor, *arguments, model=model, loaded=loaded, **options):
            loaded.append(model.loaded_size())
            return executor(*arguments, **options)

        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.APPLY_MODEL, "watch", watch)
        torch.testing.assert_close(sample(model, encoded)["samples"], expected, rtol=1e-3, atol=1e-4)
        activations = plan_forward(layout, sizes, 4, budget_bytes=budget).activation_bytes
        assert max(loaded) <= max(0, budget - MARGIN * activations)
        kept.append(max(loaded))
        comfy.model_management.unload_all_models()
    assert kept == sorted(kept) and kept[0] < kept[-1] == weights


def test_a_budget_too_small_for_the_video_names_what_would_do(tiny, encode, make_scene):
    encoded = encode(make_scene())
    with pytest.raises(LumosXError) as refused:
        sample(relational_model(tiny[0], RelationalOptions(), 0.01), encoded)
    enough = float(str(refused.value).partition("takes ")[2].partition(" GB")[0])
    sample(relational_model(tiny[0], RelationalOptions(), enough), encoded)


def test_a_gigabyte_is_a_thousand_million_bytes_and_0_is_no_budget():
    assert SamplingMemory.of_gigabytes(0.0) == UNLIMITED
    assert SamplingMemory.of_gigabytes(1.5).budget_bytes == 1_500_000_000


def loaded_under(model, encoded, drop=()):
    """The bytes of weights on the card while it samples."""
    seen = []

    def watch(executor, *arguments, **options):
        seen.append(model.loaded_size())
        return executor(*arguments, **options)

    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.APPLY_MODEL, "watch", watch)
    sample(model, encoded, drop)
    comfy.model_management.unload_all_models()
    return max(seen)


def layout_for(model, encoded):
    binding = encoded.positive[0][1]["model_conds"]["lumosx_binding"].cond
    return sequence_layout(model.model.diffusion_model, encoded.latent["samples"].shape, binding)


def test_a_budget_uses_what_the_host_would_keep_free(tiny, encode, make_scene, card, monkeypatch):
    """The host's estimate is about twice of what is needed; here it would leave nothing to weights."""
    encoded, weights = encode(make_scene()), tiny[0].model_size()
    card(0.0)
    shape = list(encoded.latent["samples"].shape)
    shape[2] += 6
    # As a longer video would have it, on a card of this size.
    factor = tiny[0].model.memory_usage_factor * CARD / tiny[0].model.memory_required(shape)
    monkeypatch.setattr(tiny[0].model, "memory_usage_factor", factor)
    assert loaded_under(relational_model(tiny[0], RelationalOptions()), encoded) < weights // 10
    assert loaded_under(relational_model(tiny[0], RelationalOptions(), 4.0), encoded) == weights
    layout, sizes = layout_for(tiny[0], encoded), WanConfig.of_module(tiny[0].model.diffusion_model)
    budget = least_budget(layout, sizes, 4) + weights // 2
    kept = loaded_under(relational_model(tiny[0], RelationalOptions(), (budget + 1) / GIGABYTE), encoded)
    activations = MARGIN * plan_forward(layout, sizes, 4, budget_bytes=budget).activation_bytes
    assert 0.5 * (budget - activations) < kept <= budget - activations


def test_a_budget_beyond_what_is_free_leaves_the_activations_their_room(tiny, encode, make_scene, card, monkeypatch):
    """Then it is no limit, and the host must not fill the card with weights."""
    encoded, weights = encode(make_scene()), tiny[0].model_size()
    layout, sizes = layout_for(tiny[0], encoded), WanConfig.of_module(tiny[0].model.diffusion_model)
    card(0.0)
    management, needed = comfy.model_management, plan_forward(layout, sizes, 4, budget_bytes=CARD).activation_bytes
    # What the host keeps free in any case would hide it.
    monkeypatch.setattr(management, "minimum_inference_memory", lambda: 0)
    free = int(management.extra_reserved_memory() + MARGIN * needed + weights // 2)
    monkeypatch.setattr(
        management, "get_free_memory",
        free_memory(lambda: free - sum(one.model_loaded_memory() for one in management.current_loaded_models)),
    )
    kept = loaded_under(relational_model(tiny[0], RelationalOptions(), 7.0), encoded)
    assert 0 < kept <= weights // 2


def test_without_references_a_budget_goes_by_the_hosts_estimate(tiny, encode, make_scene, card, monkeypatch):
    encoded, weights = encode(make_scene()), tiny[0].model_size()
    card(0.0)
    needed = tiny[0].model.memory_required(list(encoded.latent["samples"].shape))
    model = relational_model(tiny[0], RelationalOptions(), (needed + weights // 2) / GIGABYTE)
    assert 0 < loaded_under(model, encoded, ("model_conds",)) <= weights // 2


@pytest.mark.parametrize(("budget", "free", "need"), [
    (1000, 5000, 4600), (1000, 700, 600), (1000, 300, 600), (600, 5000, 5000), (1100, 5000, 4500),
])
@pytest.mark.parametrize("cards", [1, 2])
def test_the_host_is_asked_for_the_activations_and_for_all_beyond_the_budget(monkeypatch, budget, free, need, cards):
    """600 of activations, and of the budget's rest for weights. A second card, with less of it free, has the same."""
    monkeypatch.setattr(memory, "_most_free", lambda device: free - 100 * (device.index or 0))
    model = SimpleNamespace(memory_required=lambda shape: math.prod(shape[2:]))
    patchers = [SimpleNamespace(
        model=model, load_device=torch.device("cuda", card), offload_device="cpu", loaded_size=lambda: 500,
        partially_unload=lambda *arguments: unloaded.append(arguments),
        get_additional_models_with_key=lambda key: patchers[1:] if key == "multigpu" else [],
    ) for card in range(cards)]
    patcher, unloaded, asked = patchers[0], [], []
    monkeypatch.setattr(comfy.model_management, "soft_empty_cache", lambda: None)
    SamplingMemory(budget).prepare(lambda patcher, shape, conds: asked.append(shape), patcher, (1, 16, 6, 10, 10), {})
    assert asked == [[1, 16, 1, 1, need]]
    assert unloaded == ([("cpu", 500 - (budget - 600))] * cards if budget - 600 < 500 else [])


@pytest.mark.parametrize("flash", [False, True])
def test_the_hosts_plan_is_its_own_estimate_for_the_released_model(tiny, encode, make_scene, monkeypatch, flash):
    """As cards with and without flash attention have it; one block is enough for an estimate by width."""
    monkeypatch.setattr(comfy.model_management, "pytorch_attention_flash_attention", lambda: flash)
    layout = layout_for(tiny[0], encode(make_scene()))
    weights = {
        name: torch.zeros(shape, dtype=torch.bfloat16)
        for name, shape in replace(WAN21_1_3B, num_layers=1).shapes().items()
    }
    real = comfy.sd.load_diffusion_model_state_dict(weights, model_options={"dtype": torch.bfloat16}).model
    # A CPU would compute in float32.
    real.manual_cast_dtype = None
    required = real.memory_required([1, 16, layout.frames + 6, 2 * layout.height, 2 * layout.width])
    assert planned_bytes(layout) == pytest.approx(required, abs=1)


def test_the_report_shows_both_figures(encode, make_scene, tiny):
    encoded = encode(make_scene())
    assert f"(ComfyUI plans {in_bytes(planned_bytes(layout_for(tiny[0], encoded)))})" in encoded.report


@pytest.mark.parametrize(("budget", "fits"), [(100, True), (99, False)])
def test_a_budget_may_be_exactly_what_is_needed(budget, fits):
    if fits:
        assert SamplingMemory(budget)._check(100) is None
    else:
        with pytest.raises(LumosXError, match="^vram_budget: "):
            SamplingMemory(budget)._check(100)


@pytest.mark.parametrize(("gigabytes", "budget"), [
    (0, 0), (1e-9, 1), (2.5, 2_500_000_000), (-1e-9, None), (math.inf, None), (math.nan, None),
])
def test_a_budget_is_a_number_from_zero_on(gigabytes, budget):
    if budget is None:
        with pytest.raises(LumosXError, match="^vram_budget: "):
            SamplingMemory.of_gigabytes(gigabytes)
    else:
        assert SamplingMemory.of_gigabytes(gigabytes).budget_bytes == budget


@pytest.mark.parametrize(("free", "apart"), [(600.0, True), (599.0, True), (601.0, False)])
def test_passes_run_apart_where_their_need_with_the_hosts_margin_is_all_that_is_free(monkeypatch, free, apart):
    monkeypatch.setattr(memory, "most_references", lambda entries: 2)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: free)
    asked = []
    model = SimpleNamespace(memory_required=lambda shape: asked.append(shape) or 400.0)
    x = torch.zeros(1, 16, 3, 6, 8)
    assert SamplingMemory(0).runs_apart(model, x, [[{}], None, [{}, {}]]) == apart
    assert asked == [[3, 16, 5, 6, 8]]
    assert SamplingMemory(5).runs_apart(model, x, [[{}]])
    monkeypatch.setattr(memory, "most_references", lambda entries: 0)
    assert not SamplingMemory(0).runs_apart(model, x, [[{}]])
