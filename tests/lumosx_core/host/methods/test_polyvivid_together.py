"""The adapter together with other nodes on the same MODEL, each against the plain composition in our own network.

``theirs`` is what the other node does, in our network's terms, and stands in the composition where it has to act.
"""

import copy
import inspect
import logging
from dataclasses import dataclass, field
from functools import partial

import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from comfy.ldm.flux.layers import DoubleStreamBlock
from comfy_extras.nodes_easycache import EasyCacheNode

from lumosx_core.models.attention import dense_attention
from lumosx_core.models.polyvivid.config import RunOptions
from lumosx_core.models.polyvivid.forward import shared_of, subject_tokens
from lumosx_core.models.polyvivid.layer import adapted_layer
from support.hunyuan_files import SCALE, SIGMA, small_adapter
from support.polyvivid_runs import (
    CONTEXT,
    LATENTS,
    LAYOUT,
    NOISE,
    POOLED,
    close,
    denoise,
    positive,
    reference,
    velocity,
)

DIFFUSION_MODEL = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
# Where the attention has patches, on newer hosts.
HAS_ATTENTION_PATCHES = "attn1_patch" in inspect.getsource(DoubleStreamBlock)


@dataclass(frozen=True)
class Theirs:
    """What another node does, in our network's terms; by default nothing.

    Attributes:
        around: index of a double block and its call -> the call as the node changes it.
        attend: the attention of the adapter, and of the blocks that the node does not change.
        block_attend: the attention of all blocks, where it is another than the adapter's.
        single: a single block's call -> the same as the node changes it.
        whole: the whole forward -> the same as the node changes it.
    """

    around: object = field(default=lambda index, call: call)
    attend: object = dense_attention
    block_attend: object = None
    single: object = field(default=lambda call: call)
    whole: object = field(default=lambda call: call)


def _single(block, attend, x, vec, rotary, _):
    return type(block).forward(block, x, vec, rotary, attend)


def composed(network, theirs, x=SIGMA * NOISE):
    """The velocity from the network's parts, with the adapter around whatever runs in a double block's place."""
    adapter, options = small_adapter(), RunOptions()
    attend, block_attend = theirs.attend, theirs.block_attend or theirs.attend
    changed = copy.deepcopy(network)
    for block in changed.single_blocks:
        block.forward = theirs.single(partial(_single, block, block_attend))

    def forward(x):
        shared = shared_of(adapter.config, network.params, LAYOUT, LATENTS, x, None, options, attend)
        z_i = subject_tokens(network, LATENTS, len(x))

        def run_block(index, block, z, z_t, vec, rotary):
            nonlocal z_i
            call = theirs.around(index, lambda img, txt: block(img, txt, vec, rotary, block_attend))
            z_i, z, z_t = adapted_layer(adapter.layer(index), block, shared, z_i, z, z_t, vec, call)
            return z, z_t

        return changed(x, torch.tensor([1000 * SIGMA]), CONTEXT, POOLED, torch.tensor([6.0]), attend, run_block)

    with torch.no_grad():
        return theirs.whole(forward)(x)


def doubled_block(model):
    """A patch in place of a double block that doubles what the block does to the video."""
    def patch(arguments, extra):
        before = arguments["img"].clone()
        out = extra["original_block"](arguments)
        return {"img": 2 * out["img"] - before, "txt": out["txt"]}

    model.set_model_patch_replace(patch, "dit", "double_block", 0)


def doubled(index, call):
    def run(img, txt):
        out, text = call(img, txt)
        return (2 * out - img if index == 0 else out), text

    return run


def skipped_block(model):
    """Skip-layer nodes leave a block out."""
    model.set_model_patch_replace(
        lambda arguments, extra: {"img": arguments["img"], "txt": arguments["txt"]}, "dit", "double_block", 1
    )


def skipped(index, call):
    return (lambda img, txt: (img, txt)) if index == 1 else call


def changed_single(model):
    def patch(arguments, extra):
        before = arguments["img"].clone()
        return {"img": before + 0.5 * (extra["original_block"](arguments)["img"] - before)}

    model.set_model_patch_replace(patch, "dit", "single_block", 0)


def halved_single(call):
    return lambda x, *given: x + 0.5 * (call(x, *given) - x)


def attention_override(model):
    """As nodes that bring an attention of their own: here with softer weights, and a scaled result."""
    def override(original, q, k, v, *given, **more):
        return 1.1 * original(0.8 * q, k, v, *given, **more)

    model.model_options["transformer_options"]["optimized_attention_override"] = override


def softer(q, k, v, heads):
    return 1.1 * dense_attention(0.8 * q, k, v, heads)


def forward_wrapper(model):
    def wrapper(executor, x, *given, **more):
        return 1.2 * executor(0.9 * x, *given, **more)

    model.add_wrapper_with_key(DIFFUSION_MODEL, "theirs", wrapper)


def block_forward(model):
    """As NAG for HunyuanVideo: a forward of its own for a double block, put onto the module."""
    path = "diffusion_model.double_blocks.0"
    stock = model.get_model_object(path).forward

    def forward(img, txt, *given, **more):
        before = img.clone()
        out, text = stock(img, txt, *given, **more)
        return 2 * out - before, text

    model.add_object_patch(f"{path}.forward", forward)


def query_patch(model):
    model.set_model_attn1_patch(lambda q, k, v, **more: {"q": 0.7 * q})


def output_patch(model):
    """As NAG of newer hosts: what the attention gives is mixed with itself, and kept to its size."""
    def patch(out, extra):
        guided = out + 0.4 * (out - out.flip(-1))
        return guided * (out.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True)).clamp(max=1.0)

    model.set_model_attn1_output_patch(patch)


def guided(q, k, v, heads):
    out = dense_attention(q, k, v, heads)
    mixed = out + 0.4 * (out - out.flip(-1))
    return mixed * (out.norm(dim=-1, keepdim=True) / mixed.norm(dim=-1, keepdim=True)).clamp(max=1.0)


NODES = {
    "double block": (doubled_block, Theirs(around=doubled)),
    "block left out": (skipped_block, Theirs(around=skipped)),
    "single block": (changed_single, Theirs(single=halved_single)),
    "attention override": (attention_override, Theirs(attend=softer)),
    "wrapper": (forward_wrapper, Theirs(whole=lambda call: lambda x: 1.2 * call(0.9 * x))),
    "a block's forward": (block_forward, Theirs(around=doubled)),
    "queries": (query_patch, Theirs(block_attend=lambda q, k, v, heads: dense_attention(0.7 * q, k, v, heads))),
    "NAG": (output_patch, Theirs(block_attend=guided)),
}
NEWER = ("queries", "NAG")


def test_the_composition_without_another_node_is_the_reference(network):
    assert torch.equal(composed(network, Theirs()), reference(network))


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("name", NODES)
def test_together_with_another_node(model, network, adapted, name, behind):
    if name in NEWER and not HAS_ATTENTION_PATCHES:
        pytest.skip("this ComfyUI has no patches of HunyuanVideo's attention")
    put, theirs = NODES[name]
    base = model.clone()
    if not behind:
        put(base)
    patched = adapted(base=base)
    if behind:
        put(patched)
    expected = composed(network, theirs)
    assert close(velocity(patched, positive()), expected)
    assert not close(expected, reference(network), 1e-3)


def test_two_other_nodes_on_one_block_and_one_on_the_attention(model, network, adapted):
    attention_override(model)
    doubled_block(model)
    patched = adapted(base=model)
    block_forward(patched)
    forward_wrapper(patched)
    both = Theirs(
        around=lambda index, call: doubled(index, doubled(index, call)), attend=softer,
        whole=lambda call: lambda x: 1.2 * call(0.9 * x),
    )
    assert close(velocity(patched, positive()), composed(network, both))


def test_another_nodes_patch_of_a_block_still_runs_without_layers_and_subjects(model, adapted):
    plain = velocity(model, positive(()))
    doubled_block(model)
    theirs = velocity(model, positive(()))
    assert not close(theirs, plain, 1e-3)
    assert torch.equal(velocity(adapted(base=model), positive(())), theirs)
    whole = velocity(adapted(base=model, layers=frozenset()), positive())
    assert torch.equal(whole, velocity(model, [[CONTEXT, {"pooled_output": POOLED}]]))


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_lora_on_the_base_acts_on_what_the_adapter_inherits(model, network, adapted, behind):
    """ComfyUI lays it into the live weights; the reference has it in its own."""
    generator = torch.Generator().manual_seed(3)
    name = "double_blocks.0.img_attn.qkv"
    down, up = (torch.randn(shape, generator=generator) * 0.3 for shape in ((2, 128), (384, 2)))
    lora = {f"diffusion_model.{name}.lora_A.weight": down, f"diffusion_model.{name}.lora_B.weight": up}

    def patched(model):
        return comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)[0]

    changed = copy.deepcopy(network)
    changed.get_submodule(name).weight.data += up @ down
    expected = reference(changed)
    assert close(velocity(patched(adapted()) if behind else adapted(base=patched(model)), positive()), expected)
    assert not close(expected, reference(network), 1e-3)


@pytest.mark.skipif(not HAS_ATTENTION_PATCHES, reason="this ComfyUI has no patches of HunyuanVideo's attention")
def test_a_node_that_compares_both_passes_is_a_warning(adapted, caplog):
    """With subjects they run one after the other, so NAG never sees both."""
    nodes = pytest.importorskip("comfy_extras.nodes_nag")
    model = nodes.NAGuidance.execute(adapted(), 5.0, 0.5, 1.5).result[0]
    with caplog.at_level(logging.WARNING):
        found = velocity(model, positive())
    assert caplog.text.count("(attn1_output_patch), as NAGuidance does") == 1
    assert torch.equal(found, velocity(adapted(), positive()))


class HandMadeCache:
    """EasyCache's rule, written down from its description: what a step adds to its input is used again while the
    change of the output, estimated from that of the input, stays below the threshold in sum."""

    def __init__(self, threshold):
        self.threshold, self.sum, self.skipped = threshold, 0.0, 0
        self.rate = self.input = self.output = self.size = self.added = None

    def __call__(self, x, compute):
        seen = x[..., ::8, ::8]
        change = None if self.input is None else (seen - self.input).abs().mean()
        if self.rate is not None:
            self.sum += self.rate * change / self.size
            if self.sum < self.threshold:
                self.skipped += 1
                return x + self.added
            self.sum = 0.0
        out = compute(x)
        if self.output is not None:
            self.rate = (out[..., ::8, ::8] - self.output).abs().mean() / change
        self.input, self.output, self.size, self.added = seen, out[..., ::8, ::8], out.abs().mean(), out - x
        return out


def test_easycache_skips_the_steps_that_its_rule_skips(model, network, adapted):
    steps, threshold = 8, 0.3
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", steps)
    calls = []
    patched = EasyCacheNode.execute(adapted(), threshold, 0.0, 1.0, False).result[0]

    def count(arguments, extra):
        calls.append(1)
        return extra["original_block"](arguments)

    patched.set_model_patch_replace(count, "dit", "double_block", 0)
    made = comfy.sample.sample(
        patched, NOISE, steps, 1.0, "euler", "simple", positive(), positive(), torch.zeros_like(NOISE),
        disable_pbar=True,
    )

    def by_hand(cache):
        x = sigmas[0] * NOISE
        for sigma, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist()):
            x = x + (after - sigma) * cache(x, lambda x, sigma=sigma: denoise(network, x, sigma))
        return x / SCALE

    cache = HandMadeCache(threshold)
    expected = by_hand(cache)
    assert 2 <= cache.skipped == steps - len(calls)
    assert close(made, expected)
    assert not close(expected, by_hand(lambda x, compute: compute(x)), 1e-3)
