"""Which files and tensors a checksum covers."""

import hashlib
import json

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.weights.checksum import WeightsDigest, files_sha256, source_files


def digest(*tensors):
    found = WeightsDigest()
    for tensor in tensors:
        found.add(*tensor)
    return found.hexdigest()


def test_order_does_not_matter_and_everything_else_does():
    a, b = ("a", "F32", (2, 1), b"\0" * 8), ("b", "F32", (1,), b"\1" * 4)
    assert digest(a, b) == digest(b, a)
    others = (
        ("c", "F32", (2, 1), b"\0" * 8), ("a", "I32", (2, 1), b"\0" * 8), ("a", "F32", (1, 2), b"\0" * 8),
        ("a", "F32", (2, 1), b"\0" * 7 + b"\1"),
    )
    assert len({digest(a, b), digest(a), *(digest(other, b) for other in others)}) == 6


def test_the_definition_is_kept():
    line = f"a F32 [2, 1] {hashlib.sha256(bytes(8)).hexdigest()}\n"
    assert digest(("a", "F32", (2, 1), bytes(8))) == hashlib.sha256(line.encode()).hexdigest()


def write(folder, *names):
    for name in names:
        (folder / name).write_bytes(name.encode())


def test_one_file_has_its_own_checksum_and_several_that_of_their_list(tmp_path):
    write(tmp_path, "b", "a")
    told = []
    assert files_sha256([tmp_path / "a"], lambda count, name: told.append((count, name))) == (
        hashlib.sha256(b"a").hexdigest()
    )
    lines = "".join(f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n" for name in "ab")
    both = files_sha256([tmp_path / "b", tmp_path / "a"], lambda count, name: told.append((count, name)))
    assert both == hashlib.sha256(lines.encode()).hexdigest()
    assert told == [(1, "a"), (1, "b"), (1, "a")]


def test_a_checkpoint_folder_is_its_parts_and_its_metadata(tmp_path):
    write(tmp_path, "notes.txt", ".metadata", "__1_0.distcp", "__0_0.distcp")
    assert [path.name for path in source_files(tmp_path)] == [".metadata", "__0_0.distcp", "__1_0.distcp"]


def test_shards_are_found_through_their_index(tmp_path):
    write(tmp_path, "2.safetensors", "1.safetensors", "other.safetensors")
    index = tmp_path / "x.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "1.safetensors"}}))
    assert [file.name for file in source_files(index)] == [index.name, "1.safetensors", "2.safetensors"]
    assert source_files(tmp_path / "1.safetensors") == {tmp_path / "1.safetensors": 13}


def test_a_part_that_is_gone_ends_in_a_sentence(tmp_path):
    write(tmp_path, "1.safetensors")
    index = tmp_path / "x.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}))
    with pytest.raises(LumosXError, match="x.safetensors.index.json: cannot be read .*2.safetensors"):
        source_files(index)
