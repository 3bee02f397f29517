"""A converted file is known by its source, whatever its name."""

import pytest
from safetensors.torch import save_file

from lumosx_core.weights.convert import convert
from lumosx_core.weights.origin import was_made_from
from tools.weight_files import small_transformer


@pytest.fixture
def files(tmp_path):
    source, target = tmp_path / "source.safetensors", tmp_path / "made.safetensors"
    save_file(small_transformer(), source)
    convert(source, target, "f16")
    return source, target


def ask(target, source, to="f16"):
    seen = []
    answer = was_made_from(target, source, to, lambda done, total, name: seen.append((done, total)))
    assert not seen or seen[-1][0] == seen[-1][1] == source.stat().st_size
    return answer


def test_only_the_same_source_and_format_count(files, tmp_path):
    source, target = files
    assert ask(target, source)
    assert not ask(target, source, "bf16")
    other = tmp_path / "other.safetensors"
    save_file(small_transformer(seed=1), other)
    assert not ask(target, other)
    moved = source.rename(tmp_path / "renamed.safetensors")
    assert ask(target, moved)


def test_other_files_come_from_nowhere(files, tmp_path):
    source, _ = files
    assert not ask(source, source)
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    assert not ask(tmp_path / "mine.safetensors", source)
