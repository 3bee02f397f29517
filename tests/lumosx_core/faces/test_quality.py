"""Figures of faces, told from photographs that were spoilt on purpose."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.faces import quality
from lumosx_core.faces.face import Face
from lumosx_core.faces.quality import SHARP, Quality, frontality, measure_quality, sharpness, tilt, whole
from support.photographs import CASES, case_faces, read, six_people_file

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the photographs are not part of the project")
# Straight into the camera: eyes at (±1, 0), the nose 57 % of the way to the mouth.
STRAIGHT = np.array([(-1, 0), (1, 0), (0, 1.14), (-0.8, 2), (0.8, 2)])


@pytest.fixture(scope="module")
def photographed(detector, astronaut):
    """[(pixels, face)] of every real face there is."""
    photos = [astronaut, read(six_people_file()), *case_faces().values()]
    return [(pixels, face) for pixels in photos for face in detector.detect(pixels)]


def blurred(pixels, face, share):
    return cv2.GaussianBlur(pixels, (0, 0), share * face.width)


def test_real_faces_are_sharp_and_blurred_ones_are_not(photographed):
    for pixels, face in photographed:
        assert measure_quality(pixels, face).sharpness > 3 * SHARP
        figures = [measure_quality(blurred(pixels, face, share), face).sharpness for share in (0.01, 0.02, 0.03, 0.06)]
        assert figures == sorted(figures, reverse=True) and figures[2] < SHARP
        problems = measure_quality(blurred(pixels, face, 0.03), face).problems()
        assert any("it is blurred: its sharpness" in problem for problem in problems)


def test_sharpness_compares_between_sizes(detector, astronaut):
    """A photo at double the size is the same photo."""
    large = cv2.resize(astronaut, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    figures = [measure_quality(pixels, detector.detect(pixels)[0]).sharpness for pixels in (astronaut, large)]
    assert figures[1] == pytest.approx(figures[0], rel=0.2)


def test_a_flat_picture_and_an_empty_one_have_no_sharpness():
    assert sharpness(np.full((40, 30, 3), 90, np.uint8), 64) == 0
    assert sharpness(np.zeros((0, 30, 3), np.uint8), 64) == 0


def test_frontality_of_photographs(detector, astronaut):
    assert frontality(detector.detect(astronaut)[0].landmarks) > 0.9
    people = sorted(detector.detect(read(six_people_file())), key=lambda face: face.centre[0])
    figures = [frontality(face.landmarks) for face in people]
    assert figures[4] == min(figures) < 0.4 < sorted(figures)[1]


def test_straight_and_profile():
    assert frontality(STRAIGHT) == pytest.approx(1)
    profile = STRAIGHT.copy()
    profile[:2, 0] *= 0.01
    profile[2, 0] = 0.8
    assert frontality(profile) < 0.05
    assert frontality(np.zeros((5, 2))) == 0
    one_eye = STRAIGHT.copy()
    one_eye[:2] = 0
    assert frontality(one_eye) == 0


@given(st.floats(-3, 3), st.floats(0.1, 100), st.floats(-1.2, 1.2), st.floats(-1, 1))
def test_frontality_does_not_depend_on_tilt_size_or_side(angle, size, aside, along):
    points = STRAIGHT.copy()
    points[2] += aside, along
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    figure = frontality(points)
    assert 0 <= figure <= 1
    assert frontality(size * points @ turn + 5) == pytest.approx(figure, abs=1e-6)
    assert frontality((points * (-1, 1))[[1, 0, 2, 4, 3]]) == pytest.approx(figure, abs=1e-6)


@given(st.floats(-180, 180), st.floats(0.1, 100))
def test_tilt_is_the_way_from_upright_to_either_side(degrees, size):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert tilt(size * STRAIGHT @ turn + 5) == pytest.approx(abs(degrees), abs=1e-6)


@pytest.mark.parametrize(("quarters", "lies"), [(1, "on its side"), (2, "on its head"), (3, "on its side")])
def test_a_face_that_lies_is_said_to(detector, astronaut, quarters, lies):
    """Unless it will be turned upright."""
    lying = np.ascontiguousarray(np.rot90(astronaut, quarters))
    quality = measure_quality(lying, detector.detect(lying)[0])
    told = f"it is {lies}, tilt about {quality.tilt:.0f} degrees; turn the photo, or use upright of LumosX Face "
    assert told + "Crop" in quality.problems()
    assert not any("tilt about" in problem for problem in quality.problems(upright=True))


def test_photographed_people_do_not_lie(photographed):
    assert max(measure_quality(pixels, face).tilt for pixels, face in photographed) < 30


@given(st.floats(0, 1), st.floats(0.01, 1))
def test_the_further_the_nose_the_less_frontal(near, further):
    def figure(aside):
        return frontality(STRAIGHT + np.array([(0, 0), (0, 0), (aside, 0), (0, 0), (0, 0)]))

    assert figure(near) > figure(near + further)


def test_whole_faces_are_whole(photographed):
    qualities = [measure_quality(pixels, face) for pixels, face in photographed]
    assert min(quality.whole for quality in qualities) > 0.88
    assert all("cut off" not in problem for quality in qualities for problem in quality.problems())


@pytest.mark.parametrize("side", ("left", "right", "top", "bottom"))
def test_a_face_cut_by_a_third_is_said_to_be(detector, astronaut, side):
    """Although the detector shrinks its box."""
    left, top, right, bottom = (round(value) for value in detector.detect(astronaut)[0].box)
    third_x, third_y = (right - left) // 3, (bottom - top) // 3
    cut = {
        "left": astronaut[:, left + third_x:], "right": astronaut[:, :right - third_x],
        "top": astronaut[top + third_y:], "bottom": astronaut[:bottom - third_y],
    }[side]
    cut = np.ascontiguousarray(cut)
    quality = measure_quality(cut, detector.detect(cut)[0])
    assert quality.whole == pytest.approx(2 / 3, abs=0.13)
    assert any("of it is cut off by the edge of the picture" in problem for problem in quality.problems())


def test_what_lies_in_the_picture_is_counted():
    points = 10 * STRAIGHT + 50
    assert whole(points, 100, 100) == 1
    assert whole(points, 50, 100) == pytest.approx(0.5)
    assert whole(points, 20, 20) == 0


@needs_cases
def test_crops_of_the_release_have_no_problems(detector):
    for name, pixels in case_faces().items():
        assert measure_quality(pixels, detector.detect(pixels)[0]).problems() == [], name


def test_each_figure_has_its_limit():
    good = Quality(48, SHARP, 0.4, 0.85, 60.0)
    assert not good.too_small and good.problems() == []
    spoilt = {"short_side": 47.9, "sharpness": SHARP - 1, "frontality": 0.39, "whole": 0.84, "tilt": 60.1}
    for name, value in spoilt.items():
        assert len(replace(good, **{name: value}).problems()) == 1, name
    assert "on its side" in replace(good, tilt=135.0).problems()[0]
    assert "on its head" in replace(good, tilt=135.1).problems()[0]


def test_problems_say_the_figure(astronaut):
    face = Face((10.0, 20.0, 41.4, 60.0), 0.9, np.array([(20, 30), (35, 30), (27, 38), (22, 45), (33, 45)], float))
    assert measure_quality(astronaut, face).problems()[0] == "its short side is 31 px, below 48 px"


GOOD = Quality(quality.SMALLEST_FACE, quality.SHARP, quality.TURNED, quality.WHOLE, quality.TILTED)


@pytest.mark.parametrize(("name", "change", "words"), [
    ("short_side", -0.1, "its short side is"), ("sharpness", -0.1, "it is blurred"),
    ("frontality", -0.01, "it is turned far away"), ("whole", -0.01, "of it is cut off"),
    ("tilt", 0.1, "it is on its side"), ("tilt", quality.UPSIDE_DOWN - quality.TILTED, "it is on its side"),
    ("tilt", quality.UPSIDE_DOWN - quality.TILTED + 0.1, "it is on its head"),
])
def test_each_figure_is_good_exactly_up_to_its_bound(name, change, words):
    assert GOOD.problems() == [] and not GOOD.too_small
    (problem,) = replace(GOOD, **{name: getattr(GOOD, name) + change}).problems()
    assert words in problem
    assert replace(GOOD, tilt=180.0).problems(upright=True) == []


@pytest.mark.parametrize(("width", "height"), [(20, 40), (40, 20), (30, 30)])
def test_the_short_side_is_the_shorter_one(width, height):
    one = Face((10.0, 10.0, 10.0 + width, 10.0 + height), 0.9, STRAIGHT * 5 + 25)
    assert measure_quality(np.zeros((60, 60, 3), np.uint8), one).short_side == min(width, height)
