import pytest
import torch

from lumosx_core.training.painting import motion_figures, painted_figures


def pictures(least=-1.0, most=1.0):
    return least + (most - least) * torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_a_constant_difference_is_all_colour_and_no_sharpness():
    truth = pictures(-1, 0)
    figures = painted_figures(truth + 10 / 127.5, truth)
    assert figures["colour error"] == pytest.approx(10, rel=1e-4)
    assert figures["sharpness"] == pytest.approx(1, rel=1e-4)
    assert figures["PSNR"] == pytest.approx(28.13, abs=0.01)


def test_half_the_contrast_is_half_as_sharp():
    truth = pictures()
    assert painted_figures(truth / 2, truth)["sharpness"] == pytest.approx(0.5, rel=1e-4)


def test_what_lies_beyond_black_and_white_is_cut():
    truth = torch.ones(1, 3, 4, 4)
    truth[:, :, :2] = -1
    assert painted_figures(3 * truth, truth)["colour error"] == 0


def test_motion_is_a_part_of_the_drawings_and_flicker_is_where_they_are_still():
    truth = torch.zeros(3, 3, 4, 8)
    truth[1, ..., :4] = 0.4
    painted = truth / 2
    assert motion_figures(painted, truth) == pytest.approx({"motion": 0.5, "flicker": 0})
    painted[2, ..., 4:] += 2 / 127.5
    found = motion_figures(painted, truth)
    assert found["flicker"] == pytest.approx(2 / 2)
    assert found["motion"] > 0.5


@pytest.mark.parametrize(("clip", "figures"), [
    (torch.zeros(3, 3, 2, 2), {"flicker": 0}),
    (torch.linspace(-1, 1, 3).view(3, 1, 1, 1).expand(3, 3, 2, 2), {"motion": 1}),
])
def test_what_cannot_be_seen_is_left_out(clip, figures):
    assert motion_figures(clip, clip) == pytest.approx(figures)
