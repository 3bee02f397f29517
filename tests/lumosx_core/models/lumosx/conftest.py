"""A small Wan model of ComfyUI's, with inputs for it."""

import pytest
import torch

from lumosx_core.models.lumosx.sequence import Binding

SIZES = {
    "dim": 256, "num_heads": 2, "ffn_dim": 512, "num_layers": 3, "text_dim": 64, "freq_dim": 64,
    "patch_size": (1, 2, 2), "in_dim": 16, "out_dim": 16, "text_len": 512,
}


@pytest.fixture(scope="session")
def wan():
    """ComfyUI's WanModel in float32."""
    from tools.golden import wan_model

    return wan_model(SIZES, 1)


def binding_of(objects, subjects):
    """Objects and subjects (pictures of each), each bound to a word of its own among the first 20."""
    people = tuple(((index, index + 1),) for index in range(len(subjects)))
    return Binding(tuple(((10 + index, 11 + index),) for index in range(objects)), people, tuple(subjects))


@pytest.fixture(scope="session")
def forward(wan):
    """forward(binding, words=100, frames=3, height=12, width=20, seed=0, dense=..., **options): a velocity."""
    import comfy.ldm.modules.attention as attention

    from lumosx_core.models.lumosx import relational_forward

    def dense(q, k, v, heads):
        return attention.attention_pytorch(q, k, v, heads)

    def run(
        binding, words=100, frames=3, height=12, width=20, seed=0, batch=1, model=wan, dense=dense, latent=None,
        **options,
    ):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(batch, 16, frames, height, width, generator=generator)
        latent = drawn if latent is None else latent
        references = [
            torch.randn(batch, 16, 1, height, width, generator=generator) for _ in range(binding.references)
        ]
        context = torch.randn(batch, 512, 64, generator=generator)
        context[:, words:] = 0
        timestep = torch.full((batch,), 600.0)
        with torch.no_grad():
            return relational_forward(model, latent, timestep, context, references, binding, dense, **options)

    return run


@pytest.fixture(scope="session")
def make_binding():
    """See ``binding_of``."""
    return binding_of
