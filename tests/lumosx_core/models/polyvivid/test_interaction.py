"""Module A alone."""

import pytest
import torch

from lumosx_core.models.attention import dense_attention
from lumosx_core.models.polyvivid.positions import TextLayout, interaction_ids
from lumosx_core.models.rotary import rotary_table
from tools.golden_polyvivid import relative, world


@pytest.mark.parametrize("layer", [0, 2])
def test_with_zero_loras_it_is_comfyuis_own_block_with_the_tokens_at_their_3d_positions(layer):
    """Section 9.5 of the specification, number 4."""
    network, host = world().network(), world().host_model()
    adapter = world().parts["adapter"]
    zero = {name: torch.zeros_like(value) if "lora_up" in name else value for name, value in adapter.items()}
    layout, hidden = TextLayout((5, 3), ((2, 2), (2, 2)), 1), network.params.hidden_size
    text_ids, image_ids = interaction_ids(layout, ((2, 3), (2, 2)))
    z_i, z_t = torch.randn(1, len(image_ids), hidden), torch.randn(1, len(text_ids), hidden)
    vec = torch.randn(1, hidden)
    tables = (
        rotary_table(ids, network.params.axes_dim, network.params.theta, z_i.device) for ids in (image_ids, text_ids)
    )
    found = world().adapter(zero).layer(layer).interact(
        network.double_blocks[layer], z_i, z_t, vec, vec, *tables, dense_attention
    )
    # Hosts differ in whether text or pictures come first, and the block takes its table as it is.
    errors = []
    for order in ([image_ids, text_ids], [text_ids, image_ids]):
        made = host.double_blocks[layer](
            img=z_i.clone(), txt=z_t.clone(), vec=vec, pe=host.pe_embedder(torch.cat(order)[None])
        )
        errors.append(max(relative(*pair) for pair in zip(found, made)))
    assert min(errors) < 1e-5 < 1e-3 < max(errors)


def test_without_rotation_places_do_not_matter():
    network, hidden = world().network(), world().network().params.hidden_size
    interact, block = world().adapter().layer(1).interact, network.double_blocks[1]
    z_i, z_t, vec = torch.randn(1, 6, hidden), torch.randn(1, 4, hidden), torch.randn(1, hidden)
    order = torch.randperm(6)
    plain, moved = (
        interact(block, tokens, z_t, vec, vec, None, None, dense_attention) for tokens in (z_i, z_i[:, order])
    )
    torch.testing.assert_close(moved[0], plain[0][:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved[1], plain[1], rtol=1e-4, atol=1e-5)
