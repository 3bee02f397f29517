"""The adapters' share in one layer."""

from types import SimpleNamespace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lynx import _ATTENTION, _config_of
from lumosx_core.host.methods.lynx_layers import _Share

LAYER = SimpleNamespace(**dict.fromkeys(_ATTENTION))
BLOCK = SimpleNamespace(self_attn=LAYER, cross_attn=LAYER)
OTHER = SimpleNamespace(**dict.fromkeys(_ATTENTION[1:]))


def test_a_share_is_added_once_and_not_into_what_a_backend_gave():
    share, attended = _Share(0, (), 1), torch.zeros(1, 2, 3)
    share.share = torch.ones(1, 2, 3)
    made, other = share.add(None, (attended, "other"))
    assert torch.equal(made, torch.ones(1, 2, 3)) and other == "other" and share.share is None
    assert not attended.any()


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
