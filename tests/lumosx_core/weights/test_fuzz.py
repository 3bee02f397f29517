"""Damaged files of every format: each opens and reads as promised, or ends in one sentence."""

import re
import shutil
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.source import TORCH_KINDS

FORMATS = ("safetensors", "shards", "torch", "checkpoint", "GGUF")
NUMBERS = (0, 1, -1, 255, 1 << 15, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, 1 << 63)

places = st.floats(0, 1, exclude_max=True)
# Most of what can go wrong is in the first bytes of a header, or in a zip's last ones.
spots = places | places.map(lambda place: place / 20) | places.map(lambda place: 1 - (1 - place) / 10)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), spots, st.integers(0, 7)),
        st.tuples(st.just("byte"), spots, st.integers(0, 255)),
        st.tuples(st.just("number"), spots, st.tuples(st.sampled_from((2, 4, 8)), st.sampled_from(NUMBERS))),
        st.tuples(st.just("cut"), spots, st.none()),
        st.tuples(st.just("repeat"), spots, st.integers(1, 64)),
        st.tuples(st.just("drop"), spots, st.integers(1, 64)),
    ),
    min_size=1, max_size=4,
)


def damage(data, edits):
    data = bytearray(data)
    for what, spot, how in edits:
        at = max(0, min(int(spot * len(data)), len(data) - 1))
        if what == "flip" and data:
            data[at] ^= 1 << how
        elif what == "byte" and data:
            data[at] = how
        elif what == "number":
            size, number = how
            data[at:at + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
        elif what == "cut":
            del data[at:]
        elif what == "repeat":
            data[at:at] = data[at:at + how]
        elif what == "drop":
            del data[at:at + how]
    return bytes(data)


def files_of(sample):
    if sample.is_dir():
        return sorted(path for path in sample.iterdir() if path.is_file())
    return sorted(sample.parent.iterdir()) if sample.suffix == ".json" else [sample]


def damaged_copy(sample, folder, file, edits):
    """A copy of a sample in an empty folder, one of its files damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    files = files_of(sample)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    chosen = folder / files[file % len(files)].name
    chosen.write_bytes(damage(chosen.read_bytes(), edits))
    return folder if sample.is_dir() else folder / sample.name


def repacked(archive, path, edits):
    """A torch archive whose table of contents is damaged, but whose checksums are right."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, damage(data, edits) if entry.filename.endswith("data.pkl") else data)
    return path


def read_all(path):
    """Read every tensor and hold it against what the source says of it; the sentence, when there is one."""
    try:
        with open_weights(path) as source:
            for name, info in source.tensors.items():
                try:
                    tensor = source.read(name)
                except LumosXError as error:
                    check_sentence(error, path)
                    continue
                if info.kind in TORCH_KINDS:
                    assert (tensor.dtype, tuple(tensor.shape)) == (TORCH_KINDS[info.kind], info.shape)
                tensor.contiguous().reshape(-1).view(torch.uint8).sum()
            assert all(isinstance(key, str) and isinstance(text, str) for key, text in source.metadata.items())
    except LumosXError as error:
        check_sentence(error, path)


def check_sentence(error, path):
    """The file, what is wrong, what to do; no line of the file's content."""
    sentence = str(error)
    assert sentence.startswith(str(path.parent)) and sentence.endswith(".")
    assert re.search(r": .+; .+\.$", sentence) and "\n" not in sentence
    assert len(sentence) < len(str(path)) + 300


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(file=st.integers(0, 5), edits=edits)
def test_damaged_files_end_in_a_sentence_or_read_as_promised(samples, tmp_path_factory, kind, file, edits):
    folder = tmp_path_factory.getbasetemp() / f"damaged {kind}"
    read_all(damaged_copy(samples[kind], folder, file, edits))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=edits)
def test_damage_behind_right_checksums_is_met_too(samples, tmp_path_factory, edits):
    read_all(repacked(samples["torch"], tmp_path_factory.getbasetemp() / "repacked.pt", edits))


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_files_end_in_a_sentence(samples, tmp_path, kind):
    files = files_of(samples[kind])
    for file, path in enumerate(files):
        for part in range(12):
            read_all(damaged_copy(samples[kind], tmp_path / "cut", file, [("cut", part / 12, None)]))
        size = path.stat().st_size
        read_all(damaged_copy(samples[kind], tmp_path / "cut", file, [("cut", (size - 1) / size, None)]))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_samples_themselves_are_whole(samples, kind):
    with open_weights(samples[kind]) as source:
        for name, info in source.tensors.items():
            assert source.read(name).dtype == TORCH_KINDS.get(info.kind, torch.uint8)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    beginning=st.sampled_from([b"", b"GGUF", b"GGUF\x03\0\0\0", b"PK\x03\x04", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{"]),
    noise=st.binary(max_size=200), ending=st.sampled_from(["safetensors", "gguf", "pt", "safetensors.index.json"]),
)
def test_noise_ends_in_a_sentence(tmp_path_factory, beginning, noise, ending):
    path = tmp_path_factory.getbasetemp() / f"noise.{ending}"
    path.write_bytes(beginning + noise)
    with pytest.raises(LumosXError) as caught, open_weights(path):
        pass
    check_sentence(caught.value, path)
