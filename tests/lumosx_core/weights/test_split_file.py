"""Models in several files whose names say which part each is."""

import json
import shutil

import gguf
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.weights.checksum import source_files
from lumosx_core.weights.convert import convert
from lumosx_core.weights.file_names import first_parts, part_named
from lumosx_core.weights.opening import open_weights
from tools.weight_files import small_transformer


def write_gguf(path, tensors):
    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in tensors.items():
        writer.add_tensor(name, torch.atleast_1d(tensor).float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_parts(folder, tensors, ending, stem="model", count=3):
    """Every third tensor in each of three files; the last one of GGUF's splitter may hold none."""
    write = {"safetensors": lambda path, part: save_file(part, path), "gguf": write_gguf,
             "pt": lambda path, part: torch.save(part, path)}[ending]
    names = list(tensors)
    paths = [folder / f"{stem}-{number:05d}-of-{count:05d}.{ending}" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        write(path, {name: tensors[name] for name in names[number::count]})
    return paths


@pytest.mark.parametrize("ending", ["safetensors", "gguf", "pt"])
def test_any_part_opens_the_whole(tmp_path, weights, ending):
    paths = write_parts(tmp_path, weights.tensors(), ending)
    for path in paths:
        with open_weights(path) as source:
            assert source.path == paths[0]
            assert sorted(source.tensors) == sorted(weights.tensors())
            for name, tensor in weights.tensors().items():
                # GGUF has no tensors without dimensions.
                assert torch.equal(source.read(name).float().reshape(tensor.shape), tensor.float())
    assert list(source_files(paths[0])) == paths


def test_of_what_parts_say_of_themselves_the_first_one_counts(tmp_path):
    for number, metadata in enumerate(({"a": "1", "b": "2"}, {"b": "3", "c": "4"}), 1):
        path = tmp_path / f"model-0000{number}-of-00002.safetensors"
        save_file({str(number): torch.zeros(1)}, path, metadata=metadata)
    with open_weights(path) as source:
        assert source.metadata == {"a": "1", "b": "2", "c": "4"}


def test_the_folder_of_one_model_in_parts_opens_too(tmp_path, weights):
    paths = write_parts(tmp_path, weights.tensors(), "safetensors")
    (tmp_path / "config.json").write_text("{}")
    with open_weights(tmp_path) as source:
        assert source.path == paths[0]
    write_parts(tmp_path, weights.tensors(), "safetensors", stem="other")
    with pytest.raises(LumosXError, match="it holds 2 models in parts"):
        open_weights(tmp_path)


@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_missing_part_is_named(tmp_path, weights, ending, lost):
    paths = write_parts(tmp_path, weights.tensors(), ending)
    (tmp_path / "elsewhere").mkdir()
    paths[lost].rename(tmp_path / "elsewhere" / paths[lost].name)
    there = paths[lost - 1]
    with pytest.raises(LumosXError) as caught:
        open_weights(there)
    assert str(caught.value).startswith(f"{paths[lost]}: this part of the model is missing")
    paths[lost - 1].rename(tmp_path / "elsewhere" / paths[lost - 1].name)
    with pytest.raises(LumosXError, match="and 1 more are missing"):
        open_weights(paths[lost - 2])


def test_parts_that_hold_the_same_tensor_are_refused(tmp_path, weights):
    paths = write_parts(tmp_path, weights.tensors(), "safetensors")
    save_file(weights.tensors(), paths[2])
    with pytest.raises(LumosXError, match="both model-00001-of-00003.safetensors and model-00003.* hold"):
        open_weights(paths[1])


def test_a_damaged_part_is_named(tmp_path, weights):
    paths = write_parts(tmp_path, weights.tensors(), "safetensors")
    paths[1].write_bytes(paths[1].read_bytes()[:40])
    with pytest.raises(LumosXError, match="model-00002-of-00003.safetensors: its header is damaged"):
        open_weights(paths[0])


def test_parts_of_different_formats_are_refused(tmp_path, weights):
    paths = write_parts(tmp_path, weights.tensors(), "safetensors")
    torch.save({"x": torch.ones(1)}, paths[1])
    with pytest.raises(LumosXError, match="model-00002.*: it is torch, but the first part is safetensors"):
        open_weights(paths[0])


def test_an_index_that_does_not_fit_its_parts(tmp_path, weights):
    """The index is one way to the parts, their names another; each says what is wrong."""
    paths = write_parts(tmp_path, weights.tensors(), "safetensors")
    places = dict.fromkeys(weights.tensors(), "model-00004-of-00004.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(LumosXError, match="model-00004-of-00004.safetensors: this file of the model is missing"):
        open_weights(index)
    with open_weights(paths[0]) as source:
        assert sorted(source.tensors) == sorted(weights.tensors())


def test_a_part_of_one_and_numbers_that_cannot_be(tmp_path, weights):
    for name in ("a-00001-of-00001", "b-00004-of-00003", "c-00000-of-00003", "d-00001-of-99999", "e-1-of-2"):
        save_file(weights.tensors(), tmp_path / f"{name}.safetensors")
        with open_weights(tmp_path / f"{name}.safetensors") as source:
            assert sorted(source.tensors) == sorted(weights.tensors())


@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_converting_any_part_converts_the_whole(tmp_path, ending):
    whole = small_transformer()
    paths = write_parts(tmp_path, whole, ending)
    report = convert(paths[1], tmp_path / "whole.safetensors", "f32")
    with open_weights(tmp_path / "whole.safetensors") as source:
        for name, tensor in whole.items():
            assert torch.equal(source.read(name), tensor)
    for path in paths:
        shutil.copy(path, tmp_path / path.name.replace("model", "copy"))
    again = convert(tmp_path / paths[0].name, tmp_path / "again.safetensors", "f32")
    assert again.source_sha256 == report.source_sha256


def test_a_converted_file_is_not_named_like_a_part(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(LumosXError, match="the name is that of one part of a model in several"):
        convert(tmp_path / "a.safetensors", tmp_path / "b-00001-of-00002.safetensors")


@given(
    stem=st.text(st.characters(blacklist_characters="/\0\\", blacklist_categories=["Cs"]), min_size=1, max_size=20),
    count=st.integers(1, 512), data=st.data(),
)
def test_names_of_parts(stem, count, data):
    number = data.draw(st.integers(1, count))
    part = part_named(f"{stem}-{number:05d}-of-{count:05d}.gguf")
    assert (part.stem, part.number, part.count, part.ending) == (stem, number, count, ".gguf")
    assert len(set(part.names())) == count and part.names()[number - 1] == f"{stem}-{number:05d}-of-{count:05d}.gguf"


def test_lists_show_the_first_part_only():
    listed = [
        "b-00002-of-00002.gguf", "b-00001-of-00002.gguf", "c.gguf", "d-00002-of-00003.gguf", "b-00001-of-00003.gguf",
    ]
    assert first_parts(listed) == [
        "b-00001-of-00002.gguf", "b-00001-of-00003.gguf", "c.gguf", "d-00002-of-00003.gguf"
    ]
