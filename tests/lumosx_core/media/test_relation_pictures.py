"""Where references are read, drawn."""

import re
from pathlib import Path

import numpy as np
import pytest

from lumosx_core.media.relation_pictures import PEOPLE, PLACE, THING, ReadReference, grid, heat_of, overlay

STYLES = (Path(__file__).parents[3] / "web" / "lumosx.css").read_text("utf-8")


def read(heat, colour=(200, 0, 0), name="red hat", fills=False):
    return ReadReference(name, colour, np.full((30, 20, 3), 90, np.uint8), np.asarray(heat, np.float32), fills)


@pytest.fixture
def frames():
    return [np.full((32, 48, 3), 100, np.uint8) for _ in range(9)]


def test_colours_are_those_of_the_board():
    hues = {name: tuple(bytes.fromhex(value)) for name, value in
            re.findall(r"\.lumosx-hue-(\w+) \{ --lumosx-hue: #(\w{6})", STYLES)}
    assert tuple(hues[str(number)] for number in range(len(PEOPLE))) == PEOPLE
    assert (hues["object"], hues["background"]) == (THING, PLACE)


def test_heat_is_what_is_above_the_median():
    shares = np.full((1, 3, 3), 0.2)
    shares[0, 1, 1], shares[0, 0, 0], shares[0, 2, 2] = 0.6, 0.4, 0.1
    heat = heat_of(shares)
    assert heat[0, 1, 1] == 1 and heat[0, 0, 0] == pytest.approx(0.5) and heat.sum() == pytest.approx(1.5)
    assert not heat_of(np.zeros((1, 2, 2))).any()


def test_a_frame_is_coloured_where_its_own_latent_frame_is_read(frames):
    heat = np.zeros((3, 4, 6))
    heat[1, :, :3] = 1
    drawn = list(overlay(frames, [read(heat)], 4))
    assert len(drawn) == 9
    changed = [bool((frame != 100).any()) for frame in drawn]
    assert changed == [False] + [True] * 4 + [False] * 4
    assert (drawn[1][:, -8:] == 100).all() and drawn[1][16, 4].tolist() == [175, 25, 25]
    assert all((frame == 100).all() for frame in frames)


def test_two_references_have_their_own_places_and_a_background_hides_nobody(frames):
    left, right = np.zeros((3, 4, 6)), np.zeros((3, 4, 6))
    left[:, :, :2], right[:, :, 4:] = 1, 1
    place = read(np.ones((3, 4, 6)), PLACE, "park", fills=True)
    drawn = next(overlay(frames, [place, read(left), read(right, (0, 0, 200))], 4))
    assert drawn[16, 3].tolist() == [175, 25, 25] and drawn[16, 45].tolist() == [25, 25, 175]
    assert drawn[16, 24].tolist() == [100, 100, 100]
    alone = next(overlay(frames, [place], 4))
    assert (alone != 100).any()


@pytest.mark.parametrize("name", ["red hat", "x" * 500, "男人的红帽子", "🙂\n"])
def test_a_grid_has_a_row_for_each_with_any_name(frames, name):
    heat = np.ones((3, 4, 6))
    one, two = grid(frames, [read(heat, name=name)], 4), grid(frames, [read(heat, name=name), read(heat)], 4)
    assert one.dtype == np.uint8 and two.shape == (2 * one.shape[0], *one.shape[1:])
    assert (two[:one.shape[0]] == one).all()
    assert grid(frames[:1], [read(heat[:1])], 4).shape[1] < one.shape[1]
