"""Identity scores of IMAGE batches under the real host: outputs, files, progress and interrupts."""

import io
import json
import sys
from pathlib import Path

import comfy.model_management
import folder_paths
import numpy as np
import pytest
import torch
from PIL import Image

from host.face_videos import people_of_photograph, still_video
from lumosx_core.errors import LumosXError
from lumosx_core.host.scores import ImageFrames, check_save_name, frame_ticks, score_images
from lumosx_core.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.models import ModelNames
from lumosx_core.scores.summary import IdentityPlan

DLIB = ModelNames(embedder="dlib")


def image_of(frames):
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 255)


@pytest.fixture(scope="module")
def pair():
    return people_of_photograph()[1:3]


@pytest.fixture(scope="module")
def scene(pair):
    return Scene(subjects=tuple(
        Subject(Reference(Kind.FACE, name, image_of([person.picture])))
        for name, person in zip(("woman", "man"), pair)
    ))


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def test_a_swapped_video(scene, pair, output):
    images = image_of(still_video(*pair, frames=6, swap_at=4))
    before = images.clone()
    report, text, plot, annotated, score = score_images(images, scene, IdentityPlan(every=2), DLIB)
    scores = json.loads(text)
    assert scores["switches"]["events"][0] == {"frame": 4, "from": 1, "to": 2}
    assert scores["score"]["value"] == score and f"{score:.3f}" in report and "1 woman -> 2 man" in report
    assert plot.shape == (1, 420, 1000, 3) and plot.min() >= 0 and plot.max() <= 1
    assert annotated.shape == (3, *images.shape[1:]) and annotated.dtype == torch.float32
    # Boxes and names are drawn, the rest is the frame itself.
    changed = (annotated != images[::2]).any(dim=3).float().mean()
    assert 0 < changed < 0.2 and torch.equal(images, before)
    assert list(output.iterdir()) == []


def test_one_frame_works(scene, pair, output):
    _, text, plot, annotated, score = score_images(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), DLIB)
    scores = json.loads(text)
    assert [subject["steadiness"] for subject in scores["subjects"]] == [None, None]
    assert len(plot) == len(annotated) == 1 and score > 0.7


def test_files_are_numbered_and_never_overwritten(scene, pair, output):
    images = image_of(still_video(*pair, frames=1))
    for number in (1, 2):
        report, text, plot, *_ = score_images(images, scene, IdentityPlan(), DLIB, "scores/run")
        stem = f"run_0000{number}_"
        assert f"Saved as scores/{stem}.json and .png" in report
        assert json.loads((output / "scores" / f"{stem}.json").read_text(encoding="utf-8")) == json.loads(text)
        picture = np.asarray(Image.open(output / "scores" / f"{stem}.png"))
        assert np.array_equal(picture, (plot[0] * 255).round().byte().numpy())
    assert len(list((output / "scores").iterdir())) == 4


@pytest.mark.parametrize(
    "name", ["../up", "/etc/scores", "a/../../b", "..", ".", "a\0b", "x" * 200, "x" * 5000, "file/run"]
)
def test_no_name_leaves_the_output_folder_or_fails_after_the_work(output, name):
    (output / "file").write_bytes(b"")
    with pytest.raises(LumosXError, match="^save_as: "):
        check_save_name(name)


@pytest.mark.parametrize("name", ["", "  ", "run", "scores/run", "a/../b", "%year%/run", "..run"])
def test_names_inside_are_taken(output, name):
    check_save_name(name)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_does_not_leave_the_output_folder(output):
    (output / "link").symlink_to(output.parent)
    with pytest.raises(LumosXError, match="is not inside ComfyUI's output folder"):
        check_save_name("link/run")


def test_a_bad_name_and_missing_weights_stop_before_any_frame(scene, output, monkeypatch):
    monkeypatch.setattr(ImageFrames, "__getitem__", lambda *_: pytest.fail("a frame was looked at"))
    images = torch.zeros(2, 64, 64, 3)
    with pytest.raises(LumosXError, match="^save_as: "):
        score_images(images, scene, IdentityPlan(), DLIB, "../up")
    with pytest.raises(LumosXError, match="^embedder: ArcFace IR-100 needs the file .*backbone.pth"):
        score_images(images, scene, IdentityPlan(), ModelNames(embedder="ArcFace IR-100"))


def test_a_missing_second_embedder_is_named_and_the_rest_computed(scene, pair, output):
    names = ModelNames(embedder="dlib", second_embedder="CurricularFace IR-101")
    report, text, *_ = score_images(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), names)
    assert "**Warning:** The second embedder was left out: embedder: CurricularFace IR-101 needs the file" in report
    assert json.loads(text)["second_score"] is None


def test_a_scene_without_a_face_is_refused(output):
    hat = Reference(Kind.ATTRIBUTE, "hat", torch.zeros(1, 8, 8, 3))
    scene = Scene(subjects=(Subject(None, (hat,)), Subject(Reference(Kind.FACE, "man", None), (hat,))))
    with pytest.raises(LumosXError, match="^relations: no subject has a face picture"):
        score_images(torch.zeros(1, 64, 64, 3), scene, IdentityPlan(), DLIB)


def test_an_interrupt_stops_between_frames(scene, pair, output):
    images = image_of(still_video(*pair, frames=2))
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        score_images(images, scene, IdentityPlan(), DLIB, "run")
    assert list(output.iterdir()) == []


def test_ticks_move_the_progress_bar():
    import comfy.utils

    seen = []
    comfy.utils.set_progress_bar_global_hook(lambda done, total, *rest, **more: seen.append((done, total)))
    try:
        tick = frame_ticks()
        for done in range(4):
            tick(done, 3)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    # ComfyUI may leave out some that come close together.
    assert seen[0] == (0, 3) and seen[-1] == (3, 3) and seen == sorted(seen)


def test_frames_are_exact_and_transparency_becomes_white():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    frames = ImageFrames(image_of(pixels))
    assert len(frames) == 2 and np.array_equal(np.stack(list(frames)), pixels)
    clear = ImageFrames(torch.zeros(1, 2, 2, 4))
    assert (clear[0] == 255).all()
    with pytest.raises(LumosXError, match="images: the image holds values that are no numbers"):
        ImageFrames(torch.full((1, 2, 2, 3), float("nan")))[0]


def test_a_plot_file_is_a_png(scene, pair, output):
    score_images(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), DLIB, "run")
    content = Path(output, "run_00001_.png").read_bytes()
    assert Image.open(io.BytesIO(content)).format == "PNG"
