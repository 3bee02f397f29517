"""LumosX Negative at CFG 1 through the real samplers: where it acts, where it must not, and what it says."""

import logging

import comfy.sample
import comfy.sd
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.methods.lumosx_negative import model_away_from
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.models.lumosx.negative import NegativeGuidance

ONE_PASS = SamplingPlan(seed=3, steps=2, cfg=1.0)


@pytest.fixture(scope="module")
def base(placed_file):
    return comfy.sd.load_diffusion_model(str(placed_file))


@pytest.fixture(scope="module")
def relational(base):
    return relational_model(base, RelationalOptions())


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene())


@pytest.fixture(scope="module")
def plain(relational, encoded):
    return sample(relational, encoded)


def sample(model, encoded, plan=ONE_PASS):
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def test_a_negative_prompt_has_an_effect_at_cfg_1(relational, encoded, plain):
    away = model_away_from(relational, encoded.negative, NegativeGuidance())
    guided = sample(away, encoded)
    assert ((guided - plain).norm() / plain.norm()) > 1e-2 and guided.isfinite().all()
    # The model that it was made of stays as it was.
    assert torch.equal(sample(relational, encoded), plain)


@pytest.mark.parametrize("off", [NegativeGuidance(scale=1.0), NegativeGuidance(alpha=0.0)])
def test_off_is_bit_for_bit_the_model_without(relational, encoded, plain, off):
    on = model_away_from(relational, encoded.negative, NegativeGuidance())
    for model in (relational, on):
        assert torch.equal(sample(model_away_from(model, encoded.negative, off), encoded), plain)


def test_the_prompt_itself_as_negative_changes_no_bit(relational, encoded, plain):
    """The negative needs no references; only its text counts."""
    bare = [[encoded.positive[0][0].clone(), {}]]
    assert torch.equal(sample(model_away_from(relational, bare, NegativeGuidance()), encoded), plain)


def test_model_nodes_before_and_behind(base, relational, encoded):
    guidance = NegativeGuidance()
    expected = sample(model_away_from(relational, encoded.negative, guidance), encoded)
    behind = relational_model(model_away_from(relational, encoded.negative, guidance), RelationalOptions())
    assert torch.equal(sample(behind, encoded), expected)
    other = RelationalOptions(ratio=0.0)
    kept = model_away_from(relational_model(base, other), encoded.negative, guidance)
    assert not torch.equal(sample(kept, encoded), expected)


def test_every_sampler_at_cfg_1(relational, encoded):
    """ComfyUI's own, too."""
    def run(model):
        noise = comfy.sample.prepare_noise(encoded.latent["samples"], 1)
        return comfy.sample.sample(
            model, noise, 2, 1.0, "euler", "simple", encoded.positive, encoded.negative, encoded.latent["samples"],
        )

    away = model_away_from(relational, encoded.negative, NegativeGuidance())
    assert not torch.equal(run(away), run(relational))


def said(caplog, run):
    with caplog.at_level(logging.WARNING, logger="LumosX"):
        caplog.clear()
        run()
    return [record.getMessage() for record in caplog.records if "LumosX Negative at CFG 1" in record.getMessage()]


def test_above_cfg_1_it_acts_beside_cfg_and_says_so_once(relational, encoded, caplog):
    away = model_away_from(relational, encoded.negative, NegativeGuidance())
    above = SamplingPlan(seed=3, steps=3, cfg=3.0)
    found = []
    lines = said(caplog, lambda: found.append(sample(away, encoded, above)))
    assert len(lines) == 1 and "cfg is above 1" in lines[0]
    assert not torch.equal(found[0], sample(relational, encoded, above))
    assert said(caplog, lambda: sample(away, encoded)) == []


def test_without_references_it_says_that_it_has_no_effect(relational, encoded, caplog):
    positive, negative = ([[one[0][0], {}]] for one in (encoded.positive, encoded.negative))
    away = model_away_from(relational, encoded.negative, NegativeGuidance())

    def run(model):
        return run_sampler(model, positive, negative, encoded.latent, ONE_PASS)["samples"]

    found = []
    lines = said(caplog, lambda: found.append(run(away)))
    assert len(lines) == 1 and "has no effect on a prompt without references" in lines[0]
    assert torch.equal(found[0], run(relational))


def test_what_cannot_be_used_is_refused(base, relational, encoded):
    with pytest.raises(LumosXError, match="^model: it has no relational forward"):
        model_away_from(base, encoded.negative, NegativeGuidance())
    for wrong, sentence in (
        ([], "^negative: it holds 0 texts"),
        ([*encoded.negative, *encoded.negative], "^negative: it holds 2 texts"),
        ([[torch.zeros(1, 5, 7), {}]], "^negative: its text has the shape .1, 5, 7."),
        ([[torch.zeros(2, 5, encoded.negative[0][0].shape[2]), {}]], "^negative: its text has the shape"),
    ):
        with pytest.raises(LumosXError, match=sentence):
            model_away_from(relational, wrong, NegativeGuidance())
