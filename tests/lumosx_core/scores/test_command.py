"""``python -m lumosx_core.scores`` on one video and on folders, with real faces."""

import json

import pytest
from PIL import Image

from host.face_videos import people_of_photograph, still_video
from lumosx_core.scores.__main__ import main
from lumosx_core.scores.command import BatchResult
from lumosx_core.scores.video import VideoFile, write_video

DLIB = ["--embedder", "dlib"]


def write_case(folder, people, sample):
    for number, person in enumerate(people, 1):
        place = folder / "subjects" / str(number)
        place.mkdir(parents=True)
        Image.fromarray(person.picture).save(place / f"face_person {number}.png")
    (folder / "caption.txt").write_text(f"{sample};person 1 and person 2", encoding="utf-8")


@pytest.fixture
def pair():
    return people_of_photograph()[1:3]


@pytest.fixture
def case(tmp_path, pair):
    write_case(tmp_path / "cases" / "1", pair, "video_person2_002")
    return tmp_path / "cases" / "1"


def test_one_video_into_a_folder(tmp_path, case, pair, capsys):
    write_video(still_video(*pair, frames=6, swap_at=3), tmp_path / "video.mp4", 16.0)
    assert main([str(tmp_path / "video.mp4"), str(case), *DLIB, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "**Likeness by dlib (1 - L2 distance): " in printed.out and "Identity switches: 2" in printed.out
    assert printed.err.splitlines()[-1] == "6 of 6 frames"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotated.mp4", "plot.png", "scores.json"]
    scores = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    assert scores["switches"]["events"][0]["frame"] == 3 and scores["fps"] == 16.0
    assert Image.open(tmp_path / "out" / "plot.png").size == (1000, 420)
    annotated = VideoFile(tmp_path / "out" / "annotated.mp4")
    assert len(list(annotated)) == 6 and annotated.size == (480, 240) and annotated.fps == 16.0


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
    assert means["3 people"] == {"cases": 0, "score": None, "second_score": None, "swap_rate": None, "switches": None}
    assert (out / "1" / "annotated.mp4").is_file() and not (out / "3").exists()
    report = capsys.readouterr().out
    assert "| overall | 2 |" in report and "**Warning:** Case 3 has no score" in report


def test_means_leave_out_what_is_not_there():
    def line(people, score, swap_rate):
        return {"case": "a", "people": people, "score": score, "second_score": None, "swap_rate": swap_rate,
                "switches": 0}

    means = BatchResult((line(1, 0.2, None), line(2, 0.4, 0.5), line(2, 0.8, 0.0), line(5, 1.0, 1.0))).means()
    assert means["1 person"]["swap_rate"] is None and means["2 people"]["score"] == pytest.approx(0.6)
    assert means["overall"]["score"] == pytest.approx(0.6) and means["overall"]["swap_rate"] == 0.5


@pytest.mark.parametrize(
    ("video", "folder", "options", "sentence"),
    [
        ("gone.mp4", "cases/1", [], "video: there is no file"),
        ("video.mp4", "cases/gone", [], "case: there is no folder gone"),
        ("video.mp4", "cases/1", ["--every", "0"], "every_nth_frame: 0 is below 1"),
        ("video.mp4", "cases/1", ["--embedder", "ArcFace IR-100"], "embedder: ArcFace IR-100 needs the file"),
        (".", "cases/gone", [], "is no folder; with a folder of videos"),
        ("cases", "cases", [], "holds no video"),
        (".", "cases/1/subjects", [], "holds no case"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(tmp_path, case, pair, capsys, video, folder, options, sentence):
    write_video(still_video(*pair, frames=1), tmp_path / "video.mp4", 16.0)
    assert main([str(tmp_path / video), str(tmp_path / folder), *DLIB, *options]) == 1
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.out == ""
