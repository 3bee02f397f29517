"""Lynx with other variants of Wan, other kinds of weights and other nodes: each against the plain composition."""

import inspect
from types import SimpleNamespace

import comfy.model_patcher
import comfy.ops
import comfy.patcher_extension
import comfy.sd
import pytest
import torch
from comfy.ldm.wan.model import VaceWanModel, WanModel
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_easycache import EasyCacheNode
from comfy_extras.nodes_model_advanced import ModelSamplingSD3

from lumosx_core.host.methods.lynx import Appearance, lynx_model
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS
from lumosx_core.models.lynx.attention import add_attention
from support.lynx_people import BLOCKS, WIDTH, conditioning, make_person, random, relative, sample, write_adapters
from tools import lynx_network
from tools.golden import drawn_weight
from tools.weight_files import make_lora, small_transformer

pytestmark = pytest.mark.slow

SIZES = {
    "dim": WIDTH, "ffn_dim": 512, "freq_dim": 256, "text_dim": 4096, "num_heads": 2, "num_layers": BLOCKS,
    "cross_attn_norm": True,
}
VARIANTS = {
    "Wan2.1 T2V": (WanModel, {}),
    "Wan2.2 I2V": (WanModel, {"in_dim": 36}),
    "Wan2.1 I2V": (WanModel, {"in_dim": 36, "model_type": "i2v"}),
    "VACE": (VaceWanModel, {"vace_layers": 2, "vace_in_dim": 96}),
}


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return make_person(write_adapters(tmp_path_factory.mktemp("lynx")))


def load(name, seed=3, **options):
    """A variant of Wan with drawn weights, through ComfyUI's loader."""
    kind, sizes = VARIANTS[name]
    network = kind(**SIZES, **sizes, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    weights = {key: drawn_weight(key, tuple(value.shape), seed) for key, value in network.state_dict().items()}
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model_state_dict(weights, model_options=options)


def plain_model(patcher, person, appearance=Appearance(), **functions):  # noqa: B008
    """A MODEL that nobody else has, with the adapters inside its layers; functions as for ``put_in``."""
    model, identity = patcher.model, person.identity
    network = model.diffusion_model
    dtype = model.manual_cast_dtype or model.get_dtype()
    with torch.no_grad():
        with person.adapters.open(ID_LAYERS) as found:
            ids = lynx_network.fold_ids(found, identity.tokens, network)
        features = lynx_network.features(
            network, identity.reference.latents.to(dtype), identity.reference.padded_text().to(dtype)
        )
        with person.adapters.open(REF_LAYERS) as found:
            refs = lynx_network.fold_refs(found, [one.float() for one in features], network)
    lynx_network.put_in(
        network, lynx_network.at_scale(ids, appearance.id_scale, [0]),
        lynx_network.at_scale(refs, appearance.ref_scale, [0]), **functions,
    )
    return patcher


def texts(**more):
    return [[[tensor, {**options, **more}] for tensor, options in conditioning(seed)] for seed in (1, 2)]


@pytest.mark.parametrize("name", VARIANTS)
def test_on_every_variant_of_wan_it_is_the_plain_composition(person, name):
    base = load(name)
    more = {"clip_vision_output": SimpleNamespace(penultimate_hidden_states=random(1, 257, 1280, seed=9))}
    given = texts(**(more if name == "Wan2.1 I2V" else {}))
    measured = sample(lynx_model(base, person, Appearance(0.7, 0.6)), *given, steps=1)
    expected = sample(plain_model(load(name), person, Appearance(0.7, 0.6)), *given, steps=1)
    assert relative(measured, expected) < 2e-5
    assert relative(sample(base, *given, steps=1), expected) > 1e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.02), (torch.float8_e4m3fn, 0.02)])
def test_weights_of_fewer_bits(person, dtype, tolerance):
    """The adapters are computed in the model's own precision, whatever its weights are kept in."""
    with torch.inference_mode(False):
        base, other = (
            comfy.sd.load_diffusion_model_state_dict(small_transformer(), model_options={"dtype": dtype})
            for _ in range(2)
        )
    measured = sample(lynx_model(base, person, Appearance()), *texts(), steps=1)
    without = sample(base, *texts(), steps=1)
    expected = sample(plain_model(other, person), *texts(), steps=1)
    assert relative(measured, expected) < tolerance < relative(without, expected)


@pytest.mark.parametrize("lora", [False, True], ids=["plain", "with a LoRA"])
def test_weights_that_stay_off_the_card(person, monkeypatch, lora):
    """Each layer is brought, and patched, when it is needed, in the reference pass as in the video's forward."""
    base, seen = load("Wan2.1 T2V"), []
    if lora:
        layers = ["blocks.0.self_attn.q", "blocks.1.self_attn.o", "blocks.2.ffn.0"]
        base = comfy.sd.load_lora_for_models(base, None, make_lora(small_transformer(), layers=layers), 1.0, 0)[0]
    expected = sample(lynx_model(base, person, Appearance()), *texts(), steps=1)
    whole = comfy.model_patcher.ModelPatcher.load

    def load_in_part(patcher, *given, **options):
        options |= {"lowvram_model_memory": 1, "full_load": False}
        return whole(patcher, *given[:1], **options)

    def watch(executor, *given, **options):
        seen.append(executor.class_obj.blocks[0].ffn[0].comfy_cast_weights)
        return executor(*given, **options)

    other = load("Wan2.1 T2V") if not lora else comfy.sd.load_lora_for_models(
        load("Wan2.1 T2V"), None, make_lora(small_transformer(), layers=layers), 1.0, 0)[0]
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "load", load_in_part)
    model = lynx_model(other, person, Appearance())
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "watch", watch)
    assert relative(sample(model, *texts(), steps=1), expected) < 2e-5
    assert seen == [True]


def easy_cache(model):
    return EasyCacheNode.execute(model, 0.5, 0.0, 1.0, False).result[0]


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


@pytest.mark.parametrize("other", [easy_cache, context_windows, shift, scaled_queries])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_together_with_another_node(person, other, behind):
    base = load("Wan2.1 T2V")
    model = other(lynx_model(base, person, Appearance())) if behind else lynx_model(other(base), person, Appearance())
    measured = sample(model, *texts(), steps=4)
    expected = sample(other(plain_model(load("Wan2.1 T2V"), person)), *texts(), steps=4)
    assert relative(measured, expected) < 5e-5
    assert relative(sample(other(base), *texts(), steps=4), expected) > 1e-3


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
    factor = 1 + (rotate(q) * k).mean().tanh().abs()
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
def test_together_with_a_node_that_has_attention_of_its_own(person, other, functions, behind):
    """The photo is read by the layers themselves, whatever has taken the place of their forward."""
    base = load("Wan2.1 T2V")
    model = other(lynx_model(base, person, Appearance())) if behind else lynx_model(other(base), person, Appearance())
    measured = sample(model, *texts(), steps=1)
    expected = sample(plain_model(load("Wan2.1 T2V"), person, **functions), *texts(), steps=1)
    assert relative(measured, expected) < 5e-5
    assert relative(sample(plain_model(load("Wan2.1 T2V"), person), *texts(), steps=1), expected) > 1e-3


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
    appearance = Appearance(region=region)
    other, rows = in_halves(whole_first), []
    seen = load("Wan2.1 T2V")
    seen.model.diffusion_model.blocks[0].cross_attn.norm_q.register_forward_hook(
        lambda _, given, q: rows.append(len(q)))
    measured = sample(other(lynx_model(seen, person, appearance)), *texts(), steps=1, cfg=4.0)
    expected = sample(lynx_model(load("Wan2.1 T2V"), person, appearance), *texts(), steps=1, cfg=4.0)
    assert relative(measured, expected) < 2e-5
    # First the photo, beside that of nobody.
    assert rows == [2, *[2] * whole_first, 1, 1]


def test_both_experts_of_wan22_read_the_photo_once_each(person, monkeypatch):
    """Noise levels are split between two MODELs, which take turns with the same person."""
    import lumosx_core.host.methods.lynx_folds as folds

    passes, pass_of = [], folds.reference_features
    monkeypatch.setattr(folds, "reference_features", lambda model, *given: passes.append(model) or pass_of(
        model, *given))
    high, low = load("Wan2.1 T2V"), load("Wan2.1 T2V", seed=4)
    experts = [lynx_model(one, person, Appearance()) for one in (high, low)]
    first = [sample(one, *texts(), steps=1) for one in experts]
    assert [torch.equal(sample(one, *texts(), steps=1), before) for one, before in zip(experts, first)] == [True, True]
    assert passes == [high.model.diffusion_model, low.model.diffusion_model]
    expected = sample(plain_model(load("Wan2.1 T2V", seed=4), person), *texts(), steps=1)
    assert relative(first[1], expected) < 2e-5 and relative(first[0], expected) > 1e-3


def test_a_mask_for_each_frame_moves_along_with_the_windows(person):
    base = load("Wan2.1 T2V")
    everywhere, first = torch.ones(9, 8, 8), torch.zeros(9, 8, 8)
    first[0] = 1
    later = everywhere - first
    whole = sample(context_windows(lynx_model(base, person, Appearance(region=everywhere))), *texts(), steps=1)
    expected = sample(context_windows(plain_model(load("Wan2.1 T2V"), person)), *texts(), steps=1)
    assert relative(whole, expected) < 2e-5
    halves = [Appearance(region=mask) for mask in (first, later)]
    both = lynx_model(lynx_model(base, person, halves[0]), person, halves[1])
    assert relative(sample(context_windows(both), *texts(), steps=1), expected) < 2e-5


def test_the_host_is_told_of_the_room_for_shares(person):
    base, asked = load("Wan2.1 T2V"), []

    def watch(executor, patcher, noise_shape, *arguments, **options):
        asked.append(patcher.model.memory_required(noise_shape))
        return executor(patcher, noise_shape, *arguments, **options)

    for model in (base, lynx_model(base, person, Appearance())):
        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "watch", watch)
        sample(model, *texts(), steps=1)
    # 3 x 4 x 5 tokens of 256 float32 numbers.
    assert asked[1] - asked[0] >= 3 * 4 * 5 * 256 * 4
