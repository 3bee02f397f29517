"""One opener for everything, by content."""

import pickle
import shutil
import zipfile

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights.opening import open_weights


@pytest.mark.parametrize(
    ("kind", "format"),
    [("safetensors", "safetensors"), ("shards", "safetensors"), ("torch", "torch"),
     ("checkpoint", "checkpoint folder"), ("GGUF", "GGUF")],
)
def test_every_format_is_known_by_its_content(samples, kind, format):
    with open_weights(samples[kind]) as source:
        assert source.format == format
        assert source.path == samples[kind]
        assert any(name.endswith("head.modulation") for name in source.tensors)


@pytest.mark.parametrize(("kind", "format"), [("safetensors", "safetensors"), ("torch", "torch"), ("GGUF", "GGUF")])
def test_a_wrong_ending_does_not_matter(samples, tmp_path, kind, format):
    for ending in ("safetensors", "pt", "gguf", "zip", "bin"):
        path = shutil.copyfile(samples[kind], tmp_path / f"model.{ending}")
        with open_weights(str(path)) as source:
            assert source.format == format


def test_a_folder_may_hold_a_checkpoint_in_all_or_one_index(samples, tmp_path, weights):
    shutil.copytree(samples["checkpoint"], tmp_path / "release" / "all")
    with open_weights(tmp_path / "release") as source:
        assert source.format == "checkpoint folder"
        assert source.path == tmp_path / "release" / "all"
    with open_weights(samples["shards"].parent) as source:
        assert source.path == samples["shards"]
    weights.write_shards(tmp_path / "two")
    weights.write_shards(tmp_path / "two", "other.safetensors.index.json")
    with pytest.raises(LumosXError, match=r"two: it holds 2 models"):
        open_weights(tmp_path / "two")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "it is a Git LFS pointer"),
        (b"\r\n<!DOCTYPE html><html>secret", "it is a web page, not the file itself"),
        (b"<html lang='en'>", "it is a web page"),
        (b"<?xml version='1.0'?><Error>", "it is a server's message"),
        (b"\x1f\x8b\x08\0", "packed with gzip; unpack it first"),
        (b"Rar!\x1a\x07\x01", "packed with RAR; unpack it first"),
        (b"PK\x05\x06" + bytes(18), "a zip archive, but not one of torch's"),
        (pickle.dumps({"a": 1}, protocol=2), "torch before 1.6"),
        (b"{\"a\": 1}", "it is not a weight file"),
        # A header of more bytes than safetensors allows.
        ((100_000_001).to_bytes(8, "little") + b"{}", "it is not a weight file"),
        (b"\xff" * 8 + b"{}", "it is not a weight file"),
        (b"\xff" * 300, "it is not a weight file"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "model.pt"])
def test_other_contents_are_distinguished(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LumosXError, match=sentence) as caught:
        open_weights(path)
    assert str(path) in str(caught.value) and "secret" not in str(caught.value)


def test_a_file_of_an_old_torch_is_reported(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(LumosXError, match="before 1.6 .* save it again with a current torch"):
        open_weights(tmp_path / "old.pth")


def test_a_zip_of_something_else_is_reported(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/model.safetensors", b"x")
    with pytest.raises(LumosXError, match="not one of torch's; unpack it"):
        open_weights(tmp_path / "model.pt")


def test_nothing_there_and_nothing_readable_are_reported(samples, tmp_path):
    with pytest.raises(LumosXError, match="gone.pt: there is no such file"):
        open_weights(tmp_path / "gone.pt")
    with pytest.raises(LumosXError, match="holds neither a checkpoint's .metadata nor"):
        open_weights(tmp_path)
    for part in (".metadata", "__0_0.distcp"):
        with pytest.raises(LumosXError, match="one part of a checkpoint folder"):
            open_weights(samples["checkpoint"] / part)


def test_a_checkpoint_that_lost_its_hidden_file_is_reported(samples, tmp_path):
    shutil.copytree(samples["checkpoint"], tmp_path / "all")
    (tmp_path / "all" / ".metadata").unlink()
    for folder in (tmp_path, tmp_path / "all"):
        with pytest.raises(LumosXError, match="its file .metadata is missing"):
            open_weights(folder)
