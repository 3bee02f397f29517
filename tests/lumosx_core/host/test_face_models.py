"""Where ComfyUI's users keep face models."""

from pathlib import Path

import folder_paths
import pytest

from lumosx_core.host.face_models import model_folders


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
