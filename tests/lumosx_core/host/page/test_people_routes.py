"""What the page gets about people that are kept, on a real server, and what is refused."""

import io
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request

import pytest
import torch
from PIL import Image

from lumosx_core.people import Person, write_person_folder
from lumosx_core.scene.relations import Kind, Reference, Subject

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def people(server):
    folder = server.base / "models" / "lumosx" / "people"
    hat = Reference(Kind.ATTRIBUTE, "red hat", torch.zeros(1, 300, 200, 3), 2)
    body = Reference(Kind.OBJECT, "man", torch.ones(1, 4, 4, 3), full_body=True)
    write_person_folder(
        Person(Subject(Reference(Kind.FACE, "man", torch.ones(1, 4, 4, 3)), (hat,), body)), folder / "Bob"
    )
    (folder / "Empty").mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ask(server):
    """ask(path, headers={}, **query) -> (status, JSON or bytes)."""
    def send(path, headers={}, **query):
        request = urllib.request.Request(f"{server.url}/lumosx/{path}?{urllib.parse.urlencode(query)}", headers=headers)
        try:
            with _opener.open(request, timeout=60) as answer:
                content = answer.read()
                return answer.status, content if answer.headers["Content-Type"] == "image/png" else json.loads(content)
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {}

    return send


def test_names_words_and_pictures(ask, people):
    assert ask("people") == (200, {"people": ["Bob", "Empty"]})
    status, answer = ask("person", name="Bob")
    assert status == 200 and [tuple(one.values()) for one in answer["references"]] == [
        ("face", "man", 0, False, "face_man.png"), ("attribute", "red hat", 2, False, "red hat.png"),
        ("object", "man", 0, True, "fullbody_man.png"),
    ]
    status, renamed = ask("person", name="Bob", phrase="the pilot", occurrence=1, attribute_phrases="cap")
    assert [(one["phrase"], one["occurrence"]) for one in renamed["references"]] == [
        ("the pilot", 1), ("cap", 0), ("the pilot", 1),
    ]
    for query, colour in (({"file": "red hat.png"}, 0), ({}, 255)):
        status, content = ask("person/picture", name="Bob", **query)
        with Image.open(io.BytesIO(content)) as shown:
            assert status == 200 and shown.size == (128, 128) and shown.getpixel((64, 64)) == (colour,) * 3


@pytest.mark.parametrize(("path", "query", "sentence"), [
    ("person", {}, "person: there is nobody called"),
    ("person", {"name": "../people/Bob"}, "person: there is nobody called"),
    ("person", {"name": "Empty"}, "holds no picture of a person"),
    ("person", {"name": "x" * 1001}, "person: name has more than 1000 characters"),
    ("person", {"name": "Bob", "phrase": "x" * 2001}, "person: phrase has more than"),
    ("person", {"name": "Bob", "attribute_phrases": "x" * 4_001}, "person: attribute_phrases has more than"),
    ("person", {"name": "Bob", "occurrence": "-1"}, "person: occurrence is not a number"),
    ("person", {"name": "Bob", "occurrence": "9" * 5000}, "person: occurrence is not a number"),
    ("person/picture", {"name": "Bob", "file": "person.json"}, "has no picture"),
    ("person/picture", {"name": "Bob", "file": "../Bob/face_man.png"}, "has no picture"),
    ("person/picture", {"name": "Bob", "file": "/etc/passwd"}, "has no picture"),
    ("person/picture", {"name": "nobody"}, "person: there is nobody called"),
])
def test_what_is_refused(ask, people, path, query, sentence):
    status, answer = ask(path, **query)
    assert status == 400 and sentence in answer["error"]


@pytest.mark.parametrize("path", ["people", "person", "person/picture"])
@pytest.mark.parametrize("headers", [
    {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "cross-site"},
])
def test_another_sites_page_gets_nothing(ask, people, path, headers):
    assert ask(path, headers, name="Bob")[0] == 403


def test_a_picture_that_is_no_picture_is_refused(ask, people):
    (people / "Bob" / "red hat.png").write_bytes(b"<script>")
    status, answer = ask("person/picture", name="Bob", file="red hat.png")
    assert status == 400 and "is not a readable picture" in answer["error"]
