"""A batch without a server: how long it waits, what ends a case alone and what ends everything."""

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.runner import run
from lumosx_core.runner.client import Refused, ServerAway
from lumosx_core.runner.journal import Posted
from lumosx_core.runner.outcome import Outcome
from lumosx_core.runner.run import Batch, Settings


@pytest.fixture
def said():
    return []


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves on."""
    here = SimpleNamespace(now=0.0, slept=[])

    def sleep(seconds):
        here.slept.append(seconds)
        here.now += seconds

    monkeypatch.setattr(run.time, "monotonic", lambda: here.now)
    monkeypatch.setattr(run.time, "sleep", sleep)
    return here


@pytest.fixture
def batch(tmp_path, said):
    def make(**settings):
        progress = SimpleNamespace(say=said.append)
        server = SimpleNamespace(url="http://x")
        return Batch(Settings(tmp_path, None, **settings), server, None, None, progress)

    return make


def away(times, answer="answer"):
    """A call that fails so often, then answers."""
    left = [times]

    def call(*arguments):
        left[0] -= 1
        if left[0] >= 0:
            raise ServerAway("gone")
        return answer, *arguments

    return call


def test_an_answer_is_passed_on_without_a_word(batch, clock, said):
    assert batch()._patiently(away(0), 1, 2) == ("answer", 1, 2)
    assert clock.slept == [] and said == []


def test_pauses_grow_up_to_ten_seconds(batch, clock, said):
    assert batch()._patiently(away(7)) == ("answer",)
    assert clock.slept == [1, 2, 4, 8, 10, 10, 10]
    assert len(said) == 2 and said[0].startswith("http://x does not answer (gone); waiting for up to 600 s")


def test_the_last_pause_ends_where_the_wait_does(batch, clock):
    with pytest.raises(LumosXError, match="^server: http://x did not answer for 5 s .gone.; start it"):
        batch(wait=5)._patiently(away(100))
    assert clock.slept == [1, 2, 2]


def test_without_a_wait_it_ends_at_once(batch, clock):
    with pytest.raises(LumosXError, match="did not answer for 0 s"):
        batch(wait=0)._patiently(away(100))
    assert clock.slept == []


@pytest.mark.parametrize(("error", "words"), [
    (LumosXError("case: bad."), "case: bad."), (OSError("odd"), "case: a file of 1 cannot be read (odd)"),
    (OSError(errno.EACCES, "Denied"), "case: a file of 1 cannot be read (Denied)"),
    (KeyError("x"), "case: 1 cannot be run (KeyError: 'x')"),
    (ValueError("y" * 300), f"(ValueError: {'y' * 200})"), (Refused("refused", 404), "refused"),
])
def test_what_goes_wrong_with_a_case_is_its_own_outcome(batch, error, words):
    def call(number):
        assert number == 3
        raise error

    outcome = batch()._for_case("1", call, 3)
    assert isinstance(outcome, Outcome) and words in outcome.error


@pytest.mark.parametrize(("error", "words"), [
    (run.Stop("results: no."), "results: no"), (ServerAway("gone"), "gone"),
    (OSError(errno.ENOSPC, "No space"), "^results: the disk is full .No space."),
])
def test_what_ends_everything_is_no_outcome(batch, error, words):
    def call():
        raise error

    with pytest.raises(Exception, match=words) as raised:
        batch()._for_case("1", call)
    assert not isinstance(raised.value, OSError)


@pytest.mark.parametrize(("number", "kind"), [
    (errno.ENAMETOOLONG, LumosXError), (errno.ENOSPC, run.Stop), (errno.EACCES, run.Stop), (None, run.Stop),
])
def test_only_a_name_that_cannot_be_written_is_the_cases_own_fault(number, kind):
    error = OSError(number, "why") if number else None
    found = run._not_written(Path("a"), error)
    assert type(found) is kind and str(found).startswith("download: a cannot be written (")


@pytest.mark.parametrize(("running", "limit", "seconds", "stopped"), [
    (True, 60, 59.9, False), (True, 60, 60, True), (False, 60, 99, False), (True, None, 999, False),
])
def test_a_case_is_stopped_exactly_at_its_limit(batch, clock, monkeypatch, running, limit, seconds, stopped):
    one, posted = batch(timeout=limit), SimpleNamespace(case="1", prompt_id="id")
    cancelled, written = [], []
    one.server.cancel = cancelled.append
    monkeypatch.setattr(one, "_write", lambda posted, outcome: written.append(outcome.error))
    one._stop_if_too_long(posted, running)
    clock.now += seconds
    one._stop_if_too_long(posted, running)
    assert cancelled == ["id"] * stopped
    assert written == ["It ran longer than 1 minutes and was stopped."] * stopped


def test_outputs_are_fetched_under_the_cases_name(batch, said, tmp_path, monkeypatch):
    one, fetched = batch(), []
    monkeypatch.setattr(one, "_fetch", lambda file, target: fetched.append((file["filename"], target)))
    folder = tmp_path / "out"
    assert one._download("c", ({"filename": "x.MP4"},), folder) == [str(folder / "c.mp4")]
    several = ({"filename": "x.mp4"}, {"filename": "y.sh"}, {"filename": "z.png"})
    assert one._download("c", several, folder) == [str(folder / "c" / "1.mp4"), str(folder / "c" / "3.png")]
    assert len(said) == 1 and "y.sh stays on the server" in said[0] and len(fetched) == 3
    with pytest.raises(LumosXError, match="neither a video nor a picture"):
        one._download("c", ({"filename": "y.sh"},), folder)


@pytest.mark.parametrize(("has_video", "whole", "found"), [
    ([1, 2], [True, True], 2), ([1, 2], [True, False], 1), ([1], [False], None), ([], [], None), ([2], [True], None),
])
def test_the_last_whole_video_counts(batch, monkeypatch, has_video, whole, found):
    one = batch()
    object.__setattr__(one.settings, "graph", SimpleNamespace(video_prefixes=lambda prefix: ["a/b/p"]))
    answers = iter(whole)
    one.server.fetch = lambda file, target: int(file["filename"][2:7]) in has_video
    monkeypatch.setattr(run, "is_whole_mp4", lambda target: next(answers))
    videos = one._finished_videos(SimpleNamespace(prefix="p"))
    assert videos == (() if found is None else (
        {"filename": f"p_{found:05}_.mp4", "subfolder": "a/b", "type": "output"},
    ))


@pytest.mark.parametrize("most", [1, 3])
def test_only_so_many_videos_are_looked_at(batch, monkeypatch, most):
    one, asked = batch(), []
    object.__setattr__(one.settings, "graph", SimpleNamespace(video_prefixes=lambda prefix: ["p"]))
    one.server.fetch = lambda file, target: asked.append(file["filename"]) or True
    monkeypatch.setattr(run, "is_whole_mp4", lambda target: True)
    monkeypatch.setattr(run, "_MOST_VIDEOS", most)
    assert one._finished_videos(SimpleNamespace(prefix="p"))[0]["filename"] == f"p_{most:05}_.mp4"
    assert len(asked) == most
    object.__setattr__(one.settings, "graph", SimpleNamespace(video_prefixes=lambda prefix: None))
    assert one._finished_videos(SimpleNamespace(prefix="p")) == ()


@pytest.mark.parametrize(("posts", "again"), [(0, True), (run.MOST_POSTS - 1, True), (run.MOST_POSTS, False)])
def test_a_lost_prompt_is_posted_again_only_so_often(batch, said, monkeypatch, posts, again):
    one, written, posted = batch(), [], []
    one.journal = SimpleNamespace(posts={"1": posts} if posts else {})
    object.__setattr__(one.settings, "graph", SimpleNamespace(sha256="new", seed=7))
    monkeypatch.setattr(one, "_finished_videos", lambda posted: ())
    monkeypatch.setattr(one, "_write", lambda posted, outcome: written.append(outcome.error))
    monkeypatch.setattr(one, "_post", posted.append)
    one._running_since["1"] = 3.0
    lost = Posted("1", "1", "0f8fad5b-d9cb-469f-a165-70867728950e", "p", "old", 5)
    one._recover(lost)
    assert len(posted) == again and len(written) == (not again)
    if again:
        assert (posted[0].workflow, posted[0].seed) == ("new", 7) and one._running_since == {}
    else:
        assert written[0].startswith(f"The server lost it {run.MOST_POSTS} times")


def test_a_lost_prompt_whose_video_is_whole_is_done(batch, monkeypatch):
    one, written = batch(), []
    monkeypatch.setattr(one, "_finished_videos", lambda posted: ({"filename": "a.mp4"},))
    monkeypatch.setattr(one, "_write", lambda posted, outcome: written.append(outcome.outputs))
    one._recover(SimpleNamespace(case="1"))
    assert written == [({"filename": "a.mp4"},)]


@pytest.mark.parametrize(("error", "download", "fetched", "status"), [
    ("", True, ["v.mp4"], "done"), ("", False, [], "done"), ("It failed.", True, [], "failed"),
    ("", OSError(28, "full"), [], "failed"),
])
def test_what_a_case_made_is_fetched_unless_it_failed(batch, monkeypatch, tmp_path, error, download, fetched, status):
    one = batch(download=tmp_path if download else None)
    lines, asked, dropped, ended = {}, [], [], []

    def fetch(call, case, *arguments):
        asked.append(case)
        return Outcome("no.") if isinstance(download, OSError) else ["v.mp4"]

    one.results = SimpleNamespace(add=lambda line: lines.update({line["case"]: line}), lines=lines)
    one.journal = SimpleNamespace(drop=dropped.append)
    one.progress.ended = lambda line, count: ended.append((line["case"], count))
    one._running_since["1"] = one._unknown_since["1"] = 3.0
    monkeypatch.setattr(one, "_for_case", lambda case, call, *given: fetch(call, case, *given))
    posted = Posted("1", "name", "0f8fad5b-d9cb-469f-a165-70867728950e", "p", "sha", 5)
    one._write(posted, Outcome(error, ({"filename": "v.mp4"},), 1000, 3000))
    line = lines["1"]
    assert (line["status"], line["downloaded"], line["workflow"], line["seed"]) == (status, fetched, "sha", 5)
    assert line["error"] == (error or (None if status == "done" else "Its output cannot be fetched: no."))
    assert line["outputs"] == [{"filename": "v.mp4"}] and type(line["outputs"]) is list and line["seconds"] == 2
    assert asked == ["1"] * bool(download and not error) and dropped == ["1"] and ended == [("1", 1)]
    assert not one._running_since and not one._unknown_since


@pytest.mark.parametrize(("root", "folder"), [("/", "cases"), ("/x/my cases", "my_cases"), ("/x/a-B_3", "a-B_3")])
def test_a_batchs_folder_on_the_server_is_named_after_its_root(said, root, folder):
    server, progress = SimpleNamespace(url="http://x"), SimpleNamespace(say=said.append)
    one = Batch(Settings(Path(root), None), server, None, None, progress)
    assert one._folder.name == folder


def test_a_root_that_is_no_folder_and_one_that_is_a_case_are_told_apart(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(LumosXError, match="^ROOT: there is no folder"):
            run.find_cases(path)
    with pytest.raises(LumosXError, match="^ROOT: no folder in .* has a caption.txt"):
        run.find_cases(tmp_path)
    for name in ("10", "2", ".hidden", "a.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "caption.txt").write_bytes(b"a;b")
    (tmp_path / "other").mkdir()
    assert run.find_cases(tmp_path) == (["2", "10"], ["a.part", "other"])
    with pytest.raises(LumosXError, match="^ROOT: .* is itself a case"):
        run.find_cases(tmp_path / "2")
