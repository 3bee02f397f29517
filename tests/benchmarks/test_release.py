"""The baselines are what they say: (a) is our mathematics in the release's way, (b) the tokens without relations."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmarks.dense import pytorch_attention
from benchmarks.release import release_forward
from benchmarks.shapes import SCENES, Shape, draw_inputs, draw_model, drawn_binding
from benchmarks.variants import Ours, dense, release
from lumosx_core.models.lumosx import RelationalOptions, relational_forward
from tools.golden import FORWARD_BOUND, golden_binding, relative_error, wan_model

GOLDEN = sorted(Path(__file__).parents[1].joinpath("golden").glob("forward_*.safetensors"))
SIZES = {"even": None, "odd": (9, 13)}
SHAPE = Shape(dim=256, ffn_dim=256, layers=2, grid=(3, 5, 7), text_dim=64)


@pytest.fixture(scope="module")
def model():
    return draw_model(SHAPE)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_the_release_s_way_meets_the_golden_files(file):
    with safe_open(file, "pt") as source:
        case = json.loads(source.metadata()["case"])
        tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
    model = wan_model(case["cfg"], case["seed"])
    with torch.no_grad():
        velocity = release_forward(
            model, tensors["video_latent"][None], torch.tensor([float(case["t"])]), tensors["text"][None],
            [reference[None, :, None] for reference in tensors["references"]], golden_binding(case),
        )
    assert relative_error(velocity[0], tensors["velocity"]) <= FORWARD_BOUND


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("references", [count for count in SCENES if count])
def test_ours_is_the_release_s_result_for_every_scene(model, references, size):
    inputs = draw_inputs(SHAPE, drawn_binding(*SCENES[references]), latent_size=SIZES[size])
    with torch.no_grad():
        assert relative_error(Ours(model, inputs)(), release(model, inputs)()) <= 1e-6


def test_without_references_all_are_plain_wan(model):
    """ComfyUI's timestep embedding is in float32, the release's in float64. Odd sizes it pads in a way of its own."""
    inputs = draw_inputs(SHAPE, drawn_binding(*SCENES[0]))
    with torch.no_grad():
        stock = dense(model, inputs)()
        assert torch.equal(Ours(model, inputs)(), stock)
        assert relative_error(release(model, inputs)(), stock) <= 1e-4


def test_the_dense_baseline_is_ours_without_its_mechanisms(model):
    inputs = draw_inputs(SHAPE, drawn_binding(*SCENES[6]))
    given = (inputs.latent, inputs.timestep, inputs.context, inputs.references, inputs.binding, pytorch_attention)
    off = RelationalOptions(ratio=0.0, r2pe=False, csam=False)
    with torch.no_grad():
        stock = dense(model, inputs)()
        assert relative_error(relational_forward(model, *given, off), stock) <= 1e-4
        assert relative_error(relational_forward(model, *given), stock) > 1e-2
