"""Whose face each face is: one to one, nobody's below half of the usual likeness, and unsure in between."""

import numpy as np

from lumosx_core.scores.naming import name_faces
from lumosx_core.scores.seen import SeenFrame
from support.coloured_faces import face_at

NAN = float("nan")


def named(*likeness, left_out=None):
    faces = tuple(face_at(40 * number) for number in range(len(likeness)))
    frame = SeenFrame(0, faces, np.array(likeness, np.float32).reshape(len(faces), 2), ())
    return [(one.subject, one.sure) for one in name_faces(frame, 0.4, left_out)]


def test_each_face_is_the_nearest_persons_and_each_person_has_one():
    assert named((0.1, 0.6), (0.7, 0.2)) == [(1, True), (0, True)]
    # The second face is nearer to the first person, who is the first face already.
    assert named((0.8, 0.1), (0.6, 0.5)) == [(0, True), (1, False)]


def test_little_likeness_is_unsure_and_less_is_nobody():
    assert named((0.4, 0.1), (0.1, 0.3)) == [(0, True), (1, False)]
    assert named((0.6, 0.1), (0.1, 0.19)) == [(0, True), (None, False)]
    assert named((0.6, 0.1), (0.5, 0.1), (0.1, 0.5)) == [(0, True), (None, False), (1, True)]


def test_a_stranger_who_is_unlike_one_person_does_not_become_the_other():
    assert named((0.5, 0.1), (0.45, -0.9)) == [(0, True), (None, False)]


def test_people_without_a_picture_have_no_face():
    assert named((NAN, 0.6), (NAN, 0.5)) == [(1, True), (None, False)]


def test_faces_that_are_left_out_take_nobody():
    assert named((0.9, 0.1), (0.5, 0.3), left_out=lambda face: face.centre[0] < 20) == [(None, False), (0, True)]
    assert named((0.9, 0.1), left_out=lambda face: True) == [(None, False)] and named() == []
