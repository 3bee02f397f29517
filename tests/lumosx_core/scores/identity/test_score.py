"""The formulas, on numbers that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.scores.identity.score import confusion, identity_score, likeness_of, margins, strangers, subject_score
from lumosx_core.scores.seen import SeenFrame
from lumosx_core.scores.watching import assign
from support.coloured_faces import ColourEmbedder, face_at


def frame(similarity, second=None, vectors=None, index=0):
    similarity = np.array(similarity, np.float32)
    second = None if second is None else np.array(second, np.float32)
    vectors = None if vectors is None else np.array(vectors, np.float32)
    faces = tuple(face_at(40 * number) for number in range(len(similarity)))
    return SeenFrame(index, faces, similarity, assign(similarity), vectors, second)


def test_the_sum_over_frames_and_references_with_0_for_a_miss():
    frames = [
        frame([[0.5, 0.1], [0.2, 0.4]]),
        frame([[0.1, 0.8]]),
        frame(np.zeros((0, 2))),
        # A third face costs nothing, and negative likeness is kept.
        frame([[-0.2, -0.9], [-0.5, 0.3], [-0.9, -0.9]]),
    ]
    assert identity_score(frames, (0, 1)) == pytest.approx((0.5 + 0.4 + 0.8 + 0.0 - 0.2 + 0.3) / (4 * 2))


def test_without_any_face_the_score_is_0():
    assert identity_score([frame(np.zeros((0, 2)))] * 3, (0, 1)) == 0.0


def test_a_subject_of_words_only_is_no_reference():
    frames = [frame([[0.6, np.nan]]), frame([[0.2, np.nan], [0.4, np.nan]])]
    assert identity_score(frames, (0,)) == pytest.approx((0.6 + 0.4) / 2)
    score = subject_score(frames, 1, ColourEmbedder(), known=False)
    assert (score.likeness, score.seen_likeness, score.seen) == (None, None, 0.0)
    twice = [frame([[0.6, np.nan]], [[0.3, np.nan]], [[1, 0, 0]])]
    assert subject_score(twice, 1, ColourEmbedder(), known=False).second is None
    assert subject_score(twice, 0, ColourEmbedder()).second == pytest.approx(0.3)


def test_the_second_embedder_compares_the_first_ones_pairs():
    """Its own choice would be the other one, and sum to 1.8."""
    frames = [frame([[0.5, 0.1], [0.2, 0.4]], second=[[0.1, 0.9], [0.9, -0.3]])]
    assert identity_score(frames, (0, 1), second=True) == pytest.approx((0.1 - 0.3) / 2)


def test_a_subjects_row():
    vectors = [[1, 0, 0]], [[1, 1, 0]], [[0, 1, 0]]
    frames = [
        frame([[0.6]], [[0.3]], vectors[0]), frame([[0.4]], [[0.1]], vectors[1]),
        frame(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 3))), frame([[0.2]], [[0.2]], vectors[2]),
    ]
    score = subject_score(frames, 0, ColourEmbedder())
    assert score.likeness == pytest.approx(1.2 / 4) and score.seen_likeness == pytest.approx(0.4)
    assert score.worst == pytest.approx(0.2) and score.seen == 0.75 and score.second == pytest.approx(0.6 / 4)
    # Only the first two stand next to each other.
    assert score.steadiness == score.least_steady == pytest.approx(0.5 ** 0.5)


def test_strangers_are_those_who_are_less_alike_than_one_person_is():
    """By the mean over the frames in which a face was taken for them; nobody without a face is one."""
    frames = [frame([[0.5, 0.25, np.nan], [0.25, 0.25, np.nan]]), frame([[0.5, 0.0, np.nan]])]
    assert strangers(frames, 0.5) == {1: 0.25}
    assert strangers(frames, 0.51) == {0: 0.5, 1: 0.25} and strangers(frames, 0.25) == {}


def test_one_frame_has_no_neighbour():
    score = subject_score([frame([[0.6]], vectors=[[1, 0, 0]])], 0, ColourEmbedder())
    assert (score.steadiness, score.least_steady, score.second) == (None, None, None)


def test_who_looks_like_whom():
    frames = [frame([[0.8, 0.2], [0.0, 0.5]]), frame([[0.4, 0.5]]), frame([[0.6, 0.0], [0.3, 0.7]])]
    table = confusion(frames, 2)
    np.testing.assert_allclose(table, [[0.7, 0.1], [0.7 / 3, 1.7 / 3]], atol=1e-6)
    assert margins(table) == [pytest.approx(0.6), pytest.approx(1 / 3)]


def test_the_margin_is_to_the_next_best():
    assert margins(confusion([frame([[0.8, 0.1, 0.5]])], 3)) == [pytest.approx(0.3), None, None]


def test_nobody_to_compare_with_has_no_margin():
    assert margins(confusion([frame([[0.8]])], 1)) == [None]
    assert margins(np.array([[np.nan, 0.2], [0.3, 0.8]])) == [None, pytest.approx(0.5)]
    assert margins(np.array([[0.7, np.nan], [0.3, 0.8]])) == [None, pytest.approx(0.5)]
    assert margins(confusion([frame([[0.8, np.nan]])], 2)) == [None, None]
    assert margins(confusion([frame(np.zeros((0, 2)))], 2)) == [None, None]


LIKENESS = st.floats(-1, 1, width=32)


@given(st.lists(st.lists(st.lists(LIKENESS, min_size=3, max_size=3), max_size=4), min_size=1, max_size=4), st.randoms())
def test_subjects_in_another_order_change_rows_and_no_score(rows, random):
    tables = [np.array(table, np.float32).reshape(-1, 3) for table in rows]
    # Equal numbers may be paired either way, so they are told apart a little.
    tables = [table + np.linspace(0, 1e-2, table.size, dtype=np.float32).reshape(table.shape) ** 2 for table in tables]
    order = [0, 1, 2]
    random.shuffle(order)
    plain, shuffled = [frame(table) for table in tables], [frame(table[:, order]) for table in tables]
    assert identity_score(shuffled, (0, 1, 2)) == pytest.approx(identity_score(plain, (0, 1, 2)), abs=1e-5)
    same = all(tuple(one.shown[subject] for subject in order) == other.shown for one, other in zip(plain, shuffled))
    if same:
        np.testing.assert_allclose(confusion(shuffled, 3), confusion(plain, 3)[np.ix_(order, order)])


def test_a_miss_has_no_likeness():
    assert likeness_of(frame([[0.1, 0.8]]), 0) is None
