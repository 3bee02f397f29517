"""Tables of contents whose pieces refer to each other, so that a small file describes a giant one."""

import pickle
import time
import tracemalloc
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint import metadata as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo

from lumosx_core.errors import LumosXError
from lumosx_core.weights import checkpoint_index, records
from lumosx_core.weights.checkpoint_index import read_index

MANY = 4000


def tensor(size, chunks, dtype=torch.float32):
    return dcp.TensorStorageMetadata(dcp.TensorProperties(dtype=dtype), size, chunks)


def write(folder, entries):
    """With one empty place for each entry."""
    places = {dcp.MetadataIndex(name, torch.Size([0])): _StorageInfo("a.distcp", 0, 0) for name in entries}
    metadata = dcp.Metadata(entries, storage_data=places)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    (folder / "a.distcp").write_bytes(b"")


@pytest.mark.slow
def test_a_list_that_all_tensors_share_costs_no_more_than_the_file(tmp_path):
    box = dcp.ChunkStorageMetadata(torch.Size([0]), torch.Size([0]))
    write(tmp_path, dict.fromkeys((f"t{number}" for number in range(MANY)), tensor(torch.Size([0]), [box] * MANY)))
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(LumosXError, match="it is damaged or from an unsupported version of torch"):
            read_index(tmp_path)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 5 and peak < 60 << 20


def write_boxes(folder, entries):
    """entries: name -> (shape, [(offsets, sizes, first byte, number of bytes)]); all in one file of as many bytes."""
    tensors, places, end = {}, {}, 0
    for name, (shape, boxes) in entries.items():
        chunks = [dcp.ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)) for offsets, sizes, _, _ in boxes]
        tensors[name] = tensor(torch.Size(shape), chunks)
        for offsets, _, start, length in boxes:
            places[dcp.MetadataIndex(name, torch.Size(offsets))] = _StorageInfo("a.distcp", start, length)
            end = max(end, start + length)
    (folder / ".metadata").write_bytes(pickle.dumps(dcp.Metadata(tensors, storage_data=places)))
    (folder / "a.distcp").write_bytes(bytes(end))


@pytest.mark.parametrize(
    ("boxes", "whole"),
    [
        ([((0, 0), (2, 4), 0, 32), ((2, 0), (2, 4), 32, 32)], True),
        ([((0, 0), (2, 8), 0, 64)], False),
        ([((0, 0), (2, 4), 0, 32), ((3, 0), (2, 4), 32, 32)], False),
        ([((0, 0), (2, 4), 0, 32), ((2, 1), (2, 4), 32, 32)], False),
        ([((0,), (16,), 0, 64)], False),
        ([((0, 0), (4, 4), 0, 63)], False),
    ],
    ids=["side by side", "too wide", "one row below", "one column beside", "other dimensions", "a byte too few"],
)
def test_boxes_stay_within_their_tensor(tmp_path, boxes, whole):
    """All of them have as many elements as the tensor."""
    write_boxes(tmp_path, {"a": ((4, 4), boxes)})
    if whole:
        assert [chunk.offsets for chunk in read_index(tmp_path)["a"].chunks] == [box[0] for box in boxes]
        return
    with pytest.raises(LumosXError, match="it is damaged"):
        read_index(tmp_path)


def test_tensors_that_share_one_byte_are_refused(tmp_path):
    def two(second):
        return {name: ((2,), [((0,), (2,), start, 8)]) for name, start in (("a", 0), ("b", second))}

    write_boxes(tmp_path, two(8))
    assert list(read_index(tmp_path)) == ["a", "b"]
    write_boxes(tmp_path, two(7))
    with pytest.raises(LumosXError, match="two tensors of the checkpoint share their bytes"):
        read_index(tmp_path)


def test_one_box_at_two_places_is_damage(tmp_path):
    """Torch's own objects cannot say so, but a file can."""
    write_boxes(tmp_path, {name: ((2,), [((0,), (2,), place, 8)]) for place, name in ((0, "first"), (8, "other"))})
    path = tmp_path / ".metadata"
    assert sorted(read_index(tmp_path)) == ["first", "other"]
    path.write_bytes(path.read_bytes().replace(b"other", b"first"))
    with pytest.raises(LumosXError, match="it is damaged"):
        read_index(tmp_path)


def test_a_data_file_without_its_last_byte_is_cut_off(tmp_path):
    write_boxes(tmp_path, {"a": ((2,), [((0,), (2,), 0, 8)])})
    (tmp_path / "a.distcp").write_bytes(bytes(7))
    with pytest.raises(LumosXError, match="a.distcp: it is cut off"):
        read_index(tmp_path)


@pytest.mark.parametrize("size", [(0, 1 << 40, 1 << 40), (1 << 40, 1 << 40), (-1, 0), (1,) * 65])
def test_a_size_that_torch_cannot_count_to_is_damage(tmp_path, size):
    """Also one of which nothing is stored."""
    (tmp_path / "a.distcp").write_bytes(b"")
    shape = torch.Size([0])
    metadata = dcp.Metadata({"a": tensor(shape, [])}, storage_data={})
    for sizes, damaged in ((shape, False), (size, True)):
        metadata.state_dict_metadata["a"].size = torch.Size(sizes)
        (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
        if damaged:
            with pytest.raises(LumosXError, match="it is damaged"):
                read_index(tmp_path)
        else:
            assert read_index(tmp_path)["a"].info.shape == (0,)


def test_the_same_box_twice_is_damage(tmp_path):
    box = dcp.ChunkStorageMetadata(torch.Size([0]), torch.Size([0]))
    write(tmp_path, {"a": tensor(torch.Size([0]), [box, box])})
    with pytest.raises(LumosXError, match="it is damaged"):
        read_index(tmp_path)
    write(tmp_path, {"a": tensor(torch.Size([0]), [box])})
    assert read_index(tmp_path)["a"].info.shape == (0,)


def record(name, **state):
    return records.PickledObject(name, (), state)


def size(*numbers):
    return records.PickledObject("torch.Size", (numbers,), None)


@pytest.mark.parametrize(("change", "word"), [
    ({}, None), ({"fqn": 3}, "place"), ({"relative_path": "../a"}, "points out"), ({"offset": -1}, "place"),
    ({"offset": "0"}, "place"), ({"length": -1}, "place"), ({"length": 1.0}, "place"),
    ({"offset": 0, "length": 0}, None),
    ({"transform_descriptors": ["zstd"]}, "compressed"), ({"transform_descriptors": []}, None),
])
def test_where_a_box_is_stored_is_checked(change, word):
    given = {"fqn": "a", "relative_path": "__0_0.distcp", "offset": 5, "length": 7, **change}
    index = record(checkpoint_index._INDEX, fqn=given["fqn"], offset=size(0))
    where = record(checkpoint_index._STORED, **{name: value for name, value in given.items() if name != "fqn"})
    if word is None:
        places = checkpoint_index._read_places(Pairs([(index, where)]), Path("m"))
        assert places == {("a", (0,)): ("__0_0.distcp", given["offset"], given["length"])}
        with pytest.raises(records.Damaged, match="place"):
            checkpoint_index._read_places(Pairs([(index, where)] * 2), Path("m"))
        bytes_of = record(checkpoint_index._INDEX, fqn="a", offset=None)
        assert checkpoint_index._read_places(Pairs([(bytes_of, where)]), Path("m")) == {}
    else:
        with pytest.raises((records.Damaged, LumosXError), match=word):
            checkpoint_index._read_places(Pairs([(index, where)]), Path("m"))


class Pairs(list):
    """A mapping whose keys may be the same."""

    def items(self):
        return self


def test_a_tensors_name_is_text():
    with pytest.raises(records.Damaged, match="name"):
        checkpoint_index._read_entry(3, {}, {}, Path("m"))


@pytest.mark.parametrize(("offsets", "sizes", "inside"), [
    ((0, 0), (2, 3), True), ((1, 0), (1, 3), True), ((1, 0), (2, 3), False), ((0, 1), (2, 3), False),
    ((0,), (2, 3), False), ((0, 0), (2,), False), ((0, 0, 0), (2, 3, 1), False),
])
def test_a_box_lies_in_its_tensor(offsets, sizes, inside):
    assert checkpoint_index._inside(checkpoint_index.Chunk(offsets, sizes, "a", 0, 1), (2, 3)) == inside
