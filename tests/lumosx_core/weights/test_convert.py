"""Conversions of the tiny transformer, whole and interrupted."""

import errno
import hashlib
import json
import os
import shutil
import warnings
from importlib.util import find_spec

import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as checkpoint

from lumosx_core.errors import LumosXError
from lumosx_core.weights.__main__ import main
from lumosx_core.weights.checksum import SOURCE_NAME, SOURCE_SHA256, WEIGHTS_SHA256, verify_weights
from lumosx_core.weights.convert import _check_space, _give_name, convert
from lumosx_core.weights.dense import read_dense
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.precision import FORMATS, INT8, NVFP4, ending
from lumosx_core.weights.quantised import find_quantised_layers
from lumosx_core.weights.transformer import find_transformer
from tools.placed_transformer import transformer_state_dict

LARGEST_ERROR = {
    "f32": 0, "f16": 0.0003, "bf16": 0, "fp8_scaled": 0.03, "q8_0": 0.01, "q5_1": 0.05, "q5_0": 0.07, "q4_1": 0.1,
    "q4_0": 0.13, "int8": 0.03, "nvfp4": 0.13,
}
"""Root mean square of the error over that of the weights: a little more than the worst tensor has."""


@pytest.fixture(scope="module")
def weights():
    return transformer_state_dict()


@pytest.fixture(scope="module")
def source(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "tiny.safetensors"
    safetensors.torch.save_file(weights, path)
    return path
SCALES = {"fp8_scaled": 40, "int8": 40, "nvfp4": 80}
"""How many tensors are scales."""


@pytest.fixture
def kitchen():
    """Skips where the package is missing that int8 and nvfp4 need; ComfyUI 0.33 installs it."""
    return pytest.importorskip("comfy_kitchen", reason="comfy-kitchen is not installed")


def read_all(path):
    with open_weights(path) as file:
        names = find_transformer(file)
        layers = find_quantised_layers(file, names)
        return {
            name: read_dense(file, names[name], layers.get(name)).clone() for name in names
        }


def assert_close(found, expected, limit):
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert found[name].shape == weight.shape
        error = (found[name].float() - weight.float()).square().mean().sqrt()
        assert error <= limit * weight.float().square().mean().sqrt(), name


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_keeps_the_weights(request, source, weights, tmp_path, to):
    if to in (INT8, NVFP4):
        request.getfixturevalue("kitchen")
    target = tmp_path / f"out{ending(to)}"
    told = []
    report = convert(source, target, to, lambda done, total, name: told.append((done, total)))
    assert_close(read_all(target), weights, LARGEST_ERROR[to])
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert told == sorted(told) and told[-1][0] == told[-1][1]
    with open_weights(target) as file:
        assert file.metadata[SOURCE_SHA256] == report.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        assert file.metadata[SOURCE_NAME] == "tiny.safetensors"
        assert verify_weights(file) == report.weights_sha256 == file.metadata[WEIGHTS_SHA256]
    assert report.nbytes == target.stat().st_size and report.fallback == report.second_hand == ()
    assert sum(report.kinds.values()) == len(weights) + SCALES.get(to, 0)


@pytest.mark.parametrize("to", ["bf16", "q4_0"])
def test_the_same_source_gives_the_same_bytes(source, tmp_path, to):
    for name in ("a", "b"):
        convert(source, tmp_path / f"{name}{ending(to)}", to)
    first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert first == second


@pytest.mark.parametrize(("to", "again"), [("q4_0", "q4_0"), ("q8_0", "q8_0")])
def test_blocks_of_the_same_type_are_copied(source, tmp_path, to, again):
    first = convert(source, tmp_path / "a.gguf", to)
    second = convert(tmp_path / "a.gguf", tmp_path / "b.gguf", again)
    assert second.weights_sha256 == first.weights_sha256 and second.second_hand == ()
    assert second.source_sha256 == hashlib.sha256((tmp_path / "a.gguf").read_bytes()).hexdigest()


@pytest.mark.parametrize(("to", "then", "kind"), [("q8_0", "q4_0", "Q8_0"), ("fp8_scaled", "bf16", "F8_E4M3")])
def test_second_hand_losses_are_reported(source, weights, tmp_path, to, then, kind):
    convert(source, tmp_path / f"a{ending(to)}", to)
    report = convert(tmp_path / f"a{ending(to)}", tmp_path / f"b{ending(then)}", then)
    assert report.second_hand == (kind,) and f"was already {kind}" in str(report)
    assert_close(read_all(report.path), weights, 0.13)


@pytest.mark.parametrize(("to", "kind"), [("int8", "I8"), ("nvfp4", "U8")])
def test_what_comfy_kitchen_made_is_converted_back(kitchen, source, weights, tmp_path, to, kind):
    convert(source, tmp_path / "a.safetensors", to)
    report = convert(tmp_path / "a.safetensors", tmp_path / "b.gguf", "q8_0")
    assert report.second_hand == (kind,) and not report.fallback
    assert_close(read_all(report.path), weights, 0.15)
    again = convert(tmp_path / "a.safetensors", tmp_path / "c.safetensors", to)
    assert_close(read_all(again.path), read_all(tmp_path / "a.safetensors"), 0.03)


def test_prefixes_and_what_a_training_run_adds_are_left_behind(weights, source, tmp_path):
    wrapped = {f"model.diffusion_model.{name}": weight for name, weight in weights.items()}
    wrapped["optimizer.step"] = torch.ones(3)
    safetensors.torch.save_file(wrapped, tmp_path / "wrapped.safetensors")
    report = convert(tmp_path / "wrapped.safetensors", tmp_path / "out.safetensors")
    assert report.weights_sha256 == convert(source, tmp_path / "plain.safetensors").weights_sha256


def save_shards(folder, weights):
    names = sorted(weights)
    for part in (0, 1):
        safetensors.torch.save_file({name: weights[name] for name in names[part::2]}, folder / f"{part}.safetensors")
    places = {name: f"{index % 2}.safetensors" for index, name in enumerate(names)}
    (folder / "tiny.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def save_checkpoint(folder, weights):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint.save({"ema": weights}, checkpoint_id=folder / "all", no_dist=True)


@pytest.mark.parametrize(
    ("save", "file"),
    [
        (lambda folder, weights: torch.save({"ema": weights, "step": 3}, folder / "tiny.pt"), "tiny.pt"),
        (save_shards, ""), (save_checkpoint, ""),
    ],
    ids=["pt", "shards", "checkpoint folder"],
)
def test_every_kind_of_source_gives_the_same_weights(weights, source, tmp_path, save, file):
    folder = tmp_path / "model"
    folder.mkdir()
    save(folder, weights)
    report = convert(folder / file, tmp_path / "out.gguf", "q8_0")
    assert report.weights_sha256 == convert(source, tmp_path / "plain.gguf", "q8_0").weights_sha256
    with open_weights(tmp_path / "out.gguf") as written:
        assert written.metadata[SOURCE_NAME] == (file or "model")


@pytest.fixture
def narrow(weights):
    """The same with a feed-forward that is no whole number of blocks wide."""
    narrow = dict(weights)
    for block in range(4):
        for name, cut in (("ffn.0.weight", (0, 500)), ("ffn.0.bias", (0, 500)), ("ffn.2.weight", (1, 500))):
            narrow[f"blocks.{block}.{name}"] = weights[f"blocks.{block}.{name}"].narrow(cut[0], 0, cut[1]).contiguous()
    return narrow


def test_rows_that_fit_no_blocks_are_named(narrow, tmp_path):
    safetensors.torch.save_file(narrow, tmp_path / "narrow.safetensors")
    report = convert(tmp_path / "narrow.safetensors", tmp_path / "out.gguf", "q8_0")
    assert report.fallback == tuple(f"blocks.{block}.ffn.2.weight" for block in range(4))
    assert report.kinds["F16"] == 4 and "blocks.0.ffn.2.weight and 3 more stayed F16" in str(report)
    assert_close(read_all(report.path), narrow, 0.008)


def test_nvfp4_leaves_what_comfyui_would_pad(kitchen, narrow, tmp_path):
    safetensors.torch.save_file(narrow, tmp_path / "narrow.safetensors")
    report = convert(tmp_path / "narrow.safetensors", tmp_path / "out.safetensors", "nvfp4")
    assert set(report.fallback) == {f"blocks.{block}.ffn.{layer}.weight" for block in range(4) for layer in (0, 2)}
    assert report.kinds["U8"] == 32 and "blocks.0.ffn.0.weight and 7 more stayed BF16" in str(report)
    with safetensors.safe_open(report.path, framework="pt") as file:
        layers = json.loads(file.metadata()["_quantization_metadata"])["layers"]
        assert len(layers) == 32 and "blocks.0.ffn.2.weight_scale" not in set(file.keys())
    assert_close(read_all(report.path), narrow, 0.13)


def test_a_flipped_bit_is_found(source, tmp_path):
    for to in ("fp8_scaled", "q5_0"):
        path = convert(source, tmp_path / f"out{ending(to)}", to).path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with open_weights(path) as file, pytest.raises(LumosXError, match="weights are not those that were written"):
            verify_weights(file)


def test_a_file_of_others_cannot_be_verified(source):
    with open_weights(source) as file, pytest.raises(LumosXError, match="has no checksum of its weights"):
        verify_weights(file)


@pytest.mark.parametrize(
    ("target", "to", "sentence"),
    [
        ("out.safetensors", "q8_0", "out.safetensors: q8_0 is written as .gguf"),
        ("out.gguf", "bf16", "out.gguf: bf16 is written as .safetensors"),
        ("out.gguf", "q4_k", "to: q4_k cannot be made; choose one of f32"),
        ("tiny.safetensors", "bf16", "source and target are the same file"),
        ("there.safetensors", "bf16", "there.safetensors: it already exists; delete it first"),
        ("gone/out.safetensors", "bf16", "there is no folder .*gone; create it first"),
        ("out-00001-of-00002.safetensors", "bf16", "the name is that of one part of a model in several; choose"),
        ("x" * 300 + ".safetensors", "bf16", "cannot be written .*; choose another name"),
    ],
)
def test_targets_that_will_not_do(source, tmp_path, target, to, sentence):
    shutil.copy(source, tmp_path / "tiny.safetensors")
    (tmp_path / "there.safetensors").write_bytes(b"precious")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(LumosXError, match=sentence):
        convert(tmp_path / "tiny.safetensors", tmp_path / target, to)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("stop_at", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("to", ["fp8_scaled", "q8_0"])
@pytest.mark.parametrize("reason", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_conversion_leaves_nothing(source, tmp_path, stop_at, to, reason):
    def interrupt(done, total, name):
        if done >= stop_at * total:
            raise reason

    with pytest.raises(reason):
        convert(source, tmp_path / f"out{ending(to)}", to, interrupt)
    assert not list(tmp_path.iterdir())


def test_a_target_that_appears_meanwhile_is_kept(source, tmp_path):
    target = tmp_path / "out.safetensors"
    with pytest.raises(LumosXError, match="was created in the meantime"):
        convert(source, target, "bf16", lambda done, total, name: target.write_bytes(b"precious"))
    assert target.read_bytes() == b"precious" and len(list(tmp_path.iterdir())) == 1


def no_links(*_):
    """As file systems without hard links answer."""
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("has_links", [True, False])
def test_nothing_takes_the_place_of_another_file(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    part, target = tmp_path / "part", tmp_path / "target"
    part.write_bytes(b"new")
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        _give_name(part, target)
    assert target.read_bytes() == b"precious"
    target.unlink()
    _give_name(part, target)
    assert target.read_bytes() == b"new"


def test_a_link_to_nowhere_is_not_replaced(source, tmp_path):
    target = tmp_path / "out.safetensors"
    try:
        target.symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("links need a right that this user lacks")
    with pytest.raises(LumosXError, match="it already exists"):
        convert(source, target, "bf16", lambda done, total, name: pytest.fail("it began"))


def test_a_name_as_long_as_names_can_be(source, tmp_path):
    target = tmp_path / ("x" * 243 + ".safetensors")
    assert convert(source, target).path == target and list(tmp_path.iterdir()) == [target]


def test_a_part_that_vanishes_ends_in_a_sentence(weights, tmp_path):
    (tmp_path / "model").mkdir()
    save_checkpoint(tmp_path / "model", weights)
    try:
        (tmp_path / "model" / "all" / "gone.distcp").symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("links need a right that this user lacks")
    with pytest.raises(LumosXError, match="all: cannot be read .*gone.distcp"):
        convert(tmp_path / "model", tmp_path / "out.safetensors")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_numbers_are_refused_and_leave_nothing(weights, tmp_path, bad):
    broken = {**weights, "blocks.2.ffn.0.weight": weights["blocks.2.ffn.0.weight"].clone()}
    broken["blocks.2.ffn.0.weight"][7, 9] = bad
    safetensors.torch.save_file(broken, tmp_path / "broken.safetensors")
    made = [to for to in FORMATS if to not in (INT8, NVFP4) or find_spec("comfy_kitchen")]
    for to in made:
        with pytest.raises(LumosXError, match="broken.safetensors: blocks.2.ffn.0.weight holds numbers that are not f"):
            convert(tmp_path / "broken.safetensors", tmp_path / f"out{ending(to)}", to)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_without_room_is_reported(tmp_path):
    target, whole_disk = tmp_path / "out.gguf", shutil.disk_usage(tmp_path).total
    with pytest.raises(LumosXError, match=r"out.gguf: it needs \d+.\d+ GB and the disk has \d+.\d+ GB left"):
        _check_space(target, whole_disk)
    _check_space(target, 1)


def test_the_room_that_a_conversion_needs_includes_its_header(tmp_path, monkeypatch):
    free, header = 10 << 20, 1 << 20
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 40, 0, free))
    _check_space(tmp_path / "out.gguf", free - header)
    with pytest.raises(LumosXError, match="out.gguf: it needs 0.01 GB and the disk has 0.01 GB left"):
        _check_space(tmp_path / "out.gguf", free - header + 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file's size")
@pytest.mark.parametrize("to", ["bf16", "q8_0"])
@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_a_write_that_fails_midway_leaves_nothing(source, tmp_path, full_disk, capsys, to, limit):
    """The system itself refuses: files may grow to ``limit`` bytes, within the header or within a tensor."""
    target = tmp_path / f"out{ending(to)}"
    with full_disk(limit):
        assert main(["convert", str(source), str(target), "--to", to]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith(f"{target}: cannot be written (") and "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_the_fp8_layout_is_the_one_that_comfyui_documents(source, tmp_path):
    path = convert(source, tmp_path / "out.safetensors", "fp8_scaled").path
    with safetensors.safe_open(path, framework="pt") as file:
        layers = json.loads(file.metadata()["_quantization_metadata"])["layers"]
        assert len(layers) == 40 and all(layer == {"format": "float8_e4m3fn"} for layer in layers.values())
        for layer in layers:
            assert file.get_tensor(f"{layer}.weight").dtype == torch.float8_e4m3fn
            scale = file.get_tensor(f"{layer}.weight_scale")
            assert scale.shape == () and scale.dtype == torch.float32


@pytest.mark.parametrize(("to", "name", "parts"), [
    ("int8", "int8_tensorwise", {
        "weight": (torch.int8, (512, 256)), "weight_scale": (torch.float32, (512, 1)),
    }),
    ("nvfp4", "nvfp4", {
        "weight": (torch.uint8, (512, 128)), "weight_scale": (torch.float8_e4m3fn, (512, 16)),
        "weight_scale_2": (torch.float32, ()),
    }),
])
def test_int8_and_nvfp4_have_the_names_that_comfyui_reads(kitchen, source, tmp_path, to, name, parts):
    path = convert(source, tmp_path / "out.safetensors", to).path
    with safetensors.safe_open(path, framework="pt") as file:
        layers = json.loads(file.metadata()["_quantization_metadata"])["layers"]
        assert len(layers) == 40 and all(layer == {"format": name} for layer in layers.values())
        assert "blocks.0.ffn.0" in layers and all(layer.startswith("blocks.") for layer in layers)
        found = {part: file.get_tensor(f"blocks.0.ffn.0.{part}") for part in parts}
        assert {part: (tensor.dtype, tuple(tensor.shape)) for part, tensor in found.items()} == parts
        assert file.get_tensor("head.head.weight").dtype == torch.bfloat16
