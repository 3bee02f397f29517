"""The steps of scoring by the command line, without scoring anything."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.scores import command, video_scores
from lumosx_core.scores.command import BatchResult, score_folder

SCORES = dict.fromkeys(command._MEANS)


def caption(root, name, text="sample;a man"):
    (root / name).mkdir(parents=True)
    (root / name / "caption.txt").write_text(text, encoding="utf-8")


@pytest.fixture
def films(tmp_path):
    """A folder of one video, and one of two cases of which only the first has a video."""
    for name in ("a", "b"):
        caption(tmp_path / "cases", name, f"sample{name};a man")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "samplea.mp4").write_bytes(b"")
    return tmp_path / "films", tmp_path / "cases"


@pytest.fixture
def without_matplotlib(monkeypatch):
    def missing():
        raise LumosXError("plot: matplotlib is not installed.")

    monkeypatch.setattr(command, "matplotlib", missing)


def test_plots_that_cannot_be_made_end_it_before_the_first_case(tmp_path, films, without_matplotlib, monkeypatch):
    scored = []
    monkeypatch.setattr(command, "_scored", lambda name, *_: scored.append(name) or {"case": name, "error": "no"})
    with pytest.raises(LumosXError, match="^plot: "):
        score_folder(*films, None, None, tmp_path / "out", None)
    assert not scored and not (tmp_path / "out").exists()
    result = score_folder(*films, None, None, None, None)
    assert scored == ["a"] and [line["case"] for line in result.lines] == ["a", "b"]
    assert not (tmp_path / "out").exists()


def test_only_a_video_with_files_to_write_needs_plots(tmp_path, without_matplotlib, monkeypatch):
    monkeypatch.setattr(command, "VideoFile", lambda path: path)
    made = SimpleNamespace(notes=("later",))
    monkeypatch.setattr(command, "score_all", lambda *_: made)
    monkeypatch.setattr(command, "replace", lambda scores, notes: (scores, notes))
    case = SimpleNamespace(scene=None, notes=("first",))
    assert command.score_video(tmp_path / "a.mp4", case, None, None, None, None) == (made, ("first", "later"))
    with pytest.raises(LumosXError, match="^plot: "):
        command.score_video(tmp_path / "a.mp4", case, None, None, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("names", "found"), [
    (["b.mp4", "a.MOV", "c.webp", "d.txt"], ["a.MOV", "b.mp4"]), (["b.webp", "a.WebP", "c.txt"], ["a.WebP", "b.webp"]),
    (["c.txt", "webp"], None), ([], None),
])
def test_the_videos_of_a_folder_or_else_its_animated_pictures(tmp_path, names, found):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    if found is None:
        with pytest.raises(LumosXError, match="^video: .*contains no video"):
            command._videos(tmp_path)
    else:
        assert [path.name for path in command._videos(tmp_path)] == found


def test_a_folder_of_videos_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(LumosXError, match="^video: .*none cannot be read .*; give another folder"):
        command._videos(tmp_path / "none")


def test_the_cases_of_a_folder_are_folders_with_a_caption(tmp_path):
    for name in ("b", "a", ".hidden", f"c{command.UNFINISHED}"):
        caption(tmp_path, name, f"sample {name};a man")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("sample;a man", encoding="utf-8")
    caption(tmp_path, "odd", "")
    found = command._cases(tmp_path)
    assert list(found) == ["a", "b", "odd"] and found["a"] == "sample a" and isinstance(found["odd"], LumosXError)
    with pytest.raises(LumosXError, match="^case: .*contains no case"):
        command._cases(tmp_path / "empty")


@pytest.mark.parametrize(("error", "words"), [
    (LumosXError("video: no."), ["video: no."]), (OSError(2, "gone", "/x/a.mp4"), ["a.mp4 cannot be read", "gone"]),
    (OSError("odd"), ["(odd)"]), (OSError(28, "full"), ["(full)"]),
    (ValueError("first\nsecond"), ["ValueError: first)", "convert it"]),
    (ValueError("x" * 201), ["ValueError: " + "x" * 200 + ")"]),
])
def test_whatever_a_video_raises_becomes_a_sentence(tmp_path, error, words):
    with pytest.raises(LumosXError, match="^video: ") as caught, command._in_a_sentence(tmp_path / "film.mp4"):
        raise error
    assert all(word in str(caught.value) for word in words) and "second" not in str(caught.value)


def test_lines_are_kept_one_by_one_and_the_first_begins_anew(tmp_path):
    out = tmp_path / "deep" / "out"
    lines = [{"case": name, "error": "no"} for name in "ab"]
    for _ in range(2):
        for count in (1, 2):
            command._keep(out, lines[:count])
    assert (out / "scores.jsonl").read_text(encoding="utf-8").count("\n") == 2
    assert (out / "means.json").is_file()


@pytest.mark.parametrize(("count", "last"), [
    (1, "Case 0: note 0"), (command._SHOWN_NOTES, f"note {command._SHOWN_NOTES - 1}"),
    (command._SHOWN_NOTES + 1, "And 1 more, all in scores.jsonl."), (command._SHOWN_NOTES + 5, "And 5 more"),
])
def test_no_more_notes_are_shown_than_fit(count, last):
    notes = BatchResult(({"case": "0", "left_out": [f"note {number}" for number in range(count)]},))._notes()
    assert len(notes) == min(count, command._SHOWN_NOTES + 1) and last in notes[-1]


def test_a_note_says_how_many_cases_it_is_about():
    lines = [{"case": name, "left_out": notes} for name, notes in (("1", ["a"]), ("2", ["b", "a"]), ("3", ["a", "b"]))]
    assert BatchResult((*lines, {"case": "4"}))._notes() == [
        "- **Note:** Case 1 and 2 more: a", "- **Note:** Case 2 and 1 more: b",
    ]
    assert BatchResult(lines[:1])._notes() == ["- **Note:** Case 1: a"]


def test_means_are_of_the_cases_with_as_many_people():
    lines = [{"case": name, "people": people, **SCORES, "score": score}
             for name, people, score in (("1", 1, 0.5), ("2", 2, 0.25), ("3", 2, None), ("4", 4, 1.0))]
    means = BatchResult((*lines, {"case": "5", "people": 1, "error": "no"})).means()
    assert {name: (group["cases"], group["score"]) for name, group in means.items()} == {
        "1 person": (1, 0.5), "2 people": (2, 0.25), "3 people": (0, None), "overall": (4, pytest.approx(1.75 / 3)),
    }


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (False, "no"), (0, 0), (0.5, 0.5), (None, None)])
def test_yes_and_no_are_words_in_a_table(value, text):
    assert command._shown(value) == text and type(command._shown(value)) is type(text)


def test_a_cases_line_has_what_was_computed_and_null_for_the_rest():
    nothing = video_scores.VideoScores(2, None, None, None, ("note",))
    line = command._line("1", Path("a.mp4"), nothing)
    assert (line["case"], line["video"], line["people"], line["left_out"]) == ("1", "a.mp4", 2, ["note"])
    assert all(line[name] is None for name in (*command._MEANS, "score_name", "second_score_name", "measure"))
    motion = SimpleNamespace(dynamic=False)
    assert command._line("1", Path("a.mp4"), video_scores.VideoScores(2, None, None, motion))["dynamic"] is False
    attributes = SimpleNamespace(measure="CLIP-I", owners=(), notes=("odd",))
    line = command._line("1", Path("a.mp4"), video_scores.VideoScores(2, None, attributes, None, ("note",)))
    assert (line["measure"], line["left_out"]) == ("CLIP-I", ["note", "odd"])
