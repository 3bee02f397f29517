import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.tiny.codec import denormalised, world_codec
from lumosx_core.tiny.decoder import Decoder, PaintingCodec, initialise_decoder, load_decoder


@pytest.fixture(scope="module")
def decoder():
    made = Decoder((8, 8, 8, 8), (1, 0, 0, 1)).requires_grad_(False)
    initialise_decoder(made, 0)
    return made


def latents(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("height", "width"), [(12, 16), (3, 5), (1, 1)])
def test_any_size_is_painted_sixteen_times_as_large(decoder, height, width):
    assert decoder(latents(2, 16, height, width)).shape == (2, 3, 16 * height, 16 * width)


def test_a_frame_is_painted_once_or_held_for_four_whatever_the_others_are(decoder):
    latent = denormalised(latents(2, 16, 3, 3, 4))
    video = PaintingCodec(decoder).decode(latent)
    assert video.shape == (2, 3, 9, 48, 64)
    for frames, number in ((range(1), 0), (range(1, 5), 1), (range(5, 9), 2)):
        alone = PaintingCodec(decoder).decode(latent[:, :, number:number + 1])[:, :, 0]
        for frame in frames:
            assert torch.allclose(video[:, :, frame], alone, atol=1e-5)


def test_what_is_far_away_changes_nothing(decoder):
    """So that tiles which overlap by as much come together without a seam."""
    latent = latents(1, 16, 4, 16)
    other = latent.clone()
    other[..., 12:] += 1
    changed = (decoder(latent) - decoder(other)).abs().amax((0, 1, 2)) > 1e-6
    assert changed[192:].all() and not changed[:16 * 6].any()


def test_it_encodes_as_the_block_transform(decoder):
    pixels = latents(1, 3, 5, 16, 24)
    assert torch.equal(PaintingCodec(decoder).encode(pixels), world_codec().encode(pixels))


def test_pictures_are_the_first_frames_in_bytes(decoder):
    latent = denormalised(latents(2, 16, 1, 2, 3))
    codec = PaintingCodec(decoder)
    pictures = codec.decode_pictures(latent)
    assert pictures.shape == (2, 32, 48, 3) and pictures.min() >= 0 and pictures.max() <= 255
    expected = (codec.decode(latent)[1, :, 0].clamp(-1, 1) + 1) * 127.5
    assert torch.allclose(torch.from_numpy(pictures[1]).permute(2, 0, 1), expected, atol=1e-3)


def test_the_first_weights_come_from_the_seed():
    def weights(seed):
        made = Decoder((8, 8, 8, 8), (1, 0, 0, 0))
        initialise_decoder(made, seed)
        return torch.cat([part.flatten() for part in made.parameters()])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("kind", ["missing", "garbage", "another network"])
def test_a_damaged_file_is_refused_by_its_name(tmp_path, kind):
    path = tmp_path / "decoder.safetensors"
    if kind == "garbage":
        path.write_bytes(b"not a decoder")
    elif kind == "another network":
        save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(LumosXError, match=r"decoder\.safetensors.*install the pack again") as refused:
        load_decoder(path)
    assert "\n" not in str(refused.value)
