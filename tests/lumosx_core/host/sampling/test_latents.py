import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.sampling.latents import fitting_samples


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


def latent(**extra):
    return {"samples": torch.randn(2, 16, 3, 6, 8), **extra}


@pytest.mark.parametrize(
    "mask", [[1], "mask", torch.full((1, 48, 64), float("nan")), torch.zeros(0, 48, 64)], ids=str
)
def test_a_noise_mask_that_cannot_be_used_is_named(tiny, mask):
    with pytest.raises(LumosXError, match="^latent: its noise_mask "):
        fitting_samples(tiny[0], latent(noise_mask=mask))


@pytest.mark.parametrize("index", [[0], [0, 1, 2], [0, -1], ["a", "b"], 3, [0, 65537], [0, 10**9], [0.5, 1]], ids=str)
def test_a_batch_index_that_does_not_fit_is_named(tiny, index):
    with pytest.raises(LumosXError, match="^latent: its batch_index must be 2 whole numbers"):
        fitting_samples(tiny[0], latent(batch_index=index))


def test_what_other_nodes_add_to_a_latent_is_let_through(tiny):
    for extra in ({"noise_mask": None, "batch_index": None}, {"noise_mask": torch.ones(1, 48, 64)},
                  {"batch_index": [4, 4]}, {"batch_index": [0, 65536]},
                  {"batch_index": (7, 2), "a_future_key": object()}):
        given = latent(**extra)
        assert fitting_samples(tiny[0], given) is given["samples"]


def test_a_latent_of_whole_numbers_is_sampled_as_one_of_fractions(tiny):
    assert fitting_samples(tiny[0], {"samples": torch.zeros(1, 16, 3, 6, 8, dtype=torch.long)}).dtype == torch.float32
