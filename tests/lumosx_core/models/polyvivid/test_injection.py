"""Module B alone."""

import pytest
import torch
from torch import nn

from lumosx_core.models.attention import dense_attention
from lumosx_core.models.polyvivid.interaction import mlp_beside
from lumosx_core.models.polyvivid.lora import Lora, beside, queries_of
from tools.golden_polyvivid import world


@pytest.fixture
def delta():
    """delta(z, z_i, **settings) of layer 1."""
    def run(z, z_i, **settings):
        block, inject = world().network().double_blocks[1], world().adapter(**settings).layer(1).inject
        vec = torch.linspace(-1, 1, 64)[None]
        return inject(block, z, z_i, vec, vec, dense_attention)

    return run


def test_frames_are_treated_alike_and_subjects_are_a_set(delta):
    """Without rotation: permuted video tokens give a permuted result, permuted subject tokens the same one."""
    z, z_i = torch.randn(1, 12, 64), torch.randn(1, 7, 64)
    before, order = delta(z, z_i), torch.randperm(12)
    torch.testing.assert_close(delta(z[:, order], z_i), before[:, order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(delta(z, z_i[:, torch.randperm(7)]), before, rtol=1e-5, atol=1e-6)


def test_it_depends_on_the_subjects(delta):
    z = torch.randn(1, 12, 64)
    assert not torch.allclose(delta(z, torch.randn(1, 7, 64)), delta(z, torch.randn(1, 7, 64)), atol=1e-3)


def test_alpha_and_strength_are_factors_of_the_result():
    tensors = {**world().parts["adapter"], **world().parts["alpha"]}
    inject, alpha = world().adapter(tensors).layer(1).inject, world().parts["alpha"]["double_blocks.1.inject.alpha"]
    result = torch.randn(1, 3, 64)
    torch.testing.assert_close(inject.added(result, 0.5), result * alpha * 0.5)
    torch.testing.assert_close(world().adapter().layer(1).inject.added(result, 0.5), result * 0.5)


def test_queries_are_those_of_the_live_layer():
    """Whatever was added to a layer, by a hook or in a class of its own, is in its queries."""
    x = torch.randn(1, 4, 6)
    plain = nn.Linear(6, 18)
    assert torch.allclose(queries_of(plain, x), plain(x)[..., :6])

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    doubled = Doubled(6, 18)
    assert torch.equal(queries_of(doubled, x), doubled(x)[..., :6])
    for register, hook in (
        (plain.register_forward_hook, lambda module, inputs, output: output + 1),
        (plain.register_forward_pre_hook, lambda module, inputs: (inputs[0] + 1,)),
    ):
        handle = register(hook)
        assert torch.equal(queries_of(plain, x), plain(x)[..., :6])
        handle.remove()


def test_a_lora_starts_as_nothing_and_is_scaled_by_alpha_over_rank():
    x, layer = torch.randn(2, 3, 6), nn.Linear(6, 8)
    lora = Lora(6, 8, rank=2, alpha=3.0)
    assert torch.equal(beside(layer, lora)(x), layer(x)) and beside(layer, None) is layer
    lora.lora_up.weight.data.normal_()
    expected = layer(x) + 1.5 * x @ lora.lora_down.weight.T @ lora.lora_up.weight.T
    torch.testing.assert_close(beside(layer, lora)(x), expected)
    assert Lora(6, 8, rank=2, alpha=None).scale == 1


def test_the_hosts_linear_class_is_used():
    from lumosx_core.models.polyvivid.adapter import PolyVividAdapter
    from lumosx_core.models.polyvivid.config import AdapterConfig

    class Own(nn.Linear):
        pass

    adapter = PolyVividAdapter(AdapterConfig(8, 16, (0,), 2), linear=Own)
    linears = [one for one in adapter.modules() if isinstance(one, nn.Linear)]
    assert len(linears) == 31 and all(type(one) is Own for one in linears)


def test_video_and_subjects_are_modulated_each_by_their_own_vector():
    block, inject = world().network().double_blocks[1], world().adapter().layer(1).inject
    z, z_i, (first, second) = torch.randn(1, 5, 64), torch.randn(1, 4, 64), torch.randn(2, 1, 64)

    def attended(vec, image_vec):
        seen = []

        def attend(*given):
            seen.append(given)
            return dense_attention(*given)

        inject(block, z, z_i, vec, image_vec, attend)
        return seen[0][:3]

    q, k, v = attended(first, second)
    assert torch.equal(q, attended(first, first)[0])
    assert all(torch.equal(one, other) for one, other in zip((k, v), attended(second, second)[1:]))
    assert not torch.allclose(k, attended(first, first)[1], atol=1e-3)


def test_loras_stand_beside_the_feed_forward_of_a_block_alone():
    with pytest.raises(TypeError, match="^Linear is not the feed-forward of a HunyuanVideo block"):
        mlp_beside(torch.nn.Linear(2, 2), {})
