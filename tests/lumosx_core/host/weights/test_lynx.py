"""Which files are Lynx's, where they and the face recogniser are looked for, and what is said when one is missing."""

import folder_paths
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.host.weights import lynx
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS, RESAMPLER
from support.lynx_people import write_adapters


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """models/diffusion_models and models/lumosx, both empty."""
    known = dict(folder_paths.folder_names_and_paths)
    for name in ("lumosx", "facexlib", "facedetection"):
        known.pop(name, None)
    known["diffusion_models"] = ([str(tmp_path / "diffusion_models")], known["diffusion_models"][1])
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    for name in ("diffusion_models", "lumosx"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_the_files_of_both_folders_are_listed_once_and_loaded(folders):
    write_adapters(folders / "diffusion_models")
    names = [f"full_{part}.safetensors" for part in ("ip_layers", "ref_layers", "resampler")]
    (folders / "diffusion_models" / names[2]).rename(folders / "lumosx" / names[2])
    assert lynx.list_adapter_files() == names
    adapters, report = lynx.load_adapters([names[0], lynx.NONE, names[2]])
    assert ID_LAYERS in adapters and RESAMPLER in adapters and REF_LAYERS not in adapters
    lines = report.splitlines()
    assert lines[0].startswith("resampler: 16 tokens of 256 channels") or lines[0].startswith("resampler: ")
    assert lines[0].endswith(f"({names[2]})") and lines[2] == "reference layers: none"
    assert lines[1] == f"ID layers: full, 4 layers for a model that is 256 channels wide ({names[0]})"
    _, whole = lynx.load_adapters(names)
    assert whole.splitlines()[2].startswith("reference layers: 4 layers for a model")


def test_a_file_that_is_not_there_is_named_by_its_input(folders):
    (folders / "diffusion_models" / "folder.safetensors").mkdir()
    for name in ("gone.safetensors", "../lumosx/x.safetensors", "/etc/passwd", "", "folder.safetensors"):
        with pytest.raises(LumosXError, match="^file_2: "):
            lynx.load_adapters([lynx.NONE, name])
        with pytest.raises(LumosXError, match="^file_2: "):
            lynx.adapters_fingerprint([lynx.NONE, name])
    with pytest.raises(LumosXError, match="^file_1: no file is chosen"):
        lynx.load_adapters([lynx.NONE, lynx.NONE])


def test_the_fingerprint_is_that_of_every_chosen_file(folders):
    for name in ("a", "b"):
        (folders / "lumosx" / name).write_text(name)
    assert lynx.adapters_fingerprint([lynx.NONE]) == ""
    one, both = lynx.adapters_fingerprint(["a"]), lynx.adapters_fingerprint(["a", lynx.NONE, "b"])
    assert both.startswith(one) and both.count("\n") == 1
    (folders / "lumosx" / "b").write_text("other")
    assert lynx.adapters_fingerprint(["a"]) == one and lynx.adapters_fingerprint(["a", "b"]) != both


@pytest.mark.parametrize("place", ["lumosx", "facexlib", "facedetection"])
def test_the_recogniser_is_found_where_other_packs_put_it(folders, place):
    with pytest.raises(LumosXError, match=f"^image: .*{lynx.RECOGNISER_FILE}"):
        lynx.recogniser_path()
    (folders / place / lynx.RECOGNISER_FILE).mkdir(parents=True)
    with pytest.raises(LumosXError, match="^image: "):
        lynx.recogniser_path()
    (folders / place / lynx.RECOGNISER_FILE).rmdir()
    (folders / place / lynx.RECOGNISER_FILE).write_bytes(b"")
    assert lynx.recogniser_path() == folders / place / lynx.RECOGNISER_FILE
