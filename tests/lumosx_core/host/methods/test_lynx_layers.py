"""The adapters' share in one layer."""

from types import SimpleNamespace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lynx import _ATTENTION, _config_of
from lumosx_core.host.methods.lynx_layers import _Share
from lumosx_core.models.lynx.attention import Addition, KeysValues, add_attention

LAYER = SimpleNamespace(**dict.fromkeys(_ATTENTION))
BLOCK = SimpleNamespace(self_attn=LAYER, cross_attn=LAYER)
OTHER = SimpleNamespace(**dict.fromkeys(_ATTENTION[1:]))


def test_a_share_is_added_once_and_not_into_what_a_backend_gave():
    share, attended = _Share(0, (), 1), torch.zeros(1, 2, 3)
    share.shares = [torch.ones(1, 2, 3)]
    made, other = share.add(None, (attended, "other"))
    assert torch.equal(made, torch.ones(1, 2, 3)) and other == "other" and share.shares == []
    assert not attended.any()


@pytest.mark.parametrize("pieces", [(2,), (1, 1), (2, 1, 1), (1, 1, 2)])
@pytest.mark.parametrize("rows", [1, 2])
def test_each_row_of_a_batch_gets_its_own_share_in_whatever_pieces_its_query_comes(pieces, rows):
    draw = torch.Generator().manual_seed(0)
    folded = KeysValues(*(torch.randn(rows, 5, 4, generator=draw) for _ in range(2)))
    addition = Addition(folded, 0.5, torch.rand(rows, 3, 1, generator=draw))
    q, attended = (torch.randn(2, 3, 4, generator=draw) for _ in range(2))
    share, start = _Share(0, [addition], 2), 0
    for count in pieces:
        share.note(None, (), q[start % 2:start % 2 + count])
        start += count
    [made] = share.add(None, (attended,))
    assert torch.allclose(made, add_attention(attended.clone(), q, [addition], 2), atol=1e-6)


def test_a_query_of_too_few_or_odd_rows_is_refused():
    for rows in ([], [1], [1, 3]):
        share = _Share(0, (), 1, [torch.ones(count, 2, 3) for count in rows])
        with pytest.raises(LumosXError, match="another node replaced the attention of block 0"):
            share.add(None, (torch.zeros(2, 2, 3),))


@pytest.mark.parametrize("parts", [
    {}, {"rope_encode": None}, {"rope_encode": None, "blocks": None}, {"rope_encode": None, "blocks": []},
    {"blocks": [BLOCK]}, {"rope_encode": None, "blocks": [SimpleNamespace(self_attn=LAYER)]},
    {"rope_encode": None, "blocks": [SimpleNamespace(cross_attn=LAYER)]},
    {"rope_encode": None, "blocks": [BLOCK, SimpleNamespace(self_attn=OTHER, cross_attn=LAYER)]},
    {"rope_encode": None, "blocks": [SimpleNamespace(self_attn=LAYER, cross_attn=OTHER), BLOCK]},
])
def test_what_is_no_wan_model_is_named(parts):
    with pytest.raises(LumosXError, match="^model: this is a SimpleNamespace, not a Wan model"):
        _config_of(SimpleNamespace(**parts))
