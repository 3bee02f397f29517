"""Lynx with other variants of Wan, other kinds of weights and other nodes: each against the plain composition."""

import inspect
from types import SimpleNamespace

import comfy.model_patcher
import comfy.patcher_extension
import comfy.sd
import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_model_advanced import ModelSamplingSD3

from lumosx_core.host.methods.lynx import Appearance, lynx_model
from lumosx_core.models.lynx.attention import add_attention
from support.lynx_people import (
    BLOCKS,
    GUIDANCE,
    VARIANTS,
    conditioning,
    load_variant,
    lynx_sample,
    make_person,
    plain_model,
    plain_sample,
    random,
    relative,
    sample,
    write_adapters,
)
from tools import lynx_network
from tools.weight_files import make_lora, small_transformer

pytestmark = pytest.mark.slow

@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return make_person(write_adapters(tmp_path_factory.mktemp("lynx")))


@pytest.fixture(params=[None, GUIDANCE], ids=["cfg 1", "three branches"])
def guidance(request):
    """Of ``lynx_sample`` and ``plain_sample``."""
    return request.param


def cfg_of(guidance):
    """The sampler's."""
    return 1.0 if guidance is None else guidance[0]


def texts(**more):
    return [[[tensor, {**options, **more}] for tensor, options in conditioning(seed)] for seed in (1, 2)]


@pytest.mark.parametrize("name", VARIANTS)
def test_on_every_variant_of_wan_it_is_the_plain_composition(person, name, guidance):
    base = load_variant(name)
    more = {"clip_vision_output": SimpleNamespace(penultimate_hidden_states=random(1, 257, 1280, seed=9))}
    given = texts(**(more if name == "Wan2.1 I2V" else {}))
    measured = lynx_sample(lynx_model(base, person, Appearance(0.7, 0.6)), given, guidance)
    expected = plain_sample(plain_model(load_variant(name), person, Appearance(0.7, 0.6)), given, guidance)
    assert relative(measured, expected) < 2e-5
    assert relative(sample(base, *given, 1, cfg_of(guidance)), expected) > 1e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.02), (torch.float8_e4m3fn, 0.02)])
def test_weights_of_fewer_bits(person, dtype, tolerance, guidance):
    """The adapters are computed in the model's own precision, whatever its weights are kept in."""
    with torch.inference_mode(False):
        base, other = (
            comfy.sd.load_diffusion_model_state_dict(small_transformer(), model_options={"dtype": dtype})
            for _ in range(2)
        )
    measured = lynx_sample(lynx_model(base, person, Appearance()), texts(), guidance)
    without = sample(base, *texts(), 1, cfg_of(guidance))
    expected = plain_sample(plain_model(other, person), texts(), guidance)
    assert relative(measured, expected) < tolerance < relative(without, expected)


@pytest.mark.parametrize("lora", [False, True], ids=["plain", "with a LoRA"])
def test_weights_that_stay_off_the_card(person, monkeypatch, lora, guidance):
    """Each layer is brought, and patched, when it is needed, in the reference pass as in the video's forward."""
    def loaded():
        base = load_variant()
        layers = ["blocks.0.self_attn.q", "blocks.1.self_attn.o", "blocks.2.ffn.0"]
        weights = make_lora(small_transformer(), layers=layers)
        return comfy.sd.load_lora_for_models(base, None, weights, 1.0, 0)[0] if lora else base

    seen, whole = [], comfy.model_patcher.ModelPatcher.load
    plain = loaded()
    plain.patch_model()
    expected = plain_sample(plain_model(plain, person), texts(), guidance)

    def load_in_part(patcher, *given, **options):
        options |= {"lowvram_model_memory": 1, "full_load": False}
        return whole(patcher, *given[:1], **options)

    def watch(executor, *given, **options):
        seen.append(executor.class_obj.blocks[0].ffn[0].comfy_cast_weights)
        return executor(*given, **options)

    other = loaded()
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "load", load_in_part)
    model = lynx_model(other, person, Appearance())
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "watch", watch)
    assert relative(lynx_sample(model, texts(), guidance), expected) < 2e-5
    assert seen == [True] * (1 if guidance is None else 2)


def context_windows(model):
    known = inspect.signature(ContextWindowsManualNode.execute).parameters
    newer = {"freenoise": False} if "freenoise" in known else {}
    return ContextWindowsManualNode.execute(
        model, context_length=2, context_overlap=1, context_schedule="standard_static", context_stride=1,
        closed_loop=False, fuse_method="pyramid", dim=2, **newer,
    ).result[0]


def shift(model):
    return ModelSamplingSD3().patch(model, 3.0)[0]


def scaled_queries(model):
    """A node that replaces the forward of attention layers, as NAG and Enhance-A-Video do."""
    model = model.clone()
    for index in range(BLOCKS):
        for name in ("self_attn", "cross_attn"):
            path = f"diffusion_model.blocks.{index}.{name}.forward"
            inner = model.get_model_object(path)
            model.add_object_patch(path, lambda x, *given, inner=inner, **more: 1.1 * inner(0.9 * x, *given, **more))
    return model


@pytest.mark.parametrize("other", [context_windows, shift, scaled_queries])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_together_with_another_node(person, other, behind, guidance):
    measured = sample_beside(other, behind, person, guidance)
    expected = plain_sample(other(plain_model(load_variant(), person)), texts(), guidance, steps=2)
    assert relative(measured, expected) < 5e-5
    assert relative(sample(other(load_variant()), *texts(), 2, cfg_of(guidance)), expected) > 1e-3


def sample_beside(other, behind, person, guidance, steps=2):
    """With a node right on the base, or behind everything of Lynx."""
    base = load_variant() if behind else other(load_variant())
    model = lynx_model(base, person, Appearance())
    return lynx_sample(model, texts(), guidance, steps, behind=other if behind else None)


def guided_text(layer, x, context, dense, additions):
    """Cross-attention as KJNodes' NAG has it: its own code, from the query to the output projection."""
    q = layer.norm_q(layer.q(x))
    good, bad = (dense(q, layer.norm_k(layer.k(text)), layer.v(text), layer.num_heads)
                 for text in (context, context.flip(1).cos()))
    guided = good + 0.4 * (good - bad)
    guided = guided * (good.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True)).clamp(max=1.0)
    return layer.o(add_attention(guided, q, additions, layer.num_heads))


def enhanced_frames(layer, x, rotate, dense, additions):
    """Self-attention as Enhance-A-Video has it: what comes out is scaled by how alike queries and keys are."""
    q, k = layer.norm_q(layer.q(x)), rotate(layer.norm_k(layer.k(x)))
    attended = dense(rotate(q), k, layer.v(x), layer.num_heads)
    # Of each video by itself, whichever others are run together with it.
    factor = 1 + (rotate(q) * k).mean(dim=(1, 2), keepdim=True).tanh().abs()
    return factor * layer.o(add_attention(attended, q, additions, layer.num_heads))


def with_forwards(model, name, forward):
    model = model.clone()
    for index in range(BLOCKS):
        path = f"diffusion_model.blocks.{index}.{name}"
        model.add_object_patch(f"{path}.forward", forward(model.get_model_object(path)))
    return model


def nag(model):
    return with_forwards(model, "cross_attn", lambda layer: lambda x, context, *given, **more: guided_text(
        layer, x, context, lynx_network.dense, ()))


def enhance_a_video(model):
    return with_forwards(model, "self_attn", lambda layer: lambda x, freqs, *given, **more: enhanced_frames(
        layer, x, lynx_network.rotation(freqs, layer.num_heads), lynx_network.dense, ()))


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize(("other", "functions"), [
    (nag, {"cross_attention": guided_text}), (enhance_a_video, {"self_attention": enhanced_frames}),
], ids=["NAG", "Enhance-A-Video"])
def test_together_with_a_node_that_has_attention_of_its_own(person, other, functions, behind, guidance):
    """The photo is read by the layers themselves, whatever has taken the place of their forward."""
    measured = sample_beside(other, behind, person, guidance, steps=1)
    expected = plain_sample(plain_model(load_variant(), person, **functions), texts(), guidance)
    assert relative(measured, expected) < 5e-5
    assert relative(plain_sample(plain_model(load_variant(), person), texts(), guidance), expected) > 1e-3


def in_halves(whole_first):
    """A node that runs the halves of a batch one after the other, as NAG does for positive and negative.

    Args:
        whole_first: whether it also takes the query of the whole batch before, as for image-to-video models.
    """
    def forward(layer):
        def run(x, context, *given, **more):
            if whole_first:
                layer.norm_q(layer.q(x))
            parts = [attended(layer, *pair) for pair in zip(x.chunk(2), context.chunk(2))]
            return layer.o(torch.cat(parts))

        return run

    return lambda model: with_forwards(model, "cross_attn", forward)


def attended(layer, x, text):
    return lynx_network.dense(
        layer.norm_q(layer.q(x)), layer.norm_k(layer.k(text)), layer.v(text), layer.num_heads
    )


@pytest.mark.parametrize("whole_first", [False, True])
@pytest.mark.parametrize("region", [None, torch.ones(1, 8, 8)], ids=["everywhere", "region"])
def test_together_with_a_node_that_runs_the_halves_of_a_batch_by_themselves(person, whole_first, region):
    model, rows = lynx_model(load_variant(), person, Appearance(region=region)), []
    model.model.diffusion_model.blocks[0].cross_attn.norm_q.register_forward_hook(
        lambda _, given, q: rows.append(len(q)))
    other = in_halves(whole_first)
    measured = lynx_sample(other(model), texts(), GUIDANCE)
    expected = plain_sample(plain_model(load_variant(), person), texts(), GUIDANCE)
    assert relative(measured, expected) < 2e-5
    # First the photo, beside that of nobody; then the prompt and the negative with the person; then with nobody.
    assert rows == [2, *[2] * whole_first, 1, 1, *[1] * whole_first, 1]


def test_a_mask_for_each_frame_moves_along_with_the_windows(person, guidance):
    base = load_variant()
    everywhere, first = torch.ones(9, 8, 8), torch.zeros(9, 8, 8)
    first[0] = 1
    later = everywhere - first
    whole = lynx_sample(
        context_windows(lynx_model(base, person, Appearance(region=everywhere))), texts(), guidance
    )
    expected = plain_sample(context_windows(plain_model(load_variant(), person)), texts(), guidance)
    assert relative(whole, expected) < 2e-5
    halves = [Appearance(region=mask) for mask in (first, later)]
    both = lynx_model(lynx_model(base, person, halves[0]), person, halves[1])
    assert relative(lynx_sample(context_windows(both), texts(), guidance), expected) < 2e-5


def test_the_host_is_told_of_the_room_for_shares(person):
    base, asked = load_variant(), []

    def watch(executor, patcher, noise_shape, *arguments, **options):
        asked.append(patcher.model.memory_required(noise_shape))
        return executor(patcher, noise_shape, *arguments, **options)

    for model in (base, lynx_model(base, person, Appearance())):
        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "watch", watch)
        sample(model, *texts(), steps=1)
    # 3 x 4 x 5 tokens of 256 float32 numbers.
    assert asked[1] - asked[0] >= 3 * 4 * 5 * 256 * 4
