"""The two models of Wan2.2 in one video: noise levels are split, and each model reads the photo for itself."""

import pytest
import torch

import lumosx_core.host.methods.lynx_folds as folds
from lumosx_core.host.methods.lynx import Appearance, lynx_model
from support.lynx_people import (
    GUIDANCE,
    SIZE,
    conditioning,
    load_variant,
    lynx_sample,
    make_person,
    plain_model,
    plain_sample,
    random,
    relative,
    write_adapters,
)

pytestmark = pytest.mark.slow

STEPS, SWITCH = 4, 2
SEEDS = {"high": 3, "low": 4}


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return make_person(write_adapters(tmp_path_factory.mktemp("lynx")))


def split(run, models, guidance):
    """As two KSamplerAdvanced: the second goes on from the first one's leftover noise, without noise of its own."""
    given, noise = (conditioning(1), conditioning(2)), random(*SIZE, seed=5)
    high, low = models
    begun = run(high, given, guidance, STEPS, noise=noise, start_step=0, last_step=SWITCH)
    return begun, run(low, given, guidance, STEPS, noise=torch.zeros_like(noise), latent=begun, start_step=SWITCH)


@pytest.mark.parametrize("guidance", [None, GUIDANCE], ids=["cfg 1", "three branches"])
@pytest.mark.parametrize("variant", ["Wan2.1 T2V", "Wan2.2 I2V"])
def test_both_models_of_a_split_schedule_read_the_photo_once_each(person, monkeypatch, variant, guidance):
    passes, pass_of = [], folds.reference_features
    monkeypatch.setattr(folds, "reference_features", lambda model, *given: passes.append(model) or pass_of(
        model, *given))
    bases = [load_variant(variant, seed) for seed in SEEDS.values()]
    models = [lynx_model(base, person, Appearance()) for base in bases]
    measured = split(lynx_sample, models, guidance)
    assert passes == [base.model.diffusion_model for base in bases]
    # The folds of one model do not replace those of the other.
    again = split(lynx_sample, models, guidance)
    assert all(map(torch.equal, again, measured)) and len(passes) == 2
    plain = [plain_model(load_variant(variant, seed), person) for seed in SEEDS.values()]
    expected = split(plain_sample, plain, guidance)
    assert all(relative(*pair) < 2e-5 for pair in zip(measured, expected))
    other = split(plain_sample, plain[:1] * 2, guidance)
    assert relative(other[1], expected[1]) > 1e-3
