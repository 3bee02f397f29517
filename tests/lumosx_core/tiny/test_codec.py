import comfy.latent_formats
import numpy as np
import pytest
import torch

from lumosx_core.tiny import codec as codec_module
from lumosx_core.tiny.codec import BlockTransformCodec, denormalised, normalised, world_codec
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast, draw_frames
from lumosx_core.tiny.world.script import draw_script
from support import drawing
from tools import people


@pytest.fixture(scope="module")
def codec():
    return BlockTransformCodec()


def pixels_of(picture):
    """[1, 3, 1, H, W] in -1..1, cut to multiples of 8."""
    pixels = torch.from_numpy(np.array(picture)).float().permute(2, 0, 1) / 127.5 - 1
    height, width = (size // 8 * 8 for size in pixels.shape[1:])
    return pixels[None, :, None, :height, :width]


def psnr(first, second):
    error = ((first.clamp(-1, 1) - second) / 2).square().mean()
    return -10 * torch.log10(error).item()


def test_statistics_are_those_of_comfyui():
    wan = comfy.latent_formats.Wan21()
    assert torch.equal(wan.latents_mean.flatten(), torch.tensor(codec_module.WAN21_MEAN))
    assert torch.equal(wan.latents_std.flatten(), torch.tensor(codec_module.WAN21_STD))


@pytest.mark.parametrize(("frames", "latent_frames", "frames_back"), [(1, 1, 1), (5, 2, 5), (17, 5, 17), (8, 2, 5)])
def test_shapes(codec, frames, latent_frames, frames_back):
    latent = codec.encode(torch.zeros(2, 3, frames, 16, 24))
    assert latent.shape == (2, 16, latent_frames, 2, 3)
    assert codec.decode(latent).shape == (2, 3, frames_back, 16, 24)


@pytest.mark.parametrize(("draw", "least"), [
    (drawing.draw_park, 31.0),
    (lambda: people.draw_face(people.MAN), 27.0),
    (lambda: drawing.draw_jacket(drawing.GREEN), 26.0),
])
def test_pictures_stay_recognisable(codec, draw, least):
    pixels = pixels_of(draw())
    assert psnr(codec.decode(codec.encode(pixels)), pixels) > least


def test_first_frame_alone_then_means_of_four(codec):
    grey = torch.tensor([0.1, 0.2, 0.4, 0.6, 0.8, -0.3, -0.3, -0.3, -0.3]).view(1, 1, 9, 1, 1).expand(1, 3, 9, 8, 8)
    back = codec.decode(codec.encode(grey))[0, 0, :, 4, 4]
    assert torch.allclose(back, torch.tensor([0.1] + [0.5] * 4 + [-0.3] * 4), atol=1e-4)


def test_encoding_undoes_decoding(codec):
    latent = torch.randn(1, 16, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(codec.encode(codec.decode(latent)), latent, atol=1e-4)


def test_normalised_latents_are_near_standard(codec):
    pictures = [drawing.draw_park()] + [people.draw_face(people.random_look(seed)) for seed in range(8)]
    wan = comfy.latent_formats.Wan21()
    latents = [wan.process_in(codec.encode(pixels_of(picture)))[0].flatten(1) for picture in pictures]
    values = torch.cat(latents, dim=1)
    assert values.mean(1).abs().max() < 0.6
    assert values.std(1).min() > 0.4 and values.std(1).max() < 2.0
    assert 0.7 < values.std() < 1.4


def test_in_the_drawn_world_mean_colours_have_unit_variance_and_details_less():
    random = np.random.default_rng(0)
    scripts = [draw_script(random) for _ in range(12)]
    pictures = [draw_frames(script, draw_cast(random, script, Split.TRAIN), 1)[0] for script in scripts]
    codec = world_codec()
    values = torch.cat([normalised(codec.encode(pixels_of(picture)))[0].flatten(1) for picture in pictures], dim=1)
    colours = torch.tensor([0, 10, 13])
    details = torch.tensor([channel for channel in range(16) if channel not in colours])
    assert values.mean(1).abs().max() < 0.6
    assert ((values[colours].std(1) > 0.6) & (values[colours].std(1) < 1.4)).all()
    assert ((values[details].std(1) > 0.15) & (values[details].std(1) < 0.4)).all()


def test_normalising_is_comfyuis_and_can_be_undone():
    latent = torch.randn(1, 16, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(normalised(latent), comfy.latent_formats.Wan21().process_in(latent), atol=1e-5)
    assert torch.allclose(denormalised(normalised(latent)), latent, atol=1e-5)


def test_follows_the_input_type(codec):
    latent = codec.encode(torch.zeros(1, 3, 1, 8, 8, dtype=torch.float64))
    assert latent.dtype == codec.decode(latent).dtype == torch.float64
