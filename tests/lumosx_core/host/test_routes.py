"""The routes on a real server: what the page gets, and what is refused."""

import copy
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from types import SimpleNamespace

import pytest
from PIL import Image

from lumosx_core.host import routes
from lumosx_core.tiny.demo_case import write_demo_case

REFERENCE = {"id": "1:face", "kind": "face", "phrase": "red hat", "occurrence": 0, "person": 0, "shown": True}
GOOD = {"prompt": "\U0001f600 a red hat", "references": [REFERENCE]}
DEMO = "[LumosX demo]"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def ask(server):
    """ask(path, body=None, headers={}) -> (status, JSON)."""
    def send(path, body=None, headers={}):
        request = urllib.request.Request(server.url + path, body, headers)
        try:
            with _opener.open(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text

    return send


@pytest.fixture
def case(ask):
    """case(name) -> (status, JSON)."""
    return lambda name, **more: ask("/lumosx/case?" + urllib.parse.urlencode({"name": name, **more}))


@pytest.fixture
def inputs(server):
    return server.base / "input"


@pytest.mark.parametrize("path", ["/lumosx/board", "/api/lumosx/board"])
def test_the_board_is_answered_in_offsets_of_the_page(ask, path):
    status, answer = ask(path, json.dumps(GOOD).encode())
    assert status == 200 and answer == {
        "references": [{
            "id": "1:face", "status": "found", "ranges": [[5, 12]], "count": 1, "nearest": [], "ambiguous": False,
            "shared_with": [],
        }],
        "people": [{"person": 0, "own_words": True}],
        "warnings": [],
    }
    assert ask(path, json.dumps(GOOD, ensure_ascii=False).encode()) == (200, answer)


def test_other_fields_are_passed_over(ask):
    more = {**GOOD, "version": 2, "references": [{**REFERENCE, "colour": "red"}]}
    assert ask("/lumosx/board", json.dumps(more).encode())[0] == 200
    half = {**GOOD, "prompt": "\ud83d red hat"}
    assert ask("/lumosx/board", json.dumps(half).encode())[1]["references"][0]["ranges"] == [[2, 9]]


def changed(**values):
    request = copy.deepcopy(GOOD)
    request["references"][0].update(values)
    return request


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "board: the request is no JSON"),
        (b"\xff{}", "board: the request is no JSON"),
        (b"[" * 200_000, "board: the request is no JSON"),
        (b"[]", "board: the request is no object with a prompt"),
        ({}, "board: the request is no object with a prompt"),
        ({"references": []}, "board: the request is no object with a prompt"),
        ({"prompt": "a", "references": {}}, "board: the request is no object with a prompt"),
        ({"prompt": 1, "references": []}, "board: prompt is no text of at most 20000 characters"),
        ({"prompt": "a" * 20_001, "references": []}, "board: prompt is no text of at most 20000 characters"),
        ({"prompt": "a", "references": [REFERENCE] * 65}, "board: there are 65 references, but it takes 64"),
        ({"prompt": "a", "references": [REFERENCE] * 2}, "board: two references have the same id"),
        ({"prompt": "a", "references": [3]}, "board: reference 0 is no object"),
        ({"prompt": "{" * 99, "references": []}, "prompt: choices in braces are more than 32 deep"),
        (changed(id=3), "board: id of reference 0 is not a text"),
        (changed(kind="hat"), "board: kind of reference 0 is not one of background, object, face, attribute"),
        (changed(kind=["face"]), "board: kind of reference 0 is not one of"),
        (changed(phrase=None), "board: phrase of reference 0 is not a text"),
        (changed(phrase="a" * 2001), "board: phrase of reference 0 is not a text"),
        (changed(occurrence=True), "board: occurrence of reference 0 is not a whole number"),
        (changed(occurrence=-1), "board: occurrence of reference 0 is not a whole number"),
        (changed(occurrence=1.0), "board: occurrence of reference 0 is not a whole number"),
        (changed(occurrence=float("nan")), "board: occurrence of reference 0 is not a whole number"),
        (changed(occurrence=None), "board: occurrence of reference 0 is not a whole number"),
        (changed(person="0"), "board: person of reference 0 is not a whole number from 0 or null"),
        (changed(shown=1), "board: shown of reference 0 is not true or false"),
        ({"prompt": "a", "references": [{"id": "1"}]}, "board: kind of reference 0 is not one of"),
        (b'{"prompt": "a", "references": [], "x": ' + b"9" * 9000 + b"}", "board: the request is no JSON"),
        (b" " * (256 * 1024 + 1), "board: the request has more than 262144 bytes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_anything_else_is_refused_in_a_sentence(ask, body, sentence):
    status, answer = ask("/lumosx/board", body if isinstance(body, bytes) else json.dumps(body).encode())
    assert status == 400 and list(answer) == ["error"] and answer["error"].startswith(sentence)
    assert "\n" not in answer["error"] and len(answer["error"]) < 300


def test_another_site_may_not_ask(ask):
    body, foreign = json.dumps(GOOD).encode(), {"Origin": "http://example.com"}
    assert ask("/lumosx/board", body, foreign)[0] == 403 == ask("/lumosx/case?name=x", None, foreign)[0]


def test_a_case_is_told_with_pictures_that_the_viewer_shows(case, client, inputs):
    folder = write_demo_case(inputs / "told cases" / "für 男 \U0001f600")
    Image.new("RGB", (2, 2)).save(folder / "objects" / "ein  Hut.png")
    status, answer = case("told cases/für 男 \U0001f600")
    assert status == 200 and answer["prompt"].startswith("A man on the left")
    assert [[one["phrase"] for one in person["references"]] for person in answer["people"]] == [
        ["man on the left", "green jacket", "red hat"], ["woman on the right", "yellow dress"],
    ]
    assert [one["phrase"] for one in answer["objects"]] == ["blue guitar", "ein Hut"]
    face = answer["people"][0]["references"][0]
    subfolder = "told cases/für 男 \U0001f600/subjects/1"
    assert face == {"kind": "face", "phrase": "man on the left", "occurrence": 0, "image": {
        "filename": "face_man on the left.png", "subfolder": subfolder, "type": "input",
    }}
    shown = [answer["background"], *answer["objects"]]
    shown += [one for person in answer["people"] for one in person["references"]]
    assert all(client.view(one["image"]).startswith(b"\x89PNG") for one in shown)


def test_cases_under_the_output_folder_and_the_built_in_one(case, client, server):
    write_demo_case(server.base / "output" / "told")
    _, answer = case("told [output]")
    assert answer["background"]["image"] == {
        "filename": "sunny park.png", "subfolder": "told/background", "type": "output",
    }
    assert client.view(answer["background"]["image"]).startswith(b"\x89PNG")
    status, drawn = case(DEMO)
    assert status == 200 and drawn["prompt"] == answer["prompt"] and drawn["background"]["image"] is None


def test_full_bodies_are_told_if_the_node_takes_them(case, inputs):
    folder = write_demo_case(inputs / "told bodies")
    Image.new("RGB", (2, 2)).save(folder / "subjects/2/fullbody_woman.png")
    assert len(case("told bodies")[1]["objects"]) == 1
    assert case("told bodies", full_body="as stand-alone references")[1]["objects"][1]["phrase"] == "woman"
    assert case("told bodies", full_body="x")[1]["error"].startswith("full_body: 'x' is not known; choose one of")


@pytest.mark.parametrize(
    "name", ["../input", "..", ".", "", "/etc", "a/../..", "../output [input]", "no such", "a\0b", "x" * 5000, "\udc80",
             "~", "..\\..", "C:\\", "//x/y"],
)
def test_a_name_that_is_no_case_is_refused_in_a_sentence(case, name):
    encoded = name.encode("utf-8", "surrogateescape")
    status, answer = case(encoded)
    assert status == 400 and answer["error"].startswith("case: ")


def test_a_missing_name_a_link_and_a_folder_without_caption_are_refused(ask, case, inputs, tmp_path):
    assert ask("/lumosx/case")[0] == 400
    write_demo_case(tmp_path / "elsewhere")
    (inputs / "linked").symlink_to(tmp_path / "elsewhere")
    assert "is not inside ComfyUI's input folder" in case("linked")[1]["error"]
    (inputs / "linked").unlink()
    (inputs / "plain").mkdir(exist_ok=True)
    assert "has no caption.txt" in case("plain")[1]["error"]


def test_registering_needs_no_server_and_happens_once(monkeypatch):
    monkeypatch.delitem(sys.modules, "server", raising=False)
    routes.register()
    table = routes.web.RouteTableDef()
    running = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(routes=table)))
    monkeypatch.setitem(sys.modules, "server", running)
    routes.register()
    routes.register()
    assert [(route.method, route.path) for route in table] == [("POST", "/lumosx/board"), ("GET", "/lumosx/case")]
