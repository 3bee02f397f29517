"""Cuts, and the clips between them."""

import numpy as np
import pytest

from lumosx_core.data.settings import FPS
from lumosx_core.data.shot_finders import ChangeShots, SceneDetectShots, clip_ranges, peaks, steady
from lumosx_core.errors import LumosXError
from lumosx_core.install_line import is_there
from lumosx_core.media.video import VideoFile, write_video


def moving(count, seed, size=(120, 160)):
    """Frames of one shot: noise that drifts by a pixel a frame."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (8, 8, 3), np.uint8)
    whole = np.kron(coarse, np.ones((size[0] // 8 + 1, size[1] // 8 + 8, 1), np.uint8))[:size[0]]
    return [np.ascontiguousarray(whole[:, shift:shift + size[1]]) for shift in range(count)]


@pytest.fixture(scope="module")
def three_shots(tmp_path_factory):
    path = tmp_path_factory.mktemp("shots") / "three.mp4"
    write_video([*moving(20, 1), *moving(24, 2), *moving(20, 3)], path, FPS)
    return path


def test_each_cut_is_found_and_nothing_else(three_shots):
    cuts, last = ChangeShots().cuts(three_shots)
    assert cuts == pytest.approx([20 / FPS, 44 / FPS], abs=1e-3) and last == pytest.approx(63 / FPS)


@pytest.mark.skipif(not is_there("scenedetect"), reason="PySceneDetect is not installed")
def test_pyscenedetect_finds_the_same(three_shots):
    finder = SceneDetectShots()
    cuts, last = finder.cuts(three_shots)
    assert cuts == pytest.approx([20 / FPS, 44 / FPS], abs=1e-3) and last == pytest.approx(63 / FPS)
    assert finder.name.startswith("PySceneDetect ")


@pytest.mark.skipif(is_there("scenedetect"), reason="PySceneDetect is installed")
def test_without_pyscenedetect_a_sentence_says_how_to_get_it():
    with pytest.raises(LumosXError, match="--shots: PySceneDetect cannot be imported .*; run .*--no-deps scenedetect"):
        SceneDetectShots()


def test_a_peak_stands_above_its_neighbours():
    assert peaks([0, 1, 1, 40, 1, 1]) == [3]
    assert peaks([0, 30, 35, 40, 35, 30]) == [] and peaks([0, 1, 13, 1]) == [] and peaks([]) == []


@pytest.mark.parametrize(("cuts", "ranges"), [
    ([], [(0, 160)]), ([5.0], [(0, 79), (81, 160)]), ([0.3, 5.0], [(6, 79), (81, 160)]),
    ([0.0, 10.0, 99.0], [(0, 160)]),
])
def test_a_sample_beside_a_cut_and_what_is_too_short_are_left_out(cuts, ranges):
    assert clip_ranges(cuts, 160, 1.0, 10.0) == ranges


def test_a_long_shot_becomes_equal_clips():
    assert clip_ranges([], 400, 1.0, 10.0) == [(0, 133), (133, 266), (266, 400)]
    assert clip_ranges([], 0, 1.0, 10.0) == [] and clip_ranges([], 1, 0.0, 10.0) == []


def test_times_that_jump_are_read_as_if_the_next_frame_followed(three_shots, monkeypatch):
    times = iter([5.0, 5.1, 900.0, 900.1, 2.0, 2.1])
    pixels = np.zeros((2, 2, 3), np.uint8)
    monkeypatch.setattr(VideoFile, "timed", lambda _: ((time, pixels) for time in times))
    seconds = [second for second, _ in steady(VideoFile(three_shots))]
    assert seconds == pytest.approx([0, 0.1, 0.1625, 0.2625, 0.325, 0.425])
