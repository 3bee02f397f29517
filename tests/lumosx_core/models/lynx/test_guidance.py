"""Three branches of guidance; the golden file holds the numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.lynx.guidance import GuidanceScales, as_two_branches, guide
from support.lynx_files import random

V = {name: random(2, 16, 1, 2, 2, seed=seed).double() for seed, name in enumerate("ciu")}
SCALES = st.floats(-3, 12)


def formula(image, text):
    return V["u"] + image * (V["i"] - V["u"]) + text * (V["c"] - V["i"])


@given(image=SCALES | st.sampled_from([0.0, 1.0, 5.0]), text=st.floats(1.01, 12) | st.just(5.0))
def test_branches_that_are_left_out_cancel(image, text):
    scales = GuidanceScales(text, image)
    held = {f"v_{name}": V[name] for name in scales.branches}
    assert torch.allclose(guide(scales, **held), formula(image, text), atol=1e-9)


@pytest.mark.parametrize(("text", "image", "branches"), [
    (5, 2, "ciu"), (5, 1, "ci"), (5, 5, "cu"), (5, None, "cu"), (1, 2, "c"), (0.5, None, "c"), (5, 0, "ciu"),
])
def test_which_branches_are_run(text, image, branches):
    assert "".join(GuidanceScales(text, image).branches) == branches


@given(image=SCALES, text=SCALES)
def test_ordinary_guidance_of_two_branches_gives_the_same(image, text):
    cond, uncond = as_two_branches(image, V["c"], V["i"], V["u"])
    assert torch.allclose(uncond + text * (cond - uncond), formula(image, text), atol=1e-9)


@given(image=SCALES, text=st.floats(1.01, 12), sigma=st.floats(0.01, 1))
def test_denoised_latents_may_stand_for_velocities(image, text, sigma):
    x, scales = random(2, 16, 1, 2, 2, seed=9).double(), GuidanceScales(text, image)
    denoised = {f"v_{name}": x - sigma * V[name] for name in scales.branches}
    expected = x - sigma * formula(image, text)
    # The formula's weights sum to 1, so a common part stays.
    assert torch.allclose(guide(scales, **denoised), expected, atol=1e-9)


def test_the_releases_defaults():
    assert GuidanceScales() == GuidanceScales(text=5.0, image=2.0)
