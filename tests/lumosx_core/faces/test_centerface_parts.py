"""The sums around CenterFace's network: tiles, boxes that are one face, and where its numbers lie in a picture."""

import numpy as np
import pytest

from lumosx_core.faces import centerface
from lumosx_core.faces.centerface import LEAST_OVERLAP
from lumosx_core.faces.face import Face

TILE, OVERLAP, INF = centerface._TILE, centerface._TILE_OVERLAP, np.inf


@pytest.mark.parametrize(("length", "starts"), [
    (1, [0]), (TILE, [0]), (TILE + 1, [0, 1]), (2 * TILE - OVERLAP, [0, TILE - OVERLAP]),
    (2 * TILE - OVERLAP + 1, [0, (TILE - OVERLAP + 1) // 2, TILE - OVERLAP + 1]),
])
def test_tiles_cover_a_side_with_their_overlap(length, starts):
    found = centerface._starts(length)
    assert found == starts and found[-1] + TILE >= length
    assert all(after - before <= TILE - OVERLAP for before, after in zip(found, found[1:]))


def test_tiles_go_row_by_row():
    assert list(centerface._tiles(TILE + 1, TILE + 2)) == [(0, 0), (1, 0), (0, 2), (1, 2)]


@pytest.mark.parametrize(("left", "top", "box"), [
    (0, 0, (-INF, -INF, TILE - 5, TILE - 5)), (100, 200, (105, 205, INF, INF)),
    (99, 199, (104, 204, TILE + 99 - 5, TILE + 199 - 5)), (0, 200, (-INF, 205, TILE - 5, INF)),
])
def test_only_edges_with_a_neighbour_are_kept_away_from(left, top, box):
    assert centerface._inner_box(left, top, TILE + 100, TILE + 200, 5) == box


@pytest.mark.parametrize(("box", "inside"), [
    ((0, 0, 9, 9), True), ((-1, 0, 9, 9), False), ((0, -1, 9, 9), False), ((0, 0, 10, 9), False),
    ((0, 0, 9, 10), False), ((3, 3, 4, 4), True),
])
def test_a_box_lies_in_another_up_to_its_edges(box, inside):
    assert centerface._lies_in(box, (0, 0, 9, 9)) == inside


@pytest.mark.parametrize(("other", "share"), [
    ((0, 0, 10, 10), 1.0), ((10, 0, 20, 10), 0.0), ((0, 10, 10, 20), 0.0), ((5, 0, 15, 10), 1 / 3),
    ((0, 5, 10, 15), 1 / 3), ((-20, -20, -10, -10), 0.0), ((2, 2, 4, 4), 0.04), ((20, 20, 30, 30), 0.0),
])
def test_the_share_of_their_union_that_two_boxes_cover(other, share):
    for pair in (((0, 0, 10, 10), other), (other, (0, 0, 10, 10))):
        assert centerface._overlap(*pair) == pytest.approx(share)


def face(left, top, side=10.0):
    return Face((left, top, left + side, top + side), 0.9, np.zeros((5, 2)))


def test_faces_that_share_more_than_the_least_are_one():
    first, far = face(0.0, 0.0), face(90.0, 0.0)
    # Of 100 each, a share s of the union is an overlap of 200 s / (1 + s).
    limit = 10 - 20 * LEAST_OVERLAP / (1 + LEAST_OVERLAP)
    same, other = face(limit - 0.01, 0.0), face(limit + 0.01, 0.0)
    assert centerface._merged([first], [same, far]) == [first, far]
    assert centerface._merged([first], [other]) == [first, other] and centerface._merged([], [same]) == [same]


def test_faces_that_share_exactly_the_least_are_two(monkeypatch):
    pair = [face(0.0, 0.0), face(5.0, 0.0)]
    monkeypatch.setattr(centerface, "LEAST_OVERLAP", centerface._overlap(pair[0].box, pair[1].box))
    assert centerface._merged(pair[:1], pair[1:]) == pair


def test_a_face_of_a_tile_is_moved_to_its_place():
    moved = centerface._moved(Face((1.0, 2.0, 3.0, 5.0), 0.7, np.ones((5, 2))), 100, 200)
    assert moved.box == (101, 202, 103, 205) and moved.score == 0.7 and (moved.landmarks == (101, 201)).all()


def test_landmarks_begin_with_the_left_one_of_each_pair():
    points = np.array([(9, 1), (2, 1), (5, 5), (8, 8), (3, 8)], float)
    assert centerface._ordered(points).tolist() == [[2, 1], [9, 1], [5, 5], [3, 8], [8, 8]]
    assert centerface._ordered(centerface._ordered(points)).tolist() == centerface._ordered(points).tolist()


def test_a_cell_above_the_least_score_becomes_a_box():
    heat = np.zeros((1, 3, 4))
    heat[0, 1, 2], heat[0, 2, 3] = 0.75, 0.5
    sizes, offsets, landmarks = np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), np.full((10, 3, 4), 0.5)
    sizes[:, 1, 2] = np.log(6), np.log(4)
    offsets[:, 1, 2] = 0.25, -0.25
    landmarks[0:2, 1, 2] = 0.0, 1.0
    corner, size, score, points = centerface._read(heat, sizes, offsets, landmarks, 0.5)
    assert score.tolist() == [0.75] and size[0] == pytest.approx((16, 24))
    # The middle of the cell is 2.5 and 1.5, and the offset is y first.
    assert corner[0] == pytest.approx((4 * 2.25 - 8, 4 * 1.75 - 12))
    assert points[0, 0] == pytest.approx((corner[0][0] + 16, corner[0][1]))
    assert points[0, 4] == pytest.approx((corner[0][0] + 8, corner[0][1] + 12))
    assert len(centerface._read(heat, sizes, offsets, landmarks, 0.4999)[2]) == 2


@pytest.mark.parametrize(("height", "width", "scale", "offset"), [
    (10, 20, 2.0, (0, 10)), (20, 10, 2.0, (10, 0)), (80, 40, 0.5, (10, 0)), (40, 40, 1.0, (0, 0)),
    (1, 400, 0.1, (0, 19)),
])
def test_a_picture_lies_amid_a_white_square(height, width, scale, offset):
    laid, found, place = centerface._laid(np.zeros((height, width, 3), np.uint8), 40, 40)
    assert laid.shape == (40, 40, 3) and found == scale and tuple(place) == offset
    dark = (laid == 0).all(-1)
    assert dark.sum() == max(1, round(height * scale)) * max(1, round(width * scale)) and dark[offset[1], offset[0]]


def test_every_tile_is_searched_whole_and_its_faces_are_moved(monkeypatch):
    """A face counts in a tile only as long as it is small there and away from the tile's neighbours."""
    detector, searched = centerface.CenterFace.__new__(centerface.CenterFace), []

    def search(tile, canvas, length):
        searched.append((tile.shape[:2], int(tile[0, 0, 0]), canvas, length))
        return [face(TILE / 2, 10.0), face(TILE / 2, 300.0, 2 * centerface._TALLEST_IN_TILES)], 1.0

    monkeypatch.setattr(detector, "_search", search)
    pixels = np.zeros((TILE, TILE + 90, 3), np.uint8)
    pixels[:, 90:] = 7
    found = detector._search_tiles(pixels)
    large = centerface._LARGE_CANVAS
    assert searched == [((TILE, TILE), 0, large, large), ((TILE, TILE), 7, large, large)]
    assert [one.box[:2] for one in found] == [(TILE / 2, 10.0), (TILE / 2 + 90, 10.0)]


@pytest.mark.parametrize(("side", "canvases"), [
    (10, ["small", "wide"]), (centerface._LARGE_PICTURE, ["small", "wide"]),
    (centerface._LARGE_PICTURE + 1, ["large", "small", "wide"]), (TILE, ["large", "small", "wide"]),
    (TILE + 1, ["tiles", "large", "small", "wide"]),
])
def test_a_picture_is_searched_as_finely_as_its_size_asks_for(monkeypatch, side, canvases):
    detector, asked = centerface.CenterFace.__new__(centerface.CenterFace), []
    names = {centerface._CANVAS: "small", centerface._LARGE_CANVAS: "large", centerface._WIDE_CANVAS: "wide"}

    def search(pixels, canvas, length):
        assert length == (centerface._PICTURE_ON_IT if canvas == centerface._WIDE_CANVAS else canvas)
        asked.append(names[canvas])
        return [], 1.0

    monkeypatch.setattr(detector, "_search", search)
    monkeypatch.setattr(detector, "_search_tiles", lambda pixels: asked.append("tiles") or [])
    for shape in ((side, 1, 3), (1, side, 3)):
        asked.clear()
        assert detector.detect(np.zeros(shape, np.uint8)) == [] and asked == canvases


@pytest.mark.parametrize(("height", "kept"), [(centerface._TALLEST, True), (centerface._TALLEST + 1, False)])
def test_a_face_that_fills_its_canvas_is_left_to_the_wide_one(monkeypatch, height, kept):
    detector = centerface.CenterFace.__new__(centerface.CenterFace)
    sides = {centerface._CANVAS: [face(0.0, 0.0, height / 2)], centerface._WIDE_CANVAS: []}
    monkeypatch.setattr(detector, "_search", lambda pixels, canvas, length: (sides[canvas], 2.0))
    assert len(detector.detect(np.zeros((10, 10, 3), np.uint8))) == kept


def test_the_surest_face_comes_first(monkeypatch):
    detector = centerface.CenterFace.__new__(centerface.CenterFace)
    found = [Face((left, 0.0, left + 5, 5.0), score, np.zeros((5, 2))) for left, score in ((0.0, 0.6), (50.0, 0.9))]
    monkeypatch.setattr(detector, "_search", lambda pixels, canvas, length: (found, 1.0))
    assert detector.detect(np.zeros((10, 10, 3), np.uint8)) == found[::-1]
