"""Cosines, and faces on InsightFace's template."""

import sys

import numpy as np
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.faces.vectors import aligned, cosine, resized, similarity_transform

LANDMARKS = np.array([[40, 60], [80, 52], [66, 84], [52, 108], [86, 100]], dtype=np.float32)


def test_cosines_whatever_the_length():
    first = np.array([[3, 4], [0, 0], [0, 1e-30], [-1e30, 0]], dtype=np.float32)
    second = np.array([[30, 40], [0, 0], [1, 0]], dtype=np.float32)
    expected = [[1, 0, 0.6], [0, 0, 0], [0.8, 0, 0], [-0.6, 0, -1]]
    found = cosine(first, second)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_vectors_have_no_cosines():
    assert cosine(np.zeros((0, 4), np.float32), np.ones((3, 4), np.float32)).shape == (0, 3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("turn", [0, 20, 90, 180])
def test_the_transform_is_insightfaces(turn):
    from insightface.utils.face_align import estimate_norm

    angle = np.deg2rad(turn)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # A mirrored face must not be turned into a mirrored crop.
    for landmarks in (LANDMARKS @ matrix, LANDMARKS * (-1, 1) @ matrix):
        np.testing.assert_allclose(similarity_transform(landmarks), estimate_norm(landmarks), rtol=1e-6, atol=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_crop_is_insightfaces():
    import cv2
    from insightface.utils.face_align import norm_crop

    noise = np.random.default_rng(3).integers(0, 256, (150, 120, 3), dtype=np.uint8)
    pixels = cv2.GaussianBlur(noise, (0, 0), 2)
    ours, theirs = aligned(pixels, LANDMARKS).astype(int), norm_crop(pixels, LANDMARKS).astype(int)
    assert ours.shape == (112, 112, 3)
    assert np.abs(ours - theirs).max() <= 1


def test_without_opencv_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    pixels = np.zeros((20, 20, 3), np.uint8)
    for make in (lambda: resized(pixels), lambda: aligned(pixels, LANDMARKS)):
        with pytest.raises(LumosXError, match="OpenCV is not installed; run .* pip install .*opencv-python"):
            make()
