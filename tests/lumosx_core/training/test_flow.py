import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.models.wan.config import WanConfig
from lumosx_core.models.wan.network import Network, initialise
from lumosx_core.training.flow import draw_sigmas, training_attention, velocity_loss
from tools.golden import drawn_weight, golden_binding, load_golden
from tools.server import ROOT

GOLDEN = sorted((ROOT / "tests" / "golden").glob("forward_*.safetensors"))
BINDING = Binding((((1, 2),),), (((3, 5),), ((6, 8),)), (1, 2))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


def test_noise_levels_are_levels_and_a_shift_raises_them():
    even, shifted = (draw_sigmas(4000, shift, generator()) for shift in (1.0, 3.0))
    assert ((shifted > 0) & (shifted < 1)).all() and (shifted > even).all()
    assert abs(even.median() - 0.5) < 0.03 and abs(shifted.median() - 0.75) < 0.03


def test_a_network_that_says_nothing_is_wrong_by_the_whole_velocity():
    network = Network(WanConfig(128, 128, 2, text_dim=64))
    initialise(network, 0)
    latent, noise = draw(2, 16, 2, 4, 6), draw(2, 16, 2, 4, 6, seed=1)
    loss = velocity_loss(
        network, latent, [draw(2, 16, 1, 4, 6, seed=seed) for seed in range(4)], draw(2, 20, 64), BINDING,
        torch.tensor([0.3, 0.9]), noise, torch.float32,
    )
    assert torch.allclose(loss, (noise - latent).square().mean())


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_attention_is_pytorchs(heads, queries, keys):
    q, k, v = draw(2, queries, heads * 8), draw(2, keys, heads * 8, seed=1), draw(2, keys, heads * 8, seed=2)
    split = (x.unflatten(-1, (heads, 8)).transpose(1, 2) for x in (q, k, v))
    theirs = torch.nn.functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
    assert torch.allclose(training_attention(q, k, v, heads), theirs, atol=1e-5)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_golden_velocity_has_no_loss(path):
    """Clip and noise are chosen so that the noisy clip is the golden input and its velocity the golden one."""
    tensors, case = load_golden(path)
    sizes = case["cfg"]
    network = Network(
        WanConfig(
            sizes["dim"], sizes["ffn_dim"], sizes["num_layers"], text_dim=sizes["text_dim"], freq_dim=sizes["freq_dim"]
        )
    )
    network.load_state_dict(
        {name: drawn_weight(name, tuple(part.shape), case["seed"]) for name, part in network.state_dict().items()}
    )
    video, velocity, sigma = tensors["video_latent"][None], tensors["velocity"][None], case["t"] / 1000
    references = [reference[None, :, None] for reference in tensors["references"]]

    def loss(options):
        return velocity_loss(
            network, video - sigma * velocity, references, tensors["text"][None], golden_binding(case),
            torch.tensor([sigma]), video + (1 - sigma) * velocity, torch.float32, options,
        ).item() / velocity.square().mean().item()

    exact = RelationalOptions(ratio=sizes["ratio"])
    assert loss(exact) < 4e-5**2
    # The bound would notice that relations are missing.
    assert loss(RelationalOptions(ratio=sizes["ratio"], csam=False)) > 1e-4
