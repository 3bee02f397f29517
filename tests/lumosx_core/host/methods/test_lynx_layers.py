"""The adapters' share in one layer."""

import torch

from lumosx_core.host.methods.lynx_layers import _Share


def test_a_share_is_added_once_and_not_into_what_a_backend_gave():
    share, attended = _Share(0, (), 1), torch.zeros(1, 2, 3)
    share.share = torch.ones(1, 2, 3)
    made, other = share.add(None, (attended, "other"))
    assert torch.equal(made, torch.ones(1, 2, 3)) and other == "other" and share.share is None
    assert not attended.any()
