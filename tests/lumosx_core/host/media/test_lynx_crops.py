"""What other crops of a photo than Lynx's change in the output of a small model with random weights."""

from pathlib import Path

import comfy.sd
import pytest
import torch
from safetensors.torch import save_file

import lumosx_core.host.media.lynx as identities
from lumosx_core.host.media.lynx import FacePlan, make_person
from lumosx_core.host.methods.lynx import Appearance, lynx_model
from support import lynx_files
from support.lynx_people import SIZE, conditioning, random, relative, sample, write_adapters
from tools.weight_files import small_transformer

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[4] / "docs" / "lynx.md"
PLAN = FacePlan("CenterFace")


def full_contrast(crop):
    """As a port has it: the smallest number of a crop becomes 0, the largest 1."""
    return (crop - crop.min()) / (crop.max() - crop.min())


def test_what_other_crops_change(tiny, astronaut, tmp_path, monkeypatch):
    """A photo of 60 % contrast: with the full one there is nothing to stretch."""
    _, clip, vae = tiny
    path = tmp_path / "recogniser.safetensors"
    save_file(lynx_files.recogniser(), path)
    monkeypatch.setattr(identities, "recogniser_path", lambda: path)
    adapters, photo = write_adapters(tmp_path), 0.2 + 0.6 * astronaut
    with torch.inference_mode(False):
        base = comfy.sd.load_diffusion_model_state_dict(small_transformer())

    def velocity(person):
        return random(*SIZE, seed=5) - sample(
            lynx_model(base, person, Appearance()), conditioning(1), conditioning(2), 1)

    person, of_id, of_reference, _ = make_person(adapters, photo, None, None, vae, clip, PLAN)
    right = velocity(person)

    def error(id_crop, ref_crop):
        return relative(velocity(make_person(adapters, None, id_crop, ref_crop, vae, clip, PLAN)[0]), right)

    assert error(of_id, of_reference) < 1e-5
    stretched = error(full_contrast(of_id), full_contrast(of_reference))
    # The template of the recogniser for both, which is the narrower one.
    narrower = error(of_id, of_id)
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("| crops of the photo |"))
    assert all(f"{100 * one:.0f} %" in line for one in (stretched, narrower))
