"""GGUF: what the gguf package writes, and headers that nothing should believe."""

import struct
import subprocess
import sys

import gguf
import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights.gguf_file import GGUFFile
from lumosx_core.weights.source import TensorInfo

F32, Q8_0 = 0, 8


def test_kinds_shapes_and_metadata(samples):
    with GGUFFile(samples["GGUF"]) as source:
        assert dict(source.tensors) == {
            "patch_embedding.weight": TensorInfo("F32", (3, 4, 1, 2, 2)),
            "blocks.0.ffn.0.weight": TensorInfo("Q8_0", (2, 4, 64)),
            "split.weight": TensorInfo("Q4_0", (4, 4, 2, 2, 2)),
            "head.modulation": TensorInfo("BF16", (1, 2, 8)),
            "count": TensorInfo("I32", (3,)),
        }
        assert source.metadata == {"general.architecture": "wan", "temperature": "1.5"}
        assert source.read("blocks.0.ffn.0.weight").shape == (2, 4, 2 * 34)
        assert source.read("split.weight").shape == (2, 2 * 18)
        assert source.read("count").dtype == torch.int32


def test_numbers_come_back(tmp_path):
    random = np.random.default_rng(5)
    numbers = random.normal(size=(4, 64)).astype(np.float32)
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "wan")
    for kind in ("F32", "F16", "BF16"):
        kind = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(kind.name, gguf.quantize(numbers, kind), raw_dtype=kind)
    writer.add_tensor("F64", numbers.astype(np.float64))
    packed = gguf.quantize(numbers, gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("Q8_0", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with GGUFFile(tmp_path / "a.gguf") as source:
        for kind, dtype in kinds.items():
            assert torch.equal(source.read(kind), torch.from_numpy(numbers).to(dtype))
        assert np.array_equal(source.read("Q8_0").numpy(), packed)
        tensor = source.read("F32")
    assert torch.equal(tensor, torch.from_numpy(numbers))


def test_tensors_lie_over_the_file_and_writing_does_not_touch_it(samples):
    before = samples["GGUF"].read_bytes()
    with GGUFFile(samples["GGUF"]) as source:
        tensor = source.read("patch_embedding.weight")
        tensor.zero_()
        assert source.read("patch_embedding.weight").data_ptr() == tensor.data_ptr()
    assert samples["GGUF"].read_bytes() == before


def text(content):
    content = content if isinstance(content, bytes) else content.encode()
    return struct.pack("<Q", len(content)) + content


def field(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def tensor(name="a", sizes=(32,), kind=F32, offset=0, dimensions=None):
    count = len(sizes) if dimensions is None else dimensions
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", count, *sizes, kind, offset)


def header(tensors=(), fields=(), version=3, tensor_count=None, field_count=None):
    tensor_count = len(tensors) if tensor_count is None else tensor_count
    counts = struct.pack("<QQ", tensor_count, len(fields) if field_count is None else field_count)
    return b"GGUF" + struct.pack("<I", version) + counts + b"".join(fields) + b"".join(tensors)


def array(kind, count, content=b""):
    return struct.pack("<IQ", kind, count) + content


HUGE = 1 << 62
ABSURD = {
    "only magic is there": b"GGUF",
    "only a version is there": b"GGUF\x03\0\0\0",
    "many tensors": header(tensor_count=HUGE),
    "many fields": header(field_count=HUGE),
    "tensors that are not there": header(tensor_count=3),
    "fields that are not there": header(field_count=3),
    "long key": header(fields=[struct.pack("<Q", HUGE)]),
    "long text": header(fields=[field("a", 8, struct.pack("<Q", HUGE))]),
    "long array": header(fields=[field("a", 9, array(0, HUGE))]),
    "long array of texts": header(fields=[field("a", 9, array(8, HUGE))]),
    "array that is not there": header(fields=[field("a", 9, array(6, 1000))]),
    "deep array": header(fields=[field("a", 9, array(9, 1) * 10000)]),
    "unknown value": header(fields=[field("a", 13, bytes(8))]),
    "key twice": header(fields=[field("a", 0, b"1")] * 2),
    "key of the package's own": header(fields=[field("GGUF.version", 0, b"1")]),
    "key of no text": header(fields=[field(b"\xff", 0, b"1")]),
    "alignment 0": header(fields=[field("general.alignment", 4, bytes(4))]),
    "alignment 48": header(fields=[field("general.alignment", 4, struct.pack("<I", 48))]),
    "alignment 1": header(fields=[field("general.alignment", 4, struct.pack("<I", 1))]),
    "alignment as text": header(fields=[field("general.alignment", 8, text("32"))]),
    "no dimension": header([tensor(sizes=())]),
    "six dimensions": header([tensor(sizes=(1,) * 6)]),
    "absurd dimensions": header([tensor(dimensions=(1 << 32) - 1)]),
    "size 0": header([tensor(sizes=(0, 1 << 40))]),
    "sizes that overflow": header([tensor(sizes=(1 << 32, 1 << 32))]),
    "sizes that overflow to 0": header([tensor(sizes=(1 << 63, 2))]),
    "half a block": header([tensor(sizes=(16,), kind=Q8_0)]),
    "offset between": header([tensor(offset=4)]),
    "name twice": header([tensor(), tensor()]),
    "tensors that share their bytes": header([tensor(), tensor("b")]),
    "tensors that share their last and first bytes": header([tensor(), tensor("b", offset=96)]),
    "tensors that overlap": header([tensor("b", offset=96), tensor(sizes=(32, 2), offset=0), tensor("c", offset=64)]),
    "header that is too long": header(fields=[field("a", 8, text(bytes(1 << 23)))]),
    "name of no text": header([tensor(name=b"\xff\xfe")]),
    "long name": header([tensor(name="a" * 2000)]),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_headers_end_in_a_sentence(tmp_path, name):
    path = tmp_path / "bad.gguf"
    path.write_bytes(ABSURD[name] + bytes(256 if "there" not in name else 0))
    with pytest.raises(LumosXError, match="bad.gguf: its header is cut off or damaged"):
        GGUFFile(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"GGUF" + struct.pack(">I", 3) + bytes(32), "big-endian GGUF; take the little-endian"),
        (header(version=1), "GGUF version 1 is not known"),
        (header(version=4), "GGUF version 4 is not known"),
        (header([tensor(kind=4)]), "'a' is of GGML type 4, which the installed gguf package does not know"),
        (header([tensor(kind=1 << 31)]), "is of GGML type 2147483648"),
        (header(fields=[field("a", 9, array(0, 1 << 18))]) + bytes(1 << 18), "a vocabulary, so it is a text model"),
        (header(fields=[field("a", 9, array(8, 1 << 18))]) + bytes(1 << 18), "holds a vocabulary"),
        # In several arrays, of which none is large.
        (header(fields=[field(str(number), 9, array(0, 9000, bytes(9000))) for number in range(4)]), "a vocabulary"),
        (header([tensor(str(number)) for number in range((1 << 13) + 1)]), "it holds 8193 tensors, more than any"),
        (header(fields=[field(str(number), 0, b"1") for number in range((1 << 14) + 1)]), "16385"),
        (header([tensor()]), "it is cut off, its last tensors are missing"),
        (header([tensor(offset=1 << 40)]) + bytes(256), "it is cut off"),
        (header([tensor(sizes=(1 << 30,))]) + bytes(256), "it is cut off"),
    ],
)
def test_other_files_end_in_a_sentence_of_their_own(tmp_path, content, sentence):
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(LumosXError, match=sentence):
        GGUFFile(tmp_path / "bad.gguf")


@pytest.mark.parametrize(
    "value",
    [array(5, 1, struct.pack("<i", 31)), array(5, 2, struct.pack("<ii", -1, -32)), array(5, 0),
     array(5, 9, struct.pack("<9i", 32, *[1] * 8)), array(8, 1, text("32"))],
)
def test_an_original_shape_that_does_not_fit_is_refused(tmp_path, value):
    fields = [field("comfy.gguf.orig_shape.a", 9, value)]
    (tmp_path / "bad.gguf").write_bytes(header([tensor()], fields) + bytes(256))
    with pytest.raises(LumosXError, match="original shape of 'a' does not fit its data"):
        GGUFFile(tmp_path / "bad.gguf")


def test_an_empty_file_of_version_2_and_prefixes_are_fine(tmp_path):
    (tmp_path / "a.gguf").write_bytes(header(version=2))
    with GGUFFile(tmp_path / "a.gguf") as source:
        assert source.tensors == {} and source.metadata == {}
    (tmp_path / "b.gguf").write_bytes(header([tensor("model.diffusion_model.a")]) + bytes(256))
    with GGUFFile(tmp_path / "b.gguf") as source:
        assert source.tensors == {"model.diffusion_model.a": TensorInfo("F32", (32,))}


def test_a_file_without_its_last_byte_is_cut_off(tmp_path):
    content = header([tensor()])
    whole = content + bytes(-len(content) % 32 + 32 * 4)
    (tmp_path / "a.gguf").write_bytes(whole)
    with GGUFFile(tmp_path / "a.gguf") as source:
        assert source.read("a").tolist() == [0] * 32
    (tmp_path / "a.gguf").write_bytes(whole[:-1])
    with pytest.raises(LumosXError, match="it is cut off, its last tensors are missing"):
        GGUFFile(tmp_path / "a.gguf")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only")
def test_absurd_headers_take_no_memory_and_no_time(tmp_path):
    for name, content in ABSURD.items():
        (tmp_path / f"{name}.gguf").write_bytes(content + bytes(256))
        with (tmp_path / f"{name} at the head of a terabyte.gguf").open("wb") as file:
            file.write(content)
            file.truncate(1 << 40)
    code = (
        "import resource, sys, time\nfrom pathlib import Path\nfrom lumosx_core.errors import LumosXError\n"
        "from lumosx_core.weights.opening import open_weights\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "before, start = used(), time.process_time()\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    try: open_weights(path).close()\n"
        "    except LumosXError: pass\n"
        "print(used() - before, time.process_time() - start)"
    )
    answer = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, answer.stdout.split())
    assert megabytes < 300 and seconds < 20
