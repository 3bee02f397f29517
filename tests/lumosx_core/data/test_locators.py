"""OWLv2 as a locator, with a tiny random network."""

import numpy as np
import pytest

from lumosx_core.data.backends import Place
from lumosx_core.data.locators import OwlPlaces
from lumosx_core.data.places import MOST_PLACES, mask_of
from lumosx_core.faces.face import ModelFolders
from lumosx_core.scores.attributes.similarity import Located, OwlLocator, _apart, _overlap
from support.transformers_folders import write_owl


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("owl")
    write_owl(root)
    return ModelFolders((), (root,))


def pixels():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.slow
def test_every_phrase_has_its_places_the_surest_first_and_as_the_scores_have_it(folders):
    located = OwlPlaces(folders).locate(pixels(), ["hat", "red scarf"])
    best = OwlLocator(folders).locate(pixels(), ["hat", "red scarf"])
    for places, one in zip(located, best):
        assert 1 <= len(places) <= MOST_PLACES
        assert (places[0].box, places[0].score) == (one.box, pytest.approx(one.score))
        assert [place.score for place in places] == sorted((place.score for place in places), reverse=True)


def test_boxes_over_each_other_are_one():
    a, b, c = Located((0, 0, 10, 10), 0.9), Located((1, 0, 10, 10), 0.8), Located((8, 0, 20, 9), 0.7)
    assert _apart([a, b, c], 5) == [a, c] and _apart([a, b, c], 1) == [a]
    assert _overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3) and _overlap(a.box, (20, 20, 30, 30)) == 0


def test_a_box_without_a_mask_gets_one_inside_it():
    picture = np.full((60, 80, 3), 240, np.uint8)
    picture[20:40, 30:50] = (200, 20, 20)
    found = mask_of(picture, Place((22, 12, 58, 48), 0.9))
    assert found[25:35, 35:45].all() and found.sum() < 600
    # Too small for GrabCut: the box itself.
    assert mask_of(picture, Place((1, 2, 4, 6), 0.9)).sum() == 12
