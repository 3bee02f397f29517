"""Folders that torch.distributed.checkpoint itself wrote, on one rank and on two, and folders that only look so."""

import collections
import io
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from torch.distributed.checkpoint import metadata as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo

from lumosx_core.errors import LumosXError
from lumosx_core.weights.checkpoint_folder import CheckpointFolder, _Stretch
from lumosx_core.weights.source import TensorInfo
from tools.weight_files import Runs

TWO_RANKS = """
import sys, torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, Replicate, distribute_tensor
import torch.distributed.checkpoint
folder, rendezvous, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
distributed.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
rows, columns = torch.arange(35.).reshape(7, 5), torch.arange(12.).to(torch.bfloat16).reshape(3, 4)
state = {"ema": {
    "rows": distribute_tensor(rows, mesh, [Shard(0)]), "columns": distribute_tensor(columns, mesh, [Shard(1)]),
    "short": distribute_tensor(rows[:1], mesh, [Shard(0)]), "same": distribute_tensor(rows, mesh, [Replicate()]),
    "plain": columns,
}}
torch.distributed.checkpoint.save(state, checkpoint_id=folder)
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.fixture
def checkpoint(samples, tmp_path):
    """A copy of the sample, to be spoilt."""
    return shutil.copytree(samples["checkpoint"], tmp_path / "copy")


@pytest.fixture
def edited(checkpoint):
    """edited(change) lets change(metadata) alter torch's own object in place."""
    def edit(change):
        path = checkpoint / ".metadata"
        metadata = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps(change(metadata) or metadata))
        return checkpoint

    return edit


def refused(folder):
    with pytest.raises(LumosXError) as caught, CheckpointFolder(folder) as source:
        for name in source.tensors:
            source.read(name)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_every_tensor_comes_back(samples, weights):
    with CheckpointFolder(samples["checkpoint"]) as source:
        assert set(source.tensors) == {f"ema.{name}" for name in weights.tensors()}
        assert source.tensors["ema.blocks.0.norm3.bias"] == TensorInfo("BF16", (7,))
        for name, tensor in weights.tensors().items():
            assert torch.equal(source.read(f"ema.{name}"), tensor)


def test_optimiser_and_plain_checkpoints(tmp_path, weights):
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    state = {"model": model.state_dict(), "optim": optimiser.state_dict(), "step": 3, "seen": b"bytes"}
    with CheckpointFolder(weights.write_checkpoint(tmp_path / "both", state)) as source:
        assert torch.equal(source.read("model.weight"), model.weight)
        assert "optim.state.0.exp_avg" in source.tensors and "step" not in source.tensors
    with CheckpointFolder(weights.write_checkpoint(tmp_path / "plain", {"weight": torch.ones(0, 4)})) as source:
        assert source.read("weight").shape == (0, 4)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch cannot talk between processes")
def test_two_ranks_with_uneven_shards(tmp_path):
    folder, rendezvous = tmp_path / "two", tmp_path / "rendezvous"
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    ranks = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", TWO_RANKS, folder, rendezvous, str(rank)],
                         env=os.environ | {"OMP_NUM_THREADS": "1"} | loopback, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=300)[1] for rank in ranks]
    # Whoever leaves last may find the other's socket closed; what was saved is saved.
    assert (folder / ".metadata").is_file(), said
    rows, columns = torch.arange(35.).reshape(7, 5), torch.arange(12.).to(torch.bfloat16).reshape(3, 4)
    assert len(list(folder.glob("*.distcp"))) == 2
    expected = {"rows": rows, "columns": columns, "short": rows[:1], "same": rows, "plain": columns}
    with CheckpointFolder(folder) as source:
        for name, whole in expected.items():
            assert torch.equal(source.read(f"ema.{name}"), whole)
    (folder / "__1_0.distcp").unlink()
    assert "__1_0.distcp: this file of the checkpoint is missing" in refused(folder)


def test_reading_one_tensor_reads_no_other(checkpoint):
    with CheckpointFolder(checkpoint) as source:
        for other, entry in source._entries.items():
            if other != "ema.scale":
                chunk, = entry.chunks
                with (checkpoint / chunk.file).open("r+b") as file:
                    file.seek(chunk.start)
                    file.write(bytes(chunk.length))
        assert source.read("ema.scale") == 2.5
        with pytest.raises(LumosXError, match="archive is damaged"):
            source.read("ema.head.modulation")


def test_names_of_older_torches_and_pythons_are_known(edited, monkeypatch):
    """Up to torch 2.2 the properties came from sharded_tensor; Python 3.11.0 wrote an Enum's member as getattr."""
    from torch.distributed._shard.sharded_tensor import metadata as old

    monkeypatch.setattr(old.MEM_FORMAT_ENCODING, "__reduce_ex__", lambda self, _: (getattr, (type(self), self.name)))

    def age(metadata):
        metadata.storage_meta = None
        for entry in metadata.state_dict_metadata.values():
            if isinstance(entry, dcp.TensorStorageMetadata):
                entry.properties = old.TensorProperties(dtype=entry.properties.dtype)

    folder = edited(age)
    assert b"getattr" in (folder / ".metadata").read_bytes()
    with CheckpointFolder(folder) as source:
        assert source.read("ema.scale") == 2.5


@pytest.mark.parametrize(
    ("call", "name"),
    [((os.mkdir, ("pwned",)), "mkdir"), ((getattr, (dcp.Metadata, "__init__")), "getattr"),
     ((getattr, ("text", "upper")), "getattr"), ((bytearray, (1 << 40,)), "bytearray"),
     ((torch.load, ("x",)), "torch.serialization.load"), ((collections.Counter, ()), "Counter")],
)
def test_nothing_runs(edited, tmp_path, monkeypatch, call, name):
    monkeypatch.chdir(tmp_path)
    folder = edited(lambda metadata: setattr(metadata, "planner_data", Runs(*call)))
    assert name in refused(folder) and "loading it would run" in refused(folder)
    assert not (tmp_path / "pwned").exists()


def stored(metadata, name="ema.scale"):
    return next(place for index, place in metadata.storage_data.items() if index.fqn == name)


def change(**values):
    return lambda metadata: [setattr(stored(metadata), key, value) for key, value in values.items()] and None


def reshape(*size):
    def resize(metadata):
        metadata.state_dict_metadata["ema.scale"].size = torch.Size(size)
    return resize


def split(*boxes):
    """Say that ema.scale has been stored in boxes (offset, length), all of them where it is stored now."""
    def spread(metadata):
        entry = metadata.state_dict_metadata["ema.scale"]
        place = stored(metadata)
        metadata.storage_data = {i: p for i, p in metadata.storage_data.items() if i.fqn != "ema.scale"}
        entry.size = torch.Size([sum(length for _, length in boxes)])
        entry.chunks = []
        for offset, length in boxes:
            entry.chunks.append(dcp.ChunkStorageMetadata(torch.Size([offset]), torch.Size([length])))
            metadata.storage_data[dcp.MetadataIndex("ema.scale", [offset])] = place
    return spread


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (change(relative_path="../__0_0.distcp"), "points out of its folder"),
        (change(relative_path="/etc/passwd"), "points out of its folder"),
        (change(relative_path="C:x"), "points out of its folder"),
        (change(relative_path=".."), "points out of its folder"),
        (change(relative_path=3), "points out of its folder"),
        (change(relative_path="__9_0.distcp"), "__9_0.distcp: this file of the checkpoint is missing"),
        (change(offset=1 << 40), "__0_0.distcp: it is cut off"),
        (change(offset=-1), "it is damaged"),
        (change(offset=0), "archive is damaged|share their bytes"),
        (change(length=1 << 62), "it is cut off"),
        (change(length=3), "it is damaged"),
        (change(offset="0"), "it is damaged"),
        (change(transform_descriptors=["zstd"]), "compressed or transformed; save it again"),
        (reshape(2), "parts of 'ema.scale' do not make up the whole"),
        (reshape(1 << 40, 1 << 40), "it is damaged"),
        (reshape(1), "it is damaged"),
        (split((0, 1), (1, 1)), "share their bytes"),
        (lambda metadata: metadata.storage_data.clear(), "it is damaged"),
        (lambda metadata: setattr(metadata, "storage_data", None), "it is damaged"),
        (lambda metadata: setattr(metadata.state_dict_metadata["ema.scale"].properties, "dtype", torch.int64),
         "not what the checkpoint's .metadata says"),
        (lambda metadata: {"a": 1}, "it is damaged"),
        (lambda metadata: _StorageInfo("a", 0, 0), "it is damaged"),
    ],
)
def test_metadata_that_does_not_fit_ends_in_a_sentence(edited, edit, sentence):
    assert any(part in refused(edited(edit)) for part in sentence.split("|"))


def test_parts_that_overlap_end_in_a_sentence(tmp_path, weights):
    parts = {f"part{number}": torch.ones(2) for number in range(2)}
    folder = weights.write_checkpoint(tmp_path / "parts", parts)
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    entry = metadata.state_dict_metadata["part0"]
    entry.size = torch.Size([4])
    entry.chunks.append(dcp.ChunkStorageMetadata(torch.Size([1]), torch.Size([2])))
    metadata.storage_data[dcp.MetadataIndex("part0", [1])] = stored(metadata, "part1")
    del metadata.state_dict_metadata["part1"]
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    assert "parts of 'part0' overlap" in refused(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"\x80\x04.", b"\x80\x04}.", b"\x80\x04N.", b"\x80\x04\x8f.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x04}r\xff\xff\xff\xff.",
        b"\x80\x04}j\xff\xff\xff\xff.",
        b"\x80\x04})" + b"\x85" * 500_000 + b"K\x01s.",
        b"\x80\x04" + b"(" * 500_000 + b".",
        b"I" + b"9" * 5000 + b"\n.",
    ],
)
def test_absurd_metadata_ends_in_a_sentence(checkpoint, data):
    (checkpoint / ".metadata").write_bytes(data)
    assert "it is damaged or from an unsupported version of torch" in refused(checkpoint)


def test_metadata_beyond_all_measure_is_not_read(checkpoint):
    with (checkpoint / ".metadata").open("r+b") as file:
        file.truncate(1 << 40)
    assert "larger than any checkpoint's table of contents" in refused(checkpoint)


@pytest.mark.parametrize(("offset", "whence", "place"), [
    (0, io.SEEK_SET, 0), (4, io.SEEK_SET, 4), (6, io.SEEK_SET, 6), (-2, io.SEEK_CUR, 0), (1, io.SEEK_CUR, 3),
    (0, io.SEEK_END, 4), (-4, io.SEEK_END, 0),
    (-1, io.SEEK_SET, None), (-3, io.SEEK_CUR, None), (-5, io.SEEK_END, None),
])
def test_a_stretch_of_a_file_is_sought_and_read_like_a_file(offset, whence, place):
    stretch, plain = _Stretch(io.BytesIO(b"ab1234yz"), 2, 4), io.BytesIO(b"1234")
    stretch.seek(2)
    if place is None:
        with pytest.raises(ValueError):
            stretch.seek(offset, whence)
        place = 2
    else:
        assert stretch.seek(offset, whence) == place
    plain.seek(place)
    assert stretch.tell() == place and stretch.read(9) == plain.read(9)
