"""3D positions, for any number of subjects."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid.positions import TextLayout, injection_ids, interaction_ids

grids = st.tuples(st.integers(1, 5), st.integers(1, 5))
layouts = st.lists(st.tuples(st.integers(0, 9), st.none() | grids, grids), min_size=1, max_size=5).flatmap(
    lambda parts: st.tuples(st.just(parts), st.integers(0, 4))
)


def built(parts, tail):
    lengths, pictures, latents = zip(*parts)
    return TextLayout(lengths, pictures, tail), latents


def test_the_example_of_the_specification():
    """"A man is playing guitar." with man and guitar: times 1 to 12, 13, 14, 15 to 19, 20, 21."""
    text, image = interaction_ids(TextLayout((12, 5), ((24, 24),) * 2), ((24, 24),) * 2)
    assert text[:12].tolist() == [[t, 0, 0] for t in range(1, 13)]
    assert text[12:588, 0].unique().tolist() == [13]
    assert text[588:593, 0].tolist() == [15, 16, 17, 18, 19]
    assert [image[:576, 0].unique().item(), image[576:, 0].unique().item()] == [14, 21]
    assert (image[:, 1:].min(), image[:, 1:].max()) == (-12, 11)
    # Row by row.
    assert image[:2].tolist() == [[14, -12, -12], [14, -12, -11]]


@given(layouts)
def test_each_piece_has_times_of_its_own_in_the_texts_order(drawn):
    layout, latents = built(*drawn)
    text, image = interaction_ids(layout, latents)
    assert text.shape == (layout.tokens, 3) and text.dtype == image.dtype == torch.float32
    assert image.shape == (sum(rows * columns for rows, columns in latents), 3)
    words, time = [], 0
    for length, picture in zip(layout.text, layout.image_grids):
        words += range(time + 1, time + length + 1)
        words += [time + length + 1] * (picture[0] * picture[1] if picture else 0)
        time += length + 2
    words += range(time + 1, time + layout.tail + 1)
    assert text[:, 0].tolist() == words
    assert not set(text[:, 0].tolist()) & set(image[:, 0].tolist())
    assert len({tuple(one) for one in torch.cat([text, image]).tolist()}) == len(text) + len(image)


def test_forty_subjects():
    """Each text, ``<image>`` and picture has times of its own, past those that bfloat16 can count."""
    text, image = interaction_ids(TextLayout((120, *[6] * 39), ((24, 24),) * 40), ((24, 24),) * 40)
    start, token = 0, 0
    for number in range(40):
        length = 120 if number == 0 else 6
        assert text[token:token + length, 0].tolist() == list(range(start + 1, start + length + 1))
        token += length
        assert text[token:token + 576, 0].unique().tolist() == [start + length + 1]
        token += 576
        assert image[576 * number:576 * (number + 1), 0].unique().tolist() == [start + length + 2]
        start += length + 2
    assert token == len(text) and len(image) == 40 * 576 and start == 122 + 39 * 8 > 256


@given(grids)
def test_fractional_ids_of_an_equal_grid_are_whole(grid):
    layout = TextLayout((3,), (grid,))
    for plain, fractional in zip(interaction_ids(layout, (grid,)), interaction_ids(layout, (grid,), True)):
        assert torch.equal(plain, fractional)


@given(st.integers(1, 60))
def test_fractional_ids_spread_over_the_text_grid(size):
    """Centres of equal cells over 24 rows, wherever their borders are."""
    _, image = interaction_ids(TextLayout((3,), (None,)), ((size, 24),), True)
    rows = image[:, 1].unique()
    assert rows.mean().item() == pytest.approx(-0.5, abs=1e-5)
    assert rows.min() >= -12.5 and rows.max() <= 11.5
    if size > 1:
        torch.testing.assert_close(rows.diff(), torch.full((size - 1,), 24 / size), rtol=1e-4, atol=1e-4)


def test_a_negative_text_keeps_the_subjects_slots():
    layout = TextLayout.without_images(9, 2)
    text, image = interaction_ids(layout, ((1, 1), (1, 1)))
    assert layout.tokens == 9 and text[:, 0].tolist() == list(range(1, 10))
    assert image[:, 0].tolist() == [11, 13]


def test_ids_beyond_256_stay_apart():
    text, _ = interaction_ids(TextLayout((1000,), (None,)), ((1, 1),))
    assert len(text[:, 0].unique()) == 1000


def test_positions_for_the_injection():
    video, subjects = injection_ids((2, 2, 3), ((1, 1), (1, 2)), "full")
    assert video[-1].tolist() == [1, 1, 2]
    assert subjects.tolist() == [[-1, 0, 3], [-2, 0, 3], [-2, 0, 4]]
    video, subjects = injection_ids((2, 2, 3), ((1, 1), (1, 2)), "spatial")
    assert video[:, 0].unique().tolist() == [0] and subjects[:, 0].unique().tolist() == [0]
    assert video[-1].tolist() == [0, 1, 2]


def test_lengths_that_disagree_are_refused():
    with pytest.raises(LumosXError, match="layout: 2 pieces"):
        TextLayout((1, 2), ((2, 2),))
    with pytest.raises(LumosXError, match="layout: 2 subject"):
        interaction_ids(TextLayout((1,), ((2, 2),)), ((2, 2), (2, 2)))
