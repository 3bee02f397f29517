"""Archives that two readers could read in two ways."""

import io
import os
import pickle
import re
import struct
import tracemalloc
import zipfile

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights import zip_entries
from lumosx_core.weights.torch_file import TorchFile
from lumosx_core.weights.zip_entries import NotCanonical, Repacked, find_entries
from tools.weight_files import Runs

END = 22


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def zipped(entries, **options):
    """A stored archive of Python's own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def contents(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def found(data):
    return {name: data[at.start:at.start + at.size] for name, at in find_entries(io.BytesIO(data)).items()}


def directory_of(data):
    """Where an archive's directory begins and what is in it."""
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack("<2I", data[end + 12:end + 20])
    return start, data[start:start + size]


@pytest.fixture
def clean():
    return zipped({"model/data.pkl": pickle.dumps({"a": 1}, protocol=2), "model/version": b"3"})


@pytest.mark.parametrize("content", [{}, {"a": torch.ones(3)}, {str(n): torch.ones(n) for n in range(200)}])
def test_what_torch_writes(content):
    data = saved(content)
    assert found(data) == contents(data)


def test_what_python_writes(clean):
    assert found(clean) == contents(clean)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("model/data.pkl", "w", force_zip64=True) as entry:
        entry.write(b"N.")
    assert found(file.getvalue()) == {"model/data.pkl": b"N."}


def test_what_an_unseekable_writer_leaves_behind_each_entry():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError

        tell = seek

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("model/data.pkl", b"N.")
        archive.writestr("model/version", b"3")
    assert found(pipe.getvalue()) == {"model/data.pkl": b"N.", "model/version": b"3"}


def with_two_directories(seen, hidden):
    """Python's zipfile sees one archive, a reader that believes the offset in the last record the other.

    The hidden one with its directory comes first; the seen one follows, and its last record points at the first.
    """
    start, directory = directory_of(seen)
    offset, other = directory_of(hidden)
    size = max(len(directory), len(other))
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 2, 2, len(directory), offset, 0)
    assert size
    return hidden[:offset] + other + seen[:start] + directory + end


def test_two_directories(clean, tmp_path):
    evil = zipped({
        "model/data.pkl": pickle.dumps(Runs(os.mkdir, (str(tmp_path / "made"),)), protocol=2), "model/version": b"3",
    })
    data = with_two_directories(clean, evil)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["model/data.pkl", "model/version"]
    (tmp_path / "two.pt").write_bytes(data)
    with pytest.raises(LumosXError, match="two.pt: .*; "):
        TorchFile(tmp_path / "two.pt")
    assert not (tmp_path / "made").exists()


def test_a_directory_inside_an_entry(clean, tmp_path):
    """The whole hidden archive is the content of an entry; the last record says where its directory begins."""
    hidden = zipped({"model/data.pkl": b"N."})
    data = bytearray(zipped({"model/data.pkl": b"}.", "model/data/0": hidden}))
    place = data.rindex(b"PK\x05\x06")
    data[place + 16:place + 20] = struct.pack("<I", data.index(hidden) + directory_of(hidden)[0])
    with pytest.raises(NotCanonical):
        find_entries(io.BytesIO(bytes(data)))


def changed_first_header(data, place, code, value):
    data = bytearray(data)
    struct.pack_into(code, data, place, value)
    return bytes(data)


@pytest.mark.parametrize(("what", "spoil"), [
    ("comment", lambda data: data[:-2] + struct.pack("<H", 3) + b"abc"),
    ("bytes behind", lambda data: data + b"x"),
    ("another end record behind", lambda data: data + data[-END:]),
    ("bytes in front", lambda data: b"x" + data),
    ("local name", lambda data: data.replace(b"model/version", b"model/versiom", 1)),
    ("local size", lambda data: changed_first_header(data, 22, "<I", 5)),
    ("local packed size", lambda data: changed_first_header(data, 18, "<I", 5)),
    ("local checksum", lambda data: changed_first_header(data, 14, "<I", 5)),
    ("local method", lambda data: changed_first_header(data, 8, "<H", 8)),
    ("local flags", lambda data: changed_first_header(data, 6, "<H", 1)),
    ("local extra", lambda data: changed_first_header(data, 28, "<H", 4)),
    ("no local header", lambda data: b"PK\x03\x05" + data[4:]),
    ("cut", lambda data: data[:-1]),
])
def test_what_agrees_with_itself_in_part_only(clean, what, spoil):
    assert find_entries(io.BytesIO(clean))
    with pytest.raises(NotCanonical):
        find_entries(io.BytesIO(spoil(clean)))


def test_entries_that_share_their_bytes(clean):
    """Both of the directory's entries point at the first one's bytes: a small file with much in it."""
    start, directory = directory_of(clean)
    first = directory[:46 + len("model/data.pkl")]
    twice = first + first
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 2, 2, len(twice), start, 0)
    with pytest.raises(NotCanonical):
        find_entries(io.BytesIO(clean[:start] + twice + end))


@pytest.mark.parametrize("before", [12, 16, 20, 24])
def test_as_many_bytes_in_front_as_may_follow_an_entry(clean, before):
    start, directory = directory_of(clean)
    moved = bytearray(directory)
    for place in (match.start() for match in re.finditer(b"PK\x01\x02", directory)):
        offset = struct.unpack_from("<I", directory, place + 42)[0]
        struct.pack_into("<I", moved, place + 42, offset + before)
    end = bytearray(clean[start + len(directory):])
    struct.pack_into("<I", end, 16, start + before)
    data = bytes(before) + clean[:start] + bytes(moved) + bytes(end)
    assert contents(data) == contents(clean)
    with pytest.raises(NotCanonical):
        find_entries(io.BytesIO(data))


def test_bytes_that_no_entry_owns(clean):
    start, directory = directory_of(clean)
    end = clean[start + len(directory):]
    moved = end[:16] + struct.pack("<I", start + 100) + end[20:]
    with pytest.raises(NotCanonical):
        find_entries(io.BytesIO(clean[:start] + bytes(100) + directory + moved))


def test_compressed_and_encrypted():
    with pytest.raises(Repacked):
        find_entries(io.BytesIO(zipped({"a/data.pkl": b"N." * 50}, compression=zipfile.ZIP_DEFLATED)))
    data = bytearray(zipped({"a/data.pkl": b"N."}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(Repacked):
        find_entries(io.BytesIO(bytes(data)))


def test_a_directory_as_large_as_its_file_is_not_read(tmp_path):
    """A file with a hole in it costs nobody anything."""
    size, unknown = 1 << 28, 0xFFFFFFFF
    records = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, 0)
    records += struct.pack("<4sIQI", b"PK\x06\x07", 0, size, 1)
    records += b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 1, 1, unknown, unknown, 0)
    with (tmp_path / "hole.pt").open("w+b") as file:
        file.truncate(size)
        file.seek(size)
        file.write(records)
        tracemalloc.start()
        try:
            with pytest.raises(NotCanonical):
                find_entries(file)
            assert tracemalloc.get_traced_memory()[1] < 32 << 20
        finally:
            tracemalloc.stop()


def test_more_entries_than_any_model_has():
    many = zipped({f"a/{number}": b"" for number in range((1 << 14) + 1)})
    with pytest.raises(NotCanonical):
        find_entries(io.BytesIO(many))


@pytest.fixture
def ended():
    """(bytes of a small archive, where its directory begins)."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", b"1234")
        directory = archive.fp.tell()
    return content.getvalue(), directory


@pytest.mark.parametrize(("change", "fits"), [
    (lambda data: data, True), (lambda data: data[:-22] + b"PK\x05\x07" + data[-18:], False),
    (lambda data: data[:-22] + b"x" + data[-22:], False), (lambda data: data[:-6] + b"\xff" + data[-5:], False),
    (lambda data: data[:-10] + b"\xff" + data[-9:], False), (lambda data: data[:10], False), (lambda data: b"", False),
])
def test_the_record_at_the_end_says_where_the_directory_is(ended, change, fits):
    data, directory = ended
    data = change(data)
    if fits:
        assert zip_entries._check_end(io.BytesIO(data), directory, len(data)) is None
    else:
        with pytest.raises(NotCanonical):
            zip_entries._check_end(io.BytesIO(data), directory, len(data))


@pytest.mark.parametrize("name", ["a", "\u00e4", "\u7537/a"])
def test_names_in_any_letters_are_read_as_they_are_written(name):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, b"1234")
    (found, stretch), = find_entries(content).items()
    assert found == name and content.getvalue()[stretch.start:stretch.start + stretch.size] == b"1234"
