"""References of the unconditional pass."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.pictures import SAME, UNCONDITIONAL, WHITE, ZERO, unconditional_latents
from lumosx_core.host.conditioning.video_size import VideoSize


class Encodings:
    """Every picture becomes ones; what was asked for is kept."""

    def latent(self, vae, picture, encode):
        self.picture = picture
        return torch.ones(1, 16, 1, 2, 3)


def test_each_choice_has_its_own_references():
    assert set(UNCONDITIONAL) == {SAME, ZERO, WHITE}
    latents, size = [torch.full((1, 16, 1, 2, 3), 7.0), torch.full((1, 16, 1, 2, 3), 8.0)], VideoSize(24, 16, 5)
    encodings = Encodings()
    assert unconditional_latents(encodings, None, latents, size, SAME) is latents
    assert [latent.unique().tolist() for latent in unconditional_latents(encodings, None, latents, size, ZERO)] == [
        [0.0], [0.0]]
    assert not hasattr(encodings, "picture")
    assert len(unconditional_latents(encodings, None, latents, size, WHITE)) == 2
    assert encodings.picture.size == (24, 16) and encodings.picture.getcolors() == [(384, (255, 255, 255))]
    with pytest.raises(LumosXError, match="^unconditional_references: 'grey' is not a choice"):
        unconditional_latents(encodings, None, latents, size, "grey")
