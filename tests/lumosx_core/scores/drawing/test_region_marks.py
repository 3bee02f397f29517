"""What is drawn into watched frames."""

import numpy as np

from lumosx_core.scores.attributes.owners import FrameView
from lumosx_core.scores.attributes.regions import person_regions
from lumosx_core.scores.attributes.similarity import Located
from lumosx_core.scores.drawing.plot import colour_of
from lumosx_core.scores.drawing.region_marks import mark_regions
from support.dressed import seen_at


def test_every_region_has_its_persons_colour_and_the_frame_stays_as_it_is():
    pixels = np.full((480, 832, 3), 77, np.uint8)
    regions = person_regions(seen_at(0), 480, 832)
    located = ((0, "red hat", Located((200, 300, 260, 340), 0.5)), (None, "lamp", Located((700, 400, 740, 460), 0.7)))
    marked = mark_regions(pixels, FrameView(0, regions, located), ("man", "woman"))
    assert marked.shape == pixels.shape and (pixels == 77).all()
    for person, region in enumerate(regions):
        left, top, right, bottom = region.box
        assert (marked[bottom - 1, left:right] == colour_of(person)).all()
    assert (marked[339, 200:260] == colour_of(0)).all()
    assert len({tuple(colour) for colour in marked[459, 700:740]}) == 1 and (marked[459, 700] != 77).all()


def test_nobody_seen_leaves_the_frame():
    pixels = np.full((48, 64, 3), 77, np.uint8)
    assert (mark_regions(pixels, FrameView(0, (None, None)), ("man", "woman")) == pixels).all()
