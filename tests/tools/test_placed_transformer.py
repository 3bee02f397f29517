import comfy.ldm.wan.model
import comfy.model_detection
import comfy.ops
import comfy.supported_models
import pytest
import torch

from lumosx_core.sampling.solvers import FlowSchedule, solve
from tools import placed_transformer as transformer
from tools.placed_transformer import transformer_state_dict


def comfy_model(weights):
    config = comfy.model_detection.detect_unet_config(weights, "")
    config = {name: value for name, value in config.items() if name != "image_model"}
    model = comfy.ldm.wan.model.WanModel(
        **config, device="cpu", dtype=torch.float32, operations=comfy.ops.disable_weight_init
    )
    model.load_state_dict(weights)
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return comfy_model(transformer_state_dict(dtype=torch.float32))


def velocity(model, latent, timestep, context, references=None):
    with torch.no_grad():
        return model(latent, torch.tensor([float(timestep)]), context, time_dim_concat=references)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_names_and_shapes_are_those_of_comfyui(model):
    ours = {name: weight.shape for name, weight in transformer_state_dict().items()}
    assert ours == {name: weight.shape for name, weight in model.state_dict().items()}


def test_is_detected_as_wan_t2v():
    found = comfy.model_detection.model_config_from_unet(transformer_state_dict(), "")
    assert type(found) is comfy.supported_models.WAN21_T2V
    assert (found.unet_config["dim"], found.unet_config["num_heads"]) == (256, 2)
    assert (found.unet_config["ffn_dim"], found.unet_config["num_layers"]) == (512, 4)


def test_same_seed_same_weights_and_small():
    first, again, other = transformer_state_dict(1), transformer_state_dict(1), transformer_state_dict(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))
    assert {weight.dtype for weight in first.values()} == {torch.bfloat16}
    assert sum(weight.nbytes for weight in first.values()) < 15e6


@pytest.mark.parametrize("timestep", [1000, 500, 50])
def test_forward_is_finite_and_moderate(model, timestep):
    output = velocity(model, noise(1, 16, 3, 8, 10), timestep, noise(1, 512, 4096))
    assert output.shape == (1, 16, 3, 8, 10)
    assert output.isfinite().all()
    # The head divides by the noise level.
    assert 0.2 < output.std() * timestep / 1000 < 2


def test_prompt_and_time_matter(model):
    latent, context = noise(1, 16, 2, 8, 8), noise(1, 512, 4096)
    here = velocity(model, latent, 800, context)
    assert (here - velocity(model, latent, 800, noise(1, 512, 4096, seed=1))).abs().max() > 1e-3
    assert (here - velocity(model, latent, 700, context)).abs().max() > 1e-3


def test_token_looks_at_its_own_place():
    query, key = (torch.view_as_complex(part[:128].reshape(64, 2)) for part in transformer._place_pattern())
    axes = (44, 42, 42)
    frequencies = torch.cat([10000.0 ** (-torch.arange(0, size, 2) / size) for size in axes])

    def attraction(*offset):
        distance = torch.tensor(offset).repeat_interleave(torch.tensor(axes) // 2)
        return (query.conj() * key * torch.exp(1j * frequencies * distance)).real.sum()

    own = attraction(0, 0, 0)
    assert all(attraction(0, rows, 0) < own - 8 for rows in range(-60, 61) if rows)
    assert attraction(6, 0, 0) > own > attraction(-6, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 50])
def test_sampling_with_guidance_ends_in_the_reference(model, steps):
    reference = noise(1, 16, 1, 10, 10, seed=5)
    contexts = [0.5 * noise(1, 512, 4096, seed=seed) for seed in (1, 2)]

    def denoise(latent, sigma, timestep):
        wanted, unwanted = (velocity(model, latent, timestep, context, reference) for context in contexts)
        return latent - sigma * (unwanted + 6 * (wanted - unwanted))

    schedule = FlowSchedule.build(steps)
    result = solve(denoise, noise(1, 16, 2, 10, 10), schedule.sigmas, schedule)
    assert result.isfinite().all()
    assert 0.2 < result.std() < 2
    for frame in range(2):
        pair = torch.stack((result[:, :, frame].flatten(), reference.flatten()))
        assert torch.corrcoef(pair)[0, 1] > 0.5
