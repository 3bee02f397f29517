"""The command line: with a real server for the language model, a real detector and a tiny OWLv2."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.data import chat
from lumosx_core.data.__main__ import main
from lumosx_core.data.chat import ChatModel
from lumosx_core.media.video import write_video
from support.chat_server import ChatServer
from support.data_stand_ins import Saying
from support.photographs import astronaut_file, read
from support.transformers_folders import write_owl

CAPTION = "A woman in an orange suit smiles beside a white helmet."
ANSWER = {
    "people": [{"box": 1, "words": "woman", "which": 0, "attributes": [{"words": "orange suit", "which": 0}]}],
    "objects": [{"words": "white helmet", "which": 0}], "background": None,
}


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_photographed_woman_with_everything_real(tmp_path, capsys):
    picture = read(astronaut_file())
    frames = [np.ascontiguousarray(picture[:400, shift:shift + 400]) for shift in range(0, 68, 4)]
    write_video(frames, tmp_path / "flight.mp4", 16)
    write_owl(tmp_path / "models" / "lumosx")
    with ChatServer(json.dumps({"caption": CAPTION}), json.dumps(ANSWER)) as server:
        options = [str(tmp_path / "flight.mp4"), str(tmp_path / "out"), "--url", server.url, "--model", "seeing"]
        assert main(["build", *options, "--models", str(tmp_path / "models"), "--flag"]) == 0
        assert len(server.asked) == 2 and CAPTION in server.asked[1]["messages"][0]["content"][-1]["text"]
    (line,) = lines(tmp_path / "out")
    # A random OWLv2 finds things anywhere, so what becomes of the clip is its luck; it has got to the end.
    assert (line["name"], line["reason"] in ("", "nothing to show")) == ("flight_0001", True)
    work = tmp_path / "out" / "work" / "flight" / "0001"
    (person,) = json.loads((work / "people.json").read_text())["result"]["people"]
    left, top, right, bottom = person["faces"]["8"]["box"]
    assert left < 224 - 32 < right and top < 120 < bottom
    said = capsys.readouterr()
    assert said.out.startswith("1 clips: ") and (tmp_path / "out" / "report.html").is_file()


@pytest.fixture
def build(films, tmp_path):
    """build(model, *more): a run of the first film with all stand-ins but the language model."""
    def run(model, *more):
        return main(
            ["build", str(films.paths[0]), str(tmp_path / "out"), "--model", "any", "--least-motion", "0", *more],
            lambda options: replace(films.backends(None), model=model),
        )

    return run


BAD = [
    (["no JSON"], "rejected", "bad answer"), (['{"caption": 3}'], "rejected", "bad answer"),
    ([b"<html>"], "failed", "no language model"), ([500], "failed", "no language model"),
    ([400], "failed", "no language model"),
]


@pytest.mark.slow
def test_every_bad_answer_ends_in_a_reason_and_a_good_one_continues(build, films, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chat, "PAUSE_SECONDS", 0)
    caption = json.dumps({"caption": films.films[0].script.prompt})
    for answers, status, reason in [*BAD, *(([caption, *bad], *end) for bad, *end in BAD)]:
        with ChatServer(*answers) as server:
            # Another name for each, so that what one has said does not count for the next.
            model = ChatModel(server.url, f"{answers}")
            assert build(model) == (1 if status == "failed" else 0)
        (line,) = lines(tmp_path / "out")
        assert (line["status"], line["reason"]) == (status, reason) and line["detail"].endswith(".")
    assert capsys.readouterr().out.count("1 clips: 0 became cases") == 2 * len(BAD)


@pytest.mark.slow
def test_ctrl_c_leaves_a_report_and_says_how_to_continue(build, tmp_path, capsys):
    assert build(Saying(KeyboardInterrupt())) == 130
    assert "Stopped; the same command continues here." in capsys.readouterr().err
    assert "0 clips" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(("more", "sentence"), [
    (["--url", "nowhere"], "--url: nowhere is not the address"),
    (["--key-variable", "LUMOSX_NO_SUCH_KEY"], "--key-variable: LUMOSX_NO_SUCH_KEY is not set"),
    (["--least-seconds", "9", "--most-seconds", "2"], "--most-seconds: it is below --least-seconds"),
    (["--url", "http://127.0.0.1:9/v1"], "--url: model: http://127.0.0.1:9/v1 cannot be reached"),
])
def test_what_is_wrong_shows_before_any_work(tmp_path, capsys, more, sentence):
    (tmp_path / "a.mp4").touch()
    assert main(["build", str(tmp_path), str(tmp_path / "out"), "--model", "any", *more]) == 1
    assert sentence in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_missing_locator_names_its_files(tmp_path, capsys):
    (tmp_path / "a.mp4").touch()
    with ChatServer("fine") as server:
        assert main(["build", str(tmp_path), str(tmp_path / "out"), "--model", "any", "--url", server.url,
                     "--models", str(tmp_path / "models")]) == 1
    assert "OWLv2 has no weights; put model.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--timeout", "0"], ["--least-face", "-1"], ["--least-motion", "nan"],
                                  ["--faces", "eyes"]])
def test_wrong_arguments_leave_with_2(tmp_path, more):
    with pytest.raises(SystemExit, match="2"):
        main(["build", str(tmp_path), str(tmp_path), "--model", "any", *more])
