import comfy.model_detection
import torch

from lumosx_core.models.wan.config import HEAD_DIM, WanConfig
from lumosx_core.models.wan.network import FIRST_GATE, Network, initialise
from lumosx_core.models.wan.rotary import rotate_heads, wan_rotary_table


def shapes(network):
    return {name: tuple(part.shape) for name, part in network.state_dict().items()}


def test_names_and_shapes_are_those_of_wan():
    assert shapes(Network(WanConfig(256, 512, 3))) == WanConfig(256, 512, 3).shapes()


def test_comfyui_takes_it_for_wan():
    with torch.device("meta"):
        weights = Network(WanConfig(256, 768, 4)).state_dict()
    found = comfy.model_detection.detect_unet_config(weights, "")
    assert (found["model_type"], found["dim"], found["ffn_dim"], found["num_heads"], found["num_layers"]) == (
        "t2v", 256, 768, 2, 4
    )


def test_the_first_weights_follow_the_seed_and_say_nothing():
    first, again, other = (Network(WanConfig(128, 128, 1, text_dim=64)) for _ in range(3))
    for network, seed in ((first, 1), (again, 1), (other, 2)):
        initialise(network, seed)
    one, same, another = (network.state_dict() for network in (first, again, other))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.0.ffn.0.weight"], another["blocks.0.ffn.0.weight"])
    assert not one["head.head.weight"].any() and not one["time_projection.1.weight"].any()
    assert not one["blocks.0.cross_attn.o.weight"].any() and one["blocks.0.self_attn.o.weight"].any()
    assert (one["blocks.0.modulation"][0, [2, 5]] == FIRST_GATE).all()
    assert (one["blocks.0.norm3.weight"] == 1).all()


def test_only_the_first_blocks_start_by_looking_at_their_own_place():
    network = Network(WanConfig(256, 128, 4, text_dim=64))
    initialise(network, 0)
    assert [bool(block.self_attn.q.bias.any()) for block in network.blocks] == [True, True, False, False]


def test_the_first_head_starts_by_looking_at_its_own_place():
    """Of the constant queries and keys alone: whatever the tokens hold, the nearer in y and x, the more is seen."""
    network = Network(WanConfig(256, 128, 1, text_dim=64))
    initialise(network, 0)
    attention = network.blocks[0].self_attn
    places = torch.cartesian_prod(torch.arange(2), torch.arange(6), torch.arange(8))
    table = wan_rotary_table(places, HEAD_DIM)
    q, k = (rotate_heads(bias.expand(1, len(places), -1), 2, table) for bias in (attention.q.bias, attention.k.bias))
    seen = (q[0, :, :HEAD_DIM] @ k[0, :, :HEAD_DIM].T)
    same = (places[:, None, 1:] == places[None, :, 1:]).all(-1)
    assert seen[same].min() > seen[~same].max()
    assert not (q[0, :, HEAD_DIM:] @ k[0, :, HEAD_DIM:].T).any()
