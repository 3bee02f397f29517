"""Safetensors, whole and in shards."""

import json
import os
import struct
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.weights import safetensors_file
from lumosx_core.weights.safetensors_file import SafetensorsFile
from lumosx_core.weights.source import TensorInfo


@pytest.mark.parametrize("kind", ["safetensors", "shards"])
def test_every_tensor_comes_back(samples, weights, kind):
    with SafetensorsFile(samples[kind]) as source:
        assert sorted(source.tensors) == sorted(weights.tensors())
        for name, tensor in weights.tensors().items():
            assert torch.equal(source.read(name), tensor)
        assert source.tensors["blocks.0.norm3.bias"] == TensorInfo("BF16", (7,))
        assert source.tensors["scale"] == TensorInfo("F32", ())


def test_metadata_and_fp8_are_kept(samples, tmp_path):
    with SafetensorsFile(samples["safetensors"]) as source:
        assert source.metadata == {"author": "me"}
    weight = torch.randn(4, 4).to(torch.float8_e4m3fn)
    save_file({"weight": weight}, tmp_path / "fp8.safetensors")
    with SafetensorsFile(tmp_path / "fp8.safetensors") as source:
        assert source.metadata == {}
        assert source.tensors["weight"] == TensorInfo("F8_E4M3", (4, 4))
        assert torch.equal(source.read("weight").view(torch.uint8), weight.view(torch.uint8))


def write_raw(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_kinds_that_torch_lacks_keep_their_name(tmp_path):
    header = {"scale": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]}}
    with SafetensorsFile(write_raw(tmp_path / "a.safetensors", header, bytes(4))) as source:
        assert source.tensors["scale"] == TensorInfo("F8_E8M0", (4,))


@pytest.mark.parametrize(
    ("header", "data", "length"),
    [
        (b"{}", b"", 1 << 62),
        (b"{\"a\":" * 10000, b"", None),
        ({"a": {"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 0]}}, b"", None),
        ({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"short", None),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8), None),
        ({"a": {"dtype": "Q4", "shape": [1], "data_offsets": [0, 1]}}, b"x", None),
    ],
)
def test_absurd_headers_end_in_a_sentence(tmp_path, header, data, length):
    path = write_raw(tmp_path / "bad.safetensors", header, data, length)
    with pytest.raises(LumosXError, match="its header is damaged,"):
        SafetensorsFile(path)


EMPTY = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({str(number): EMPTY for number in range((1 << 13) + 1)}, "it holds 8193 tensors, more than any"),
        ({str(number): EMPTY for number in range(1 << 15)}, "its header lists more than any"),
        ({"__metadata__": {str(number): "" for number in range(1 << 17)}}, "its header lists more than any"),
        ({"__metadata__": {"a": "b" * (1 << 22)}}, "its header is larger than any"),
        ({"a" * 513: EMPTY}, "name is over 512 letters long"),
    ],
)
def test_more_than_any_model_needs_is_refused_at_once(tmp_path, header, sentence):
    path = write_raw(tmp_path / "large.safetensors", header)
    start = time.process_time()
    with pytest.raises(LumosXError, match=f"large.safetensors: .*{sentence}"):
        SafetensorsFile(path)
    assert time.process_time() - start < 0.5


def test_a_size_that_torch_cannot_count_to_ends_in_a_sentence(tmp_path):
    header = {"a": {"dtype": "F32", "shape": [0, 1 << 63], "data_offsets": [0, 0]}}
    path = write_raw(tmp_path / "bad.safetensors", header)
    with pytest.raises(LumosXError, match="'a' cannot be read"), SafetensorsFile(path) as source:
        source.read("a")


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (b"", "not an index of safetensors files"),
        (b"[1]", "not an index"),
        (b"{\"weight_map\": [1]}", "not an index"),
        (b"[" * 100000, "not an index"),
        (b"\xff\xfe", "not an index"),
        (b"{\"weight_map\": {\"a\": \"x.safetensors\", \"a\": \"y.safetensors\"}}", "not an index"),
        (b"{\"weight_map\": {\"a\": 3}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"../x.safetensors\"}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"C:\\\\x\"}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"..\"}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"x\\u0000\"}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"\\ud800\"}}", "points out of its folder"),
        (b"{\"weight_map\": {\"a\": \"gone.safetensors\"}}", "gone.safetensors: this file of the model is missing"),
    ],
)
def test_bad_indexes_end_in_a_sentence(tmp_path, index, sentence):
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(index)
    with pytest.raises(LumosXError, match=sentence):
        SafetensorsFile(path)


def test_an_index_and_shards_that_disagree_end_in_a_sentence(weights, tmp_path):
    path = weights.write_shards(tmp_path)
    index = json.loads(path.read_text())
    shards = index["weight_map"]
    shards["more.weight"] = shards["scale"]
    path.write_text(json.dumps(index))
    with pytest.raises(LumosXError, match=r"model-0000\d-.*: it lacks 'more.weight', which the index promises"):
        SafetensorsFile(path)
    del shards["more.weight"]
    path.write_text(json.dumps(index))
    save_file(weights.tensors(), tmp_path / shards["scale"])
    with pytest.raises(LumosXError, match="both model-.* hold"):
        SafetensorsFile(path)


def test_an_index_that_names_the_wrong_shard_ends_in_a_sentence(weights, tmp_path):
    path = weights.write_shards(tmp_path)
    index = json.loads(path.read_text())
    first, second = sorted(set(index["weight_map"].values()))
    other = {first: second, second: first}
    path.write_text(json.dumps({"weight_map": {name: other[shard] for name, shard in index["weight_map"].items()}}))
    with pytest.raises(LumosXError, match=r"model-0000\d-.*: it lacks '.*', which the index promises"):
        SafetensorsFile(path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit a process's addresses")
def test_a_file_that_cannot_be_mapped_ends_in_a_sentence(tmp_path):
    header = {"a": {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]}}
    path = write_raw(tmp_path / "large.safetensors", header)
    os.truncate(path, path.stat().st_size + (1 << 40))
    code = (
        "import resource, sys\nfrom lumosx_core.weights.__main__ import main\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 38, resource.RLIM_INFINITY))\nmain(['inspect', sys.argv[1]])"
    )
    answer = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert answer.stderr.startswith(f"{path}: ") and "memory" in answer.stderr and answer.stderr.count("\n") == 1


def test_close_lets_go_and_tensors_stay(samples, weights):
    source = SafetensorsFile(samples["safetensors"])
    tensor = source.read("scale")
    source.close()
    source.close()
    assert tensor == weights.tensors()["scale"]
    with pytest.raises(KeyError):
        source.read("scale")


@pytest.mark.parametrize("moment", range(4))
def test_ctrl_c_inside_of_torch_is_no_damage(samples, moment):
    """Raised from a profiler's call, as a signal's handler is: between two steps of torch's own Python code."""
    steps = iter(range(4))

    def interrupt(frame, *_):
        if frame.f_code.co_filename.endswith("storage.py") and next(steps, None) == moment:
            raise KeyboardInterrupt

    with SafetensorsFile(samples["safetensors"]) as source:
        source.read("head.modulation")
        with pytest.raises(KeyboardInterrupt):
            sys.setprofile(interrupt)
            source.read("head.modulation")
        sys.setprofile(None)


@pytest.mark.parametrize(("errors", "raised"), [
    ([ValueError()], KeyboardInterrupt), ([ValueError()] * 2, LumosXError), ([RuntimeError()], LumosXError),
])
def test_only_a_whole_file_that_could_not_be_read_was_interrupted(samples, errors, raised):
    class Held:
        def get_tensor(self, name):
            if errors:
                raise errors.pop(0)

    with SafetensorsFile(samples["safetensors"]) as source:
        source._held = {"scale": Held()}
        with pytest.raises(raised):
            source.read("scale")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["part.safetensors", "model.safetensors.index.json"])
def test_a_pipe_among_the_files_of_a_model_holds_nobody_up(tmp_path, name):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part.safetensors"}}))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    refused = []

    def read():
        with pytest.raises(LumosXError) as caught:
            SafetensorsFile(index)
        refused.append(str(caught.value))

    # Opening the pipe would wait for somebody at its other end.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    assert len(refused) == 1 and "it is not a regular file" in refused[0]


@pytest.mark.parametrize("separator", [b":", b" :", b"\n\t :"])
def test_pairs_are_counted_however_they_are_written(tmp_path, separator):
    pairs = b",".join(b'"%d"%s""' % (number, separator) for number in range(1 << 17))
    with pytest.raises(LumosXError, match="its header lists more than any"):
        SafetensorsFile(write_raw(tmp_path / "a.safetensors", b'{"__metadata__"' + separator + b"{" + pairs + b"}}"))


def test_an_index_of_too_many_names_is_refused_before_any_file_is_opened(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {str(number): f"{number}.safetensors" for number in range(10_000)}}))
    with pytest.raises(LumosXError, match="it holds 10000 tensors"):
        SafetensorsFile(index)


@pytest.mark.parametrize("dimensions", [65, 100_000])
def test_a_shape_that_torch_cannot_hold_is_refused(tmp_path, dimensions):
    def written(count):
        header = {"a": {"dtype": "F32", "shape": [1] * count, "data_offsets": [0, 4]}}
        return write_raw(tmp_path / "a.safetensors", header, bytes(4))

    with pytest.raises(LumosXError, match=f"'a' has {dimensions} dimensions"):
        SafetensorsFile(written(dimensions))
    with SafetensorsFile(written(64)) as source:
        assert source.read("a").shape == (1,) * 64


@pytest.mark.parametrize(("bound", "most", "words"), [
    ("_LARGEST_INDEX", lambda path: path.stat().st_size, "larger than any index"),
])
def test_an_index_is_read_exactly_up_to_its_largest_size(samples, monkeypatch, bound, most, words):
    path = samples["shards"]
    monkeypatch.setattr(safetensors_file, bound, most(path))
    SafetensorsFile(path).close()
    monkeypatch.setattr(safetensors_file, bound, most(path) - 1)
    with pytest.raises(LumosXError, match=words):
        SafetensorsFile(path)


@pytest.mark.parametrize("pairs", [3, 2])
def test_a_header_is_read_exactly_up_to_its_bounds(tmp_path, monkeypatch, pairs):
    header = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    path = write_raw(tmp_path / "a.safetensors", header, b"x")
    size = len(json.dumps(header))
    monkeypatch.setattr(safetensors_file, "_MOST_PAIRS", pairs + 1)
    monkeypatch.setattr(safetensors_file, "LARGEST_HEADER", size if pairs == 3 else size - 1)
    if pairs == 3:
        SafetensorsFile(path).close()
        monkeypatch.setattr(safetensors_file, "_MOST_PAIRS", 3)
    with pytest.raises(LumosXError, match="its header (is larger|lists more) than any that LumosX reads"):
        SafetensorsFile(path)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError()])
def test_too_little_memory_is_said(tmp_path, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(safetensors_file, "safe_open", fail)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(LumosXError, match="there is not enough memory to map it"):
        SafetensorsFile(tmp_path / "a.safetensors")
