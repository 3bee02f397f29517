"""What ``bench binding`` measures of two clips, on clips that are drawn instead of sampled."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.binding_chunks import FRAMES, NEW, OVERLAP, measured_where_new, second_clips, vae_of
from lumosx_core.tiny.codec import denormalised, video_of
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast, draw_frames
from lumosx_core.tiny.world.script import draw_script
from lumosx_core.training.examples import encode_videos

pytestmark = pytest.mark.slow
LENGTH = 4 * (FRAMES - 1) + 1


@pytest.fixture(scope="module")
def drawn():
    """Codec, script with people who walk, cast, another cast, and the latents of the first and the second clip."""
    random = np.random.default_rng(5)
    script = draw_script(random, 2, same_kinds=True, drop=False, chance_of_exchange=0.0)
    script = replace(script, roles=tuple(replace(role, verb="jumps") for role in script.roles))
    cast, other = (draw_cast(random, script, Split.HELD_OUT) for _ in range(2))
    codec = load_codec()
    video = video_of(draw_frames(script, cast, 2 * LENGTH - OVERLAP))
    clips = [encode_videos(codec, video[None, :, start:start + LENGTH])[0] for start in (0, LENGTH - OVERLAP)]
    return codec, script, cast, other, clips


def test_each_clip_is_compared_with_its_own_time(drawn):
    codec, script, cast, other, clips = drawn

    def found(clip, is_second, cast=cast, other=other):
        return measured_where_new(script, cast, other, clips[clip], codec, is_second)

    for clip, is_second in ((0, False), (1, True)):
        places = found(clip, is_second).places
        assert len(places) >= 4 and all(place.is_own for place in places)
        own, wrong = (
            np.mean([place.distances[place.owner] for place in found(clip, time).places])
            for time in (is_second, not is_second)
        )
        assert own < 0.8 * wrong
    swapped = replace(cast, people=cast.people[::-1])
    assert not any(place.is_own for place in found(1, True, swapped).places)


def test_the_second_clips_are_given_the_end_of_the_first(drawn):
    codec, _, _, _, (first, second) = drawn
    given = []

    def sample(latent):
        given.append(latent)
        return latent["samples"]

    with torch.inference_mode():
        made = second_clips(torch.stack([first, second]), codec, vae_of(codec), sample)
    [latent] = given
    assert made.shape == (2, 16, FRAMES, *first.shape[-2:]) and latent["noise_mask"].shape[2] == FRAMES
    assert latent["noise_mask"][0, 0, :, 0, 0].tolist() == [float(place in NEW) for place in range(FRAMES)]
    kept = slice(0, NEW.start)
    # The codec has painted the frames once more.
    assert (made[0, :, kept] - second[:, kept]).norm() < 0.5 * second[:, kept].norm()
    assert (made[1, :, kept] - second[:, kept]).norm() > (made[0, :, kept] - second[:, kept]).norm()
    assert torch.isfinite(denormalised(made)).all()
