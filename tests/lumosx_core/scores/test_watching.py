"""Who is taken for whom, in both modes."""

import sys
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lumosx_core.errors import LumosXError
from lumosx_core.scores.watching import RECOMMENDED, RELEASE_MODE, Likeness, assign, watch
from support.coloured_faces import BLUE, GREEN, RED, ColourDetector, ColourEmbedder, drawn

SIMILARITIES = st.tuples(st.integers(0, 4), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-1, 1, width=32))
)


def best_sum(similarity):
    """By trying every choice of as many pairs as there can be."""
    faces, subjects = similarity.shape
    if faces > subjects:
        return best_sum(similarity.T)
    return max(
        sum(float(similarity[row, column]) for row, column in enumerate(columns))
        for columns in permutations(range(subjects), faces)
    )


@given(SIMILARITIES)
def test_no_other_choice_is_more_alike(similarity):
    chosen = assign(similarity)
    pairs = [(face, subject) for subject, face in enumerate(chosen) if face is not None]
    assert len(pairs) == min(similarity.shape) == len({face for face, _ in pairs})
    total = sum(float(similarity[pair]) for pair in pairs)
    assert total == pytest.approx(best_sum(similarity), abs=1e-5)


@given(SIMILARITIES, st.randoms())
def test_subjects_in_another_order_get_the_same_likeness(similarity, random):
    order = list(range(similarity.shape[1]))
    random.shuffle(order)
    total = sum(float(similarity[face, subject]) for subject, face in enumerate(assign(similarity)) if face is not None)
    shuffled = similarity[:, order]
    other = sum(float(shuffled[face, subject]) for subject, face in enumerate(assign(shuffled)) if face is not None)
    assert other == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    ("similarity", "shown"),
    [
        # Alone the first face would go to subject 1; together the sum is larger the other way round.
        ([[0.6, 0.5], [0.5, 0.1]], (1, 0)),
        # Fewer faces than people, and more.
        ([[0.2, 0.7]], (None, 0)),
        ([[0.2], [0.9], [0.5]], (1,)),
        # Even the least likeness makes a pair, as in the release.
        ([[-0.3]], (0,)),
        ([[0.9, np.nan], [0.8, np.nan]], (0, None)),
    ],
)
def test_faces_are_chosen_together(similarity, shown):
    assert assign(np.array(similarity, np.float32)) == shown


def test_ties_and_empty_frames_are_no_trouble():
    assert sorted(assign(np.zeros((2, 2), np.float32))) == [0, 1]
    assert assign(np.zeros((0, 3), np.float32)) == (None, None, None)


def pictures(*colours):
    return [None if colour is None else drawn([(colour, 20)], width=40, height=80) for colour in colours]


def test_the_release_takes_boxes_and_pictures_whole():
    embedder = ColourEmbedder()
    watch([drawn([(RED, 40), (GREEN, 120)])], pictures(RED, GREEN), ColourDetector(), embedder, RELEASE_MODE)
    # Two references of 40 x 80, then two boxes of 20 x 20, from 26.6 (17 % up) to 50.7 (3 % of 23.4 down).
    assert embedder.crops == [(80, 40, 3)] * 2 + [(24, 20, 3)] * 2
    assert embedder.aligned == 0


def test_the_recommended_way_aligns_both():
    embedder = ColourEmbedder()
    frames = watch([drawn([(GREEN, 40), (RED, 120)])], pictures(RED, GREEN), ColourDetector(), embedder, RECOMMENDED)
    assert embedder.aligned == 4 and embedder.crops == []
    assert [frames[0].face_of(subject).centre[0] for subject in (0, 1)] == [120, 40]
    assert frames[0].vectors.shape == (2, 3) and frames[0].second is None


def test_the_largest_face_of_a_picture_is_the_subjects():
    picture = drawn([(RED, 20)], 120)
    picture[10:70, 50:110] = GREEN
    frames = watch([drawn([(RED, 40), (GREEN, 120)])], [picture], ColourDetector(), ColourEmbedder())
    assert frames[0].face_of(0).centre[0] == 120


def test_a_subject_of_words_only_gets_no_face():
    frames = watch([drawn([(RED, 40), (BLUE, 120)])], pictures(None, BLUE), ColourDetector(), ColourEmbedder())
    assert frames[0].shown[0] is None and frames[0].face_of(1).centre[0] == 120
    assert np.isnan(frames[0].similarity[:, 0]).all() and not np.isnan(frames[0].similarity[:, 1]).any()


@pytest.mark.parametrize(("every", "watched"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (4, [0, 4]), (9, [0])])
def test_every_nth_frame_with_its_number_and_progress(every, watched):
    ticks = []
    video = [drawn([(RED, 40)])] * 5
    frames = watch(video, pictures(RED), ColourDetector(), ColourEmbedder(), every=every,
                   tick=lambda done, total: ticks.append((done, total)))
    assert [frame.index for frame in frames] == watched
    assert ticks == [(done, len(watched)) for done in range(len(watched) + 1)]


def test_a_stream_is_read_once_and_its_length_need_not_be_known():
    ticks = []
    stream = (drawn([(RED, 40)]) for _ in range(3))
    frames = watch(stream, pictures(RED), ColourDetector(), ColourEmbedder(),
                   tick=lambda done, total: ticks.append((done, total)))
    assert len(frames) == 3 and ticks == [(0, 0), (1, 0), (2, 0), (3, 3)]


def test_a_tick_that_raises_stops_the_watching():
    done = []

    def tick(count, total):
        done.append(count)
        if count == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        watch([drawn([(RED, 40)])] * 9, pictures(RED), ColourDetector(), ColourEmbedder(), tick=tick)
    assert done == [0, 1, 2]


@pytest.mark.parametrize(
    ("frames", "references", "options", "sentence"),
    [
        ([], pictures(RED), {}, "images: the video has no frames"),
        ([drawn([])], pictures(None, None), {}, "relations: no subject has a face picture"),
        ([drawn([])], [], {}, "relations: no subject has a face picture"),
        ([drawn([])], [*pictures(RED), drawn([])], {}, "subject 2; .* LumosX Identity Score, whose mode release"),
        ([drawn([])], pictures(RED), {"every": 0}, "every_nth_frame: 0 is below 1"),
        ([drawn([])], pictures(RED), {"mode": "fast"}, "mode: 'fast' is not known; choose one of recommended, release"),
    ],
)
def test_what_cannot_be_watched_ends_in_a_sentence(frames, references, options, sentence):
    with pytest.raises(LumosXError, match=sentence):
        watch(frames, references, ColourDetector(), ColourEmbedder(), **options)


def test_the_release_needs_no_face_in_a_picture():
    nobody = drawn([], 9, 9) + np.uint8(9)
    frames = watch([drawn([(RED, 40)])], [nobody], ColourDetector(), ColourEmbedder(), RELEASE_MODE)
    assert frames[0].shown == (0,)


def test_references_are_compared_with_each_other():
    likeness = Likeness.of(pictures(RED, None, RED, GREEN), ColourDetector(), ColourEmbedder())
    between = likeness.between_references()
    assert between[0, 2] == pytest.approx(1) and between[0, 3] < 0 and np.isnan(between[1]).all()


def test_without_scipy_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(LumosXError, match="scipy .* cannot be imported .*; run .* pip install .*scipy=="):
        assign(np.eye(2, dtype=np.float32))
