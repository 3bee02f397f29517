"""What a weight file says of itself is followed exactly up to each bound."""

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights import (
    checkpoint_index,
    opening,
    source,
    torch_archive,
    torch_file,
    torch_tensors,
    zip_entries,
)
from lumosx_core.weights.convert import ConversionReport
from lumosx_core.weights.records import Damaged, PickledObject, read_records
from lumosx_core.weights.torch_archive import load_archive
from lumosx_core.weights.torch_file import TorchFile


def test_steps_of_a_pickle():
    data = pickle.dumps({"a": [1, 2, 3]}, protocol=2)
    last = sum(1 for _ in pickletools.genops(data)) - 1
    assert read_records(data, lambda name: False, None, last) == {"a": [1, 2, 3]}
    with pytest.raises(Damaged):
        read_records(data, lambda name: False, None, last - 1)


def test_the_bytes_of_a_torch_files_description():
    table = pickle.dumps({}, protocol=2)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", table.ljust(800, b"x"))
    assert load_archive(file, Path("a"), most_steps=100) == {}
    with pytest.raises(LumosXError, match="^a: its table of contents is larger"):
        load_archive(file, Path("a"), most_steps=99)


@pytest.mark.parametrize(("content", "bound", "most"), [
    ({"a": torch.ones(1), "b": {"c": 3}}, "_MOST_ENTRIES", 2), ({"a": {"b": {"c": torch.ones(1)}}}, "_DEEPEST", 2),
])
def test_entries_and_depth_of_a_torch_file(tmp_path, monkeypatch, content, bound, most):
    torch.save(content, tmp_path / "a.pt")
    monkeypatch.setattr(torch_file, bound, most)
    TorchFile(tmp_path / "a.pt").close()
    monkeypatch.setattr(torch_file, bound, most - 1)
    with pytest.raises(LumosXError, match="a.pt: "):
        TorchFile(tmp_path / "a.pt")


@pytest.mark.parametrize(("name", "fits"), [("x" * 512, True), ("x" * 513, False)])
def test_the_longest_name_of_a_tensor(tmp_path, name, fits):
    torch.save({name: torch.ones(1)}, tmp_path / "a.pt")
    if fits:
        assert list(TorchFile(tmp_path / "a.pt").tensors) == [name]
        source.check_tensor_names(Path("a"), [name])
    else:
        with pytest.raises(LumosXError, match="a.pt: "):
            TorchFile(tmp_path / "a.pt")
        with pytest.raises(LumosXError, match="^a: a tensor's name is over 512 letters"):
            source.check_tensor_names(Path("a"), [name])


def test_the_number_of_tensors():
    source.check_tensor_count(Path("a"), 8192)
    for check, value in ((source.check_tensor_count, 8193), (source.check_tensor_names, range(8193))):
        with pytest.raises(LumosXError, match="^a: it holds 8193 tensors"):
            check(Path("a"), value)


SIZES = [
    ((), True), ((0,), True), ((1,) * 64, True), ((1,) * 65, False), ((-1,), False), ((True,), False), ((1.0,), False),
    ([1], False), (((1 << 62) - 1,), True), ((1 << 31, 1 << 30, 0), True), ((1 << 31, 1 << 30, 3), False),
]


@pytest.mark.parametrize(("numbers", "fits"), [
    *SIZES, ((1 << 31, 1 << 30, 2), True), ((1 << 62,), True), (((1 << 62) + 1,), False),
])
def test_the_sizes_of_a_checkpoints_tensor(numbers, fits):
    record = PickledObject("torch.Size", (numbers,), None)
    if fits:
        assert checkpoint_index._size(record) == numbers
    else:
        with pytest.raises(Damaged):
            checkpoint_index._size(record)


@pytest.mark.parametrize(("numbers", "fits"), [
    *SIZES, ((1 << 31, 1 << 30, 2), False), ((1 << 62,), False), ((1 << 31, (1 << 31) - 1), True),
])
def test_the_sizes_of_a_torch_files_tensor(numbers, fits):
    if fits:
        assert tuple(torch_tensors._sizes(numbers)) == numbers
    else:
        with pytest.raises(Damaged):
            torch_tensors._sizes(numbers)


@pytest.mark.parametrize("record", [None, PickledObject("torch.size", ((1,),), None), (1,)])
def test_what_is_no_size_is_damage(record):
    with pytest.raises(Damaged):
        checkpoint_index._size(record)


def test_the_largest_table_of_a_checkpoint(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"12345")
    monkeypatch.setattr(checkpoint_index, "_LARGEST", 5)
    assert checkpoint_index._bytes_of(tmp_path / "a") == b"12345"
    monkeypatch.setattr(checkpoint_index, "_LARGEST", 4)
    with pytest.raises(LumosXError, match="larger than any checkpoint's table"):
        checkpoint_index._bytes_of(tmp_path / "a")


def test_what_is_read_of_a_zip_at_once(monkeypatch):
    monkeypatch.setattr(zip_entries, "_LARGEST_DIRECTORY", 3)

    def read(*size):
        return zip_entries._BoundedReads(io.BytesIO(b"12345")).read(*size)

    assert (read(3), read(0), read(), read(-1)) == (b"123", b"", b"123", b"123")
    with pytest.raises(zip_entries.NotCanonical):
        read(4)


@pytest.mark.parametrize(("head", "words"), [
    (b"\x80\x02", "torch before 1.6"), (b"\x80\x05", "torch before 1.6"), (b"\x80\x06", "not a weight file"),
    (b"\x81\x02", "not a weight file"), (b"", "not a weight file"), (b"\x80", "torch before 1.6"),
])
def test_a_pickles_protocol_tells_an_old_file(head, words):
    assert words in opening._describe(head)


@pytest.mark.parametrize(("length", "letter", "known"), [
    (100_000_000, b"{", True), (100_000_001, b"{", False), (2, b"[", False), (2, b"", False),
])
def test_a_safetensors_header_begins_with_its_length(length, letter, known):
    assert opening._is_safetensors(length.to_bytes(8, "little") + letter) == known


@pytest.mark.parametrize(("fallback", "words"), [
    ((), None), (("a",), "a stayed F16"), (("a", "b"), "a and 1 more stayed F16"),
])
def test_what_stayed_in_16_bits_is_counted(fallback, words):
    report = str(ConversionReport(Path("p"), "q8_0", 10**6, {"Q8_0": 2, "F16": 1}, fallback, (), "", ""))
    assert report.splitlines()[0] == "p: q8_0, 1.0 MB, 1 F16, 2 Q8_0."
    assert (words is None) == (len(report.splitlines()) == 1) and (words or "") in report


@pytest.mark.parametrize(("numbers", "fits"), [
    ((), True), ((0, (1 << 62) - 1), True), ((1 << 62,), False), ((-1,), False), ((1,) * 64, True), ((1,) * 65, False),
    ([1], False), ((True,), False), (3, False),
])
def test_strides_are_numbers_too(numbers, fits):
    assert torch_tensors._are_numbers(numbers) == fits


def test_tensors_claim_what_is_stored_and_together_a_few_times_as_much():
    maker = torch_tensors.TensorMaker({}, SimpleNamespace(size=100))
    for _ in range(torch_tensors._MOST_TIMES):
        maker._claim(100)
    with pytest.raises(torch_tensors.TooLarge, match="its tensors claim 401"):
        maker._claim(1)
    with pytest.raises(torch_tensors.TooLarge, match="a tensor claims 101"):
        torch_tensors.TensorMaker({}, SimpleNamespace(size=100))._claim(101)


@pytest.mark.parametrize(("names", "words"), [
    (["a/data.pkl", "a/version"], None), (["a/data.pkl", "b/version"], "packed by another program"),
    (["a/data.pkl", "ab/version"], "packed by another program"), (["a/version"], "not one of torch's"),
    ([], "not one of torch's"), (["a/data.pkl", "a/constants.pkl"], "a TorchScript program"),
])
def test_everything_in_an_archive_lies_in_its_one_folder(names, words):
    listed = {name: name for name in names}
    if words is None:
        assert torch_archive._entries_in_folder(listed, Path("p")) == {"data.pkl": "a/data.pkl", "version": "a/version"}
    else:
        with pytest.raises(LumosXError, match=f"^p: .*{words}"):
            torch_archive._entries_in_folder(listed, Path("p"))
