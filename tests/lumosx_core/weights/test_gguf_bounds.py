"""The numbers in a GGUF's header: each is believed exactly up to its bound."""

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.weights import gguf_file, gguf_header
from lumosx_core.weights.gguf_header import StoredTensor, read_header

F32, Q8_0 = 0, 8
UINT32, INT32, TEXT, ARRAY = 4, 5, 8, 9


def text(content):
    return struct.pack("<Q", len(content)) + content.encode()


def field(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def tensor(name="a", sizes=(32,), kind=F32, offset=0):
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def array(kind, count, content=b""):
    return struct.pack("<IQ", kind, count) + content


@pytest.fixture
def read(tmp_path):
    """read(tensors, fields, data): the header of such a file, aligned to 32 bytes unless it says otherwise."""
    def of(tensors=(), fields=(), data=4096, align=32, head=None):
        content = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields) + b"".join(tensors)
        content += bytes(-len(content) % align)
        path = tmp_path / "a.gguf"
        path.write_bytes(content + bytes(data))
        return read_header(path)

    return of


def is_read(read, *arguments, **options):
    try:
        return read(*arguments, **options) is not None
    except LumosXError:
        return False


@pytest.mark.parametrize(("kind", "alignment", "fits"), [
    (UINT32, 8, True), (UINT32, 32, True), (UINT32, 64, True), (UINT32, 4, False), (UINT32, 0, False),
    (UINT32, 24, False), (INT32, 32, False),
])
def test_alignments(read, kind, alignment, fits):
    field_of_it = field("general.alignment", kind, struct.pack("<I", alignment))
    assert is_read(read, [tensor()], [field_of_it], align=max(alignment, 1)) == fits


@pytest.mark.parametrize(("sizes", "fits"), [
    ((32,), True), ((32, 1, 1, 1, 1), True), ((32, 1, 1, 1, 1, 1), False), ((), False), ((0,), False), ((32, 0), False),
])
def test_dimensions(read, sizes, fits):
    assert is_read(read, [tensor(sizes=sizes)]) == fits


@pytest.mark.parametrize(("most", "fits"), [(64, True), (63, False)])
def test_the_largest_tensor(read, monkeypatch, most, fits):
    monkeypatch.setattr(gguf_header, "_LARGEST_SIZE", most)
    assert is_read(read, [tensor(sizes=(32, 2))]) == fits


@pytest.mark.parametrize(("sizes", "kind", "offset", "fits"), [
    ((32,), Q8_0, 0, True), ((33,), Q8_0, 0, False), ((31, 32), Q8_0, 0, False), ((32,), F32, 32, True),
    ((32,), F32, 16, False), ((33,), F32, 0, True),
])
def test_whole_blocks_at_whole_places(read, sizes, kind, offset, fits):
    assert is_read(read, [tensor(sizes=sizes, kind=kind, offset=offset)]) == fits


@pytest.mark.parametrize(("offset", "fits"), [(128, True), (96, False), (160, True)])
def test_tensors_may_touch_and_not_overlap(read, offset, fits):
    tensors = [tensor("b", offset=offset), tensor("a")]
    assert is_read(read, tensors) == fits
    if fits:
        found = read(tensors).tensors
        assert found["b"].start - found["a"].start == offset and found["a"].nbytes == 128


@pytest.mark.parametrize(("data", "fits"), [(256, True), (255, False)])
def test_the_last_byte_is_there(read, data, fits):
    assert is_read(read, [tensor("b", offset=128), tensor("a")], data=data) == fits


@pytest.mark.parametrize(("most", "fits"), [(3, True), (2, False)])
def test_the_number_of_fields(read, monkeypatch, most, fits):
    monkeypatch.setattr(gguf_header, "_MOST_FIELDS", most)
    assert is_read(read, fields=[field(name, UINT32, bytes(4)) for name in "abc"]) == fits


@pytest.mark.parametrize(("most", "fits"), [(5, True), (4, False)])
def test_the_number_of_values_in_all_arrays(read, monkeypatch, most, fits):
    monkeypatch.setattr(gguf_header, "_MOST_VALUES", most)
    fields = [field("a", ARRAY, array(INT32, 2, bytes(8))), field("b", ARRAY, array(INT32, 3, bytes(12)))]
    assert is_read(read, fields=fields) == fits
    if fits:
        assert read(fields=fields).arrays == {"a": (0, 0), "b": (0, 0, 0)}


@pytest.mark.parametrize(("deep", "fits"), [(3, True), (4, False)])
def test_arrays_in_arrays(read, deep, fits):
    """The innermost of four holds numbers."""
    assert is_read(read, fields=[field("a", ARRAY, array(ARRAY, 1) * deep + array(INT32, 1, bytes(4)))]) == fits
    if fits:
        assert read(fields=[field("a", ARRAY, array(ARRAY, 1) * deep + array(INT32, 1, bytes(4)))]).arrays == {"a": ()}


@pytest.mark.parametrize(("length", "fits"), [(512, True), (513, False)])
def test_the_longest_name(read, length, fits):
    assert is_read(read, [tensor("x" * length)]) == fits
    assert is_read(read, fields=[field("x" * length, UINT32, bytes(4))]) == fits


def test_an_array_ends_with_the_file(read):
    fields = [field("a", ARRAY, array(0, 7, b"1234567"))]
    assert is_read(read, fields=fields, data=0, align=1)
    assert not is_read(read, fields=[field("a", ARRAY, array(0, 8, b"1234567"))], data=0, align=1)


@pytest.mark.parametrize(("less", "fits"), [(0, True), (1, False)])
def test_the_longest_header(read, monkeypatch, less, fits):
    fields = [field("a", TEXT, text("words"))]
    whole = 24 + sum(map(len, fields)) + len(tensor())
    monkeypatch.setattr(gguf_header, "_LARGEST_HEADER", whole - less)
    assert is_read(read, [tensor()], fields) == fits


@pytest.mark.parametrize(("shape", "fits"), [
    ((64,), True), ((2,) * 6 + (1, 1), True), ((2,) * 6 + (1,) * 3, False), ((), False), ((0,), False), ((65,), False),
    ((-8, -8), False), (None, True),
])
def test_the_original_shape_of_64_numbers(shape, fits):
    key = "comfy.gguf.orig_shape.a"
    header = SimpleNamespace(arrays={} if shape is None else {key: shape}, texts={})
    stored = StoredTensor("F32", (8, 8), 0, 256)
    if fits:
        assert gguf_file._logical_shape("a", stored, header, Path("f")) == (shape or (8, 8))
    else:
        with pytest.raises(LumosXError, match="^f: the original shape of 'a' does not fit"):
            gguf_file._logical_shape("a", stored, header, Path("f"))
    with pytest.raises(LumosXError, match="^f: the original shape"):
        gguf_file._logical_shape("a", stored, SimpleNamespace(arrays={}, texts={key: "8"}), Path("f"))
