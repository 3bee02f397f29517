"""Stand-ins are put in only where the real packages cannot be loaded."""

import importlib
import importlib.metadata
import importlib.util
import sys

import pytest

from tools import stand_ins


@pytest.fixture
def versions(monkeypatch):
    """Let the tests say which builds of torch and torchvision are installed."""

    def declare(torch, torchvision, requirement):
        known = {"torch": torch, "torchvision": torchvision}
        monkeypatch.setattr(importlib.metadata, "version", known.__getitem__)
        monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy", requirement])

    return declare


@pytest.mark.parametrize(
    ("torch", "torchvision", "requirement", "matches"),
    [
        ("2.13.0", "0.28.0", "torch==2.13.0", True),
        ("2.13.0+cu130", "0.28.0+cu130", "torch (==2.13.0)", True),
        ("2.13.0+cpu", "0.28.0", "torch==2.13.0", False),
        ("2.12.0", "0.28.0", "torch==2.13.0", False),
        ("2.13.0", "0.28.0", "torch", False),
    ],
)
def test_builds_are_compared_without_importing(versions, torch, torchvision, requirement, matches):
    versions(torch, torchvision, requirement)
    assert stand_ins._was_built_for_this_torch("torchvision") is matches


def test_matching_builds_are_left_alone(monkeypatch):
    def touched(*_):
        raise AssertionError("a working package was touched")

    monkeypatch.setattr(stand_ins, "_is_installed", lambda name: True)
    monkeypatch.setattr(stand_ins, "_was_built_for_this_torch", lambda name: True)
    for name in ("_loads", "_declare_torchvision_operators", "_replace_torchaudio"):
        monkeypatch.setattr(stand_ins, name, touched)
    stand_ins.install()


def test_a_missing_torchaudio_is_replaced_by_empty_modules(monkeypatch):
    for name in stand_ins.TORCHAUDIO_MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    stand_ins._replace_torchaudio()
    torchaudio = importlib.import_module("torchaudio")
    assert torchaudio.functional is importlib.import_module("torchaudio.functional")
    assert torchaudio.__spec__.name == "torchaudio"
    assert not hasattr(torchaudio, "load")


def test_both_packages_import_here():
    assert importlib.import_module("torchvision.transforms").Compose
    assert importlib.import_module("torchaudio.functional")


def test_a_hidden_package_is_neither_found_nor_installed(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "gguf"]:
        monkeypatch.delitem(sys.modules, name)
    stand_ins.hide(["gguf"])
    assert importlib.util.find_spec("gguf") is None and importlib.util.find_spec("numpy")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("gguf")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("gguf")
    assert importlib.metadata.version("numpy")
