"""Windows: of one size, around the face in every frame, in sizes that the model takes."""

import pytest

from lumosx_core.models.wan.config import WAN21_LATENT
from lumosx_core.repair.windows import OVERLAP, Window, gaps_of, parts_of, stretches, window_around


def moving(*lefts, size=20):
    return [(left, 30, left + size, 30 + size) for left in lefts]


def holds(window, boxes):
    return all(
        x <= left and y <= top and right <= x + window.width and bottom <= y + window.height
        for (left, top, right, bottom), (x, y) in zip(boxes, window.corners, strict=True)
    )


def test_a_face_that_hardly_moves_has_a_window_that_stands_still():
    boxes = moving(50, 52, 54, 50)
    window = window_around(boxes, 200, 100, 0.5)
    assert len(set(window.corners)) == 1 and holds(window, boxes) and window.width == window.height == 44


def test_a_face_that_walks_has_a_smooth_window_of_one_size():
    boxes = moving(*range(10, 190, 3), size=20)
    window = window_around(boxes, 220, 100, 0.5)
    lefts = [left for left, _ in window.corners]
    assert window.width == 40 and holds(window, boxes)
    assert all(0 <= after - before <= 4 for before, after in zip(lefts, lefts[1:])) and lefts[-1] > lefts[0] + 100
    # A detector that jitters does not shake the window.
    jittered = [(left + 3 * (n % 2), top, right + 3 * (n % 2), bottom)
                for n, (left, top, right, bottom) in enumerate(boxes)]
    shaken = [left for left, _ in window_around(jittered, 220, 100, 0.5).corners]
    assert all(0 <= after - before <= 4 for before, after in zip(shaken, shaken[1:]))


@pytest.mark.parametrize("box", [(0, 0, 30, 30), (170, 70, 200, 100), (-10, 20, 20, 50)])
def test_a_window_stays_inside_the_video(box):
    window = window_around([box], 200, 100, 0.5)
    [(left, top)] = window.corners
    assert 0 <= left <= 200 - window.width and 0 <= top <= 100 - window.height
    assert window_around([(0, 0, 150, 90)], 200, 100, 2.0) == Window(200, 100, ((0, 0),))


def test_sampled_sizes_are_whole_tokens():
    assert Window(90, 90, ()).sampled_size(480, WAN21_LATENT) == (480, 480)
    assert Window(200, 100, ()).sampled_size(470, WAN21_LATENT) == (464, 240)
    assert Window(200, 3, ()).sampled_size(64, WAN21_LATENT) == (64, 16)


def test_gaps_are_filled_or_cut():
    boxes = {2: (0, 0, 10, 10), 4: (4, 0, 14, 10), 40: (0, 0, 10, 10)}
    found = stretches(boxes)
    assert [one.frames for one in found] == [range(2, 5), range(40, 41)]
    assert found[0].boxes[1] == (2, 0, 12, 10)
    assert list(gaps_of(found, 50)) == [range(0, 2), range(5, 40), range(41, 50)] and stretches({}) == []


@pytest.mark.parametrize("count, most", [(1, 17), (17, 17), (18, 17), (100, 17), (81, 81), (82, 81), (500, 81)])
def test_parts_cover_every_frame_and_overlap(count, most):
    parts = parts_of(count, most)
    assert parts[0].start == 0 and parts[-1].stop == count and all(len(part) <= most for part in parts)
    assert all(before.stop - after.start >= OVERLAP for before, after in zip(parts, parts[1:]))
