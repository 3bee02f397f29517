"""Lynx on a base in scaled fp8, in the layouts of users' files, against the composition over what its numbers mean."""

import comfy.sd
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.host.methods.lynx import Appearance, lynx_model
from lumosx_core.host.weights.loader import load_patcher
from lumosx_core.weights.quantised import settings_in_metadata
from support.lynx_people import (
    GUIDANCE,
    conditioning,
    lynx_sample,
    make_person,
    plain_model,
    plain_sample,
    relative,
    write_adapters,
)
from tools.weight_files import small_transformer

pytestmark = pytest.mark.slow

FP8 = torch.float8_e4m3fn


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return make_person(write_adapters(tmp_path_factory.mktemp("lynx")))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """"old" (scale_weight and a mark), "new" (weight_scale and metadata), "dense" is what both stand for."""
    folder, plain = tmp_path_factory.mktemp("scaled"), small_transformer()
    scaled = {name.removesuffix(".weight"): tensor.abs().max() / 448
              for name, tensor in plain.items() if name.endswith(".weight") and tensor.ndim == 2}
    # A host rounds the biases of such layers too.
    plain |= {f"{layer}.bias": plain[f"{layer}.bias"].to(FP8).float() for layer in scaled}
    stored = dict(plain)
    for layer, scale in scaled.items():
        stored[f"{layer}.weight"] = (plain[f"{layer}.weight"] / scale).to(FP8)
    dense = {**plain, **{f"{layer}.weight": stored[f"{layer}.weight"].float() * scale
                         for layer, scale in scaled.items()}}
    old = {**stored, **{f"{layer}.scale_weight": scale for layer, scale in scaled.items()},
           "scaled_fp8": torch.empty(2, dtype=FP8)}
    new = {**stored, **{f"{layer}.weight_scale": scale for layer, scale in scaled.items()}}
    said = settings_in_metadata({layer: {"format": "float8_e4m3fn"} for layer in scaled})
    contents = {"plain": (plain, None), "dense": (dense, None), "old": (old, None), "new": (new, said)}
    for name, (tensors, metadata) in contents.items():
        save_file({key: one.clone() for key, one in tensors.items()}, folder / f"{name}.safetensors", metadata)
    return {name: folder / f"{name}.safetensors" for name in contents}


def with_hosts_loader(path):
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model(str(path))


def with_own_loader(path):
    with torch.inference_mode(False):
        return load_patcher(str(path))


@pytest.mark.parametrize("guidance", [None, GUIDANCE], ids=["cfg 1", "three branches"])
@pytest.mark.parametrize("load", [with_hosts_loader, with_own_loader], ids=["UNETLoader", "LumosX Model Loader"])
@pytest.mark.parametrize("layout", ["old", "new"])
def test_scaled_fp8_is_the_composition_over_what_its_numbers_mean(person, files, layout, load, guidance):
    given = conditioning(1), conditioning(2)
    base = load(files[layout])
    kept = base.model.diffusion_model.blocks[0].ffn[0].state_dict()
    assert {tensor.dtype for name, tensor in kept.items() if name.endswith("weight")} & {FP8}
    measured = lynx_sample(lynx_model(base, person, Appearance()), given, guidance)
    expected = plain_sample(plain_model(with_hosts_loader(files["dense"]), person), given, guidance)
    assert relative(measured, expected) < 2e-5
    unscaled = plain_sample(plain_model(with_hosts_loader(files["plain"]), person), given, guidance)
    assert relative(unscaled, expected) > 1e-3
