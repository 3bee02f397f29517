"""Tables of contents whose pieces refer to each other, so that a small file describes a giant one."""

import pickle
import time
import tracemalloc

import pytest
import torch
from torch.distributed.checkpoint import metadata as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo

from lumosx_core.errors import LumosXError
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


def test_a_list_that_all_tensors_share_costs_no_more_than_the_file(tmp_path):
    box = dcp.ChunkStorageMetadata(torch.Size([0]), torch.Size([0]))
    write(tmp_path, dict.fromkeys((f"t{number}" for number in range(MANY)), tensor(torch.Size([0]), [box] * MANY)))
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(LumosXError, match="it is damaged or from a torch that LumosX does not know"):
            read_index(tmp_path)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 5 and peak < 60 << 20


def test_the_same_box_twice_is_damage(tmp_path):
    box = dcp.ChunkStorageMetadata(torch.Size([0]), torch.Size([0]))
    write(tmp_path, {"a": tensor(torch.Size([0]), [box, box])})
    with pytest.raises(LumosXError, match="it is damaged"):
        read_index(tmp_path)
    write(tmp_path, {"a": tensor(torch.Size([0]), [box])})
    assert read_index(tmp_path)["a"].info.shape == (0,)
