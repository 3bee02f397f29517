"""Token order, groups, positions and text weights against the rules of the paper, spelled out token by token."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout

spans = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)).map(lambda s: (s[0], s[0] + s[1])), min_size=1,
                 max_size=3).map(tuple)


@st.composite
def bindings(draw):
    non_human = draw(st.lists(spans, max_size=3).map(tuple))
    images = draw(st.lists(st.integers(1, 3), min_size=0 if non_human else 1, max_size=3).map(tuple))
    people = tuple(draw(spans) for _ in images)
    return Binding(non_human, people, images)


layouts = st.builds(SequenceLayout, st.integers(1, 4), st.integers(1, 10), st.integers(1, 10), bindings())


@given(layouts)
def test_groups_tile_the_references(layout):
    assert layout.tokens == layout.video_tokens + layout.binding.references * layout.frame_tokens
    edges = [layout.video_tokens, *(end for _, end in layout.groups)]
    assert [start for start, _ in layout.groups] == edges[:-1]
    assert edges[-1] == layout.tokens
    assert layout.reference_range(layout.binding.references - 1)[1] == layout.tokens


@given(layouts)
def test_positions_follow_the_rule(layout):
    T, H, W = layout.frames, layout.height, layout.width
    expected = [(f, y, x) for f in range(T) for y in range(H) for x in range(W)]
    for j in range(len(layout.binding.non_human_spans)):
        expected += [(T + j, y, x) for y in range(H) for x in range(W)]
    for s, images in enumerate(layout.binding.subject_images):
        t = T + len(layout.binding.non_human_spans) + s
        expected += [(t, y + i * H, x + i * W) for i in range(images) for y in range(H) for x in range(W)]
    assert layout.positions().tolist() == [list(position) for position in expected]


@given(layouts)
def test_positions_never_collide(layout):
    for relational in (True, False):
        assert len(set(map(tuple, layout.positions(relational).tolist()))) == layout.tokens


@given(layouts, st.integers(1, 8))
def test_pooled_cells_are_the_cut_of_the_padded_grid(layout, pool):
    rows, columns = -(-layout.height // pool), -(-layout.width // pool)
    cells = torch.arange(rows * columns).reshape(rows, columns)
    padded = cells.repeat_interleave(pool, 0).repeat_interleave(pool, 1)
    assert torch.equal(layout.pooled_cells(pool), padded.flatten()[:layout.frame_tokens])


def test_a_subject_of_words_only_takes_no_place_and_still_draws_others_away():
    """The middle one of three has no pictures, as when they are bypassed to compare."""
    words = (((0, 1),), ((1, 2),), ((2, 3),))
    layout = SequenceLayout(2, 3, 4, Binding((), words, (2, 0, 1)))
    alone = SequenceLayout(2, 3, 4, Binding((), (words[0], words[2]), (2, 1)))
    assert layout.tokens == alone.tokens and layout.groups == alone.groups == ((24, 48), (48, 60))
    assert torch.equal(layout.positions(), alone.positions())
    assert layout.binding.text_weights(3).tolist() == [[1, -0.5, -0.5], [1, -0.5, -0.5], [-0.5, -0.5, 1]]


@pytest.mark.parametrize("binding", [Binding((), (), ()), Binding((), (((0, 1),), ((1, 2),)), (0, 0))])
def test_without_pictures_there_is_only_the_video(binding):
    layout = SequenceLayout(2, 3, 4, binding)
    assert layout.tokens == layout.video_tokens == len(layout.positions())
    assert layout.groups == layout.group_calls == () and binding.text_weights(4).shape == (0, 4)


def test_text_weights_of_one_person_are_its_words():
    binding = Binding((((0, 2),),), (((3, 4), (6, 8)),), (2,))
    weights = binding.text_weights(10)
    assert weights.tolist() == [
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 1, 1, 0, 0],
    ]


def test_words_shared_by_everyone_cancel_out_and_others_repel():
    weights = Binding((), (((0, 1), (1, 2)), ((0, 1), (2, 3)), ((0, 1),)), (1, 1, 1)).text_weights(4)
    assert weights[0].tolist() == [0, 1, -0.5, 0]
    assert weights[1].tolist() == [0, -0.5, 1, 0]
    assert weights[2].tolist() == [0, -0.5, -0.5, 0]


def test_a_word_counts_once_however_many_phrases_hold_it():
    weights = Binding((((0, 2), (1, 3)),), (((2, 4), (2, 3)),), (1,)).text_weights(4)
    assert weights.tolist() == [[1, 1, 1, 0], [0, 0, 1, 1]]


def test_of_two_people_each_is_drawn_away_from_the_others_words():
    weights = Binding((), (((0, 1), (1, 2)), ((0, 1), (2, 3))), (2, 1)).text_weights(4)
    assert weights.tolist() == [[0, 1, -1, 0], [0, 1, -1, 0], [0, -1, 1, 0]]


def test_only_neighbouring_groups_of_one_size_share_a_call():
    span = ((0, 1),)
    layout = SequenceLayout(2, 3, 4, Binding((span,) * 2, (span,) * 5, (3, 2, 2, 1, 3)))
    assert layout.group_calls == ((24, 2, 12), (48, 1, 36), (84, 2, 24), (132, 1, 12), (144, 1, 36))


@given(bindings(), st.randoms(use_true_random=False))
def test_permuting_subjects_permutes_groups_and_weights(binding, random):
    order = list(range(len(binding.subject_images)))
    random.shuffle(order)
    moved = Binding(
        binding.non_human_spans,
        tuple(binding.subject_spans[index] for index in order),
        tuple(binding.subject_images[index] for index in order),
    )
    alone = len(binding.non_human_spans)
    assert moved.group_sizes == binding.group_sizes[:alone] + tuple(binding.subject_images[i] for i in order)

    def rows(b):
        return b.text_weights(32)[alone:].split(list(b.subject_images)) if b.subject_images else ()

    before, after = rows(binding), rows(moved)
    for position, index in enumerate(order):
        torch.testing.assert_close(after[position], before[index])


def test_a_layout_cannot_be_changed_and_can_be_compared():
    binding = Binding((((0, 1),),), (), ())
    layout = SequenceLayout(2, 3, 4, binding)
    assert layout == SequenceLayout(2, 3, 4, Binding((((0, 1),),), (), ()))
    assert hash(layout) == hash(SequenceLayout(2, 3, 4, binding))
    with pytest.raises(AttributeError):
        layout.frames = 3
