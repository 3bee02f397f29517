"""Which sources and names LumosX Convert Weights takes, and where a new file goes, with real files."""

import comfy.quant_ops
import comfyui_version
import folder_paths
import pytest
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.weights import converter
from tools.stand_ins import hide_for
from tools.weight_files import small_transformer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """models/diffusion_models beside the old models/unet, which comes first."""
    known = dict(folder_paths.folder_names_and_paths)
    places = [str(tmp_path / name) for name in ("unet", "diffusion_models")]
    known["diffusion_models"] = (places, known["diffusion_models"][1])
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    (tmp_path / "unet").mkdir()
    return tmp_path / "diffusion_models"


@pytest.mark.parametrize("name", [
    "a", " a ", "a.safetensors", "a.GGUF", "x" * 150, "ä" * 100, "a b-c_d", "v1.3B", "console", "a.safetensors.gguf",
])
def test_plain_names_are_taken(name):
    converter.check_name(name)


@pytest.mark.parametrize("name", [
    "", "  ", ".a", "a/b", "a\\b", "x" * 151, "ä" * 101, "con", "AUX.txt", "a:b", "a\x00b", "a\nb", None, 3,
    "a-00001-of-00002", "a-00001-of-00002.gguf", "..",
])
def test_other_names_are_refused(name):
    with pytest.raises(LumosXError, match="^file_name: "):
        converter.check_name(name)


@pytest.mark.parametrize(("to", "name", "file"), [
    ("bf16", " a ", "a.safetensors"), ("q8_0", "a.safetensors", "a.gguf"), ("fp8_scaled", "a.GGUF", "a.safetensors"),
])
def test_a_new_file_lies_in_the_folder_of_todays_name(folder, to, name, file):
    assert converter.target_path(to, name) == folder / file and folder.is_dir()


def test_where_there_is_only_another_folder_it_lies_there(folder, monkeypatch):
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda name: [str(folder.parent / "unet"), "elsewhere"])
    assert converter.target_path("bf16", "a") == folder.parent / "unet" / "a.safetensors"


def test_a_file_is_made_once_and_listed(folder):
    save_file(small_transformer(), folder.parent / "unet" / "source.safetensors")
    name, report = converter.convert_weights("source.safetensors", "bf16", "made")
    assert name == "made.safetensors" and report.startswith(f"{folder / name}: bf16")
    before = (folder / name).stat().st_mtime_ns
    again, report = converter.convert_weights("source.safetensors", "bf16", "made")
    assert again == name and "already exists" in report and (folder / name).stat().st_mtime_ns == before
    assert converter.list_sources() == ["made.safetensors", "source.safetensors"]
    save_file({name: tensor + 1 for name, tensor in small_transformer().items()}, folder / "other.safetensors")
    with pytest.raises(LumosXError, match="^file_name: |made.safetensors"):
        converter.convert_weights("other.safetensors", "bf16", "made")
    assert (folder / name).stat().st_mtime_ns == before


def test_a_source_that_is_not_there_is_named_by_its_input(folder):
    for name in ("gone.safetensors", "../secret", "", None):
        with pytest.raises(LumosXError, match="^source: "):
            converter.source_path(name)


def test_an_index_of_parts_is_a_source_and_other_files_are_none(folder):
    for name in ("m.safetensors.index.json", "notes.txt", "notes.json"):
        (folder.parent / "unet" / name).write_bytes(b"{}")
    assert converter.list_sources() == ["m.safetensors.index.json"]


@pytest.mark.parametrize(("to", "name"), [("int8", "int8_tensorwise"), ("nvfp4", "nvfp4")])
def test_a_format_that_this_comfyui_cannot_use_is_refused_first(folder, monkeypatch, to, name):
    def refused():
        with pytest.raises(LumosXError, match="^format: ") as caught:
            converter.convert_weights("gone.safetensors", to, "new")
        return str(caught.value)

    if name not in comfy.quant_ops.QUANT_ALGOS:
        assert f"this ComfyUI ({comfyui_version.__version__}) cannot compute in {to}; update ComfyUI" in refused()
        monkeypatch.setitem(comfy.quant_ops.QUANT_ALGOS, name, {})
    hide_for(monkeypatch, ["comfy_kitchen"])
    assert "comfy-kitchen is not installed; run " in refused()
    for known in ("fp8_scaled", "q8_0", "bf16"):
        converter.check_format(known)
