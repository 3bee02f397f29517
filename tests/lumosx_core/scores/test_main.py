"""The command line of the scores: what is run for a video and for a folder, and how far it is."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import ModelFolders
from lumosx_core.scores import __main__ as command_line


@pytest.mark.parametrize(("total", "said"), [
    (10, [2, 4, 6, 8, 10]), (5, [1, 2, 3, 4, 5]), (3, [1, 2, 3]), (1, [1]), (11, [3, 5, 7, 9, 11]), (0, []),
])
def test_a_line_is_said_for_each_fifth(capsys, total, said):
    tick = command_line._progress("1", "motion")
    for done in range(12):
        if done <= (total or 12):
            tick(done, total)
            tick(done, total)
    assert capsys.readouterr().err.splitlines() == [f"1 motion {done} of {total} frames" for done in said]


def options(**values):
    given = {
        "mode": "recommended", "every": 2, "order": command_line.AS_IT_STARTS, "video": None, "case": None, "out": None,
        "models": None, "detector": "d", "embedder": "e", "second_embedder": "s", "by": "colour", "locate": "region",
    }
    return argparse.Namespace(**{**given, **values})


@pytest.mark.parametrize("failed", [False, True])
def test_a_folder_goes_with_a_folder_and_a_video_with_a_case(tmp_path, monkeypatch, capsys, failed):
    asked = []

    def score(name, result):
        return lambda *given: asked.append((name, given[:2], given[3].every)) or result

    whole = SimpleNamespace(report=lambda: "all", failed=("1",) if failed else ())
    monkeypatch.setattr(command_line, "_equipment", lambda given: "equipment")
    monkeypatch.setattr(command_line, "load_case", lambda folder: ("case", folder))
    monkeypatch.setattr(command_line, "score_video", score("video", SimpleNamespace(report=lambda: "one")))
    monkeypatch.setattr(command_line, "score_folder", score("folder", whole))
    video = tmp_path / "a.mp4"
    video.write_bytes(b"")
    assert command_line._run(options(video=video, case=tmp_path)) == 0
    assert command_line._run(options(video=tmp_path, case=tmp_path)) == failed
    assert asked == [("video", (video, ("case", tmp_path)), 2), ("folder", (tmp_path, tmp_path), 2)]
    assert capsys.readouterr().out.splitlines() == ["one", "all"]
    with pytest.raises(LumosXError, match="^case: .* is not a folder"):
        command_line._run(options(video=tmp_path, case=video))


@pytest.mark.parametrize(("models", "folders"), [
    (None, ModelFolders()), (Path("m"), ModelFolders((Path("m/insightface"),), (Path("m/lumosx"),))),
])
def test_networks_are_looked_for_where_the_user_says(monkeypatch, models, folders):
    opened = []
    monkeypatch.setattr(command_line, "open_models", lambda *given: given)
    monkeypatch.setattr(command_line, "open_tools", lambda *given: opened.append(given) or "tools")
    monkeypatch.setattr(command_line, "ModelNames", lambda *given: given)
    plan = SimpleNamespace(by="colour", locate="region")
    monkeypatch.setattr(command_line, "AttributePlan", lambda by, locate: plan)
    equipment = command_line._equipment(options(models=models))
    assert equipment.models == (("d", "e", "s"), folders) and opened == []
    assert [equipment.tools() for _ in range(2)] == ["tools"] * 2 and opened == [(plan, folders)]
