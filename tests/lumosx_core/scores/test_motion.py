"""Dynamic degree: which frames, which thresholds, and a flow that measures what moved."""

import json
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lumosx_core.errors import LumosXError
from lumosx_core.scores.motion import MotionScore, flow_between, motion_score, pair_strength

HEIGHT, WIDTH = 128, 192


@pytest.fixture(scope="module")
def texture():
    """A soft random RGB texture, larger than a frame."""
    noise = np.random.default_rng(0).random((HEIGHT + 200, WIDTH + 200))
    smooth = gaussian_filter(noise, 2)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return np.repeat(smooth[..., None], 3, axis=2).astype(np.uint8)


def moving(texture, frames, speed):
    """A camera that moves to the right by ``speed`` pixels a frame."""
    return [texture[10:10 + HEIGHT, int(speed * index):int(speed * index) + WIDTH] for index in range(frames)]


def score(strengths, size=(480, 832)):
    return MotionScore(16.0, 2, size, tuple(strengths))


def test_a_still_video_does_not_move(texture):
    found = motion_score(moving(texture, 20, 0), 16)
    assert max(found.strengths) < 0.05 and not found.dynamic and found.moving == 0


@pytest.mark.parametrize("speed", [1, 3, 5])
def test_a_known_displacement_is_measured_within_a_tenth(texture, speed):
    found = motion_score(moving(texture, 12, speed), 16)
    assert found.strengths == pytest.approx([2 * speed] * len(found.strengths), rel=0.1)
    # 6 * 128 / 256 is 3 pixels.
    assert found.dynamic == (2 * speed > 3)


def test_the_frames_are_those_of_the_release(texture):
    still, elsewhere = moving(texture, 1, 0)[0], texture[100:100 + HEIGHT, 100:100 + WIDTH]
    # Looked at are frames 5, 7, 9 …, 79.
    flicker = [still if index % 2 else elsewhere for index in range(81)]
    found = motion_score(iter(flicker), 16)
    assert (found.looked, len(found.strengths), found.needed, found.step) == (38, 37, 10, 2)
    assert found.moving == 0
    flicker[9] = elsewhere
    found = motion_score(flicker, 16)
    # The odd one is frame 9: it comes after frame 7, and before frame 11.
    assert [frame for frame, strength in zip(found.frames, found.strengths) if strength > 1] == [9, 11]
    assert (found.frames[0], found.frames[-1], len(found.frames)) == (7, 79, 37)


def test_progress_reaches_its_end():
    seen = []
    motion_score([np.zeros((16, 16, 3), np.uint8)] * 81, 16, lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 38) and seen[-1] == (38, 38)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("frames", "fps", "looked"),
    [(81, 16, 38), (10, 16, 3), (81, 8, 76), (81, 24, 26), (81, 4, 76), (81, 12, 38), (81, 20, 38)],
)
def test_about_eight_frames_a_second(frames, fps, looked):
    # round(12 / 8) and round(20 / 8) are both 2: to the even number.
    still = [np.zeros((16, 16, 3), np.uint8)] * frames
    assert motion_score(still, fps).looked == looked


def test_the_first_five_frames_are_left_out(texture):
    jump = moving(texture, 5, 0) + [texture[100:100 + HEIGHT, 100:100 + WIDTH]] * 12
    assert max(motion_score(jump, 16).strengths) < 0.05


@pytest.mark.parametrize(("looked", "needed"), [(38, 10), (34, 8), (30, 8), (26, 6), (3, 1), (4, 1), (6, 2), (10, 2)])
def test_half_rounds_to_the_even_number(looked, needed):
    found = score([20.0] * (needed - 1) + [0.0] * (looked - needed))
    assert found.looked == looked and found.needed == needed and not found.dynamic
    assert score([20.0] * needed + [0.0] * (looked - 1 - needed)).dynamic


def test_the_threshold_itself_is_not_beyond_it():
    assert score([]).threshold == 11.25
    exact, beyond = score([11.25] * 37), score([np.nextafter(11.25, 12)] * 10 + [0.0] * 27)
    assert exact.moving == 0 and not exact.dynamic
    assert beyond.moving == 10 and beyond.dynamic
    assert score([3.1] * 4, (832, 128)).threshold == 3.0


def test_a_pair_is_as_strong_as_its_largest_twentieth():
    flow = np.zeros((10, 20, 2), np.float32)
    flow[0, :10] = (3, 4)
    flow[1, :5] = (0, 1)
    assert pair_strength(flow) == pytest.approx(5)
    flow[0, :5] = 0
    assert pair_strength(flow) == pytest.approx((5 * 5 + 5 * 1) / 10)
    assert pair_strength(np.ones((2, 2, 2), np.float32)) == pytest.approx(2**0.5)
    # Of fewer than twenty points the one that moves most.
    few = np.zeros((2, 2, 2), np.float32)
    few[1, 1] = (6, 8)
    assert pair_strength(few) == pytest.approx(10)


def test_flow_has_x_first(texture):
    flow = flow_between(texture[50:50 + HEIGHT, 50:50 + WIDTH, 0], texture[50:50 + HEIGHT, 46:46 + WIDTH, 0])
    assert np.median(flow[..., 0]) == pytest.approx(4, rel=0.1) and abs(np.median(flow[..., 1])) < 0.2


@pytest.mark.parametrize(
    ("frames", "fps", "size", "sentence"),
    [
        (9, 16, 16, "images: 9 frames are too few .* at 16 frames per second use 10 or more"),
        (11, 24, 16, "11 frames are too few .* use 12 or more"),
        (0, 16, 16, "images: 0 frames are too few"),
        (20, 16, 12, "images: 12 x 12 pixels are too small"),
        (20, 0, 16, "fps: 0 must be"),
        (20, float("nan"), 16, "fps: nan must be"),
        (20, float("inf"), 16, "fps: inf must be"),
    ],
)
def test_what_cannot_be_measured_ends_in_a_sentence(frames, fps, size, sentence):
    with pytest.raises(LumosXError, match=sentence):
        motion_score([np.zeros((size, size, 3), np.uint8)] * frames, fps)


def test_frames_of_two_sizes_end_in_a_sentence(texture):
    frames = moving(texture, 12, 0)
    frames[7] = frames[7][:, :100]
    with pytest.raises(LumosXError, match="^images: frame 8 has 100 x 128 pixels"):
        motion_score(frames, 16)


def test_a_missing_package_is_named(texture, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(LumosXError, match="OpenCV is not installed; run .* pip install"):
        motion_score(moving(texture, 12, 0), 16)


def test_report_and_json_say_that_it_is_a_stand_in():
    found = score([20.0] * 10 + [1.0] * 27)
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values["dynamic"] is True and values["moving_pairs"] == 10 and len(values["strengths"]) == 37
    for text in (values["method"], found.report()):
        assert "OpenCV DIS, a stand-in for RAFT: not comparable with published numbers" in text
    assert "| yes | 10 | 10 | 37 | 11.250 | 1.000 | 20.000 |" in found.report()


@pytest.mark.parametrize(("height", "width", "fits"), [(16, 16, True), (15, 16, False), (16, 15, False)])
def test_the_smallest_pictures_have_16_pixels_a_side(height, width, fits):
    frames = [np.zeros((height, width, 3), np.uint8)] * 10
    if fits:
        assert motion_score(frames, 16).looked == 3
    else:
        with pytest.raises(LumosXError, match=f"^images: {width} x {height} pixels are too small"):
            motion_score(frames, 16)


def test_a_rate_below_eight_looks_at_every_frame():
    frames = [np.zeros((16, 16, 3), np.uint8)] * 8
    assert (motion_score(frames, 1e-9).step, motion_score(frames, 3).looked) == (1, 3)
    with pytest.raises(LumosXError, match="^images: 7 frames are too few .* use 8 or more"):
        motion_score(frames[:7], 3)
    with pytest.raises(LumosXError, match="^fps: -1 must be"):
        motion_score(frames, -1)


def test_without_a_known_length_the_total_is_unknown_and_never_negative():
    seen = []
    frames = [np.zeros((16, 16, 3), np.uint8)] * 10
    motion_score((frame for frame in frames), 16, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 0), (0, 0), (1, 0), (3, 3)]
