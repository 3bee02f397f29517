"""Token concatenation, which PolyVivid is compared with."""

import torch

from lumosx_core.models.polyvivid.concatenation import concatenated_forward
from tools.golden_polyvivid import FORWARD, inputs_of, latents_of, load, relative, world


def test_one_subject_is_comfyuis_own_reference():
    tensors, _ = load(FORWARD)
    (x, timesteps, context, pooled, guidance), (latent, *_) = inputs_of(tensors), latents_of(tensors)
    with torch.no_grad():
        found = concatenated_forward(world().network(), x, timesteps, context, pooled, guidance, [latent])
        expected = world().host_model()(
            x.clone(), timesteps, context, pooled, guidance=guidance, ref_latent=latent, transformer_options={}
        )
        plain = world().network()(x, timesteps, context, pooled, guidance)
    assert relative(found, expected) < 1e-5 < 1e-3 < relative(found, plain)


def test_every_further_subject_counts():
    tensors, _ = load(FORWARD)
    inputs, latents = inputs_of(tensors), latents_of(tensors)
    with torch.no_grad():
        one, two = (concatenated_forward(world().network(), *inputs, latents[:count]) for count in (1, 2))
    assert relative(one, two) > 1e-3
