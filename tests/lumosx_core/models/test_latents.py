"""Pixels, frames and tokens of a video."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.hunyuan.config import HUNYUAN_LATENT
from lumosx_core.models.latents import LatentSpec
from lumosx_core.models.wan.config import WAN21_LATENT, WAN22_LATENT

SPECS = st.sampled_from([WAN21_LATENT, WAN22_LATENT, HUNYUAN_LATENT, LatentSpec(4, 2, 4, (2, 1, 1))])
COUNTS = st.integers(1, 40)


@pytest.mark.parametrize(
    ("spec", "shape", "grid"),
    [
        (WAN21_LATENT, (1, 16, 21, 60, 104), (21, 30, 52)),
        (WAN22_LATENT, (1, 48, 21, 30, 52), (21, 15, 26)),
        (HUNYUAN_LATENT, (1, 16, 21, 60, 104), (21, 30, 52)),
    ],
)
def test_832_by_480_with_81_frames_becomes(spec, shape, grid):
    assert spec.shape(832, 480, 81) == shape and spec.token_grid(shape) == grid


@given(SPECS, COUNTS, COUNTS, COUNTS)
def test_a_video_of_whole_latent_pixels_comes_back(spec, columns, rows, latent_frames):
    width, height, frames = columns * spec.pixel_stride, rows * spec.pixel_stride, spec.video_frames(latent_frames)
    shape = spec.shape(width, height, frames, batch=3)
    assert shape == (3, spec.channels, latent_frames, rows, columns)
    assert (*spec.pixels(shape), spec.video_frames(shape[2])) == (width, height, frames)
    assert spec.has_side(width) and spec.has_frames(frames)


@given(SPECS, COUNTS, COUNTS, COUNTS)
def test_tokens_cover_the_latent_and_no_row_too_many(spec, frames, rows, columns):
    grid = spec.token_grid((1, spec.channels, frames, rows, columns))
    for covered, side, patch in zip(spec.grid_shape(grid)[2:], (frames, rows, columns), spec.patch):
        assert side <= covered < side + patch


@given(SPECS, st.integers(-5, 500))
def test_the_nearest_whole_size_is_at_most_half_a_stride_away(spec, number):
    side, frames = spec.nearest_side(max(0, number)), spec.nearest_frames(number)
    assert spec.has_side(side) and abs(side - max(0, number)) <= spec.pixel_stride / 2
    assert spec.has_frames(frames) and abs(frames - max(1, number)) <= spec.frame_stride / 2


@given(SPECS, st.integers(1, 500))
def test_frames_behind_the_last_whole_stride_are_left_out(spec, frames):
    kept = spec.video_frames(spec.latent_frames(frames))
    assert frames - spec.frame_stride < kept <= frames and spec.has_frames(kept)


def test_no_video_has_no_frames():
    assert not WAN21_LATENT.has_frames(0) and not WAN21_LATENT.has_frames(-3)


@pytest.mark.parametrize("spec", [WAN21_LATENT, WAN22_LATENT, HUNYUAN_LATENT])
def test_a_token_stands_for_a_square_of_pixels(spec):
    assert spec.token_pixels == math.sqrt(spec.patch[1] * spec.patch[2]) * spec.pixel_stride


@pytest.mark.parametrize(("frames", "has", "nearest"), [
    (-3, False, 1), (0, False, 1), (1, True, 1), (2, False, 1), (3, False, 1), (4, False, 5), (5, True, 5),
    (8, False, 9), (81, True, 81),
])
def test_frames_are_one_and_whole_strides(frames, has, nearest):
    assert (WAN21_LATENT.has_frames(frames), WAN21_LATENT.nearest_frames(frames)) == (has, nearest)


@pytest.mark.parametrize(("pixels", "has", "nearest"), [(-9, False, 0), (0, True, 0), (3, False, 0), (5, False, 8),
                                                        (8, True, 8), (13, False, 16)])
def test_sides_are_whole_latent_pixels(pixels, has, nearest):
    assert (WAN21_LATENT.has_side(pixels), WAN21_LATENT.nearest_side(pixels)) == (has, nearest)


@given(SPECS, st.floats(0, 2000))
def test_a_side_in_whole_tokens_is_at_most_half_a_token_away_but_never_empty(spec, pixels):
    side = spec.nearest_token_side(pixels)
    assert isinstance(side, int) and side >= spec.token_pixels and side % spec.token_pixels == 0
    assert abs(side - max(pixels, spec.token_pixels)) <= spec.token_pixels / 2


@pytest.mark.parametrize(("pixels", "nearest"), [(-9, 16), (0, 16), (7.9, 16), (23, 16), (25, 32), (480, 480),
                                                 (485.5, 480), (832, 832)])
def test_sides_of_whole_tokens(pixels, nearest):
    assert WAN21_LATENT.nearest_token_side(pixels) == nearest


@given(SPECS, st.integers(1, 500))
def test_padding_reaches_the_next_whole_latent_frame_and_no_further(spec, frames):
    padded = spec.padded_frames(frames)
    assert frames <= padded < frames + spec.frame_stride and spec.has_frames(padded)


@pytest.mark.parametrize(("frames", "padded"), [(1, 1), (2, 5), (4, 5), (5, 5), (6, 9), (80, 81), (81, 81), (82, 85)])
def test_frames_are_padded_to_one_and_whole_strides(frames, padded):
    assert WAN21_LATENT.padded_frames(frames) == padded
