"""A backend of one's own on the host's real sampler, beside the overrides and wrappers of other nodes."""

import logging

import comfy.ldm.modules.attention
import comfy.patcher_extension
import comfy.sample
import pytest
import torch
from torch._dynamo.utils import counters

from lumosx_core.attention.backend_kernels import Hardware
from lumosx_core.attention.backends import BACKENDS, Chosen, resolve_backend
from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.model.attention import (
    OVERRIDE,
    WRAPPER_KEY,
    AttentionWrapper,
    ContainerOverride,
    Override,
    check_attention,
    others_override,
    with_attention,
)
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions
from support.attention_packages import installer

PLAN = SamplingPlan(seed=3, steps=2)
KIND = comfy.patcher_extension.WrappersMP.APPLY_MODEL


@pytest.fixture(scope="module")
def base(tiny):
    return tiny[0]


@pytest.fixture(scope="module")
def relational(base):
    return relational_model(base, RelationalOptions())


@pytest.fixture
def encoded(encode, make_scene):
    return encode(make_scene())


@pytest.fixture
def said(caplog):
    """said(): our lines in the log since the last call, each with its level."""
    caplog.set_level(logging.INFO, logger="LumosX")

    def lines():
        found = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "LumosX"]
        caplog.clear()
        return found

    return lines


def sample(model, encoded, plan=PLAN):
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def plain_sample(model, encoded, steps=2):
    """The same text without references, on the stock forward."""
    positive = [[text, {k: v for k, v in o.items() if k != "model_conds"}] for text, o in encoded.positive]
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 5)
    return comfy.sample.sample(model, noise, steps, 1.0, "euler", "simple", positive, positive, latent, seed=5)


def with_chosen(model, chosen):
    """A clone with any backend, as if it had been chosen."""
    clone = model.clone()
    clone.add_wrapper_with_key(KIND, WRAPPER_KEY, AttentionWrapper(chosen))
    return clone


def with_override(model, override):
    """As other packs do it: outright, over whatever was there."""
    clone = model.clone()
    clone.model_options["transformer_options"][OVERRIDE] = override
    return clone


def with_pytorch(original, *arguments, **options):
    """An override that ignores the function it is given, as KJNodes' does."""
    return comfy.ldm.modules.attention.attention_pytorch.__wrapped__(*arguments, **options)


def handing_on(original, *arguments, **options):
    """An override that changes nothing. With any of another node the text's part goes to the backend as well."""
    return original(*arguments, **options)


def doubled(q, k, v, scale):
    """A backend that shows."""
    return 2 * v.mean(1, keepdim=True).expand(q.shape)


DOUBLED = Chosen("doubled", doubled)


@pytest.mark.parametrize("choice", ["pytorch", "auto"])
@pytest.mark.parametrize("run", [sample, plain_sample])
def test_the_chosen_backend_computes_every_attention(base, relational, encoded, said, choice, run):
    """ComfyUI's own choice on a CPU is another one, which shows in the last digits."""
    model = relational if run is sample else base
    chosen = with_attention(model, choice)
    assert said() == [("INFO", "LumosX: attention of this model: PyTorch")]
    expected = run(with_override(model, with_pytorch), encoded)
    assert torch.equal(run(with_override(chosen, handing_on), encoded), expected)
    assert not torch.equal(run(with_override(model, handing_on), encoded), expected)
    torch.testing.assert_close(run(chosen, encoded), expected, rtol=1e-3, atol=1e-3)
    assert said() == []


@pytest.mark.parametrize("choice", BACKENDS)
def test_what_cannot_work_here_is_refused_before_sampling(base, choice):
    for refuse in (lambda: check_attention(choice), lambda: with_attention(base, choice)):
        with pytest.raises(LumosXError, match=f"backend: {choice} needs an .* card, but models run on the CPU here;"):
            refuse()


def test_the_original_is_untouched_and_a_second_node_replaces_the_first(base):
    first = with_attention(base, "pytorch")
    second = with_attention(first, "auto")
    assert [len(model.get_wrappers(KIND, WRAPPER_KEY)) for model in (base, first, second)] == [0, 1, 1]
    assert second.get_wrappers(KIND, WRAPPER_KEY) != first.get_wrappers(KIND, WRAPPER_KEY)
    assert OVERRIDE not in second.model_options["transformer_options"]


def test_before_and_after_the_relational_forward_are_one(base, relational, encoded):
    after = with_chosen(relational, DOUBLED)
    before = relational_model(with_chosen(base, DOUBLED), RelationalOptions())
    results = [sample(model, encoded) for model in (after, before)]
    assert torch.equal(*results)
    assert not torch.allclose(results[0], sample(relational, encoded), atol=1e-2)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_an_override_of_another_node_works_on_top_of_ours(relational, encoded, said, first):
    seen = []

    def halve(original, q, k, v, *arguments, **options):
        seen.append(original)
        return original(q, k, v / 2, *arguments, **options)

    if first == "ours":
        model = with_override(with_chosen(relational, DOUBLED), halve)
    else:
        model = with_chosen(with_override(relational, halve), DOUBLED)
    halved = Chosen("halved", lambda q, k, v, scale: doubled(q, k, v / 2, scale))
    expected = sample(with_override(with_chosen(relational, halved), handing_on), encoded)
    assert torch.equal(sample(model, encoded), expected)
    assert seen and all(isinstance(original.__self__, Override) for original in seen)
    assert said() == []


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_an_override_that_ignores_ours_is_said_once(relational, encoded, said, first):
    if first == "ours":
        model = with_override(with_chosen(relational, DOUBLED), with_pytorch)
    else:
        model = with_chosen(with_override(relational, with_pytorch), DOUBLED)
    expected = sample(with_override(relational, with_pytorch), encoded)
    assert torch.equal(sample(model, encoded), expected) and torch.equal(sample(model, encoded), expected)
    (line,) = said()
    assert line[0] == "WARNING" and "has no effect: another node computes attention itself (" in line[1]
    assert line[1].endswith("test_attention.with_pytorch), not with doubled. Remove one of the two nodes.")


def test_a_replaced_attention_that_asks_nobody_is_said_once(base, encoded, said):
    """As KJNodes' memory-efficient patch does it; with references the relational forward refuses it."""
    model = with_chosen(base, DOUBLED)
    for index in range(4):
        for part in ("self_attn", "cross_attn"):
            model.add_object_patch(f"diffusion_model.blocks.{index}.{part}.forward", lambda x, *_, **__: x)
    plain_sample(model, encoded)
    (line,) = said()
    assert line[0] == "WARNING" and "this model, or a node that replaced its attention, does not call" in line[1]


@pytest.mark.parametrize("first", ["ours", "easycache"])
def test_steps_that_a_cache_skips_are_no_cause_for_a_warning(relational, encoded, said, first):
    from comfy_extras.nodes_easycache import EasyCacheNode

    def cached(model):
        return EasyCacheNode.execute(model, 100.0, 0.1, 0.95, False)[0]

    model = cached(with_chosen(relational, DOUBLED)) if first == "ours" else with_chosen(cached(relational), DOUBLED)
    steps = []
    wrapper = model.get_wrappers(KIND, WRAPPER_KEY)[0]

    def count(executor, *arguments, **options):
        calls = []
        other = {OVERRIDE: lambda original, *a, **o: calls.append(1) or original(*a, **o)}
        *arguments, transformer_options = arguments
        answer = wrapper(executor, *arguments, {**transformer_options, **other}, **options)
        steps.append(len(calls))
        return answer

    model.wrappers[KIND][WRAPPER_KEY] = [count]
    sample(model, encoded, SamplingPlan(seed=0, steps=6))
    assert len(steps) == 6 and steps[0] > 0 and 0 in steps
    assert said() == []


def test_calls_that_a_backend_cannot_take_are_right_and_said_once(relational, encoded, said):
    """The small model computes in float32, which FlashAttention 2 does not take."""
    model = with_chosen(relational, Chosen("FlashAttention 2", doubled, BACKENDS["flash attention 2"]))
    expected = sample(with_attention(relational, "pytorch"), encoded)
    said()
    assert torch.equal(sample(model, encoded), expected) and torch.equal(sample(model, encoded), expected)
    assert said() == [("INFO", "LumosX: FlashAttention 2 does not support calls in float32; PyTorch computes those.")]


def test_the_stand_in_of_sageattention_1_harms_nobody_else(relational, encoded, said, tmp_path):
    """It shifts k in place and drops masks, as version 1.0.6 does."""
    with installer(tmp_path) as install:
        install("sageattention 1")
        hardware = Hardware("cuda", "stand-in", (8, 9))
        chosen = resolve_backend("sageattention 1", hardware, torch.device("cpu"), torch.float32)
    expected = sample(with_attention(relational, "pytorch"), encoded)
    said()
    measured = sample(with_chosen(relational, chosen), encoded)
    torch.testing.assert_close(measured, expected, rtol=1e-3, atol=1e-3)
    assert said() == []


def attention_call(override, *arguments, **options):
    return comfy.ldm.modules.attention.optimized_attention(
        *arguments, transformer_options={OVERRIDE: override}, **options
    )


def test_a_mask_goes_to_pytorch_whatever_lies_between():
    q, k = torch.randn(1, 10, 256), torch.randn(1, 12, 256)
    mask = torch.zeros(10, 12).masked_fill(torch.ones(10, 12).triu(1) > 0, float("-inf"))
    expected = comfy.ldm.modules.attention.attention_pytorch(q, k, k, 2, mask=mask)
    # This one drops what the host passes to keep an override from being asked again.
    forgetful = [None, lambda original, q, k, v, heads, mask=None, transformer_options=None, **_: original(
        q, k, v, heads, mask, transformer_options=transformer_options
    )]
    for other in forgetful:
        override = Override(DOUBLED, other)
        assert torch.equal(attention_call(override, q, k, k, heads=2, mask=mask), expected)
        assert override.handed_on == "calls with a mask" and override.answered == "doubled"


def test_the_containers_of_newer_hosts():
    container = getattr(comfy.ldm.modules.attention, "AttentionTensorContainer", None)
    if container is None:
        pytest.skip("this ComfyUI hands over plain tensors only")
    x = torch.randn(1, 2, 10, 128)
    expected = doubled(*3 * [x.transpose(1, 2)], None).flatten(2)

    def call(override):
        held = [container(x.clone()) for _ in range(3)]
        answer = attention_call(override, *held, 2, mask=None, skip_reshape=True)
        assert all(one.tensor is None for one in held)
        return answer

    assert torch.equal(call(Override(DOUBLED, None)), expected)
    assert torch.equal(call(Override(DOUBLED, handing_on)), expected)

    def other(original, *arguments, **options):
        raise AssertionError("the host must use the container function")

    other.container_function = lambda q, k, v, *_, **__: q.take() + k.take() + v.take()
    override = ContainerOverride(DOUBLED, other)
    torch.testing.assert_close(call(override), 3 * x)
    assert override.asked and override.answered is None


def test_containers_are_offered_only_where_the_other_override_takes_them():
    """The host hands them over to whatever has a container function."""
    def plain(original, *arguments, **options):
        raise AssertionError("nothing is computed here")

    def taking(original, *arguments, **options):
        raise AssertionError("nothing is computed here")

    taking.container_function = plain
    given = []

    def executor(x, t, c_concat, c_crossattn, control, transformer_options):
        given.append(transformer_options[OVERRIDE])

    for options in ({}, {OVERRIDE: plain}, {OVERRIDE: taking}):
        before = dict(options)
        AttentionWrapper(DOUBLED)(executor, None, None, transformer_options=options)
        assert options == before
    assert [hasattr(override, "container_function") for override in given] == [False, False, True]


def compiled(model, **options):
    from comfy_extras.nodes_torch_compile import set_torch_compile_wrapper

    clone = model.clone()
    set_torch_compile_wrapper(clone, backend="eager", options=options or None)
    return clone


def graphs_of(model, encoded):
    """The result of two steps, and how often something was compiled for them."""
    counters.clear()
    return plain_sample(model, encoded), counters["stats"]["unique_graphs"]


@pytest.mark.compile
def test_a_compiled_model_is_compiled_once(base, encoded, said):
    torch.compiler.reset()
    model = with_attention(base, "pytorch")
    said()
    measured, graphs = graphs_of(compiled(model), encoded)
    assert graphs == 1 and graphs_of(compiled(model), encoded)[1] == 0 and said() == []
    torch.testing.assert_close(measured, plain_sample(model, encoded), rtol=1e-3, atol=1e-3)


@pytest.mark.compile
def test_a_compiled_model_follows_another_choice(base, encoded, said):
    """TorchCompileModel of later versions drops the guards on the options, and with them that on an override."""
    def unguarded(entries):
        return ["transformer_options" not in entry.name for entry in entries]

    torch.compiler.reset()
    plain_sample(compiled(with_attention(base, "pytorch"), guard_filter_fn=unguarded), encoded)
    said()
    model = with_chosen(base, DOUBLED)
    plain_sample(compiled(model, guard_filter_fn=unguarded), encoded)
    assert said() == [(
        "WARNING",
        "LumosX: the compiled model computed one step with PyTorch, which was chosen before doubled; it is now "
        "compiled again.",
    )]
    measured, graphs = graphs_of(compiled(model, guard_filter_fn=unguarded), encoded)
    torch.testing.assert_close(measured, plain_sample(model, encoded), rtol=1e-3, atol=1e-3)
    assert graphs == 0 and said() == []
    # Nothing of these guards may serve a later test.
    torch.compiler.reset()


def test_whether_another_node_overrides_attention():
    assert not others_override({})
    assert not others_override({OVERRIDE: Override(DOUBLED, None)})
    assert others_override({OVERRIDE: with_pytorch})
    assert others_override({OVERRIDE: Override(DOUBLED, with_pytorch)})
