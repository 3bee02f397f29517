"""Faces followed from frame to frame, and given to people by likeness alone."""

import numpy as np

from lumosx_core.faces.face import Face
from lumosx_core.repair.tracks import LONGEST_GAP, assign_tracks, follow_faces, frames_text
from lumosx_core.scores.seen import SeenFrame

NAMES = ("ann", "bob")


def frame(index, *faces):
    """Faces as (x of the left edge, likenesses); each is 20 wide and high."""
    found = tuple(Face((x, 10, x + 20, 30), 1.0, np.zeros((5, 2))) for x, _ in faces)
    likeness = np.array([row for _, row in faces], np.float32).reshape(len(faces), len(NAMES))
    return SeenFrame(index, found, likeness, (None,) * len(NAMES))


def assigned(*frames, same=0.4):
    return assign_tracks(follow_faces(frames), NAMES, same)


def test_two_faces_are_followed_and_given_by_likeness_not_by_order():
    """The one on the left is the second person; in one frame it looks like the first."""
    odd = (0.6, 0.3)
    owned = assigned(*(frame(n, (10 + n, odd if n == 3 else (0.1, 0.5)), (100 - n, (0.4, 0.2))) for n in range(6)))
    assert [owned.boxes[1][n][0] for n in range(6)] == [10, 11, 12, 13, 14, 15]
    assert [owned.boxes[0][n][0] for n in range(6)] == [100, 99, 98, 97, 96, 95]
    assert owned.notes == () and owned.likeness[0] == np.float32(0.4)


def test_a_face_that_is_missed_for_a_moment_is_the_same():
    tracks = follow_faces([frame(0, (10, (1, 0))), frame(LONGEST_GAP + 1, (14, (1, 0)))])
    assert [sorted(track.boxes) for track in tracks] == [[0, LONGEST_GAP + 1]]
    tracks = follow_faces([frame(0, (10, (1, 0))), frame(LONGEST_GAP + 2, (14, (1, 0)))])
    assert len(tracks) == 2
    assert sorted(assign_tracks(tracks, NAMES, 0.4).boxes[0]) == [0, LONGEST_GAP + 2]


def test_a_stranger_gets_nobodys_reference():
    owned = assigned(*(frame(n, (10, (0.5, 0.1)), (100, (0.1, 0.15))) for n in range(3)))
    assert set(owned.boxes) == {0} and len(owned.notes) == 1 and "frames 0 to 2" in owned.notes[0]


def test_two_faces_of_one_person_change_nothing_and_a_weaker_one_is_named():
    owned = assigned(*(frame(n, (10, (0.5, 0.0)), (100, (0.45, 0.0))) for n in range(2)))
    assert owned.boxes == {} and "ann: two faces" in owned.notes[0]
    owned = assigned(*(frame(n, (10, (0.5, 0.0)), (100, (0.3, 0.0))) for n in range(2)))
    assert owned.boxes[0][0][0] == 10 and "less" in owned.notes[0]


def test_people_without_a_picture_get_no_face():
    owned = assigned(*(frame(n, (10, (np.nan, 0.5)), (100, (np.nan, 0.1))) for n in range(2)))
    assert set(owned.boxes) == {1} and len(owned.notes) == 1


def test_frames_as_words():
    assert frames_text([3]) == "frame 3" and frames_text(range(4, 9)) == "frames 4 to 8"
