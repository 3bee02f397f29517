"""In which steps adapters act; the golden file lists edges and ties."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.lynx.window import Window, sigma_at

CASES = json.loads((Path(__file__).parents[3] / "golden" / "lynx_window_rule.json").read_text())
PERCENTS = st.floats(0, 1)


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_steps_in_float32_fall_as_exact_ones_do(case):
    """Hosts keep schedules in float32, where a tie is no tie any more."""
    window = Window.of_percents(case["start_percent"], case["end_percent"], case["shift"])
    sigmas = torch.tensor(case["sigmas"], dtype=torch.float32)
    assert [window.holds(sigma) for sigma in sigmas.tolist()] == case["active"]


@pytest.mark.parametrize("shift", [1.0, 3.0, 8.0])
def test_every_step_of_the_hosts_schedule_falls_on_its_own_percent(shift):
    from comfy.model_sampling import ModelSamplingDiscreteFlow

    sampling = ModelSamplingDiscreteFlow()
    sampling.set_parameters(shift=shift)
    for percent in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        assert sigma_at(percent, shift) == sampling.percent_to_sigma(percent)
        index = round((1 - percent) * 1000) - 1
        if index >= 0:
            sigma = sampling.sigmas[index].item()
            assert Window.of_percents(percent, 1, shift).holds(sigma)
            assert Window.of_percents(0, percent, shift).holds(sigma)


@given(start=PERCENTS, end=PERCENTS, shift=st.floats(0.1, 20), sigma=st.floats(0, 1))
def test_a_start_after_the_end_never_acts_and_the_whole_way_always(start, end, shift, sigma):
    window = Window.of_percents(start, end, shift)
    assert Window.of_percents(0, 1, shift).holds(sigma)
    if start > end and window.sigma_end > window.sigma_start:
        assert not window.holds(sigma)
    if window.holds(sigma):
        assert window.sigma_end - 1e-5 <= sigma <= window.sigma_start + 1e-5


@given(first=PERCENTS, second=PERCENTS, shift=st.floats(0.1, 20))
def test_noise_only_falls(first, second, shift):
    if first <= second:
        assert sigma_at(first, shift) >= sigma_at(second, shift) - 1e-12
