"""The routes on a real server: what the page gets, and what is refused."""

import asyncio
import copy
import json
import re
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import folder_paths
import pytest
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.page import routes
from lumosx_core.tiny.demo_case import write_demo_case

REFERENCE = {"id": "1:face", "kind": "face", "phrase": "red hat", "occurrence": 0, "person": 0, "shown": True}
GOOD = {"prompt": "\U0001f600 a red hat", "references": [REFERENCE]}
DEMO = "[LumosX demo]"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def ask(server):
    """ask(path, body=None, headers={}) -> (status, JSON); a body is JSON unless the headers say otherwise."""
    def send(path, body=None, headers={}):
        request = urllib.request.Request(server.url + path, body, {"Content-Type": "application/json", **headers})
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
        "references": [{"id": "1:face", "status": "found", "ranges": [[5, 12]], "count": 1}], "problems": [],
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
        (b"", "board: the request is not JSON"),
        (b"\xff{}", "board: the request is not JSON"),
        (b"[" * 200_000, "board: the request is not JSON"),
        (b"[]", r"board: .*not \[\]"),
        ({}, "board: prompt: .*required"),
        ({"references": []}, "board: prompt: .*required"),
        ({"prompt": "a"}, "board: references: .*required"),
        ({"prompt": "a", "references": {}}, "board: references: .*not {}"),
        ({"prompt": 1, "references": []}, "board: prompt: .*not 1"),
        ({"prompt": "a" * 20_001, "references": []}, "board: prompt: .*20000.* when the node runs"),
        ({"prompt": "a", "references": [REFERENCE] * 65}, "board: references: .*64.* when the node runs"),
        ({"prompt": "a", "references": [REFERENCE] * 2}, "board: references: .*same id"),
        ({"prompt": "a", "references": [3]}, "board: references 1: .*not 3"),
        ({"prompt": "{" * 99, "references": []}, "prompt: choices in braces are more than 32 deep"),
        (changed(id=3), "board: references 1 id: .*not 3"),
        (changed(kind="hat"), "board: references 1 kind: .*object.*not 'hat'"),
        (changed(kind=["face"]), r"board: references 1 kind: .*not \['face'\]"),
        (changed(phrase=7), "board: references 1 phrase: .*not 7"),
        (changed(phrase="a" * 2001), "board: references 1 phrase: .*2000"),
        (changed(occurrence=True), "board: references 1 occurrence: .*not True"),
        (changed(occurrence=-1), "board: references 1 occurrence: .*0, not -1"),
        (changed(occurrence=1.0), "board: references 1 occurrence: .*not 1.0"),
        (changed(occurrence=float("nan")), "board: references 1 occurrence: .*not nan"),
        (changed(occurrence=None), "board: references 1 occurrence: .*not None"),
        (changed(person="0"), "board: references 1 person: .*not '0'"),
        (changed(shown=1), "board: references 1 shown: .*not 1"),
        (changed(full_body=None), "board: references 1 full_body: .*not None"),
        (changed(file=7), "board: references 1 file: .*not 7"),
        (changed(file="a" * 1001), "board: references 1 file: .*1000"),
        (changed(link="a" * 301), "board: references 1 link: .*300"),
        (changed(id="a" * 301), "board: references 1 id: .*300"),
        ({**GOOD, "settled": 1}, "board: settled: .*not 1"),
        ({**GOOD, "frame": {"width": 832}}, "board: frame height: .*required"),
        ({**GOOD, "frame": [832, 480]}, r"board: frame: .*not \[832, 480\]"),
        ({**GOOD, "frame": {"width": 832, "height": 0}}, "board: frame height: .*0, not 0"),
        ({**GOOD, "frame": {"width": 16385, "height": 480}}, "board: frame width: .*16384, not 16385"),
        ({**GOOD, "frame": {"width": 832.0, "height": 480}}, "board: frame width: .*not 832.0"),
        (changed(person=10**6 + 1), "board: references 1 person: .*1000000, not 1000001"),
        ({"prompt": "a", "references": [{**REFERENCE, "id": str(n), "phrase": "a" * 999} for n in range(21)]},
         "board: references: .*20000 characters together"),
        ({"prompt": "a man embedding: red", "references": []}, "prompt: \"embedding:\" has no name"),
        ({"prompt": "a", "references": [{"id": "1"}]}, "board: references 1 kind: .*required"),
        (b'{"prompt": "a", "references": [], "x": ' + b"9" * 9000 + b"}", "board: the request is not JSON"),
        (b" " * (256 * 1024 + 1), "board: the request has more than 262144 bytes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_anything_else_is_refused_in_a_sentence(ask, body, sentence):
    status, answer = ask("/lumosx/board", body if isinstance(body, bytes) else json.dumps(body).encode())
    assert status == 400 and list(answer) == ["error"] and re.match(sentence, answer["error"])
    assert "\n" not in answer["error"] and len(answer["error"]) < 300


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read_since_every_site_can_send_the_rest(ask, kind):
    status, answer = ask("/lumosx/board", json.dumps(GOOD).encode(), {"Content-Type": kind})
    assert status == 415 and answer["error"].startswith("board: the request is not JSON; send it as application/json")
    named = {"Content-Type": "application/json; charset=utf-8"}
    assert ask("/lumosx/board", json.dumps(GOOD).encode(), named)[0] == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "http://example.com"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1.example.com"}, False),
        ({"Origin": "file://"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": ""}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "{own}"}, True),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://localhost", "Host": "localhost"}, True),
        # Behind a proxy that says so, and one that hands the host on.
        ({"Origin": "https://films.example", "Host": "comfy:8188", "X-Forwarded-Host": "films.example"}, True),
        ({"Origin": "https://films.example", "Host": "films.example"}, True),
        ({"Origin": "https://films.example", "Host": "comfy:8188", "X-Forwarded-Host": "other.example"}, False),
        ({"Origin": "https://films.example", "Host": "comfy:8188", "Sec-Fetch-Site": "same-origin"}, True),
    ],
)
def test_only_this_servers_own_page_may_ask(ask, server, headers, allowed):
    headers = {name: value.replace("{own}", server.url) for name, value in headers.items()}
    body = json.dumps(GOOD).encode()
    assert (ask("/lumosx/board", body, headers)[0] == 200) == allowed
    assert (ask("/lumosx/case?" + urllib.parse.urlencode({"name": DEMO}), None, headers)[0] == 200) == allowed
    assert (ask("/lumosx/pace", b'{"runs": []}', headers)[0] == 200) == allowed


def test_what_the_user_allows_by_the_cors_option_is_allowed(monkeypatch):
    def may_ask(allowed, origin):
        options = SimpleNamespace(args=SimpleNamespace(enable_cors_header=allowed))
        monkeypatch.setitem(sys.modules, "comfy.cli_args", options)
        headers = {"Host": "127.0.0.1:8188", "Origin": origin, "Sec-Fetch-Site": "cross-site"}
        return routes._is_own_page(SimpleNamespace(headers=headers))

    assert may_ask("*", "http://any.example") and may_ask("http://mine.example", "http://mine.example")
    assert not may_ask("http://mine.example", "http://other.example") and not may_ask(None, "http://mine.example")


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:8188", "127.0.0.1:8188", True), ("http://127.0.0.1:8188", "127.0.0.1", True),
        ("http://127.0.0.1", "127.0.0.1:8188", True), ("http://Films.example", "films.example", True),
        ("http://127.0.0.1:8188", "127.0.0.1:8189", False), ("http://127.0.0.1:8188", "localhost:8188", False),
        ("http://127.0.0.1:99999", "127.0.0.1:8188", False), ("null", "", False),
        ("http://[::1]:8188", "[::1]:8188", True),
        ("http://films.example.org", "films.example", False),
    ],
)
def test_another_port_is_another_site(origin, host, same):
    """ComfyUI's own check stands in front of this one, but not in every version and setting."""
    assert routes._same_host(origin, host) == same
    request = SimpleNamespace(headers={"Host": host, "Origin": origin, "Sec-Fetch-Site": "cross-site"})
    assert routes._is_own_page(request) == same


def client(is_closing=lambda: False):
    return SimpleNamespace(transport=SimpleNamespace(is_closing=is_closing))


def test_one_who_leaves_holds_nobody_up():
    """The work of a client that is gone is told to end, and the next one gets its turn."""
    ended = []

    def work(deadline):
        try:
            for _ in range(1000):
                deadline.check()
                time.sleep(0.01)
        except LumosXError:
            ended.append(True)
            raise

    async def meet():
        turn = routes.Turn()
        leaving = threading.Event()
        gone, here = client(leaving.is_set), client()
        first = asyncio.ensure_future(turn.answer(gone, work, 30))
        second = asyncio.ensure_future(turn.answer(here, lambda _: {"turn": 2}, 30))
        await asyncio.sleep(0.2)
        assert not first.done() and not second.done()
        leaving.set()
        start = time.monotonic()
        answers = await asyncio.gather(first, second)
        return [answer.status for answer in answers], time.monotonic() - start

    statuses, seconds = asyncio.run(meet())
    assert statuses == [503, 200] and seconds < 5
    assert ended == [True]


def test_questions_of_pages_that_are_gone_are_not_worked_on(ask, server):
    references = [{**REFERENCE, "id": str(n), "phrase": "a man in a red hat " * 16 + str(n)} for n in range(60)]
    body = json.dumps({"prompt": ("a man in a red hat " * 1100)[:20_000], "references": references}).encode()
    start = time.monotonic()
    ask("/lumosx/board", body)
    once = time.monotonic() - start
    address = urllib.parse.urlsplit(server.url)
    for _ in range(25):
        with socket.create_connection((address.hostname, address.port)) as gone:
            head = f"POST /lumosx/board HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
            gone.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    start = time.monotonic()
    assert ask("/lumosx/board", json.dumps(GOOD).encode())[0] == 200
    assert time.monotonic() - start < 10 * once + 1


def test_a_drive_that_does_not_answer_is_not_waited_for():
    async def meet():
        here, stuck = client(), threading.Event()
        try:
            return await routes.Turn().answer(here, lambda _: stuck.wait(60), 0)
        finally:
            stuck.set()

    answer = asyncio.run(meet())
    assert answer.status == 503 and b"there was no answer within 0 seconds" in answer.body


def test_a_crowd_is_turned_away_and_leaves_room_for_the_next():
    async def meet():
        here, turn = client(), routes.Turn()
        asked = [turn.answer(here, lambda _: {}, 30) for _ in range(routes.MOST_WAITING + 3)]
        answers = [answer.status for answer in await asyncio.gather(*asked)]
        return answers, (await turn.answer(here, lambda _: {}, 30)).status

    statuses, later = asyncio.run(meet())
    assert statuses.count(200) == routes.MOST_WAITING and statuses.count(503) == 3 and later == 200


def test_the_largest_question_holds_nobody_up(ask):
    """64 phrases on a prompt of 20,000 letters take a tenth of a second; a busy machine says when it takes too long."""
    prompt = ("a man in a red hat and a woman in blue talk. " * 500)[:20_000]
    references = [{**REFERENCE, "id": str(n), "person": n % 8, "phrase": f"man in a red {n}"} for n in range(64)]
    start = time.monotonic()
    status, answer = ask("/lumosx/board", json.dumps({"prompt": prompt, "references": references}).encode())
    assert time.monotonic() - start < 10
    if status == 200:
        assert [each["status"] for each in answer["references"]] == ["missing"] * 64
    else:
        assert status == 400 and answer["error"].startswith("board: the prompt and the phrases take more than 2")


def picture(inputs, name, image):
    path = inputs / name
    path.parent.mkdir(exist_ok=True)
    image.save(path)
    return name


def codes(ask, *files):
    names = [f"thing {number}" for number in range(len(files))]
    references = [
        {**REFERENCE, "id": name, "person": number, "phrase": name, "file": file}
        for number, (name, file) in enumerate(zip(names, files))
    ]
    status, answer = ask("/lumosx/board", json.dumps({"prompt": None, "references": references}).encode())
    assert status == 200
    return [(each["code"], each["references"]) for each in answer["problems"]]


def test_pictures_in_the_input_folder_are_looked_at(ask, inputs):
    drawn = Image.effect_mandelbrot((320, 240), (-2, -1.2, 1, 1.2), 60).convert("RGB")
    files = [
        picture(inputs, "looked at/one.png", drawn), picture(inputs, "looked at/again.jpg", drawn.resize((400, 300))),
        picture(inputs, "looked at/blank.png", Image.new("RGB", (64, 64), "gray")),
    ]
    assert codes(ask, *files) == [("blank_picture", ["thing 2"]), ("same_picture", ["thing 0", "thing 1"])]
    assert codes(ask, files[0], files[2]) == [("blank_picture", ["thing 1"])]
    example = inputs / "example.png"
    if not example.exists():
        shutil.copy(Path(folder_paths.__file__).parent / "input" / "example.png", example)
    assert codes(ask, "example.png") == [("example_picture", ["thing 0"])]


def test_pictures_of_every_kind_are_looked_at(ask, inputs):
    blank = Image.new("RGB", (320, 240), "gray")
    files = [picture(inputs, f"looked at/kind.{kind}", blank) for kind in ("png", "jpg", "webp", "bmp", "tiff")]
    blank.save(inputs / "looked at" / "stereo.jpg", "MPO", save_all=True, append_images=[blank])
    for file in (*files, "looked at/stereo.jpg"):
        assert codes(ask, file) == [("blank_picture", ["thing 0"])], file


def test_a_picture_that_changes_is_looked_at_again(ask, inputs):
    """Also where its size stays the same, as that of a BMP does."""
    drawn = Image.effect_mandelbrot((320, 240), (-2, -1.2, 1, 1.2), 60).convert("RGB")
    name = picture(inputs, "changing.bmp", Image.new("RGB", (320, 240), "gray"))
    before = (inputs / name).stat().st_size
    assert codes(ask, name) == [("blank_picture", ["thing 0"])]
    picture(inputs, "changing.bmp", drawn)
    assert (inputs / name).stat().st_size == before and codes(ask, name) == []


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "no such.png", "", "a\0b", "looked at", "x" * 900, "\ud83d", "link.png", ".."],
)
def test_files_elsewhere_are_not_read_and_not_mentioned(ask, inputs, tmp_path, name):
    Image.new("RGB", (8, 8)).save(tmp_path / "blank.png")
    link = inputs / "link.png"
    if not link.is_symlink():
        link.symlink_to(tmp_path / "blank.png")
    (inputs / "looked at").mkdir(exist_ok=True)
    assert codes(ask, name) == []


def test_a_case_is_reported_with_pictures_that_the_viewer_shows(case, client, inputs):
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
    assert face == {
        "kind": "face", "phrase": "man on the left", "occurrence": 0, "full_body": False, "shown": True,
        "image": {"filename": "face_man on the left.png", "subfolder": subfolder, "type": "input"},
    }
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


def test_full_bodies_are_reported_if_the_node_takes_them(case, inputs):
    folder = write_demo_case(inputs / "told bodies")
    Image.new("RGB", (2, 2)).save(folder / "subjects/2/fullbody_woman.png")
    assert len(case("told bodies")[1]["objects"]) == 1
    thing, body = case("told bodies", full_body="as stand-alone references")[1]["objects"]
    assert (body["phrase"], body["full_body"], thing["full_body"]) == ("woman", True, False)
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
    assert [(route.method, route.path) for route in table] == [
        ("POST", "/lumosx/board"), ("POST", "/lumosx/pace"), ("GET", "/lumosx/case")
    ]
