"""Tensors kept in a folder: the same bits back, within a bound, whatever happens to the files."""

import os
import shutil
import threading
import time

import pytest
import torch

from lumosx_core.store import TensorStore

KEYS = [f"{number:064x}" for number in range(100)]
LIMIT = 1 << 20


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "made" / "later"


@pytest.fixture
def store(folder):
    return TensorStore(folder, LIMIT)


def numbers(seed, count=1000):
    return {"numbers": torch.full((count,), float(seed))}


def held(folder):
    return sorted(path.name[:64] for path in folder.glob("*.safetensors"))


def size(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def set_age(folder, key, seconds):
    then = time.time() - seconds
    os.utime(folder / f"{key}.safetensors", (then, then))


def test_every_bit_of_every_kind_comes_back(store, folder):
    random = torch.Generator().manual_seed(0)
    floats = torch.randn(3, 5, generator=random)
    tensors = {
        "float": floats, "brain": floats.bfloat16(), "half": floats.half(), "whole": torch.arange(7),
        "one": floats[0, 0], "none": floats[:0], "yes": floats > 0, "turned": floats.T,
        "odd": torch.tensor([-0.0, float("nan"), float("inf")]),
    }
    store.write(KEYS[1], tensors, {"said": "grüße", "empty": ""})
    found, note = TensorStore(folder, LIMIT).read(KEYS[1])
    assert note == {"said": "grüße", "empty": ""} and found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert found[name].flatten().view(torch.uint8).equal(tensor.contiguous().flatten().view(torch.uint8)), name


def test_what_was_never_written_is_absent(store, folder):
    assert store.read(KEYS[0]) is None and not folder.exists()
    store.write(KEYS[1], numbers(1), {})
    assert store.read(KEYS[0]) is None and store.read(KEYS[1])


@pytest.mark.parametrize("damage", ["empty", "garbage", "half", "all but one byte", "one byte more", "not ours"])
def test_a_damaged_file_is_absent_and_goes(store, folder, damage):
    store.write(KEYS[1], numbers(1), {"a": "b"})
    path = folder / f"{KEYS[1]}.safetensors"
    data = path.read_bytes()
    foreign = b'\x28\0\0\0\0\0\0\0{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(8 + 0x28) + b"\0"
    path.write_bytes({
        "empty": b"", "garbage": os.urandom(500), "half": data[:len(data) // 2], "all but one byte": data[:-1],
        "one byte more": data + b"\0", "not ours": foreign,
    }[damage])
    assert store.read(KEYS[1]) is None and not path.exists()
    store.write(KEYS[1], numbers(2), {})
    assert store.read(KEYS[1])[0]["numbers"][0] == 2


def test_no_flipped_bit_goes_unseen(store, folder):
    """Wherever it is: in the header's length, the names, the note or the numbers."""
    tensors, note = {"number": torch.arange(9.0)}, {"key": "value"}
    store.write(KEYS[1], tensors, note)
    path = folder / f"{KEYS[1]}.safetensors"
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1:])
        found = store.read(KEYS[1])
        # The header is padded with spaces, and JSON does not mind a tab or a space more.
        assert found is None or (found[1] == note and found[0]["number"].equal(tensors["number"])), position


@pytest.mark.parametrize(("what", "other"), [(b"[2,3]", b"[3,2]"), (b'"F32"', b'"I32"')])
def test_a_header_that_says_another_shape_or_type_of_the_same_size_is_damage(store, folder, what, other):
    """As one bit of a file may say it: the bytes of the numbers are all there."""
    store.write(KEYS[1], {"number": torch.arange(6.0).reshape(2, 3)}, {})
    path = folder / f"{KEYS[1]}.safetensors"
    data = path.read_bytes()
    assert data.count(what) == 1
    path.write_bytes(data.replace(what, other))
    assert store.read(KEYS[1]) is None


def test_the_folder_never_outgrows_its_bound_and_keeps_what_was_read_last(store, folder):
    big = LIMIT // 5
    for number, key in enumerate(KEYS[:4]):
        store.write(key, numbers(number, big // 4), {})
        set_age(folder, key, 1000 - number)
    assert store.read(KEYS[0])
    store.write(KEYS[4], numbers(4, big // 4), {})
    assert size(folder) <= LIMIT and held(folder) == [KEYS[0], *KEYS[2:5]]
    for key in KEYS[5:50]:
        store.write(key, numbers(1, big // 4), {})
        assert size(folder) <= LIMIT and key in held(folder)


def test_a_bound_is_kept_to_the_byte(folder):
    TensorStore(folder, LIMIT).write(KEYS[0], numbers(0), {})
    each = size(folder)
    both, one, none = (TensorStore(folder, limit) for limit in (2 * each, each, each - 1))
    both.write(KEYS[1], numbers(1), {})
    assert held(folder) == KEYS[:2] and both.read(KEYS[0]) and one.read(KEYS[1])
    one.write(KEYS[2], numbers(2), {})
    assert held(folder) == [KEYS[2]]
    none.write(KEYS[3], numbers(3), {})
    assert held(folder) == [KEYS[2]] and none.read(KEYS[2]) is None and held(folder) == []


def test_an_entry_above_the_bound_is_not_kept_and_displaces_nothing(store, folder):
    store.write(KEYS[1], numbers(1), {})
    store.write(KEYS[2], numbers(2, LIMIT // 4), {})
    assert held(folder) == [KEYS[1]]


def test_other_files_are_left_alone_and_forgotten_halves_are_not(store, folder):
    folder.mkdir(parents=True)
    old, young = (folder / f"lumosx-{letter * 32}.part" for letter in "ab")
    theirs = [folder / name for name in ("notes.txt", "model.safetensors", "lumosx-notes.part", f"{KEYS[0]}.txt")]
    for path in (old, young, *theirs):
        path.write_bytes(b"\0" * LIMIT)
        os.utime(path, (0, 0))
    os.utime(young)
    store.write(KEYS[1], numbers(1), {})
    assert all(path.exists() for path in (young, *theirs)) and not old.exists() and store.read(KEYS[1])


def test_a_file_larger_than_the_bound_is_never_read_into_memory(store, folder):
    folder.mkdir(parents=True)
    path = folder / f"{KEYS[1]}.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert store.read(KEYS[1]) is None and not path.exists()


def test_the_folder_may_go_at_any_time(store, folder):
    for number in range(3):
        store.write(KEYS[1], numbers(number), {})
        assert store.read(KEYS[1])[0]["numbers"][0] == number
        shutil.rmtree(folder)
        assert store.read(KEYS[1]) is None


def test_what_was_read_outlives_its_file(store, folder):
    store.write(KEYS[1], numbers(7), {})
    found, _ = store.read(KEYS[1])
    with (folder / f"{KEYS[1]}.safetensors").open("r+b") as file:
        file.truncate(0)
    assert found["numbers"].sum() == 7000


def test_a_place_that_cannot_be_written_costs_one_warning(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    store = TensorStore(tmp_path / "file" / "folder", LIMIT)
    for key in KEYS[:3]:
        assert store.read(key) is None
        store.write(key, numbers(1), {})
    assert caplog.text.count("nothing can be stored there") == 1


def test_a_full_disk_costs_one_warning_and_leaves_no_half_file(store, folder, caplog):
    resource = pytest.importorskip("resource")
    store.write(KEYS[1], numbers(1), {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for key in KEYS[2:5]:
            store.write(key, numbers(2), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caplog.text.count("nothing can be stored there") == 1
    assert [path.name[:64] for path in folder.iterdir()] == [KEYS[1]] and store.read(KEYS[1])


def test_several_servers_may_share_a_folder(folder):
    """Each with its own store, all making room for themselves all the time."""
    wrong = []

    def serve(seed):
        random = torch.Generator().manual_seed(seed)
        store = TensorStore(folder, LIMIT // 8)
        try:
            for _ in range(150):
                number = int(torch.randint(20, (), generator=random))
                found = store.read(KEYS[number])
                if found is None:
                    store.write(KEYS[number], numbers(number, 4000), {"number": str(number)})
                elif found[1] != {"number": str(number)} or not found[0]["numbers"].eq(number).all():
                    wrong.append(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=serve, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and held(folder)
    TensorStore(folder, LIMIT // 8).write(KEYS[99], numbers(1), {})
    assert size(folder) <= LIMIT // 8
