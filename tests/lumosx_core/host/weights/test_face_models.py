"""Where ComfyUI's users keep face models."""

import os
from pathlib import Path

import folder_paths
import pytest

from lumosx_core.host.weights import face_models
from lumosx_core.host.weights.face_models import model_folders, weights_state


@pytest.fixture(autouse=True)
def host(monkeypatch, tmp_path):
    """A host with an empty models folder that knows neither name."""
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    known = {
        name: paths for name, paths in folder_paths.folder_names_and_paths.items()
        if name not in ("insightface", "lumosx")
    }
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)


def test_a_host_that_knows_neither_name(tmp_path):
    folders = model_folders()
    assert folders.insightface == (tmp_path / "insightface",)
    assert folders.lumosx == (tmp_path / "lumosx",)
    assert list(tmp_path.iterdir()) == []


def test_registered_folders_come_too_and_none_comes_twice(tmp_path):
    # As extra_model_paths.yaml and other packs do it.
    for place in ("/elsewhere/insightface", str(tmp_path / "insightface")):
        folder_paths.add_model_folder_path("insightface", place)
    assert model_folders().insightface == (tmp_path / "insightface", Path("/elsewhere/insightface"))
    assert model_folders().lumosx == (tmp_path / "lumosx",)


def test_weights_that_are_added_replaced_or_taken_away_are_noticed(tmp_path):
    pack, states = tmp_path / "insightface" / "models" / "buffalo_l" / "buffalo_l", [weights_state()]
    pack.mkdir(parents=True)
    assert weights_state() == states[0]
    file = pack / "w600k_r50.onnx"
    file.write_bytes(b"first")
    states.append(weights_state())
    file.write_bytes(b"the second")
    states.append(weights_state())
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    states.append(weights_state())
    assert len(set(states)) == 4 and weights_state() == states[-1]
    file.unlink()
    assert weights_state() == states[0]


def test_only_the_folders_asked_for_count(tmp_path):
    before = weights_state("insightface"), weights_state("lumosx"), weights_state()
    (tmp_path / "lumosx").mkdir()
    (tmp_path / "lumosx" / "backbone.pth").write_bytes(b"")
    after = weights_state("insightface"), weights_state("lumosx"), weights_state()
    assert [one == other for one, other in zip(before, after)] == [True, False, False]


def test_folders_linked_in_a_circle_end(tmp_path):
    folder = tmp_path / "lumosx"
    folder.mkdir()
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere").symlink_to(folder / "nothing")
    before = weights_state()
    (folder / "backbone.pth").write_bytes(b"")
    assert weights_state() != before


def test_files_three_folders_deep_count_and_none_below_them(tmp_path):
    folder = tmp_path / "lumosx" / "face_encoder" / "face_encoder" / "deep"
    (folder / "deeper").mkdir(parents=True)
    before = weights_state()
    (folder / "deeper" / "file").write_bytes(b"")
    assert weights_state() == before
    (folder / "file").write_bytes(b"")
    assert weights_state() != before


def test_no_more_than_the_first_files_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(face_models, "_MOST_FILES", 2)
    (tmp_path / "lumosx").mkdir()
    states = [weights_state()]
    for name in "abc":
        (tmp_path / "lumosx" / name).write_bytes(b"")
        states.append(weights_state())
    assert len(set(states)) == 3 and states[2] == states[3]
