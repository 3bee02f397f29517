import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.tiny.codec import denormalised, normalised, world_codec
from lumosx_core.tiny.learned import LearnedCodec, groups_of, initialise_codec, load_codec


@pytest.fixture(scope="module")
def codec():
    made = LearnedCodec().requires_grad_(False)
    initialise_codec(made, 0)
    made.std.fill_(0.5)
    return made


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("frames", "latent_frames", "frames_back"), [(1, 1, 1), (5, 2, 5), (17, 5, 17), (8, 2, 5)])
def test_shapes_are_wans_but_that_what_is_painted_is_twice_as_large(codec, frames, latent_frames, frames_back):
    latent = codec.encode(torch.zeros(2, 3, frames, 16, 24))
    assert latent.shape == (2, 16, latent_frames, 2, 3)
    assert codec.decode(latent).shape == (2, 3, frames_back, 32, 48)


def test_groups_are_the_first_frame_four_times_and_then_four_by_four():
    video = torch.arange(9.0).view(1, 1, 9, 1, 1).expand(1, 3, 9, 2, 2)
    groups = groups_of(video)
    assert groups.shape == (1, 3, 12, 2, 2)
    assert groups[0, :, ::3, 0, 0].tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]
    # Of 4 n + 2 to 4 n + 4 frames those at the end are left out.
    for frames in (6, 7, 8):
        assert groups_of(video[:, :, :frames])[0, :, ::3, 0, 0].tolist() == [[0, 0, 0, 0], [1, 2, 3, 4]]


def test_the_codec_is_causal_in_time(codec):
    """What comes later changes neither latent frames nor painted frames before it."""
    video = noise(1, 3, 13, 16, 16)
    other = video.clone()
    other[:, :, 7] += 1
    first, second = codec.encode(video), codec.encode(other)
    changed = (first - second).abs().amax((0, 1, 3, 4))
    assert changed[:2].max() == 0 and changed[3] == 0 and changed[2] > 1e-4
    painted = (codec.decode(first) - codec.decode(second)).abs().amax((0, 1, 3, 4))
    assert painted[:5].max() == 0 and painted[5:].min() > 1e-5


def test_every_frame_of_a_group_counts(codec):
    video = noise(1, 3, 5, 16, 16)
    for frame in range(5):
        other = video.clone()
        other[:, :, frame] += 1
        assert not torch.allclose(codec.encode(video), codec.encode(other), atol=1e-3)


def test_latents_are_normalised_by_the_statistics(codec):
    video = noise(1, 3, 1, 16, 24)
    features = codec.encoder(groups_of(video).flatten(0, 1))
    expected = (features - codec.mean.view(-1, 1, 1)) / codec.std.view(-1, 1, 1)
    assert torch.allclose(normalised(codec.encode(video))[:, :, 0], expected, atol=1e-4)


def test_without_a_network_it_encodes_as_the_block_transform():
    codec = LearnedCodec().requires_grad_(False)
    for part in codec.encoder.layers.parameters():
        part.zero_()
    video = noise(1, 3, 5, 16, 24)
    assert torch.allclose(codec.encode(video), world_codec().encode(video), atol=1e-3)


def test_what_is_far_away_changes_nothing(codec):
    """So that tiles which overlap by as much come together without a seam."""
    latent = denormalised(noise(1, 16, 1, 4, 24))
    other = latent.clone()
    other[..., 20:] += 1
    changed = (codec.decode(latent) - codec.decode(other)).abs().amax((0, 1, 2, 3)) > 1e-6
    assert changed[16 * 20:].all() and not changed[:16 * 10].any()


def test_the_first_weights_come_from_the_seed():
    def weights(seed):
        made = LearnedCodec()
        initialise_codec(made, seed)
        return torch.cat([part.flatten() for part in made.parameters()])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("kind", ["missing", "garbage", "another network"])
def test_a_damaged_file_is_refused_by_its_name(tmp_path, kind):
    path = tmp_path / "codec.safetensors"
    if kind == "garbage":
        path.write_bytes(b"not a codec")
    elif kind == "another network":
        save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(LumosXError, match=r"codec\.safetensors.*install the pack again") as refused:
        load_codec(path)
    assert "\n" not in str(refused.value)
