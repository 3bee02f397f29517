"""Schedule and solver: golden numbers are in test_golden; here their properties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.sampling.solvers import DISTILLED, SHIFTS, FlowSchedule, renoise, solve

schedules = st.builds(FlowSchedule.build, st.integers(1, 80), st.floats(0.1, 20))


@given(schedules)
def test_levels_fall_from_one_to_zero(schedule):
    assert schedule.sigmas[0] == 1 and schedule.sigmas[-1] == 0
    assert all(before > after for before, after in zip(schedule.sigmas, schedule.sigmas[1:]))
    assert len(schedule.sigmas) == len(schedule.timesteps) + 1


@given(schedules)
def test_timesteps_are_whole_and_found_again(schedule):
    # 999 where rounding makes shift / (1 + (shift - 1)) a little less than 1, as it does in the release.
    assert schedule.timesteps[0] in (999, 1000)
    for sigma, timestep in zip(schedule.sigmas, schedule.timesteps):
        assert schedule.timestep(sigma) == timestep
        assert -1e-3 < 1000 * sigma - timestep < 1 + 1e-3


def test_a_foreign_level_is_cut_to_a_whole_timestep():
    assert FlowSchedule.build(8).timestep(0.12345) == 123


@given(schedules, st.floats(-2, 2))
def test_a_known_clean_sample_is_reached_exactly(schedule, value):
    clean = torch.full((2, 3), value, dtype=torch.float64)
    result = solve(lambda x, sigma, timestep: clean, torch.randn(2, 3).double(), schedule.sigmas, schedule)
    torch.testing.assert_close(result, clean, rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [10, 20, 40, 80])
def test_memory_of_the_step_before_pays(steps):
    """dx/dsigma = x - 1 has the solution 1 + (x0 - 1) e^(sigma - 1); step by step it is solved to first order only."""
    start = torch.tensor([2.0], dtype=torch.float64)
    exact = 1 + (start - 1) * torch.exp(torch.tensor(-1.0))
    schedule = FlowSchedule.build(steps, 1.0)

    def denoise(x, sigma, timestep):
        return x - sigma * (x - 1)

    forgetful = start
    for pair in zip(schedule.sigmas, schedule.sigmas[1:]):
        forgetful = solve(denoise, forgetful, pair, schedule)
    second = (solve(denoise, start, schedule.sigmas, schedule) - exact).abs().item()
    first = (forgetful - exact).abs().item()
    assert second < 0.2 * first


def test_parts_of_a_run_start_without_memory():
    schedule = FlowSchedule.build(6, 3.0)
    assert schedule.window(2, 4) == schedule.sigmas[2:5]
    assert schedule.window() == schedule.sigmas
    assert schedule.window(1, 10000) == schedule.sigmas[1:]
    with pytest.raises(LumosXError, match="start_step: 6 leaves no step before 6"):
        schedule.window(6)


@pytest.mark.parametrize(
    ("steps", "shift", "name"), [(0, 8, "steps"), (-1, 8, "steps"), (5, 0, "shift"), (5, -1, "shift"),
    (5, float("inf"), "shift"), (5, float("nan"), "shift"), (5, 1e-30, "shift"), (5, 1e30, "shift")]
)
def test_bad_numbers_are_refused_by_name(steps, shift, name):
    with pytest.raises(LumosXError, match=f"^{name}: "):
        FlowSchedule.build(steps, shift)


def test_every_step_is_reported_with_its_clean_estimate():
    seen = []
    schedule = FlowSchedule.build(4)
    solve(lambda x, s, t: x * 0, torch.ones(1), schedule.sigmas, schedule, lambda *step: seen.append(step))
    assert [step for step, _, _ in seen] == [0, 1, 2, 3]
    assert all(clean.abs().max() == 0 for _, _, clean in seen)


def test_a_coarse_latent_is_walked_in_float32():
    """As the release keeps it: bf16 would lose a part of each step."""
    schedule = FlowSchedule.build(5, 3.0)
    start = torch.tensor([0.3, -1.7]).bfloat16()

    def denoise(x, sigma, timestep):
        return (x * 0.7).bfloat16()

    result = solve(denoise, start, schedule.sigmas, schedule)
    assert result.dtype == torch.float32
    assert torch.equal(result, solve(denoise, start.float(), schedule.sigmas, schedule))


@pytest.mark.parametrize("levels", [(0.0, 0.5, 1.0), (1.0, 0.5, 0.5, 0.0)])
def test_levels_that_do_not_fall_are_refused(levels):
    with pytest.raises(LumosXError, match="sigmas: the noise levels do not fall"):
        solve(lambda x, s, t: x, torch.ones(1), levels, FlowSchedule.build(4))
    with pytest.raises(LumosXError, match="sigmas: the noise levels do not fall"):
        renoise(lambda x, s, t: x, torch.ones(1), levels, FlowSchedule.build(4), lambda: torch.ones(1))


@pytest.mark.parametrize("name", DISTILLED)
def test_a_distilled_model_meets_the_timesteps_it_was_trained_at(name):
    schedule = FlowSchedule.distilled(name, 3)
    assert schedule.timesteps == (1000, 757, 522) and schedule.renoised
    assert schedule.sigmas == pytest.approx((1.0, 0.757, 0.522, 0.0), abs=1e-7)
    assert [schedule.timestep(sigma) for sigma in schedule.sigmas[:-1]] == [1000, 757, 522]
    assert FlowSchedule.distilled(name, 2).timesteps == (1000, 757)
    assert schedule.last(3) == schedule and schedule.last(2).renoised
    for steps in (0, 4, 50):
        with pytest.raises(LumosXError, match=f"^steps: schedule {name} has 3 steps, not {steps}; use 3"):
            FlowSchedule.distilled(name, steps)
    with pytest.raises(LumosXError, match="^schedule: Fast is not a choice"):
        FlowSchedule.distilled("Fast", 3)


def test_estimates_are_mixed_with_other_noise_at_each_step():
    schedule = FlowSchedule.distilled("FastWan", 3)
    noise = iter([torch.tensor([10.0]), torch.tensor([20.0])])
    met, reported = [], []

    def denoise(x, sigma, timestep):
        met.append((x.item(), timestep))
        return x / 2

    result = renoise(
        denoise, torch.tensor([4.0]), schedule.sigmas, schedule, lambda: next(noise),
        lambda step, x, clean: reported.append((step, x.item(), clean.item())),
    )
    second = 0.243 * 2 + 0.757 * 10
    third = 0.478 * second / 2 + 0.522 * 20
    assert [x for x, _ in met] == pytest.approx([4, second, third], rel=1e-6)
    assert [timestep for _, timestep in met] == [1000, 757, 522]
    assert result.item() == pytest.approx(third / 2, rel=1e-6)
    assert reported == [(step, x, pytest.approx(x / 2)) for step, (x, _) in enumerate(met)]


@pytest.mark.parametrize(("steps", "shift", "name"), [
    (1, SHIFTS[0], None), (1, SHIFTS[1], None), (0, 8.0, "steps"), (1, SHIFTS[0] * 0.999, "shift"),
    (1, SHIFTS[1] * 1.001, "shift"), (1, float("nan"), "shift"),
])
def test_a_schedule_exists_exactly_up_to_its_bounds(steps, shift, name):
    if name is None:
        assert len(FlowSchedule.build(steps, shift).timesteps) == steps
    else:
        with pytest.raises(LumosXError, match=f"^{name}: "):
            FlowSchedule.build(steps, shift)


@pytest.mark.parametrize("name", DISTILLED)
def test_a_distilled_schedule_has_from_one_to_all_of_its_steps(name):
    most = len(DISTILLED[name])
    for steps in (1, most):
        assert FlowSchedule.distilled(name, steps).timesteps == DISTILLED[name][:steps]
    for steps in (0, most + 1):
        with pytest.raises(LumosXError, match=f"^steps: schedule .* has {most} steps, not {steps}"):
            FlowSchedule.distilled(name, steps)


@pytest.mark.parametrize(("start", "end", "levels"), [
    (0, None, 5), (0, 4, 5), (0, 9, 5), (3, None, 2), (3, 4, 2), (0, 1, 2), (1, 3, 3), (4, None, 0), (3, 3, 0),
    (-1, None, 0), (0, 0, 0),
])
def test_a_window_holds_its_steps_and_the_level_after_them(start, end, levels):
    schedule = FlowSchedule.build(4)
    if levels:
        assert schedule.window(start, end) == schedule.sigmas[start:start + levels]
    else:
        with pytest.raises(LumosXError, match=f"^start_step: {start} leaves no step"):
            schedule.window(start, end)


def test_the_last_steps_are_a_schedule_with_their_own_end():
    schedule = FlowSchedule.build(4)
    last = schedule.last(2)
    assert (last.sigmas, last.timesteps) == (schedule.sigmas[2:], schedule.timesteps[2:])
    assert schedule.last(4) == schedule
