"""The adapted model: what it leaves alone, what it depends on, and what it refuses."""

from dataclasses import replace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.polyvivid.adapter import PolyVividAdapter
from lumosx_core.models.polyvivid.config import AdapterConfig, RunOptions
from lumosx_core.models.polyvivid.forward import polyvivid_forward, subject_tokens
from lumosx_core.models.polyvivid.positions import TextLayout
from tools.golden_polyvivid import FORWARD, inputs_of, latents_of, layout_of, load, relative, world
from tools.hunyuan import adapted_velocity, velocity


@pytest.fixture(scope="module")
def case():
    """(inputs, latents, layout) of the golden forward."""
    tensors, case = load(FORWARD)
    return inputs_of(tensors), latents_of(tensors), layout_of(case["layout"])


@pytest.fixture
def network():
    return world().network()


@pytest.fixture
def adapter():
    return world().adapter()


@pytest.mark.parametrize("chunk_tokens", [0, 7])
def test_without_subjects_it_is_the_unpatched_model_bit_for_bit(case, network, adapter, chunk_tokens):
    inputs, _, _ = case
    found = polyvivid_forward(
        network, adapter, *inputs, [], TextLayout((), ()), RunOptions(chunk_tokens=chunk_tokens)
    )
    assert torch.equal(found, network(*inputs))


def test_without_chosen_layers_it_is_comfyuis_model_bit_for_bit(case, adapter):
    inputs, latents, layout = case
    host = world().host_model()
    found = adapted_velocity(host, adapter, *inputs, latents, layout, RunOptions(layers=frozenset()))
    assert torch.equal(found, velocity(host, *inputs))


def test_without_fc_it_is_strength_zero_but_not_the_base_model(case, network):
    """Text passes through the interaction even where the injection adds nothing."""
    inputs, latents, layout = case
    plain = world().parts["adapter"]
    without = {name: torch.zeros_like(value) if ".fc." in name else value for name, value in plain.items()}
    fc0 = polyvivid_forward(network, world().adapter(without), *inputs, latents, layout)
    zero = polyvivid_forward(network, world().adapter(), *inputs, latents, layout, RunOptions(strength=0.0))
    assert relative(fc0, zero) < 1e-6
    assert relative(fc0, network(*inputs)) == pytest.approx(0.18, abs=0.02)


def test_at_strength_zero_the_injection_is_not_computed(case, network, adapter, monkeypatch):
    from lumosx_core.models.polyvivid.injection import Injection

    def computed(*_):
        raise AssertionError

    inputs, latents, layout = case
    monkeypatch.setattr(Injection, "forward", computed)
    polyvivid_forward(network, adapter, *inputs, latents, layout, RunOptions(strength=0.0))
    with pytest.raises(AssertionError):
        polyvivid_forward(network, adapter, *inputs, latents, layout)


def test_a_new_adapter_has_an_untrained_ones_output(case, network):
    inputs, latents, layout = case
    tensors, _ = load(FORWARD)
    config = AdapterConfig.for_base(network.params, rank=2)
    found = polyvivid_forward(network, PolyVividAdapter(config), *inputs, latents, layout)
    assert config.layers == (0, 1, 2) and config.alpha == 2
    assert relative(found.detach(), tensors["out_untrained"]) < 2e-5


@pytest.mark.slow
def test_nothing_that_comes_in_is_written_to(case, adapter):
    inputs, latents, layout = case
    before = [tensor.clone() for tensor in (*inputs, *latents)]
    for strength in (0.0, 1.0):
        polyvivid_forward(world().network(), adapter, *inputs, latents, layout, RunOptions(strength=strength))
        adapted_velocity(world().host_model(), adapter, *inputs, latents, layout, RunOptions(strength=strength))
    assert all(torch.equal(*pair) for pair in zip(before, (*inputs, *latents)))


def test_rows_of_a_batch_do_not_see_each_other(case, network, adapter):
    inputs, latents, layout = case
    other = [torch.flip(tensor, dims=[-1]) for tensor in inputs[:4]]
    rows = [torch.cat(pair) for pair in zip(inputs[:4], other)]
    both = polyvivid_forward(network, adapter, *rows, inputs[4], latents, layout)
    alone = polyvivid_forward(network, adapter, *inputs, latents, layout)
    assert relative(both[:1], alone) < 2e-6


def test_rows_of_a_batch_may_have_subjects_of_their_own(case, network, adapter):
    inputs, latents, layout = case
    others = [latent.flip(-1) for latent in latents]
    rows = [torch.cat([tensor, tensor]) for tensor in inputs[:4]]
    both = polyvivid_forward(
        network, adapter, *rows, inputs[4], [torch.cat(pair) for pair in zip(latents, others)], layout
    )
    for row, subjects in zip(both, (latents, others)):
        assert relative(row[None], polyvivid_forward(network, adapter, *inputs, subjects, layout)) < 2e-6
    assert relative(both[:1], both[1:]) > 1e-3


def test_text_passed_through_and_fc_zero_is_the_base_model_bit_for_bit(case):
    """Section 9.5 of the specification, number 2."""
    inputs, latents, layout = case
    without = {name: torch.zeros_like(value) if ".fc." in name else value
               for name, value in world().parts["adapter"].items()}
    options, adapter = RunOptions(interaction=False), world().adapter(without)
    network, host = world().network(), world().host_model()
    assert torch.equal(
        polyvivid_forward(network, adapter, *inputs, latents, layout, options), network(*inputs)
    )
    found = adapted_velocity(host, adapter, *inputs, latents, layout, options)
    assert torch.equal(found, velocity(host, *inputs))
    injected = polyvivid_forward(network, world().adapter(), *inputs, latents, layout, options)
    assert relative(injected, network(*inputs)) > 1e-3


def test_without_rotation_the_interaction_computes_something_else(case, network, adapter):
    inputs, latents, layout = case
    turned, plain = (
        polyvivid_forward(network, adapter, *inputs, latents, layout, RunOptions(rotary=rotary))
        for rotary in (True, False)
    )
    assert relative(turned, plain) > 1e-3


@pytest.mark.parametrize("chunk_tokens", [1, 7, 29, 30, 31])
def test_chunks_change_nothing_but_rounding(case, network, adapter, chunk_tokens):
    inputs, latents, layout = case
    whole = polyvivid_forward(network, adapter, *inputs, latents, layout, RunOptions(chunk_tokens=0))
    chunks = polyvivid_forward(network, adapter, *inputs, latents, layout, RunOptions(chunk_tokens=chunk_tokens))
    assert relative(chunks, whole) < 2e-6


def test_another_method_in_place_of_the_base_block_is_called(case):
    """What the host's block patches were chained with gets the adapted tokens."""
    from lumosx_core.models.attention import dense_attention
    from lumosx_core.models.polyvivid.forward import shared_of
    from lumosx_core.models.polyvivid.layer import adapted_layer

    inputs, latents, layout = case
    network, adapter = world().network(), world().adapter()
    shared = shared_of(adapter.config, network.params, layout, latents, inputs[0], None, RunOptions(), dense_attention)
    z_i = subject_tokens(network, latents, 1)
    z, z_t, vec = torch.randn(1, 30, 64), torch.randn(1, 32, 64), torch.randn(1, 64)
    seen = []

    def foreign(*streams):
        seen.extend(streams)
        return streams

    found = adapted_layer(adapter.layer(0), network.double_blocks[0], shared, z_i, z, z_t, vec, foreign)
    assert found[1] is seen[0] and found[2] is seen[1]
    assert not torch.equal(seen[0], z) and not torch.equal(seen[1], z_t)


def test_gradients_reach_every_weight_of_the_adapter_and_none_of_the_base(case):
    inputs, latents, layout = case
    network, adapter = world().network(), world().adapter({**world().parts["adapter"], **world().parts["alpha"]})
    adapter.requires_grad_(True)
    polyvivid_forward(network, adapter, *inputs, latents, layout, RunOptions(chunk_tokens=7)).square().mean().backward()
    # The last layer's subject tokens go nowhere after its injection, but all of its weights are used before.
    unused = {name for name, one in adapter.named_parameters() if one.grad is None or not one.grad.abs().sum() > 0}
    assert unused == set()
    assert all(one.grad is None for one in network.parameters())


def test_bfloat16_stays_bfloat16_and_near(case):
    inputs, latents, layout = case
    tensors, _ = load(FORWARD)
    network, adapter = world().network().bfloat16(), world().adapter().bfloat16()
    low = [tensor.bfloat16() for tensor in inputs]
    low[1] = inputs[1]
    found = polyvivid_forward(network, adapter, *low, [latent.bfloat16() for latent in latents], layout)
    assert found.dtype == torch.bfloat16 and relative(found, tensors["out"]) < 0.05


def test_a_text_stream_of_another_length_is_refused(case, network, adapter):
    inputs, latents, layout = case
    with pytest.raises(LumosXError, match="^positive: .* 32 text tokens.* made 33"):
        polyvivid_forward(network, adapter, *inputs, latents, replace(layout, tail=layout.tail + 1))


def test_layers_without_weights_are_refused(case, network, adapter):
    inputs, latents, layout = case
    with pytest.raises(LumosXError, match=r"^layers: .*\[3\]"):
        polyvivid_forward(network, adapter, *inputs, latents, layout, RunOptions(layers=frozenset([0, 3])))


@pytest.mark.parametrize(
    "shape", [(1, 16, 1, 5, 6), (1, 16, 1, 6, 7), (1, 16, 2, 6, 6), (2, 16, 1, 6, 6), (1, 16, 6, 6)]
)
def test_latents_that_are_not_one_picture_of_whole_patches_are_refused(network, shape):
    with pytest.raises(LumosXError, match="^subject 2: "):
        subject_tokens(network, [torch.zeros(1, 16, 1, 2, 2), torch.zeros(shape)], 1)


@pytest.mark.parametrize(
    "base", [{"hidden_size": 96, "axes_dim": (8, 8, 8)}, {"mlp_ratio": 4.0}, {"depth": 2}], ids=str
)
def test_a_base_of_other_sizes_is_refused(base, adapter):
    with pytest.raises(LumosXError, match="^model: "):
        adapter.config.check_fits(replace(world().config, **base))
    adapter.config.check_fits(replace(world().config, depth=5))


@pytest.mark.parametrize("wrong", [
    {"inject_rope": "time"}, {"inject_norm": ""}, {"vec_mode": "none"}, {"template": "x"}, {"cfg_mode": "x"},
    {"rank": 0}, {"rank": 1025}, {"layers": ()}, {"layers": (1, 0)}, {"layers": (0, 0)}, {"layers": (0, 64)},
    {"layers": (-1, 0)},
], ids=str)
def test_settings_are_checked_by_name(wrong):
    with pytest.raises(LumosXError, match=f"^{next(iter(wrong))}: "):
        AdapterConfig(**wrong)


def test_the_largest_settings_that_are_allowed_pass():
    assert AdapterConfig(rank=1024, layers=(0, 63)).layers == (0, 63) and AdapterConfig(rank=1).rank == 1


def test_the_size_of_an_adapter_for_the_released_model():
    """Of rank 16: 236 million parameters in 20 layers, 189 of them in FC."""
    with torch.device("meta"):
        adapter = PolyVividAdapter(AdapterConfig.for_base(HunyuanConfig(), rank=16))
    numbers = {name: one.numel() for name, one in adapter.named_parameters()}
    assert sum(numbers.values()) == pytest.approx(236e6, rel=0.001)
    assert sum(number for name, number in numbers.items() if ".fc." in name) == pytest.approx(188.8e6, rel=0.001)
