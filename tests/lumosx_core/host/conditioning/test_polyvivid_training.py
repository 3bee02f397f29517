"""What a training of PolyVivid gets from ComfyUI's VAE."""

from types import SimpleNamespace

import comfy.latent_formats
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.polyvivid_training import SubjectsSide


def side_with(latent):
    side = object.__new__(SubjectsSide)
    side._vae = SimpleNamespace(encode=lambda frames: latent)
    return side


@pytest.mark.parametrize("shape", [
    (1, 16, 2, 2, 3), (1, 16, 3, 3, 2), (1, 4, 3, 2, 3), (1, 16, 3, 2, 3, 1), (2, 16, 3, 2, 3),
])
def test_latents_of_another_vae_are_refused(shape):
    frames = torch.zeros(9, 16, 24, 3)
    good = torch.ones(1, 16, 3, 2, 3)
    expected = comfy.latent_formats.HunyuanVideo().process_in(good)
    assert torch.equal(side_with(good).video(frames), expected)
    with pytest.raises(LumosXError, match="^--vae: it makes latents of shape"):
        side_with(torch.ones(shape)).video(frames)
