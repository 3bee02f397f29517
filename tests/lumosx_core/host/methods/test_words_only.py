"""A run in which every picture is bypassed: the plain model, through the node and the sampler of references."""

import comfy.sample
import pytest
import torch

from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject


@pytest.fixture(scope="module")
def encoded(encode):
    people = tuple(Subject(Reference(Kind.FACE, name, None)) for name in ("man on the left", "woman on the right"))
    return encode(Scene(Reference(Kind.BACKGROUND, "sunny park", None), (), people))


def plainly(conditioning):
    return [[text, {key: value for key, value in options.items() if key != "model_conds"}]
            for text, options in conditioning]


def test_it_is_what_the_plain_model_makes_of_the_prompt(tiny, encoded):
    model = tiny[0]
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 5)

    def sample(model, positive, negative):
        return comfy.sample.sample(model, noise, 2, 4.0, "euler", "simple", positive, negative, latent, seed=5)

    ours = sample(relational_model(model, RelationalOptions()), encoded.positive, encoded.negative)
    theirs = sample(model, plainly(encoded.positive), plainly(encoded.negative))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_our_sampler_says_nothing_about_lost_references(tiny, encoded, caplog):
    model = relational_model(tiny[0], RelationalOptions(), vram_budget=2.0)
    result = run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=3, steps=2))
    assert result["samples"].isfinite().all() and "reference" not in caplog.text
