"""Several references on HunyuanCustom's shape, through ComfyUI's own HunyuanVideo."""

import comfy.sd
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.polyvivid import with_subjects
from lumosx_core.host.methods.hunyuan_custom import hunyuan_custom_model
from lumosx_core.models.polyvivid.positions import TextLayout
from support.hunyuan_files import SCALE, small_network, velocity, write_base

LAYOUT = TextLayout((7, 3), ((2, 2), (2, 2)))
ONE = TextLayout((7,), ((2, 2),))


def random(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


NOISE, POOLED = random(1, 16, 2, 8, 6, seed=1), random(1, 768, seed=3)
LATENTS = [random(1, 16, 1, 8, 6, seed=seed) for seed in (4, 5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = write_base(tmp_path_factory.mktemp("custom") / "custom.safetensors", small_network())
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model(str(path))


def entry(layout, **options):
    return [random(1, layout.tokens, 48, seed=2), {"pooled_output": POOLED, **options}]


def test_one_subject_is_what_comfyui_does_itself(model):
    ours = velocity(hunyuan_custom_model(model), [with_subjects(entry(ONE), LATENTS[:1], ONE)], NOISE)
    native = velocity(model, [entry(ONE, ref_latent=LATENTS[0] / SCALE)], NOISE)
    assert torch.allclose(ours, native, atol=1e-5)
    assert not torch.allclose(native, velocity(model, [entry(ONE)], NOISE), atol=1e-2)


def test_without_subjects_it_is_the_unpatched_model_bit_for_bit(model):
    assert torch.equal(velocity(hunyuan_custom_model(model), [entry(ONE)], NOISE), velocity(model, [entry(ONE)], NOISE))


def rotations(model, conditioning, kind):
    """The tables that the blocks get, and the model's answer."""
    tables, patched = [], model.clone()

    def look(arguments, extra):
        tables.append(arguments["pe"])
        return extra["original_block"](arguments)

    patched.set_model_patch_replace(look, "dit", kind, 0)
    return velocity(patched, conditioning, NOISE), tables[0]


@pytest.mark.parametrize("kind", ["double_block", "single_block"])
def test_each_subject_has_a_time_of_its_own(model, kind):
    """At -1 and -2, to the right of the video, whose own positions and whose text's stay as they are.

    Hosts differ in whether text or pictures come first; the table of ComfyUI's own reference shows it.
    """
    custom = hunyuan_custom_model(model)
    made, table = rotations(custom, [with_subjects(entry(LAYOUT), LATENTS, LAYOUT)], kind)
    embed = model.model.diffusion_model.pe_embedder
    rows, columns, video = 4, 3, 2 * 4 * 3
    ids = torch.zeros(1, 2 * rows * columns + video + LAYOUT.tokens, 3)
    grid = torch.cartesian_prod(torch.arange(float(rows)), torch.arange(float(columns)))
    for number in (0, 1):
        span = slice(number * rows * columns, (number + 1) * rows * columns)
        ids[0, span, 0], ids[0, span, 1], ids[0, span, 2] = -1.0 - number, grid[:, 0], grid[:, 1] + columns
        span = slice((2 + number) * rows * columns, (3 + number) * rows * columns)
        ids[0, span, 0], ids[0, span, 1], ids[0, span, 2] = float(number), grid[:, 0], grid[:, 1]
    native, other = rotations(model, [entry(LAYOUT, ref_latent=torch.cat(LATENTS, 2) / SCALE)], kind)
    together = ids.clone()
    together[0, :2 * rows * columns, 0] = -1.0
    orders = [(ids, together), (ids.roll(LAYOUT.tokens, 1), together.roll(LAYOUT.tokens, 1))]
    [expected] = [ours for ours, hosts in orders if torch.allclose(other, embed(hosts), atol=1e-6)]
    assert torch.allclose(table, embed(expected), atol=1e-6)
    assert table.shape == other.shape and not torch.allclose(table, other, atol=1e-3)
    assert not torch.allclose(made, native, atol=1e-3)


def test_subjects_are_told_apart_by_their_order(model):
    custom = hunyuan_custom_model(model)
    first, second = (
        velocity(custom, [with_subjects(entry(LAYOUT), latents, LAYOUT)], NOISE)
        for latents in (LATENTS, LATENTS[::-1])
    )
    assert not torch.allclose(first, second, atol=1e-4)


def test_what_does_not_fit_ends_in_a_sentence(model, tiny):
    with pytest.raises(LumosXError, match="^model: this is a WanModel, not a HunyuanVideo"):
        hunyuan_custom_model(tiny[0])
    sizes = [LATENTS[0], random(1, 16, 1, 4, 4, seed=1)]
    with pytest.raises(LumosXError, match="^positive: the subjects' pictures have several sizes"):
        velocity(hunyuan_custom_model(model), [with_subjects(entry(LAYOUT), sizes, LAYOUT)], NOISE)
    with pytest.raises(LumosXError, match="^latent: width and height"):
        velocity(
            hunyuan_custom_model(model), [with_subjects(entry(LAYOUT), LATENTS, LAYOUT)], random(1, 16, 2, 7, 6, seed=1)
        )
