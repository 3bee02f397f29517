"""Which places of a thing count."""

import numpy as np
import pytest
from PIL import Image

from lumosx_core.data.places import MOST_PLACES, _kept, places
from lumosx_core.data.work import read_mask, write_picture
from support.data_stand_ins import Places, mask_of, place_at


def scored(*scores):
    return [place_at(0, 0, 10, 10, score=score) for score in scores]


@pytest.mark.parametrize(("scores", "named", "kept"), [
    ([0.9, 0.6, 0.5], 1, [0.9, 0.6]), ([0.9, 0.3, 0.2], 2, [0.9, 0.3]), ([0.9, 0.1], 2, [0.9]), ([], 1, []),
    ([0.1], 1, []), ([0.9] * 9, 1, [0.9] * MOST_PLACES),
])
def test_as_many_as_are_named_count_and_others_nearly_as_sure(settings, scores, named, kept):
    assert [place.score for place in _kept(scored(*scores), named, settings)] == kept


def test_each_place_has_its_mask(tmp_path, leave, backends, settings):
    write_picture(tmp_path, "frames/frame_3.png", Image.fromarray(np.zeros((240, 320, 3), np.uint8)))
    leave("frames", chosen=[3])
    hat = {"words": "red hat", "which": 1}
    leave("entities", people=[{"attributes": [hat]}, {"attributes": [{**hat, "which": 2}]}],
          objects=[{"words": "table", "which": 0}])
    boxes = (10, 10, 50, 40), (90, 10, 130, 40)
    locator = Places(red_hat=[place_at(*boxes[0]), place_at(*boxes[1], score=0.3)], table=[])
    found = places(tmp_path, backends(locator=locator), settings)
    assert found["phrases"]["table"] == {"3": []} and len(found["files"]) == 2
    for place, box in zip(found["phrases"]["red hat"]["3"], boxes):
        assert place["box"] == list(box) and (read_mask(tmp_path, place["mask"]) == mask_of(box)).all()
