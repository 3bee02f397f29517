"""Drawn films through all stages: the script's relations come out, whatever a language model says."""

import json
import shutil
from dataclasses import replace

import av
import numpy as np
import pytest

from benchmarks import data_pipeline
from lumosx_core.cases import load_case
from lumosx_core.data import build as build_module
from lumosx_core.data import work
from lumosx_core.data.backends import ModelFailed
from lumosx_core.data.build import FAILED, MADE, REJECTED, Build, check_out, find_videos
from lumosx_core.data.progress import _Lines
from lumosx_core.errors import LumosXError
from lumosx_core.media.video import VideoFile, write_video
from support.data_stand_ins import DRAWN, Saying
from tools.drawn_data import OWNER_FAULTS, ScriptedModel, relations_of, spoil, true_answer


@pytest.fixture
def run(films, tmp_path):
    """run(model, paths): a build of the films, or of other files."""
    def start(model, paths=None, settings=DRAWN):
        build = Build(tmp_path / "out", films.backends(model), settings, _Lines())
        build.run(films.paths if paths is None else paths)
        return build.outcomes

    return start


@pytest.fixture
def done(monkeypatch):
    """The names of the stages that have done work, in order."""
    names, write_mark = [], work.write_mark

    def write(folder, name, mark):
        names.append(name)
        write_mark(folder, name, mark)

    monkeypatch.setattr(work, "write_mark", write)
    return names


@pytest.mark.slow
def test_right_answers_give_the_scripts_relations_and_a_second_run_does_nothing(films, built, run, tmp_path, done):
    shutil.copytree(built, tmp_path / "out")
    model = ScriptedModel(films)
    outcomes = run(model)
    assert model.asked == 0 and done == []
    for outcome, film in zip(outcomes, films.films):
        case = load_case(tmp_path / "out" / "cases" / outcome.name)
        assert outcome.status == MADE and relations_of(case) == film.relations and case.prompt == film.script.prompt
        info = json.loads((tmp_path / "out" / "work" / outcome.name.removesuffix("_0001") / "0001" / "record"
                           / "info.json").read_text())
        tags = info["word_tags_path"]
        assert [next(iter(person["subject"])) for person in tags["person"]] == [words for words, _ in film.relations[0]]
        assert info["selected_frames"] == [1, 8, 15]
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [MADE] * len(films.films)
    # One file less: one stage more, and what did not change is not done again.
    (tmp_path / "out" / "work" / "film_000" / "0001" / "people.json").unlink()
    run(model)
    assert done == ["people"] and model.asked == 0


@pytest.mark.slow
def test_of_eight_films_every_case_has_the_scripts_relations():
    """As the benchmark does for hundreds: half of the owners are wrong, a third of the first answers break a rule."""
    summary = data_pipeline.summary_of(data_pipeline.measure(range(100, 108), 0.5, 0.3, frames=17))
    assert summary["clips"] == 8 and summary["made"] == summary["exact"] == summary["no_wrong_one"] >= 3
    assert summary["wrong"] == summary["caught"] >= 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", OWNER_FAULTS)
def test_a_wrong_owner_never_becomes_a_case(films, built, run, tmp_path, fault):
    shutil.copytree(built, tmp_path / "out")
    for old in (tmp_path / "out").glob("work/*/*/entities.json"):
        old.unlink()

    class Wrong(ScriptedModel):
        def ask(self, messages, schema):
            film, _ = self._films.find(messages[0].pictures[0])
            answer = true_answer(film)
            if "caption" in schema["properties"] or not spoil(answer, fault, np.random.default_rng(0)):
                return super().ask(messages, schema)
            self.faults[film.script.prompt] = fault
            return json.dumps(answer)

    model = Wrong(films)
    outcomes = run(model)
    wrong = {outcome.name: model.faults[film.script.prompt] for outcome, film in zip(outcomes, films.films)}
    assert fault in wrong.values()
    assert {outcome.name: outcome.status for outcome in outcomes} == {
        name: REJECTED if found else MADE for name, found in wrong.items()
    }
    assert {outcome.reason for outcome in outcomes} <= {"", "owners disagree", "bad answer"}
    assert {path.name for path in (tmp_path / "out" / "cases").iterdir()} == {
        name for name, found in wrong.items() if not found
    }


@pytest.mark.slow
def test_ctrl_c_and_a_model_that_fails_leave_what_is_done(films, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Saying({"caption": films.films[0].script.prompt}, KeyboardInterrupt()))
    assert (tmp_path / "out" / "work" / "film_000" / "0001" / "caption.json").is_file()
    failing = Saying(*[ModelFailed("model: away.", away=True)] * 3)
    outcomes = run(failing, [films.paths[0]] * 1)
    assert [(one.status, one.reason, one.detail) for one in outcomes] == [(FAILED, "no language model", "model: away.")]
    model = ScriptedModel(films)
    # The caption is there, as long as it is the same model.
    model.name = failing.name
    assert run(model, [films.paths[0]])[0].status == MADE and model.asked == 1


def test_a_model_that_is_away_is_not_asked_forever():
    model = Saying(*[ModelFailed("away", away=True)] * 2, "here", *[ModelFailed("away", away=True)] * 3)
    patient, said = build_module._Patient(model), []
    for _ in range(8):
        try:
            said.append(patient.ask([], {}))
        except ModelFailed as error:
            said.append(str(error).split()[0])
    assert said == ["away", "away", "here", "away", "away", "away", "model:", "model:"] and len(model.asked) == 6


def noise(width, height, count=20):
    random = np.random.default_rng(1)
    return [np.kron(random.integers(0, 255, (height // 8, width // 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(count)]


def write_8k(path):
    """Two frames of 7680 x 4320 in two seconds, without the encoder's care, which takes long."""
    light = np.tile(np.linspace(0, 200, 7680, dtype=np.uint8)[None, :, None], (4320, 1, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuv420p"
        for pixels in (light, light + 10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.slow
def test_every_bad_video_ends_in_a_reason(films, run, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "broken.mp4").write_bytes(b"\x00" * 3000)
    (videos / "empty.mp4").touch()
    write_video(noise(320, 240), videos / "nobody.mp4", 16)
    write_8k(videos / "large_8k.mp4")
    (videos / "folder.mp4").mkdir()

    class Nobody:
        name = "nobody"

        def detect(self, pixels):
            return []

    build = Build(tmp_path / "out", replace(films.backends(Saying()), faces=Nobody()), DRAWN, _Lines())
    build.run(find_videos(videos))
    assert {one.video: (one.status, one.reason) for one in build.outcomes} == {
        "broken.mp4": (REJECTED, "unreadable video"), "empty.mp4": (REJECTED, "unreadable video"),
        "folder.mp4": (REJECTED, "unreadable video"), "nobody.mp4": (REJECTED, "no people"),
        "large_8k.mp4": (REJECTED, "no people"),
    }
    assert VideoFile(tmp_path / "out" / "work" / "large_8k" / "0001" / "clip.mp4").size == (1280, 720)


def test_names_are_plain_and_none_is_there_twice(tmp_path):
    paths = [tmp_path / name for name in ("a b.mp4", "A.mp4", "a.mov", "..mp4", "con.mp4", "ü;x.mp4")]
    names = build_module._names(paths)
    assert names[:2] == ["a_b", "A"] and names[2].startswith("a_") and names[4:] == ["_con", "ü_x"]
    assert len({name.casefold() for name in names}) == len(names)


def test_a_folder_with_other_things_is_refused(tmp_path):
    check_out(tmp_path / "new")
    check_out(tmp_path)
    (tmp_path / "precious.txt").touch()
    for wrong in (tmp_path, tmp_path / "precious.txt"):
        with pytest.raises(LumosXError, match="out: .* contains other things"):
            check_out(wrong)
    (tmp_path / "results.jsonl").touch()
    check_out(tmp_path)


def test_a_folder_without_videos_is_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    for wrong in (tmp_path, tmp_path / "gone"):
        with pytest.raises(LumosXError, match="^videos: "):
            find_videos(wrong)
    (tmp_path / "b.MP4").touch()
    assert [path.name for path in find_videos(tmp_path)] == ["b.MP4"]
