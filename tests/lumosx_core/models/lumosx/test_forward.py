"""The whole forward at the edges of what it is given."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.lumosx import RelationalOptions, relational_forward
from lumosx_core.models.lumosx.sequence import Binding

NOTHING = Binding((), (), ())


@pytest.fixture
def stock(wan):
    """stock(**sizes): ComfyUI's own forward on the inputs that ``forward`` draws for the same sizes."""
    def run(words=100, frames=3, height=12, width=20, seed=0, batch=1):
        generator = torch.Generator().manual_seed(seed)
        latent = torch.randn(batch, 16, frames, height, width, generator=generator)
        context = torch.randn(batch, 512, 64, generator=generator)
        context[:, words:] = 0
        with torch.no_grad():
            return wan(latent, torch.full((batch,), 600.0), context)

    return run


@pytest.mark.parametrize("sizes", [
    {}, {"batch": 2}, {"words": 0}, {"words": 512}, {"frames": 1, "height": 2, "width": 2}, {"height": 14, "width": 6},
], ids=str)
@pytest.mark.parametrize("options", [
    {}, {"chunk_tokens": 37}, {"dense_text": True}, {"options": RelationalOptions(csam=False, r2pe=False)},
], ids=["whole", "chunks", "dense text", "no relations"])
def test_without_references_it_is_wans_own_forward(forward, stock, sizes, options):
    ours, theirs = forward(NOTHING, **sizes, **options), stock(**sizes)
    # ComfyUI computes the sines of the timestep in float32.
    assert ((ours - theirs).norm() / theirs.norm()) < 1e-5


@pytest.mark.parametrize("chunk_tokens", [0, 5])
def test_odd_sides_are_padded_with_zeros_without_references_too(forward, chunk_tokens):
    def run(latent):
        return forward(NOTHING, latent=latent, chunk_tokens=chunk_tokens)

    latent = torch.randn(1, 16, 3, 11, 7, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(latent, (0, 1, 0, 1))
    assert torch.equal(run(latent), run(padded)[..., :11, :7])


@pytest.mark.parametrize("binding", [
    Binding((), (((0, 1),),), (0,)), Binding((), (((0, 1),), ((1, 2),)), (0, 0)),
], ids=["one", "two"])
def test_people_without_pictures_change_nothing(forward, binding):
    assert torch.equal(forward(binding), forward(NOTHING))


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"frames": 0}, {"height": 0}, {"width": 0}], ids=str)
@pytest.mark.parametrize("objects", [0, 1])
def test_an_empty_latent_is_a_sentence(forward, make_binding, sizes, objects):
    with pytest.raises(LumosXError, match=r"^latent: it is empty, its shape is \("):
        forward(make_binding(objects, []), **sizes)


@pytest.mark.parametrize("odd", [0, 1])
def test_every_references_size_is_looked_at(wan, make_binding, odd):
    sizes = [(8, 8), (8, 8)]
    sizes[odd] = (8, 10)
    references = [torch.zeros(1, 16, 1, *size) for size in sizes]
    with pytest.raises(LumosXError, match="^latent: the video is 64x64 pixels .* encoded for 80x64"):
        call(wan, references, make_binding(1, [1]))


def test_references_that_are_not_as_many_as_are_bound_are_a_sentence(wan, make_binding):
    for pictures in (0, 1, 3):
        with pytest.raises(LumosXError, match=f"^positive: it holds {pictures} reference pictures but binds 2"):
            call(wan, [torch.zeros(1, 16, 1, 8, 8)] * pictures, make_binding(1, [1]))


def call(wan, references, binding):
    latent, context = torch.zeros(1, 16, 2, 8, 8), torch.zeros(1, 512, 64)
    return relational_forward(wan, latent, torch.tensor([500.0]), context, references, binding, dense=None)
