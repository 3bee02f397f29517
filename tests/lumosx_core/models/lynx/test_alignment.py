"""Faces laid on the two templates; the golden file holds the numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx.alignment import TEMPLATES, aligned_crop, similarity_matrix, warp
from tools.golden import load_golden

GOLDEN = Path(__file__).parents[3] / "golden" / "lynx_face_crops.safetensors"


@pytest.fixture(scope="module")
def golden():
    return load_golden(GOLDEN)[0]


def largest(crop, expected):
    return (crop.int() - expected.int()).abs().max().item()


def test_the_golden_file_notices_a_crop_stretched_from_its_darkest_to_its_brightest(golden):
    """As one port does to both of its crops."""
    noticed = []
    for landmarks, expected in zip(golden["landmarks"].numpy(), golden["crop_112"]):
        crop = aligned_crop(golden["picture"], landmarks, 112)
        assert largest(crop, expected) <= 8
        low, high = crop.min().item(), crop.max().item()
        noticed.append(largest(((crop.float() - low) / (high - low) * 255).round(), expected) > 8)
    # A crop that already reaches from 0 to 255 stays as it is.
    assert any(noticed)


def test_the_golden_file_notices_the_template_of_the_other_crop(golden):
    """A reference crop as tight as the recogniser's."""
    tight = 256 / 112 * similarity_matrix(golden["landmarks"][1].numpy(), 112)
    assert largest(aligned_crop(golden["picture"], golden["landmarks"][1].numpy(), 256), golden["crop_256"][0]) <= 8
    assert largest(warp(golden["picture"], tight, 256), golden["crop_256"][0]) > 8


def test_the_golden_file_notices_landmarks_whose_sides_are_exchanged(golden):
    exchanged = golden["landmarks"][0].numpy()[[1, 0, 2, 4, 3]]
    assert np.abs(similarity_matrix(exchanged, 112) - golden["matrix_112"][0].numpy()).max() > 1


@given(
    angle=st.floats(-3.1, 3.1), scale=st.floats(0.05, 20), x=st.floats(-500, 500), y=st.floats(-500, 500),
    size=st.sampled_from([112, 256]),
)
def test_landmarks_that_lie_like_the_template_are_brought_back_to_it(angle, scale, x, y, size):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = TEMPLATES[size] @ turn.T + (x, y)
    matrix = similarity_matrix(landmarks, size)
    assert np.allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], TEMPLATES[size], atol=1e-6)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_mirrored_landmarks_shrink_rather_than_mirror():
    mirrored = TEMPLATES[112] * (-1, 1) + (112, 0)
    matrix = similarity_matrix(mirrored, 112)
    assert 0 <= np.linalg.det(matrix[:, :2]) < 0.5


@pytest.mark.parametrize(("landmarks", "named"), [
    (np.full((5, 2), 7.0), "same point"), (np.zeros((4, 2)), r"\[4, 2\]"), (np.zeros((5, 3)), r"\[5, 3\]"),
    (np.array([[np.nan, 0], [1, 2], [3, 4], [5, 6], [7, 8]]), "finite"),
    (np.array([[np.inf, 0], [1, 2], [3, 4], [5, 6], [7, 8]]), "finite"),
])
def test_landmarks_without_a_face_are_one_sentence(landmarks, named):
    with pytest.raises(LumosXError, match=f"^landmarks: .*{named}"):
        similarity_matrix(landmarks, 112)


def test_a_face_outside_the_picture_is_black():
    picture = torch.full((40, 50, 3), 200, dtype=torch.uint8)
    for shift in ((1e4, 0), (-1e4, 0), (0, 1e4), (0, -1e4), (1e15, 1e15)):
        assert not aligned_crop(picture, TEMPLATES[112] + shift, 112).any()


@pytest.mark.parametrize("size", [112, 256])
def test_an_untouched_template_is_copied_pixel_by_pixel(size):
    picture = torch.randint(0, 256, (size, size, 3), dtype=torch.uint8)
    assert torch.equal(aligned_crop(picture, TEMPLATES[size], size), picture)
    # Half a pixel to the right is the mean of two neighbours, and of the last one and black.
    moved = warp(picture, np.array([[1, 0, -0.5], [0, 1, 0]]), size).int()
    neighbours = torch.cat([picture[:, 1:], torch.zeros(size, 1, 3, dtype=torch.uint8)], dim=1).int()
    assert ((moved * 2 - picture.int() - neighbours).abs() <= 1).all()
