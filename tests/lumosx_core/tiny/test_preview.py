"""The colours of latents in previews, against the codec that ships."""

import torch

from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.preview import RGB_BIAS, RGB_FACTORS, fit_preview


def test_they_are_those_of_the_codec():
    """After a change of the codec: take over what this prints."""
    factors, bias = fit_preview(load_codec())
    for row in (*factors.tolist(), bias.tolist()):
        print("    (" + ", ".join(f"{value:.4f}" for value in row) + "),")
    assert torch.allclose(torch.tensor(RGB_FACTORS, dtype=torch.float64), factors, atol=1e-3)
    assert torch.allclose(torch.tensor(RGB_BIAS, dtype=torch.float64), bias, atol=1e-3)
