"""What torch.save writes, and what others write instead."""

import collections
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.weights.checkpoint_index import read_index
from lumosx_core.weights.source import TensorInfo
from lumosx_core.weights.torch_file import TorchFile
from tools.weight_files import Runs

SHARED = torch.ones(1000)


@pytest.fixture
def saved(tmp_path):
    """saved(object) is the path of a file that torch.save wrote."""
    def write(content):
        torch.save(content, tmp_path / "model.pt")
        return tmp_path / "model.pt"

    return write


@pytest.fixture
def packed(tmp_path):
    """packed({"data.pkl": bytes, ...}) is an archive laid out as torch's, with any content."""
    def write(entries, folder="archive", compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(tmp_path / "model.pt", "w", compression) as archive:
            for name, data in {"version": b"3", **entries}.items():
                archive.writestr(f"{folder}/{name}", data)
        return tmp_path / "model.pt"

    return write


def described(content):
    """data.pkl of something that torch saved."""
    file = io.BytesIO()
    torch.save(content, file)
    with zipfile.ZipFile(file) as archive:
        return archive.read("archive/data.pkl")


def refused(path):
    with pytest.raises(LumosXError) as caught:
        TorchFile(path)
    return str(caught.value)


def test_a_plain_state_dict(saved, weights):
    with TorchFile(saved(weights.tensors())) as source:
        assert list(source.tensors) == list(weights.tensors())
        assert source.tensors["blocks.0.norm3.bias"] == TensorInfo("BF16", (7,))
        for name, tensor in weights.tensors().items():
            assert torch.equal(source.read(name), tensor)


def test_nested_dicts_become_dotted_names_and_the_rest_is_left_out(saved):
    content = {
        "ema": collections.OrderedDict(a=torch.ones(2)), "model": {"a": torch.nn.Parameter(torch.zeros(2))}, "step": 3,
        "optimiser": {"state": {0: {"mean": torch.ones(1)}}, "groups": [{"rate": 0.1}]}, "words": ["x", None, 2.5],
        "kind": torch.bfloat16, "size": torch.Size([2]), "where": torch.device("cpu"),
    }
    with TorchFile(saved(content)) as source:
        assert list(source.tensors) == ["ema.a", "model.a", "optimiser.state.0.mean"]
        parameter = source.read("model.a")
        assert type(parameter) is torch.Tensor and not parameter.requires_grad


def test_a_modules_state_dict_with_its_versions(saved):
    state = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3)).state_dict()
    with TorchFile(saved(state)) as source:
        assert list(source.tensors) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_views_share_one_storage_and_come_back_whole(saved):
    whole = torch.arange(12.).reshape(3, 4)
    with TorchFile(saved({"whole": whole, "part": whole[1], "turned": whole.T})) as source:
        assert source.read("turned").is_contiguous()
        assert torch.equal(source.read("turned"), whole.T) and torch.equal(source.read("part"), whole[1])


@pytest.mark.slow
def test_tensors_are_mapped_not_read(saved):
    path = saved({"large": torch.zeros(1 << 24)})
    if sys.platform != "linux":
        pytest.skip("memory is measured on Linux only")
    code = (
        "import sys, resource, torch; from pathlib import Path; from lumosx_core.weights.torch_file import TorchFile\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = used(); source = TorchFile(Path(sys.argv[1])); source.read('large'); print(used() - before)"
    )
    answer = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 32 << 10


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (torch.ones(2), "no dictionary of tensors"),
        ([torch.ones(2)], "no dictionary of tensors"),
        ({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)}, "two tensors named 'a.b'"),
        ({"a": torch.ones(2).to_sparse()}, "loading it would run 'torch._utils._rebuild_sparse_tensor'"),
        ({"a": torch.ones(2, device="meta")}, "loading it would run 'torch._utils._rebuild_meta_tensor_no_storage'"),
        ({"a": torch.quantize_per_tensor(torch.ones(2), 1., 0, torch.qint8)}, "loading it would run"),
        ({"a": torch.empty(1).expand(1 << 40)}, "claims 4398046511104 bytes, more than there are"),
        ({"a": torch.nn.Linear(1, 1)}, "loading it would run 'torch.nn.modules.linear.Linear'"),
        ({"a": collections.Counter("ab")}, "loading it would run 'collections.Counter'"),
        ({str(number): SHARED[:] for number in range(50)}, "its tensors claim"),
        ({"a": [torch.empty(1).expand(1 << 40)]}, "claims 4398046511104 bytes"),
    ],
)
def test_what_is_no_plain_weights_ends_in_a_sentence(saved, content, sentence):
    assert sentence in refused(saved(content))


@pytest.mark.parametrize(
    ("call", "name"),
    [((os.mkdir, ("pwned",)), "mkdir"), ((bytearray, (1 << 40,)), "bytearray"),
     ((torch.Tensor, (1 << 40,)), "torch.Tensor"), ((getattr, ("text", "upper")), "getattr")],
)
def test_nothing_runs(saved, packed, tmp_path, monkeypatch, call, name):
    monkeypatch.chdir(tmp_path)
    for path in (saved({"a": Runs(*call)}), packed({"data.pkl": pickle.dumps(Runs(*call), protocol=2)})):
        assert name in refused(path) and "take the safetensors version" in refused(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["torch no_such_thing", "torch _dynamo", "torch.onnx export"])
def test_torch_is_never_asked_for_a_name_of_the_file(packed, tmp_path, monkeypatch, name):
    """Some of its modules are imported when somebody asks for them, which takes seconds."""
    asked = []

    def ask(wanted):
        asked.append(wanted)
        raise AttributeError(wanted)

    pickled = b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n."
    (tmp_path / ".metadata").write_bytes(pickled)
    monkeypatch.setattr(torch, "__getattr__", ask)
    assert f"would run {name.replace(' ', '.')!r}" in refused(packed({"data.pkl": pickled}))
    with pytest.raises(LumosXError, match=f"would run '{name.replace(' ', '.')}'"):
        read_index(tmp_path)
    assert not {"no_such_thing", "_dynamo", "onnx", "export"} & set(asked)


def test_torch_never_opens_the_file(saved, weights, monkeypatch):
    path = saved({"ema": weights.tensors(), "step": torch.tensor(3)})
    for name in ("load", "serialization.load", "_C.PyTorchFileReader", "jit.load"):
        monkeypatch.setattr(f"torch.{name}", None)
    with TorchFile(path) as source:
        assert torch.equal(source.read("ema.scale"), weights.tensors()["scale"])


KINDS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64,
    torch.complex64, torch.complex128,
]


def flat(tensor):
    """A tensor's bytes."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_every_type_of_number(saved, dtype):
    numbers = torch.arange(24.).to(dtype).reshape(2, 3, 4)
    content = {
        "whole": numbers, "view": numbers[1, :, 1:3], "turned": numbers.permute(2, 0, 1), "one": numbers[1, 2, 3],
        "none": numbers[:0], "own": numbers.clone(),
    }
    with TorchFile(saved(content)) as source:
        for name, tensor in content.items():
            read = source.read(name)
            assert read.dtype == dtype and read.shape == tensor.shape and read.is_contiguous()
            assert torch.equal(flat(read), flat(tensor)), name


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.lists(st.integers(0, 4), max_size=4), order=st.randoms(use_true_random=False),
    start=st.integers(0, 2), step=st.integers(1, 2), dtype=st.sampled_from(KINDS[:4]),
)
def test_any_view_comes_back_as_torch_itself_reads_it(tmp_path_factory, shape, order, start, step, dtype):
    path = tmp_path_factory.getbasetemp() / "view.pt"
    whole = torch.randn(shape).to(dtype)
    view = whole.permute(order.sample(range(len(shape)), len(shape)))
    torch.save({"a": view[start::step] if shape else view, "b": torch.nn.Parameter(whole)}, path)
    expected = torch.load(path, weights_only=True)
    with TorchFile(path) as source:
        for name in expected:
            assert torch.equal(source.read(name), expected[name].detach())


def test_tensors_with_attributes_and_without_a_place(saved):
    tensor = torch.ones(3)
    tensor.note = "mine"
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.note = {"a": 1}
    with TorchFile(saved({"a": tensor, "b": parameter})) as source:
        assert source.read("a").tolist() == [1, 1, 1] and source.read("b").tolist() == [0, 0]


def test_numbers_begin_where_their_type_may_begin(packed):
    """Other programs put entries at any byte; processors and kernels want numbers at a multiple of their size."""
    data = described({"a": torch.ones(2)})
    for length in range(1, 5):
        path = packed({"data.pkl": data, "x": bytes(length), "data/0": struct.pack("<2f", 3, 4)})
        with TorchFile(path) as source:
            tensor = source.read("a")
        assert tensor.data_ptr() % 16 == 0 and tensor.tolist() == [3, 4]


def rebuilt(function, *arguments):
    """A file's word that a function makes a tensor of two numbers, saved with them."""
    hooks = collections.OrderedDict()
    return Runs(function, (torch.ones(2).untyped_storage(), 0, (2,), (1,), False, hooks, *arguments))


def test_a_tensor_with_attributes_is_not_one_of_such(saved):
    """One inside the other they would have no end."""
    rebuild, from_type = torch._utils._rebuild_tensor_v2, torch._tensor._rebuild_from_type_v2
    inner = (rebuild, torch.Tensor, rebuilt(rebuild).call[1], None)
    with TorchFile(saved({"a": Runs(from_type, inner)})) as source:
        assert source.read("a").tolist() == [0, 0, 128, 63, 0, 0, 128, 63][:2]
    assert "archive is damaged" in refused(saved({"a": Runs(from_type, (from_type, torch.Tensor, inner, None))}))


def test_numbers_of_a_quantised_type_are_refused_by_its_name(saved):
    rebuild = torch._utils._rebuild_tensor_v3
    with TorchFile(saved({"a": rebuilt(rebuild, torch.uint8)})) as source:
        assert source.read("a").tolist() == [0, 0]
    assert "loading it would run 'torch.quint8'" in refused(saved({"a": rebuilt(rebuild, torch.quint8)}))


def test_writing_to_a_tensor_leaves_the_file_as_it_is(saved):
    path = saved({"a": torch.ones(64)})
    before = path.read_bytes()
    with TorchFile(path) as source:
        source.read("a").zero_()
    assert path.read_bytes() == before


def edited(data, old, new):
    """A pickle with another number or name in it; both occur once."""
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new"), [
    (b"K\x02\x85", b"K\x03\x85"),  # one number more than is stored
    (b"K\x00K\x02\x85", b"K\x01K\x02\x85"),  # begins one number later
    (b"K\x01\x85", b"K\x7f\x85"),  # a stride that leads out
    (b"K\x01\x85", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
    (b"K\x01\x85", b"\x8a\x01\xff\x85"),  # backwards
    (b"K\x01\x85", b"\x88\x85"),  # True
    (b"K\x01\x85", b")"),
    (b"cpuq\x06K\x02", b"cpuq\x06K\x09"),  # a larger storage than its entry
    (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001"),  # of an entry that is not there
    (b"storage", b"storagE"),
    (b"ctorch\nFloatStorage", b"ctorch\nTensor"),
    (b"ctorch\nFloatStorage", b"ctorch\nQInt8Storage"),
    (b"ctorch\nFloatStorage", b"ctorch\nfloat32"),
])
def test_numbers_that_do_not_fit_the_bytes_end_in_a_sentence(packed, old, new):
    data = described({"a": torch.ones(2)})
    good = packed({"data.pkl": data, "data/0": bytes(8)})
    with TorchFile(good) as source:
        assert source.read("a").tolist() == [0, 0]
    sentence = refused(packed({"data.pkl": edited(data, old, new), "data/0": bytes(8)}))
    assert "archive is damaged" in sentence or "loading it would run" in sentence


def test_keys_that_print_without_end_are_passed_over(packed):
    """A device as a key, whose arguments are lists of lists of lists."""
    lists = b"]q\x00" + b"".join(
        b"](" + bytes((ord("h"), n)) * 9 + b"e" + bytes((ord("q"), n + 1)) for n in range(40)
    )
    data = b"\x80\x02" + lists + b"}(ctorch\ndevice\nh\x28\x85RK\x01u."
    with TorchFile(packed({"data.pkl": data})) as source:
        assert not source.tensors


@pytest.mark.slow
@pytest.mark.parametrize("pickled", [b"}%sK\x01s.", b"}(%sK\x01u."], ids=["one item", "several items"])
def test_tuples_nested_beyond_the_stack_do_not_crash(packed, pickled):
    """As a key they would be hashed, which ends the process."""
    key = b")" + b"\x85" * 300_000
    assert "archive is damaged" in refused(packed({"data.pkl": b"\x80\x02" + pickled % key}))


def test_keys_with_one_hash_do_not_take_for_ever(packed):
    numbers = b"".join(
        b"\x8a\x0c" + (number * ((1 << 61) - 1) << 8).to_bytes(12, "little") + b"N" for number in range(1 << 10)
    )
    assert "archive is damaged" in refused(packed({"data.pkl": b"\x80\x02}(" + numbers + b"u."}))


def test_a_long_name_over_many_tensors_ends_in_a_sentence(saved):
    many = dict.fromkeys(map(str, range(2000)), torch.ones(1))
    assert "names are too long or nested" in refused(saved({"long" * 250_000: many}))


def test_dicts_that_hold_each_other_end_in_a_sentence(saved):
    content = {"a": 1}
    for _ in range(12):
        content = {str(number): content for number in range(8)}
    assert "nested beyond all reason" in refused(saved(content))
    content["self"] = content
    assert "nested beyond all reason" in refused(saved(content))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({}, "not one of torch's"),
        ({"constants.pkl": b""}, "TorchScript"),
        ({"data.pkl": b""}, "archive is damaged"),
        ({"data.pkl": b"\x80\x02}"}, "archive is damaged"),
        ({"data.pkl": b"\x80\x02]\x8f."}, "archive is damaged"),
        # A key without a value.
        ({"data.pkl": b"\x80\x02}(K\x01u."}, "archive is damaged"),
        ({"data.pkl": b"\x80\x02}(K\x01K\x02K\x03u."}, "archive is damaged"),
        ({"data.pkl": b"\x80\x02}.", "byteorder": b"big"}, "big-endian"),
        ({"data.pkl": b"\x80\x02}.", "byteorder": b"x" * 40}, "big-endian"),
        ({"data.pkl": b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."}, "archive is damaged"),
        ({"data.pkl": b"\x80\x02}r\xff\xff\xff\x7f\x8b\xff\xff\xff\x7f."}, "archive is damaged"),
        ({"data.pkl": described({"a": torch.ones(2)})}, "archive is damaged"),
        ({"data.pkl": described({"a": torch.ones(2)}), "data/0": bytes(7)}, "archive is damaged"),
        ({"data.pkl": b" " * ((1 << 22) + 1)}, "larger than any model needs"),
        ({"data.pkl": b"\x80\x02(" + b"N" * (1 << 19) + b"t}."}, "archive is damaged"),
    ],
)
def test_other_archives_end_in_a_sentence(packed, entries, sentence):
    assert sentence in refused(packed(entries))


def test_compressed_repeated_and_prefixed_archives_end_in_a_sentence(packed, saved):
    described_dict = {"data.pkl": described({})}
    assert "packed by another program" in refused(packed(described_dict, compression=zipfile.ZIP_DEFLATED))
    path = packed(described_dict)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data.pkl", described({"a": 1}))
    assert "archive is damaged" in refused(path)
    path = saved({"a": torch.ones(2)})
    path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    assert "archive is damaged" in refused(path)


def test_a_directory_that_claims_gigabytes_is_not_believed(saved):
    path = saved({"a": torch.ones(2)})
    data = bytearray(path.read_bytes())
    size_of_directory = data.rindex(b"PK\x06\x06") + 40
    for claim in (0xFFFFFFFE, 1 << 31, 1 << 62, 1 << 63, len(data)):
        data[size_of_directory:size_of_directory + 8] = claim.to_bytes(8, "little")
        path.write_bytes(data)
        assert "damaged" in refused(path)
