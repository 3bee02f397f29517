"""Numbered pictures: each is seen whole, below a number of its own."""

import pytest
import torch

from lumosx_core.media.numbered import BAND, GAP, SIDE, numbered_batch, numbered_sheet


def pictures(count):
    return [torch.full((1, 20 + 30 * (number % 2), 40, 3), (number + 1) / 30) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_the_sheet_shows_what_the_batch_shows(count):
    shown = pictures(count)
    batch, sheet = numbered_batch(shown), numbered_sheet(shown)
    assert batch.shape == (count, SIDE + BAND, SIDE, 3) and sheet.shape[0] == 1
    columns = (sheet.shape[2] - GAP) // (SIDE + GAP)
    for index, tile in enumerate(batch):
        top, left = (GAP + place * (size + GAP) for place, size in zip(divmod(index, columns), (SIDE + BAND, SIDE)))
        assert torch.equal(sheet[0, top:top + SIDE + BAND, left:left + SIDE], tile)
        assert torch.allclose(tile[BAND + SIDE // 2, SIDE // 2], shown[index], atol=1 / 255)
    bands = {tile[:BAND].numpy().tobytes() for tile in batch}
    assert len(bands) == count and all(tile[:BAND].max() > 0.9 for tile in batch)
