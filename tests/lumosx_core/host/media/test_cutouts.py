"""Cut-outs from sockets and widgets."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.cutouts import make_cut_out
from lumosx_core.media.cutouts import SOFT, TRAINING, Box

NO_BOX = Box(0, 0, 0, 0)


@pytest.fixture
def image():
    """A bright disc on dark, [1, 100, 120, 3], with its mask [1, 100, 120]."""
    rows, columns = torch.meshgrid(torch.arange(100), torch.arange(120), indexing="ij")
    disc = ((rows - 50) ** 2 + (columns - 60) ** 2 < 30**2).float()[None]
    return torch.stack([disc * 0.9, disc * 0.5, disc * 0.1 + 0.2], -1), disc


def test_a_mask_comes_first_then_a_box_then_transparency(image):
    picture, disc = image
    clear = torch.cat([picture, disc[..., None]], -1)
    made, mask, report = make_cut_out(clear, 1 - disc, Box(20, 10, 80, 80), True, SOFT, 0)
    assert "by the mask" in report and "The box is not used" in report
    assert made.shape == (1, 59, 59, 3) and torch.equal(mask[0], disc[0, 21:80, 31:90])
    by_box, _, report = make_cut_out(clear, None, Box(20, 10, 80, 80), False, SOFT, 0)
    assert "by GrabCut" in report and 57 <= by_box.shape[1] <= 61
    around, mask, _ = make_cut_out(picture, None, Box(20, 10, 80, 80), True, SOFT, 0)
    assert around.shape == (1, 100, 120, 3) and (mask[0, 50, 60], mask[0, 0, 0]) == (0, 1)
    by_alpha, _, report = make_cut_out(clear, None, NO_BOX, False, SOFT, 0)
    assert "by its transparency" in report and torch.equal(by_alpha, made)


def test_transparency_is_blended_once(image):
    picture, disc = image
    clear = torch.cat([picture, (disc * 0.5)[..., None]], -1)
    made, mask, _ = make_cut_out(clear, None, NO_BOX, False, SOFT, 0)
    torch.testing.assert_close(made[0, 30, 30], picture[0, 51, 61] * 0.5 + 0.5)
    assert mask.max() == 0.5
    made, _, _ = make_cut_out(clear, None, NO_BOX, False, TRAINING, 0)
    assert torch.equal(made[0, 30, 30], picture[0, 51, 61])


def test_the_report_has_figures_and_warnings_are_logged(image, caplog):
    picture, disc = image
    small = torch.zeros_like(disc)
    small[:, 40:60, 50:70] = 1
    _, _, report = make_cut_out(picture, small, NO_BOX, False, SOFT, 3)
    assert "20x20 pixels at 50, 40 of 120x100, 100% of them the thing." in report
    assert "**Warning:** The cut-out is 20x20 pixels" in report and "The cut-out is 20x20 pixels" in caplog.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mask": None}, "mask: nothing is linked and there is no box; link a mask, or set box_width and box_height"),
        ({"image": torch.rand(2, 100, 120, 3)}, "LumosX Cut-Out image: 2 pictures came in one batch"),
        ({"image": torch.full((1, 100, 120, 3), torch.nan)}, "LumosX Cut-Out image: .* not numbers"),
        ({"mask": None, "image": torch.zeros(1, 100, 120, 4)}, "mask: it is empty"),
        ({"invert": True, "mask": torch.ones(1, 100, 120)}, "mask: it is empty.*change invert_mask"),
    ],
)
def test_what_cannot_be_cut_out_ends_in_a_sentence(image, change, sentence):
    picture, disc = image
    values = {"image": picture, "mask": disc, "box": NO_BOX, "invert": False, "edges": SOFT, "padding": 0, **change}
    with pytest.raises(LumosXError, match=sentence):
        make_cut_out(**values)


def test_inputs_stay_as_they_are(image):
    picture, disc = image
    before = picture.clone(), disc.clone()
    make_cut_out(picture, disc, NO_BOX, True, TRAINING, 4)
    assert torch.equal(picture, before[0]) and torch.equal(disc, before[1])
