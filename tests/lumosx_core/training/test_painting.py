import pytest
import torch

from lumosx_core.training.painting import painted_figures


def pictures():
    return torch.randint(0, 256, (2, 16, 24, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def as_painted(pictures):
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def test_a_constant_difference_is_all_colour_and_no_sharpness():
    truth = (pictures() // 2).to(torch.uint8)
    figures = painted_figures(as_painted(truth) + 10 / 127.5, truth)
    assert figures["colour error"] == pytest.approx(10, rel=1e-4)
    assert figures["sharpness"] == pytest.approx(1, rel=1e-4)
    assert figures["PSNR"] == pytest.approx(28.13, abs=0.01)


def test_half_the_contrast_is_half_as_sharp():
    truth = pictures()
    assert painted_figures(as_painted(truth) / 2, truth)["sharpness"] == pytest.approx(0.5, rel=1e-4)


def test_what_lies_beyond_black_and_white_is_cut():
    truth = torch.full((1, 4, 4, 3), 255, dtype=torch.uint8)
    truth[:, :2] = 0
    assert painted_figures(3 * as_painted(truth), truth)["colour error"] == 0
