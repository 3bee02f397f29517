"""What the small models do not know, by their VAE."""

import comfy.ldm.wan.vae
import comfy.sd
from PIL import Image

from lumosx_core.host.conditioning.doubts import doubts
from lumosx_core.host.weights.tiny import FIXED, load_tiny_vae
from lumosx_core.media import tensor_from_pil
from lumosx_core.scene.relations import Kind, Reference
from lumosx_core.tiny.known import MOST_FRAMES, SIZE


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


def test_the_largest_number_of_frames_is_known(tiny):
    for frames, sentences in ((MOST_FRAMES, 0), (MOST_FRAMES + 4, 1)):
        assert len(doubts(tiny[2], (), *SIZE, frames)) == sentences
    for size in ((SIZE[0] + 8, SIZE[1]), (SIZE[0], SIZE[1] - 8), SIZE[::-1]):
        assert len(doubts(tiny[2], (), *size, 5)) == 1
