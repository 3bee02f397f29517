import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.latents import fitting_samples


def test_a_video_passes_as_it_is(tiny):
    samples = torch.randn(1, 16, 3, 6, 8)
    assert fitting_samples(tiny[0], {"samples": samples}) is samples


@pytest.mark.parametrize("shape", [(2, 4, 1, 6, 8), (1, 48, 3, 6, 8), (1, 4, 6, 8)])
def test_an_empty_latent_of_another_model_gets_the_channels(tiny, shape):
    samples = fitting_samples(tiny[0], {"samples": torch.zeros(shape)})
    assert samples.shape[1] == 16 and samples.ndim == 5


@pytest.mark.parametrize(
    ("latent", "wrong"),
    [
        ({"samples": torch.ones(1, 48, 3, 6, 8)}, "48 channels"),
        ({"samples": torch.ones(1, 4, 6, 8)}, "4 channels"),
        ({"samples": torch.zeros(1, 16, 0, 6, 8)}, "nothing to sample"),
        ({"samples": torch.zeros(0, 16, 1, 6, 8)}, "nothing to sample"),
        ({"samples": torch.zeros(16, 6, 8)}, "(16, 6, 8)"),
        ({"samples": torch.full((1, 16, 1, 6, 8), float("nan"))}, "not numbers"),
        ({"samples": [torch.zeros(1)]}, "list"),
        ({}, "NoneType"),
        (None, "NoneType"),
    ],
)
def test_what_the_model_cannot_sample_is_named(tiny, latent, wrong):
    with pytest.raises(LumosXError) as caught:
        fitting_samples(tiny[0], latent)
    assert str(caught.value).startswith("latent: ") and wrong in str(caught.value)
