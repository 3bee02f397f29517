"""What the small models do not know, by their VAE."""

import comfy.ldm.wan.vae
import comfy.sd
from PIL import Image

from lumosx_core.host.conditioning.doubts import doubts
from lumosx_core.host.weights.tiny import FIXED, load_tiny_vae
from lumosx_core.media import tensor_from_pil
from lumosx_core.scene.relations import Kind, Reference


def test_what_the_small_models_do_not_know_is_said(tiny, astronaut):
    drawn = Image.new("RGB", (64, 64), (200, 30, 30))
    picture = tensor_from_pil(drawn)
    known = (Reference(Kind.FACE, "man", picture), Reference(Kind.ATTRIBUTE, "hat", picture))
    photographed = (*known, Reference(Kind.FACE, "woman", astronaut))
    for vae in (tiny[2], load_tiny_vae(FIXED)):
        assert doubts(vae, known, 128, 96, 33) == []
        [size] = doubts(vae, known, 832, 480, 81)
        assert size.startswith("width, height, frames: ") and "128 x 96" in size and "832 x 480 with 81" in size
        assert doubts(vae, known, 128, 96, 37) != [] != doubts(vae, known, 96, 128, 17)
        [sentence] = doubts(vae, photographed, 128, 96, 5)
        assert "\"woman\"" in sentence and "\"man\"" not in sentence
    real = comfy.sd.VAE(sd=comfy.ldm.wan.vae.WanVAE(dim=4, z_dim=16).state_dict())
    assert doubts(real, photographed, 832, 480, 81) == []
