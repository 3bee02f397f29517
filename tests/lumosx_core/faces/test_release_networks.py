"""The release's two face networks, against their published files and a forward written out by hand."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import Face
from lumosx_core.faces.release_networks import (
    ARCFACE,
    CURRICULARFACE,
    FaceNetwork,
    ReleaseEmbedder,
    load_network,
)
from lumosx_core.faces.vectors import aligned
from support.face_networks import DEPTHS, RELEASE_BLOCK, WIDTH, WIDTHS, make_state

LANDMARKS = np.array([[40, 60], [80, 52], [66, 84], [52, 108], [86, 100]], dtype=np.float32)


def by_hand(kind, state, x):
    """The forward, written out."""
    arc = kind == ARCFACE

    def norm(name, x):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, variance = (state[f"{name}.running_{part}"].reshape(shape) for part in ("mean", "var"))
        x = (x - mean) / torch.sqrt(variance + 1e-5)
        if f"{name}.weight" not in state:
            return x
        return x * state[f"{name}.weight"].reshape(shape) + state[f"{name}.bias"].reshape(shape)

    def slope(name, x):
        return torch.where(x > 0, x, x * state[f"{name}.weight"].reshape(1, -1, 1, 1))

    names = ("conv1", "bn1", "prelu") if arc else ("input_layer.0", "input_layer.1", "input_layer.2")
    x = slope(names[2], norm(names[1], F.conv2d(x, state[f"{names[0]}.weight"], padding=1)))
    number = 0
    for stage, depth in enumerate(DEPTHS, 1):
        for block in range(depth):
            part = {
                name: f"layer{stage}.{block}.{name}" if arc else f"body.{number}.{other}"
                for name, (other, _) in RELEASE_BLOCK.items()
            }
            stride = 2 if block == 0 else 1
            y = F.conv2d(norm(part["bn1"], x), state[f"{part['conv1']}.weight"], padding=1)
            y = slope(part["prelu"], norm(part["bn2"], y))
            y = norm(part["bn3"], F.conv2d(y, state[f"{part['conv2']}.weight"], padding=1, stride=stride))
            if f"{part['downsample.0']}.weight" in state:
                x = norm(part["downsample.1"], F.conv2d(x, state[f"{part['downsample.0']}.weight"], stride=stride))
            else:
                x = x[:, :, ::stride, ::stride]
            x, number = x + y, number + 1
    names = ("bn2", "fc", "features") if arc else ("output_layer.0", "output_layer.3", "output_layer.4")
    x = norm(names[0], x).flatten(1)
    return norm(names[2], x @ state[f"{names[1]}.weight"].T + state[f"{names[1]}.bias"])


@pytest.fixture
def saved(tmp_path):
    """saved(state, name) is the path of torch's file."""
    def write(state, name="backbone.pth"):
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return write


BOTH = pytest.mark.parametrize("kind", [ARCFACE, CURRICULARFACE])


# Counted on the sources of insightface's arcface_torch (iresnet100; 65.15 M in its paper) and of TFace (IR_101), whose
# outputs on random weights were equal to ours bit by bit.
@pytest.mark.parametrize("kind, parameters, names", [(ARCFACE, 65_156_160, 925), (CURRICULARFACE, 65_150_912, 917)])
def test_the_full_size_has_the_published_parameters(kind, parameters, names):
    blocks = [
        (before if block == 0 else after, after, block == 0)
        for before, after, depth in ((64, 64, 3), (64, 128, 13), (128, 256, 30), (256, 512, 3))
        for block in range(depth)
    ]
    with torch.device("meta"):
        network = FaceNetwork(kind, blocks)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == names


@BOTH
def test_a_files_numbers_are_those_of_the_forward_by_hand(kind, saved):
    state = make_state(kind)
    network = load_network(saved(state), kind)
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(network(x), by_hand(kind, state, x), rtol=1e-4, atol=1e-4)
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())


@BOTH
def test_a_file_without_counters_in_half_precision_as_safetensors(kind, saved, tmp_path):
    state = {name: tensor.half() for name, tensor in make_state(kind, counters=False).items()}
    save_file(state, tmp_path / "net.safetensors")
    network = load_network(tmp_path / "net.safetensors", kind)
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    x = torch.zeros(1, 3, 112, 112)
    expected = by_hand(kind, {name: tensor.float() for name, tensor in state.items()}, x)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)


@BOTH
def test_crops_are_taken_whole_in_rgb_and_in_batches(kind, saved):
    state = make_state(kind)
    embedder = ReleaseEmbedder(saved(state, "net.bin"), kind)
    pixels = np.random.default_rng(2).integers(0, 256, (33, 60, 50, 3), dtype=np.uint8)
    vectors = embedder.embed_crops(list(pixels))
    assert vectors.dtype == np.float32 and vectors.shape == (33, WIDTH)
    for number in (0, 31, 32):
        crop = torch.from_numpy(cv2.resize(pixels[number], (112, 112))).permute(2, 0, 1)[None]
        expected = by_hand(kind, state, (crop.float() / 255 - 0.5) / 0.5)
        np.testing.assert_allclose(vectors[number], expected[0], rtol=1e-3, atol=1e-3)
    assert embedder.embed_crops([]).shape == (0, WIDTH)
    assert embedder.measure == "cosine" and embedder.same_person == 0.3


@BOTH
def test_faces_are_aligned(kind, saved):
    embedder = ReleaseEmbedder(saved(make_state(kind)), kind)
    pixels = np.random.default_rng(2).integers(0, 256, (150, 120, 3), dtype=np.uint8)
    vectors = embedder.embed_faces(pixels, [Face((20, 20, 100, 130), 0.9, LANDMARKS)])
    np.testing.assert_array_equal(vectors, embedder.embed_crops([aligned(pixels, LANDMARKS)]))
    assert not np.allclose(vectors, embedder.embed_crops([pixels]))


def test_the_name_tells_the_depth_that_the_file_has(saved):
    # Two layers a block besides the first and the last; CurricularFace's authors call the same depth one more.
    assert ReleaseEmbedder(saved(make_state(ARCFACE)), ARCFACE).name == "ArcFace IR-18 (backbone.pth)"
    curricular = saved(make_state(CURRICULARFACE), "net.bin")
    assert ReleaseEmbedder(curricular, CURRICULARFACE).name == "CurricularFace IR-19 (net.bin)"


def refused(path, kind):
    with pytest.raises(LumosXError) as caught:
        load_network(path, kind)
    return str(caught.value).removeprefix(str(path))


@BOTH
def test_another_network_is_refused_in_one_sentence(kind, saved):
    names = (
        f": it is not a {kind} network (its tensors have other names); use the file that docs/scoring_models.md "
        "names."
    )
    other = ARCFACE if kind == CURRICULARFACE else CURRICULARFACE
    assert refused(saved(make_state(other)), kind) == names
    assert refused(saved(torch.nn.Linear(2, 2).state_dict()), kind) == names
    assert refused(saved(make_state(kind, widths=WIDTHS[:3], depths=DEPTHS[:3])), kind) == names


@BOTH
@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_every_tensor_must_fit(kind, change, saved):
    state = make_state(kind)
    name = "layer3.1.prelu.weight" if kind == ARCFACE else "body.4.res_layer.3.weight"
    if change == "missing":
        del state[name]
    elif change == "more":
        state["squeeze.weight"] = torch.zeros(3)
    else:
        state[name] = torch.zeros(1)
    odd = "squeeze.weight" if change == "more" else "body.4.res_layer.3.weight"
    assert f"(1 of its tensors do not fit, such as {odd})" in refused(saved(state), kind)


def test_no_file_is_unpickled(saved, tmp_path):
    (tmp_path / "backbone.pth").write_bytes(b"<!DOCTYPE html>")
    assert refused(tmp_path / "backbone.pth", ARCFACE).startswith(": it is a web page")
    assert "loading it would run" in refused(saved({"conv1.weight": pytest.approx}), ARCFACE)
