"""What known ports do otherwise, and that the golden files notice each of it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lumosx_core.models.lynx import attention, folding
from lumosx_core.models.lynx.attention import Addition, KeysValues, add_attention
from lumosx_core.models.lynx.guidance import GuidanceScales, guide
from lumosx_core.models.lynx.layers import LayerReader
from lumosx_core.models.lynx.recognise import find_lynx
from lumosx_core.models.lynx.recogniser import FaceRecogniser, recogniser_input
from lumosx_core.models.lynx.resampler import load_resampler
from lumosx_core.weights.opening import open_weights
from tools import golden_lynx
from tools.golden import load_golden
from tools.golden_lynx import relative
from tools.lynx_network import at_scale, build, dense, features, fold_ids, fold_refs, put_in, rotation

GOLDEN = Path(__file__).parents[3] / "golden"
PAGE = Path(__file__).parents[4] / "docs" / "lynx.md"
pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture(scope="module")
def no_gradients():
    with torch.no_grad():
        yield


def is_documented(row, error):
    """Whether docs/lynx.md gives a change of the output in the last column of a row."""
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {row} |"))
    return f"{100 * error:.0f} %" in line.split("|")[-2]


class Case:
    """A golden file with rows: its model, its adapters folded, and its outputs under whatever is changed."""

    def __init__(self, name, tokens):
        self.path = GOLDEN / name
        self.tensors, self.case = load_golden(self.path)
        self.tokens = self.tensors[tokens]
        self.model = self.new_model()
        self.features = features(self.model, self.tensors["refz"], self.tensors["rtxt"])
        with open_weights(self.path) as source:
            self.found = find_lynx(source)
            self.ids = fold_ids(self.found.id_layers, self.tokens, self.model)
            self.refs = fold_refs(self.found.ref_layers, self.features, self.model)

    def new_model(self):
        return build(self.tensors, self.case)

    def additions(self, ids=None, refs=None, ip_scale=None, ref_scale=None):
        ip_scale = self.case["ip_scale"] if ip_scale is None else ip_scale
        ref_scale = self.case["ref_scale"] if ref_scale is None else ref_scale
        return at_scale(self.ids if ids is None else ids, ip_scale), at_scale(
            self.refs if refs is None else refs, ref_scale)

    def velocity(self, *additions, text=None, **functions):
        put_in(self.model, *additions, **functions)
        text = self.tensors["txt"] if text is None else text
        return self.model(self.tensors["x"], self.tensors["t"].float().expand(2), context=text)

    def error(self, *additions, expected="out", **changes):
        return relative(self.velocity(*additions or self.additions(), **changes), self.tensors[expected])


@pytest.fixture(scope="module")
def full():
    return Case("lynx_full_rows.safetensors", "ip")


@pytest.fixture(scope="module")
def lite():
    return Case("lynx_lite_rows.safetensors", "tok")


def test_the_right_way_meets_them(full, lite):
    assert full.error() < 2e-5
    assert lite.error(*lite.additions(ref_scale=0)) < 2e-5
    assert lite.error(expected="out_mixed") < 2e-5


def self_attention_with_positions(layer, x, rotate, dense, additions):
    q = rotate(layer.norm_q(layer.q(x)))
    attended = dense(q, rotate(layer.norm_k(layer.k(x))), layer.v(x), layer.num_heads)
    return layer.o(add_attention(attended, q, additions, layer.num_heads))


def test_a_reference_query_with_positions(full):
    error = full.error(self_attention=self_attention_with_positions)
    assert error > 0.1 and is_documented("query of the reference attention", error)


def features_with_the_adapter(case):
    """The reference pass of a port that lets each block's adapter attend to the block's own input meanwhile."""
    model, seen = case.new_model(), []
    with open_weights(case.path) as source:
        reader = LayerReader(find_lynx(source).ref_layers)
        layers = [reader.read(block) for block in range(len(model.blocks))]

    def watched(block, layer, x, rotate, dense, additions):
        seen.append(x)
        own = folding.normalise("ref", folding.project(layers[block], x), layer.norm_k)
        return attention.self_attention(layer, x, rotate, dense, [Addition(own, 1.0)])

    for index, block in enumerate(model.blocks):
        block.self_attn.forward = partial(
            lambda index, layer, x, freqs, transformer_options=None:
            watched(index, layer, x, rotation(freqs, layer.num_heads), dense, ()), index, block.self_attn,
        )
    text = case.tensors["rtxt"].expand(2, -1, -1)
    model(case.tensors["refz"], torch.zeros(2), context=text)
    return seen


def test_a_reference_pass_with_the_adapter_in_it(full):
    contaminated = features_with_the_adapter(full)
    # The first block has nothing before it that could differ.
    assert torch.allclose(contaminated[0], full.tensors["buf.0"], atol=2e-5)
    assert (contaminated[1] - full.tensors["buf.1"]).abs().max() > 1e-2
    with open_weights(full.path) as source:
        refs = fold_refs(find_lynx(source).ref_layers, contaminated, full.model)
    error = full.error(*full.additions(refs=refs))
    assert error > 0.05 and is_documented("processing the photo", error)


def attending_to_itself(case):
    """A port's self-attention: where no feature is given, the block's own input stands in."""
    def function(layer, x, rotate, dense, additions):
        index = next(index for index, block in enumerate(case.model.blocks) if block.self_attn is layer)
        with open_weights(case.path) as source:
            own = folding.project(LayerReader(find_lynx(source).ref_layers).read(index), x)
        own = Addition(folding.normalise("ref", own, layer.norm_k), case.case["ref_scale"])
        return attention.self_attention(layer, x, rotate, dense, additions or [own])

    return function


def test_a_deselected_block_that_still_attends(full):
    blocks = full.case["out_blocks"]
    chosen = [{block: folded[block] for block in blocks[name]}
              for name, folded in (("ip", full.ids), ("ref", full.refs))]
    assert full.error(*full.additions(*chosen), expected="out_blocks") < 2e-5
    assert full.error(expected="out_blocks") > 0.05

    error = full.error(*full.additions(*chosen), expected="out_blocks", self_attention=attending_to_itself(full))
    assert error > 0.05 and is_documented("deselected blocks, steps outside start and end", error)


def test_reference_layers_without_a_photo_that_attend(full):
    without = full.additions(refs={})
    right = full.velocity(*without)
    error = relative(full.velocity(*without, self_attention=attending_to_itself(full)), right)
    assert error > 0.05 and is_documented("reference layers without a photo", error)


def test_registers_left_out(full):
    cut = {block: KeysValues(pair.keys[:, :5], pair.values[:, :5]) for block, pair in full.ids.items()}
    assert full.error(*full.additions(ids=cut)) > 0.1


def norms_without_weights(model):
    return [partial(F.rms_norm, normalized_shape=(model.dim,), eps=1e-6) for _ in model.blocks]


def refolded(case, kind, norms):
    with open_weights(case.path) as source:
        reader = LayerReader(find_lynx(source).id_layers)
        return folding.fold_identities(kind, folding.project_identities(reader, case.tokens), norms)


def test_full_keys_without_the_bases_norm_weights(full):
    assert full.error(*full.additions(ids=refolded(full, "full", norms_without_weights(full.model)))) > 0.05


def test_lite_keys_with_the_bases_norm(lite):
    norms = [block.cross_attn.norm_k for block in lite.model.blocks]
    assert lite.error(*lite.additions(ids=refolded(lite, "full", norms), ref_scale=0)) > 0.05


def test_lite_keys_with_the_bases_epsilon(lite):
    wrong = refolded(lite, "full", norms_without_weights(lite.model))
    assert lite.error(*lite.additions(ids=wrong, ref_scale=0)) > 1e-3


def test_lite_layers_on_blocks_one_after_the_other(lite):
    assert sorted(lite.ids) == [0, 2, 4]
    moved = {place: lite.ids[block] for place, block in enumerate(sorted(lite.ids))}
    error = lite.error(*lite.additions(ids=moved, ref_scale=0))
    assert error > 0.1 and is_documented("blocks of lite", error)


SCALES = "scales and guidance"


def test_one_scale_for_both(full):
    for scale in (full.case["ip_scale"], full.case["ref_scale"], 1.0):
        assert full.error(*full.additions(ip_scale=scale, ref_scale=scale)) > 1e-3
    ip_scale = full.case["ip_scale"]
    assert is_documented(SCALES, full.error(*full.additions(ref_scale=ip_scale)))


def test_scales_exchanged(full):
    wrong = full.additions(ip_scale=full.case["ref_scale"], ref_scale=full.case["ip_scale"])
    assert full.error(*wrong) > 0.01


def test_a_lite_scale_of_0_taken_for_1(lite):
    off = lite.additions(ip_scale=0, ref_scale=0)
    assert lite.error(*off, expected="out_off") < 2e-5
    assert lite.error(*lite.additions(ip_scale=1, ref_scale=0), expected="out_off") > 0.1


def exchanged(folded):
    return {block: pair.of_rows(torch.tensor([1, 0])) for block, pair in folded.items()}


def test_people_exchanged(full):
    assert full.error(*full.additions(ids=exchanged(full.ids))) > 0.1
    assert full.error(*full.additions(refs=exchanged(full.refs))) > 0.05


def test_zero_rows_of_the_text_cut_off(full):
    """They are attended to like others (the padding of a prompt)."""
    tensors, case = full.tensors, full.case
    assert not tensors["ntxt"][0, -1].any()
    used = int(tensors["ntxt"][0].abs().amax(dim=1).nonzero().max()) + 1

    def pair(text):
        put_in(full.model, at_scale(full.ids, case["ip_scale"], [0]), at_scale(full.refs, case["ref_scale"], [0]))
        return full.model(tensors["x"][:1], tensors["t"].float(), context=text)

    assert relative(pair(tensors["ntxt"]), tensors["pair_out"][:1]) < 2e-5
    assert relative(pair(tensors["ntxt"][:, :used]), tensors["pair_out"][:1]) > 0.05


@pytest.mark.parametrize("active", [[True] * 5, [False, True, True, True, True], [True, True, True, True, False]])
def test_adapters_that_act_outside_the_window(active):
    path = GOLDEN / "lynx_window.safetensors"
    tensors, case = load_golden(path)
    latents = golden_lynx.sampled(tensors, case, path.with_name(golden_lynx.ROWS), active)
    assert relative(latents[-1], tensors["latents"][-1]) > 1e-3


def test_guidance_without_a_scale_of_its_own_for_the_image():
    tensors, case = load_golden(GOLDEN / "lynx_guidance.safetensors")
    branches = [tensors[name] for name in ("v_c", "v_i", "v_u")]
    for image in (None, 1.0, case["text_scale"]):
        wrong = guide(GuidanceScales(case["text_scale"], image), *branches)
        assert (wrong - tensors["full"]).abs().max() > 1e-2
    wrong = guide(GuidanceScales(case["text_scale"], None), *branches)
    assert is_documented(SCALES, relative(wrong, tensors["full"]))


@pytest.mark.parametrize("kind", ["full", "lite"])
class TestResampler:
    """Changes of one thing each in a copy of the network."""

    def error(self, kind, change):
        path = GOLDEN / f"lynx_resampler_{kind}.safetensors"
        tensors, case = load_golden(path)
        with open_weights(path) as source:
            found = find_lynx(source).resampler
            network = load_resampler(replace(found, sizes=replace(found.sizes, heads=case["heads"])))
        change(network)
        return relative(network(tensors["embedding"]), tensors["tokens"])

    def test_unchanged(self, kind):
        assert self.error(kind, lambda network: None) < 2e-5

    def test_gelu_with_tanh(self, kind):
        def change(network):
            for _, feed_forward in network.layers:
                feed_forward[2] = torch.nn.GELU(approximate="tanh")
        assert self.error(kind, change) > 5e-5

    def test_the_transformers_epsilon(self, kind):
        def change(network):
            for module in network.modules():
                if isinstance(module, torch.nn.LayerNorm):
                    module.eps = 1e-6
        assert self.error(kind, change) > 2e-5

    def test_keys_and_values_exchanged(self, kind):
        def change(network):
            for layer, _ in network.layers:
                layer.to_kv.weight.copy_(layer.to_kv.weight.roll(len(layer.to_kv.weight) // 2, dims=0))
        assert self.error(kind, change) > 0.1

    def test_zero_tokens_for_nobody(self, kind):
        tensors, _ = load_golden(GOLDEN / f"lynx_resampler_{kind}.safetensors")
        assert relative(torch.zeros_like(tensors["null_tokens"]), tensors["null_tokens"]) > 0.5


@pytest.fixture(scope="module")
def network():
    network = FaceRecogniser()
    network.load_state_dict(golden_lynx.recogniser_weights(GOLDEN / golden_lynx.KEYS, 5), assign=True)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tensors():
    return load_golden(GOLDEN / "arcface_ir_se50.safetensors")[0]


class TestRecogniser:
    """Through the network with the golden file's weights."""

    def error(self, network, given, tensors):
        return (network(given) - tensors["embedding"]).abs().max().item()

    def test_the_right_way(self, network, tensors):
        assert self.error(network, recogniser_input(tensors["crops"]), tensors) < 2e-5

    def test_channels_in_the_order_of_the_picture(self, network, tensors):
        assert self.error(network, recogniser_input(tensors["crops"]).flip(1), tensors) > 1e-3

    def test_an_embedding_that_is_not_of_unit_length(self, network, tensors):
        raw = network.output_layer(network.body(network.input_layer(recogniser_input(tensors["crops"]))))
        assert (raw - tensors["embedding"]).abs().max() > 1e-3
