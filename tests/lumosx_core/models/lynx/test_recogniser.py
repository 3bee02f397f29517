"""The recogniser from a file; its numbers are the golden file's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx.recogniser import load_recogniser, mean_embedding, recogniser_input
from tools import golden_lynx
from tools.golden import load_golden
from tools.weight_files import Runs

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture(scope="module")
def weights():
    return golden_lynx.recogniser_weights(GOLDEN / golden_lynx.KEYS, 5)


def test_torchs_own_file_meets_the_golden_numbers_and_is_not_kept(weights, tmp_path):
    """175 MB are written and read: the network has one size."""
    path = tmp_path / "recognition_arcface_ir_se50.pth"
    torch.save(weights, path)
    network = load_recogniser(path)
    path.write_bytes(b"")
    tensors, _ = load_golden(GOLDEN / "arcface_ir_se50.safetensors")
    with torch.no_grad():
        embedding = network(recogniser_input(tensors["crops"]))
    assert (embedding - tensors["embedding"]).abs().max() < 2e-5
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2), atol=1e-6)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "recognition_arcface_ir_se50.pth"
    torch.save({"input_layer.0.weight": Runs(Path.mkdir, (tmp_path / "ran",))}, path)
    with pytest.raises(LumosXError, match="would run"):
        load_recogniser(path)
    assert not (tmp_path / "ran").exists()


def test_the_format_of_torch_before_1_6_is_one_sentence(tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"x": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(LumosXError, match="save it again"):
        load_recogniser(path)


@pytest.mark.parametrize("change", [
    lambda held: held.pop("body.3.res_layer.5.fc1.weight"),
    lambda held: held.update({"output_layer.4.weight": torch.zeros(100)}),
    lambda held: held.update({"head.weight": torch.zeros(1)}),
])
def test_another_network_is_one_sentence(change, tmp_path):
    """With the right names and tiny tensors a look at the shapes is enough; nothing is read."""
    entries = golden_lynx.json.loads((GOLDEN / golden_lynx.KEYS).read_text())
    held = {entry["key"]: torch.zeros([1] * len(entry["shape"])) for entry in entries}
    change(held)
    save_file(held, tmp_path / "file")
    with pytest.raises(LumosXError, match="not ArcFace IR-SE50 .*recognition_arcface_ir_se50"):
        load_recogniser(tmp_path / "file")


def test_several_photos_give_the_direction_between_them():
    first, second = torch.eye(512)[:2]
    assert torch.allclose(mean_embedding([first, second]), (first + second) / 2**0.5)
    assert torch.equal(mean_embedding([first]), first)
    assert mean_embedding([first, 4e-3 * second - first]).norm() == pytest.approx(1, abs=1e-5)
    for photos in ([], [first, -first], [first, 1e-3 * second - first]):
        with pytest.raises(LumosXError, match="^face: "):
            mean_embedding(photos)
