"""Which models get the relational forward."""

import comfy.ops
import pytest
import torch
from comfy.ldm.wan.model import VaceWanModel, WanModel

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.models.lumosx import RelationalOptions


def test_another_kind_of_model_is_refused():
    class Patcher:
        def __init__(self, diffusion_model):
            self.diffusion_model = diffusion_model

        def get_model_object(self, name):
            assert name == "diffusion_model"
            return self.diffusion_model

    sizes = {
        "dim": 128, "ffn_dim": 64, "num_heads": 1, "num_layers": 1, "text_dim": 32, "cross_attn_norm": True,
        "operations": comfy.ops.disable_weight_init, "device": "cpu", "dtype": torch.float32,
    }
    with pytest.raises(LumosXError, match="this is a Linear without patch_embedding"):
        relational_model(Patcher(torch.nn.Linear(2, 2)), RelationalOptions())
    with pytest.raises(LumosXError, match="this WanModel has 36 input channels"):
        relational_model(Patcher(WanModel(model_type="i2v", in_dim=36, **sizes)), RelationalOptions())
    with pytest.raises(LumosXError, match="this VaceWanModel has vace_blocks"):
        relational_model(Patcher(VaceWanModel(vace_layers=1, vace_in_dim=96, **sizes)), RelationalOptions())
