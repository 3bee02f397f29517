"""Who is in the frames, with faces and places that are told."""

import numpy as np
import pytest
from PIL import Image

from lumosx_core.data.people import people
from lumosx_core.data.work import Rejected, read_mask, write_picture
from support.data_stand_ins import Faces, Places, face_at, mask_of, place_at

RED, BLUE = (200, 30, 30), (30, 30, 200)
LEFT, RIGHT = face_at(40), face_at(220)


@pytest.fixture
def found(tmp_path, leave, backends, settings):
    """found(frames, locator): who is in frames that are given as faces, and as colours of the left and right half."""
    def run(frames, locator=None):
        for number, (_, left, right) in enumerate(frames):
            pixels = np.zeros((240, 320, 3), np.uint8)
            pixels[:, :160], pixels[:, 160:] = left, right
            write_picture(tmp_path, f"frames/frame_{number}.png", Image.fromarray(pixels))
        leave("frames", chosen=list(range(len(frames))))
        parts = {"faces": Faces(*(faces for faces, _, _ in frames)), "locator": locator or Places()}
        return people(tmp_path, backends(**parts), settings)["people"]

    return run


def lefts(person):
    return {number: entry["box"][0] for number, entry in person["faces"].items()}


def test_people_are_numbered_from_left_to_right_in_the_first_frame(found):
    first, second = found([([RIGHT, LEFT], RED, BLUE), ([LEFT, RIGHT], RED, BLUE)])
    assert lefts(first) == {"0": 40, "1": 40} and lefts(second) == {"0": 220, "1": 220}


def test_people_who_change_places_are_known_by_their_colours(found):
    first, second = found([([LEFT, RIGHT], RED, BLUE), ([LEFT, RIGHT], BLUE, RED)])
    assert lefts(first) == {"0": 40, "1": 220} and lefts(second) == {"0": 220, "1": 40}


def test_people_who_look_alike_are_known_by_their_places(found):
    first, second = found([([LEFT, RIGHT], RED, RED), ([RIGHT, LEFT], RED, RED)])
    assert lefts(first) == {"0": 40, "1": 40} and lefts(second) == {"0": 220, "1": 220}


def test_a_frame_that_misses_somebody_is_left_out_and_small_faces_are_bystanders(found):
    small = face_at(140, width=40, height=40)
    first, second = found([([LEFT, RIGHT, small], RED, BLUE), ([LEFT], RED, BLUE), ([LEFT, RIGHT], RED, BLUE)])
    assert set(lefts(first)) == set(lefts(second)) == {"0", "2"}


@pytest.mark.parametrize(("frames", "reason"), [
    ([[], [], []], "no people"), ([[face_at(0, width=30)]] * 3, "no people"),
    ([[LEFT], [LEFT, RIGHT], []], "people change"),
    ([[face_at(left) for left in (0, 80, 160, 240)]] * 3, "too many people"),
])
def test_clips_that_cannot_be_used_are_rejected(found, frames, reason):
    with pytest.raises(Rejected) as rejected:
        found([(faces, RED, BLUE) for faces in frames])
    assert rejected.value.reason == reason


def test_pixels_come_from_the_locator_or_from_the_region_below_the_face(found, tmp_path):
    whole, half = place_at(10, 0, 150, 240), place_at(170, 5, 310, 200, masked=False)
    both = place_at(0, 0, 320, 240)
    first, second = found([([LEFT, RIGHT], RED, BLUE)] * 2, Places(person=[both, whole, half]))
    for person, box in ((first, (10, 0, 150, 240)), (second, (170, 5, 310, 200))):
        assert (read_mask(tmp_path, person["masks"]["0"]) == mask_of(box)).all()
    for person, side in zip(found([([LEFT, RIGHT], RED, RED)] * 2), (slice(0, 160), slice(160, 320))):
        mask = read_mask(tmp_path, person["masks"]["0"])
        assert mask.any() and mask.sum() == mask[:, side].sum()
