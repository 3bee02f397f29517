"""The host's estimate of memory counts references."""

import comfy.model_management
import comfy.patcher_extension
import pytest

from lumosx_core.host.memory import most_references
from lumosx_core.host.patcher import relational_model
from lumosx_core.host.sampler import SamplingPlan, run_sampler
from lumosx_core.model import RelationalOptions

PREPARE = comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING


def seen_shape(model, encoded, drop=()):
    """The latent's shape that the host makes its estimate from."""
    shapes = []

    def watch(executor, patcher, noise_shape, conds, *arguments, **options):
        shapes.append(tuple(noise_shape))
        return executor(patcher, noise_shape, conds, *arguments, **options)

    model = model.clone()
    model.add_wrapper_with_key(PREPARE, "watch", watch)
    positive, negative = (
        [[text, {key: value for key, value in options.items() if key not in drop}] for text, options in conditioning]
        for conditioning in (encoded.positive, encoded.negative)
    )
    run_sampler(model, positive, negative, encoded.latent, SamplingPlan(seed=1, steps=1))
    return shapes[0]


def test_each_reference_counts_as_a_latent_frame(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    batch, channels, frames, *size = encoded.latent["samples"].shape
    # Two faces, two attributes, an object and a background.
    assert seen_shape(model, encoded) == (batch, channels, frames + 6, *size)


def test_the_estimate_grows_in_proportion(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    plain = list(encoded.latent["samples"].shape)
    with_references = list(seen_shape(model, encoded))
    ratio = model.model.memory_required(with_references) / model.model.memory_required(plain)
    assert ratio == pytest.approx((plain[2] + 6) / plain[2])


def test_other_conditioning_counts_nothing(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    assert seen_shape(model, encoded, drop=("model_conds",)) == tuple(encoded.latent["samples"].shape)
    assert most_references({"positive": [{"model_conds": {}}, {}], "negative": None}) == 0
