"""What does not change over a run is made in its first step: counted through the real samplers."""

from collections import Counter

import comfy.sample
import pytest

import lumosx_core.models.lumosx.tables as tables
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout

OF_A_LAYOUT = ("positions", "pooled_cells", "text_weights", "wan_rotary_table")
OF_A_TEXT = ("text_embedding", "cross_attn.k", "cross_attn.v", "cross_attn.norm_k")


@pytest.fixture
def made(tiny, monkeypatch):
    """How often each table was made, as a Counter."""
    counts = Counter()

    def watch(owner, name):
        real = getattr(owner, name)

        def counting(*arguments, **options):
            counts[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    watch(SequenceLayout, "positions")
    watch(SequenceLayout, "pooled_cells")
    watch(Binding, "text_weights")
    watch(tables, "wan_rotary_table")
    model = tiny[0].model.diffusion_model
    layers = {"text_embedding": [model.text_embedding]}
    for name in OF_A_TEXT[1:]:
        layers[name] = [block.get_submodule(name) for block in model.blocks]
    handles = [
        layer.register_forward_hook(lambda *_, name=name: counts.update([name]))
        for name, found in layers.items() for layer in found
    ]
    yield counts
    for handle in handles:
        handle.remove()


def counted(made, run):
    made.clear()
    run()
    return dict(made)


def test_three_steps_make_what_one_step_makes(tiny, encode, make_scene, made):
    encoded = encode(make_scene())
    model = relational_model(tiny[0], RelationalOptions())

    def sample(steps):
        run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=0, steps=steps))

    first = counted(made, lambda: sample(1))
    blocks = len(tiny[0].model.diffusion_model.blocks)
    # The two prompts go through the model together, or one after the other where memory is short.
    assert {first[name] for name in OF_A_LAYOUT} <= {1, 2}
    assert [first[name] for name in OF_A_TEXT] == [first["positions"] * count for count in (1, blocks, blocks, blocks)]
    assert counted(made, lambda: sample(3)) == first


@pytest.mark.slow
def test_a_stock_sampler_makes_them_once_as_well(tiny, encode, make_scene, made):
    """uni_pc asks for several forwards a step."""
    encoded = encode(make_scene())
    model = relational_model(tiny[0], RelationalOptions())
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 0)

    def sample(steps):
        comfy.sample.sample(
            model, noise, steps, 6.0, "uni_pc", "simple", encoded.positive, encoded.negative, latent, seed=0
        )

    few = counted(made, lambda: sample(3))
    assert set(few) == {*OF_A_LAYOUT, *OF_A_TEXT}
    assert counted(made, lambda: sample(5)) == few


def test_another_run_makes_its_own(tiny, encode, make_scene, made):
    """Nothing outlives a run: a LoRA may have changed the text's keys in between."""
    encoded = encode(make_scene())
    model = relational_model(tiny[0], RelationalOptions())

    def sample():
        run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=0, steps=1))

    assert counted(made, sample) == counted(made, sample) != {}
