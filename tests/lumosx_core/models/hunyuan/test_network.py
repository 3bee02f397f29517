"""Our HunyuanVideo in plain PyTorch beside ComfyUI's."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.hunyuan.double_block import double_block
from lumosx_core.models.hunyuan.network import HunyuanNetwork, recomputed
from tools.hunyuan import hunyuan_model, velocity

SMALL = HunyuanConfig(
    hidden_size=48, num_heads=2, axes_dim=(4, 12, 8), depth=2, depth_single_blocks=2, mlp_ratio=3.0, context_in_dim=20,
    vec_in_dim=12,
)


def drawn(network, seed=0):
    """The network with every parameter drawn, so that none of them is neutral."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale + (parameter.ndim == 1) * 0.5
    return network.requires_grad_(False)


@pytest.mark.parametrize("guidance_embed", [True, False])
@pytest.mark.parametrize(("batch", "frames", "height", "width", "words"), [(1, 1, 2, 4, 1), (2, 3, 6, 10, 7)])
def test_it_computes_what_comfyui_computes(guidance_embed, batch, frames, height, width, words):
    config = HunyuanConfig(**{**vars(SMALL), "guidance_embed": guidance_embed})
    network = drawn(HunyuanNetwork(config))
    host = hunyuan_model(config, network.state_dict())
    x, context, pooled = (
        torch.randn(batch, *shape) for shape in ((16, frames, height, width), (words, 20), (12,))
    )
    inputs = x, torch.linspace(300, 700, batch), context, pooled, torch.full((batch,), 6.0)
    ours, theirs = network(*inputs), velocity(host, *inputs)
    assert ours.shape == theirs.shape == x.shape
    assert (ours - theirs).norm() / theirs.norm() < 2e-5


def test_sizes_are_read_from_modules_and_from_shapes():
    network = HunyuanNetwork(SMALL)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert HunyuanConfig.of_shapes(shapes, SMALL.axes_dim) == SMALL
    assert HunyuanConfig.of_module(network) == HunyuanConfig.of_module(hunyuan_model(SMALL, network.state_dict()))
    assert HunyuanConfig.of_module(network) == SMALL


def test_the_defaults_are_the_released_model():
    config = HunyuanConfig()
    assert (config.head_dim, config.mlp_size, sum(config.axes_dim)) == (128, 12288, 128)
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in HunyuanNetwork(config).parameters())
    assert 12.7e9 < numbers < 12.9e9


@pytest.mark.parametrize("wrong", [
    {"axes_dim": (16, 56, 54)}, {"num_heads": 23}, {"hidden_size": 3073}, {"hidden_size": 3095},
])
def test_sizes_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(LumosXError, match="HunyuanVideo"):
        HunyuanConfig(**wrong)


def test_a_block_can_be_run_by_somebody_else():
    network, seen = drawn(HunyuanNetwork(SMALL)), []

    def run(index, block, img, txt, vec, rotary):
        seen.append((index, img.shape[1], txt.shape[1]))
        return block(img, txt, vec, rotary)

    inputs = torch.randn(1, 16, 2, 4, 6), torch.tensor([500.0]), torch.randn(1, 5, 20), torch.randn(1, 12), None
    assert torch.equal(network(*inputs), network(*inputs, run_block=run))
    assert seen == [(0, 12, 5), (1, 12, 5)]
    assert SMALL.latent.token_grid(inputs[0].shape) == (2, 2, 3)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 65504), (torch.float32, torch.inf)])
def test_texts_that_outgrow_float16_are_clamped_and_no_others(dtype, most):
    outgrown = torch.tensor([[[torch.inf, -torch.inf, 1.0]]], dtype=dtype)

    class Stream:
        heads = 1

        def modulation(self, vec):
            return None, None

        def project(self, x, modulation, rotary):
            return x, x, x

        def finish(self, x, *rest):
            return outgrown

    image, text = double_block(Stream(), Stream(), *[torch.zeros(1, 1, 3, dtype=dtype)] * 4, None, None,
                               lambda q, k, v, heads: q)
    assert text.tolist() == [[[most, -most, 1.0]]] and image is outgrown


@pytest.mark.parametrize(("again", "calls"), [(False, 1), (True, 2)])
def test_a_block_is_computed_a_second_time_only_when_asked(again, calls):
    seen, x = [], torch.ones(3, requires_grad=True)

    def double(value):
        seen.append(True)
        return (value * 2).sin()

    recomputed(again, double, x).sum().backward()
    assert len(seen) == calls and torch.allclose(x.grad, 2 * torch.full((3,), 2.0).cos())
