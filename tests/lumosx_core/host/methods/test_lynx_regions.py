"""Masks of a video's pixels as masks of tokens."""

from types import SimpleNamespace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lynx_regions import region_of_tokens
from lumosx_core.host.methods.lynx_run import LynxRun

RUN = LynxRun("key", [], frozenset(), 3)
WAN = SimpleNamespace(patch_size=(1, 2, 2))
VIDEO = torch.zeros(2, 16, 3, 4, 4)


def frames_of(region, x=VIDEO, rows=None, **options):
    """The mask's mean in each latent frame of a row."""
    mask = region_of_tokens(region, rows, WAN, x, RUN, options)
    return mask.unflatten(1, (-1, 4)).mean(dim=(2, 3)).tolist()


def test_a_latent_frame_has_the_mean_of_its_video_frames():
    region = (torch.arange(9.0) / 8).view(9, 1, 1).expand(9, 8, 8)
    assert frames_of(region) == [[0.0, 2.5 / 8, 6.5 / 8]]
    assert frames_of(region[::4]) == [[0.0, 0.5, 1.0]] and frames_of(region[4:5]) == [[0.5, 0.5, 0.5]]
    with pytest.raises(LumosXError, match="^mask: it has 5 pictures, but the video has 9 frames"):
        frames_of(region[:5])


def test_a_window_has_its_own_frames_behind_that_which_holds_it():
    region = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1).expand(3, 8, 8)
    window = SimpleNamespace(index_list=[1, 2])
    assert frames_of(region, VIDEO[:, :, :2], context_window=window) == [[0.5, 1.0]]
    window.causal_anchor_index = 0
    assert frames_of(region, context_window=window) == [[0.0, 0.5, 1.0]]
    with pytest.raises(LumosXError, match="^mask: another node hands the model 2 frames of a video of 3"):
        frames_of(region, VIDEO[:, :, :2])


def test_rows_count_within_each_conditioning_that_runs_together():
    assert region_of_tokens(None, None, WAN, VIDEO, RUN, {}) is None
    both = VIDEO.repeat(2, 1, 1, 1, 1)
    assert [row[0] for row in frames_of(None, both, {1}, cond_or_uncond=[0, 1])] == [0.0, 1.0, 0.0, 1.0]
    assert [row[0] for row in frames_of(torch.full((1, 8, 8), 0.5), VIDEO, {0})] == [0.5, 0.0]
