"""Checkpoint folders that the loader takes: one file is made of each, once, and again when the folder has changed."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import comfy.model_management
import folder_paths
import pytest
import torch
import torch.distributed.checkpoint as checkpoint
from safetensors.torch import load_file, save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.weights import checkpoints
from lumosx_core.host.weights.checkpoints import (
    check_folder,
    file_of_folder,
    folder_fingerprint,
    folders_among,
    state_of,
)
from lumosx_core.host.weights.converter import list_sources
from lumosx_core.host.weights.loader import check_model, list_models, load_model, model_file_fingerprint
from lumosx_core.weights.convert import convert
from tools.weight_files import small_transformer

NAME = "LumosX_models/"
MADE = "LumosX_models_bf16.safetensors"


@pytest.fixture(scope="module")
def weights():
    return small_transformer()


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder of diffusion models, of this test alone."""
    _, endings = folder_paths.folder_names_and_paths["diffusion_models"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(tmp_path)], endings))
    return tmp_path


@pytest.fixture
def release(models, weights):
    """The release's folder among the models."""
    write(models / "LumosX_models" / "all", weights)
    return models / "LumosX_models"


def write(folder, weights):
    checkpoint.save({"ema": weights, "optim": {"step": 7}}, checkpoint_id=folder, no_dist=True)


def head_bias(path):
    return load_file(path)["head.head.bias"].float()


def test_the_folder_is_listed_and_loads_as_the_file_that_is_made_of_it(models, release, weights):
    assert list_models() == [NAME, MADE]
    check_model(NAME)
    patcher = load_model(NAME)
    assert list_models() == [NAME, MADE] and not list(models.glob("*.part"))
    loaded = patcher.model.diffusion_model.state_dict()["head.head.bias"].float()
    assert torch.equal(loaded, weights["head.head.bias"].bfloat16().float())
    assert torch.equal(head_bias(models / MADE), loaded)


def test_it_is_made_once_and_read_again_only_when_the_folder_was_touched(models, release, monkeypatch):
    file_of_folder(NAME)
    made, told = state_of(models / MADE), []
    monkeypatch.setattr(checkpoints, "progress_bar", lambda: lambda *progress: told.append(progress))
    assert file_of_folder(NAME) == models / MADE and told == []
    for file in (release / "all").iterdir():
        os.utime(file, ns=(1, 1))
    # The same content under another time.
    assert file_of_folder(NAME) == models / MADE and told[-1][0] == told[-1][1] > 0
    assert state_of(models / MADE) == made


@pytest.mark.parametrize("prefix", ["", "sub/folder/"])
def test_the_name_of_the_file_stands_for_the_folder_before_it_is_made(models, weights, prefix):
    """As templates have it, since the page looks for the files of missing models only."""
    write(models / prefix / "LumosX_models" / "all", weights)
    name = prefix + MADE
    assert list_models() == [prefix + NAME, name] and list_sources() == [prefix + NAME]
    check_model(name)
    before = model_file_fingerprint(name)
    load_model(name)
    assert (models / name).is_file() and model_file_fingerprint(name) == before
    write(models / prefix / "LumosX_models" / "all", {**weights, "head.head.bias": weights["head.head.bias"] + 1})
    assert model_file_fingerprint(name) != before
    load_model(name)
    assert torch.equal(head_bias(models / name), (weights["head.head.bias"] + 1).bfloat16().float())
    shutil.rmtree(models / prefix / "LumosX_models")
    check_model(name)
    load_model(name)


def test_the_name_of_another_file_stands_for_itself(models, release, weights):
    save_file(weights, models / MADE)
    (models / "plain").mkdir()
    assert list_models() == [NAME, MADE]
    check_model(MADE)
    before = model_file_fingerprint(MADE)
    os.utime(models / MADE, (1, 1))
    assert model_file_fingerprint(MADE) != before
    with pytest.raises(LumosXError, match="model_name: 'plain_bf16.safetensors' is not in"):
        check_model("plain_bf16.safetensors")


def test_a_changed_folder_is_noticed_and_takes_the_place_of_what_was_made(models, release, weights):
    file_of_folder(NAME)
    before = model_file_fingerprint(NAME)
    assert before == model_file_fingerprint(NAME) == folder_fingerprint(NAME)
    changed = {**weights, "head.head.bias": weights["head.head.bias"] + 1}
    write(release / "all", changed)
    assert model_file_fingerprint(NAME) != before
    check_folder(NAME)
    assert torch.equal(head_bias(file_of_folder(NAME)), changed["head.head.bias"].bfloat16().float())
    assert sorted(path.name for path in models.iterdir()) == ["LumosX_models", MADE]


def test_the_fingerprint_is_the_same_before_and_after_the_file_is_made(release):
    """Otherwise the second run would load and sample again."""
    before = folder_fingerprint(NAME)
    file_of_folder(NAME)
    assert folder_fingerprint(NAME) == before


def test_once_the_file_is_there_the_folder_may_go(models, release):
    file_of_folder(NAME)
    release.rename(models.parent / "elsewhere")
    check_model(NAME)
    assert file_of_folder(NAME) == models / MADE
    folder_fingerprint(NAME)
    (models / MADE).unlink()
    with pytest.raises(LumosXError, match="model_name: 'LumosX_models/' is not in .*Alibaba-DAMO-Academy/LumosX"):
        check_model(NAME)


def test_one_that_convert_weights_made_is_taken(models, release):
    convert(release, models / MADE, "bf16")
    made = state_of(models / MADE)
    assert file_of_folder(NAME) == models / MADE and state_of(models / MADE) == made


@pytest.mark.parametrize("other", ["another model", "another format", "text"])
def test_another_file_of_that_name_is_left_alone(models, release, weights, other):
    if other == "another model":
        save_file(weights, models / MADE)
    elif other == "another format":
        convert(release, models / MADE, "f32")
    else:
        (models / MADE).write_text("mine")
    content = (models / MADE).read_bytes()
    for refuse in (check_model, load_model):
        with pytest.raises(LumosXError, match=f"{MADE}: it already exists"):
            refuse(NAME)
    assert (models / MADE).read_bytes() == content


def test_a_folder_without_its_hidden_file_says_so(models, release):
    (release / "all" / ".metadata").unlink()
    assert list_models() == [NAME]
    for refuse in (check_model, load_model, model_file_fingerprint):
        with pytest.raises(LumosXError, match="LumosX_models.*\\.metadata"):
            refuse(NAME)


def test_a_full_disk_is_noticed_before_anything_is_written(models, release, monkeypatch):
    usage = checkpoints.check_conversion.__globals__["shutil"].disk_usage(models)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    for refuse in (check_model, load_model):
        with pytest.raises(LumosXError, match=f"{MADE}: it needs .* GB and the disk has 0.00 GB left"):
            refuse(NAME)
    assert [path.name for path in models.iterdir()] == ["LumosX_models"]


def test_a_disk_that_gets_full_leaves_nothing(models, release, full_disk):
    with full_disk(100_000), pytest.raises(LumosXError, match=f"{MADE}: cannot be written"):
        file_of_folder(NAME)
    assert [path.name for path in models.iterdir()] == ["LumosX_models"]


def test_an_interrupt_leaves_nothing(models, release):
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        file_of_folder(NAME)
    assert [path.name for path in models.iterdir()] == ["LumosX_models"]


def test_two_at_once_make_one_file_and_both_get_it(models, release, monkeypatch):
    """Both have begun before either ends."""
    both, found = threading.Barrier(2, timeout=60), []

    def progress():
        begun = []
        return lambda *progress: begun or (begun.append(1), both.wait())

    monkeypatch.setattr(checkpoints, "progress_bar", progress)
    threads = [threading.Thread(target=lambda: found.append(file_of_folder(NAME))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [models / MADE] * 2
    assert sorted(path.name for path in models.iterdir()) == ["LumosX_models", MADE]


@pytest.mark.slow
def test_a_kill_leaves_no_file_under_the_name(models, release):
    """What is left is unfinished by its name, and does not disturb the next run."""
    code = (
        "import os, sys; from pathlib import Path; from lumosx_core.weights.convert import convert\n"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), 'bf16', lambda d, t, n: d > 0.8 * t and os._exit(9))"
    )
    root = Path(__file__).parents[4]
    killed = subprocess.run([sys.executable, "-c", code, release, models / MADE], cwd=root, check=False)
    assert killed.returncode == 9 and not (models / MADE).exists()
    assert list_models() == [NAME, MADE]
    (unfinished,) = models.glob("lumosx-*.part")
    os.utime(unfinished, (1, 1))
    # An hour later it is nobody's.
    assert file_of_folder(NAME).is_file() and not unfinished.exists()


def test_the_folder_of_the_packs_other_models_will_do_as_well(models, weights, monkeypatch):
    place = models.parent / "others"
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "lumosx", ([str(place)], set()))
    write(place / "LumosX_models" / "all", weights)
    (place / "clip").mkdir()
    (place / "clip" / "model.safetensors").write_text("of a score")
    assert list_models() == [NAME, MADE] and list_sources() == [NAME]
    check_model(NAME)
    assert file_of_folder(NAME) == place / MADE
    load_model(MADE)


@pytest.mark.parametrize("name", ["../outside/", "/etc/", "/", "//", "a/../../outside/", "gone/", "nul\0/", "\udc80/"])
def test_names_that_lead_nowhere(models, weights, name):
    write(models.parent / "outside", weights)
    for refuse in (check_model, load_model, model_file_fingerprint):
        with pytest.raises(LumosXError, match="model_name: .* is not in ComfyUI's models/diffusion_models"):
            refuse(name)


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        (["a.safetensors", "b/c.gguf"], set()),
        (["x/all/.metadata", "x/all/__0_0.distcp", "x/__0_0.distcp"], {"x/"}),
        (["all/.metadata"], {"all/"}),
        ([".metadata", "__0_0.distcp"], set()),
        (["deep/er/x/.metadata", "y/__0_0.distcp"], {"deep/er/x/", "y/"}),
    ],
)
def test_folders_among_files(files, folders):
    assert folders_among(files) == folders


def test_the_small_model_of_earlier_versions_is_never_the_default(models, weights):
    for name in ("lumosx_tiny_dit.safetensors", "wan2.1_t2v_1.3B.safetensors"):
        save_file(weights, models / name)
    assert list_models()[0] == "wan2.1_t2v_1.3B.safetensors"


@pytest.mark.parametrize("name", ["a\0b", "../a", "/a", "", None, 3, "a/../../b", "\0"])
def test_a_name_that_leads_elsewhere_is_nowhere(name):
    assert checkpoints.places_of(name) == []
    assert {place.name for place in checkpoints.places_of("a/b")} == {"b"}
