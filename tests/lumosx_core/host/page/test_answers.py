"""The routes' answers in this process: the bounds of a question, who may ask, and the names of pictures."""

import asyncio
import gc
import json
import threading
from types import SimpleNamespace

import folder_paths
import pytest

from lumosx_core.cases.description import CaseReference
from lumosx_core.cases.names import CaseNames
from lumosx_core.errors import LumosXError
from lumosx_core.host.media.cases import BUILT_IN, BUILT_INS, STAND_ALONE
from lumosx_core.host.page import routes
from lumosx_core.scene.checks import Deadline

REFERENCE = {"id": "1:face", "kind": "face", "phrase": "red hat", "occurrence": 0, "person": 0, "shown": True}


def ask(**values):
    return routes.answer_board(json.dumps({"prompt": "a red hat", "references": [REFERENCE], **values}).encode())


def with_reference(**values):
    return {"references": [{**REFERENCE, **values}]}


@pytest.mark.parametrize(("values", "refused", "place"), [
    ({"prompt": "a" * 20_000}, {"prompt": "a" * 20_001}, "prompt"),
    ({"references": [{**REFERENCE, "id": str(n)} for n in range(64)]},
     {"references": [{**REFERENCE, "id": str(n)} for n in range(65)]}, "references"),
    (with_reference(phrase="a" * 1000 + " " * 1000), with_reference(phrase="a" * 2001), "references 1 phrase"),
    (with_reference(id="a" * 300), with_reference(id="a" * 301), "references 1 id"),
    (with_reference(file="a" * 1000), with_reference(file="a" * 1001), "references 1 file"),
    (with_reference(occurrence=10**6), with_reference(occurrence=10**6 + 1), "references 1 occurrence"),
    (with_reference(occurrence=0), with_reference(occurrence=-1), "references 1 occurrence"),
    ({"frame": {"width": 16_384, "height": 1}}, {"frame": {"width": 16_385, "height": 1}}, "frame width"),
    ({"frame": {"width": 16_384, "height": 1}}, {"frame": {"width": 16_384, "height": 0}}, "frame height"),
    ({"references": [{**REFERENCE, "id": str(n), "phrase": "a" * 1000} for n in range(20)]},
     {"references": [{**REFERENCE, "id": str(n), "phrase": "a" * 1000} for n in range(20)] + [{
         **REFERENCE, "id": "last", "phrase": "b"}]}, "references"),
    (with_reference(phrase=None), with_reference(phrase=3), "references 1 phrase"),
])
def test_a_question_is_answered_exactly_up_to_its_bounds(values, refused, place):
    assert set(ask(**values)) == {"references", "problems"}
    with pytest.raises(LumosXError, match=f"^board: {place}: "):
        ask(**refused)


def request(*chunks, **headers):
    async def iter_chunked(size):
        for chunk in chunks:
            yield chunk

    return SimpleNamespace(content=SimpleNamespace(iter_chunked=iter_chunked), headers=headers)


def test_a_body_is_read_exactly_up_to_its_bound():
    half = b"x" * (routes.LARGEST_BODY // 2)
    assert asyncio.run(routes._body(request(half, half))) == half + half
    with pytest.raises(LumosXError, match="^board: the request has more than 262144 bytes"):
        asyncio.run(routes._body(request(half, half, b"x")))


@pytest.mark.parametrize(("headers", "own"), [
    ({}, True), ({"Sec-Fetch-Site": "none"}, True), ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": "http://a"}, False), ({"Origin": "http://a", "Host": ""}, False),
    ({"Origin": "http://a", "Host": "a"}, True), ({"Origin": "null", "Host": ""}, False),
    ({"Origin": "http://a", "X-Forwarded-Host": "b, a"}, True),
    ({"Origin": "http://a", "X-Forwarded-Host": ","}, False),
])
def test_a_request_without_a_host_is_of_another_site_if_it_has_an_origin(headers, own):
    assert routes._is_own_page(SimpleNamespace(headers=headers)) == own


@pytest.mark.parametrize(("transport", "gone"), [
    (None, True), (SimpleNamespace(is_closing=lambda: True), True), (SimpleNamespace(is_closing=lambda: False), False),
])
def test_a_client_is_gone_when_its_connection_is(transport, gone):
    assert routes._is_gone(SimpleNamespace(transport=transport)) == gone


def test_a_name_is_taken_exactly_up_to_its_bound():
    assert all(routes.answer_case(name, STAND_ALONE)["people"] for name in BUILT_INS)
    for name, sentence in ((None, "1 to 1000"), ("", "1 to 1000"), ("x" * 1001, "1 to 1000"), ("x" * 1000, "")):
        with pytest.raises(LumosXError, match="^case: ") as refusal:
            routes.answer_case(name)
        assert sentence in str(refusal.value) and ("1 to 1000" in str(refusal.value)) == bool(sentence)
    with pytest.raises(LumosXError, match="^full_body: 'x"):
        routes.answer_case(BUILT_IN, "x" * 99)


def test_pictures_are_named_only_where_the_viewer_finds_them(tmp_path, monkeypatch):
    for name in ("input", "output"):
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    picture, words = CaseReference("subjects/1/hat.png", "hat", 0), CaseReference(None, "hat", 0)
    for kind in ("input", "output"):
        assert routes._image(tmp_path / kind / "case", picture) == {
            "filename": "hat.png", "subfolder": "case/subjects/1", "type": kind,
        }
        assert routes._image(tmp_path / kind / "case", words) is None
    assert routes._image(None, picture) is None and routes._image(tmp_path / "other", picture) is None


def test_pictures_are_not_read_when_their_time_is_over(monkeypatch):
    seen = []
    monkeypatch.setattr(routes, "sketch_of_file", seen.append)
    references = [routes._Reference(**{**REFERENCE, "kind": routes.Kind.FACE, **more}) for more in (
        {"file": "a.png"}, {"file": None}, {"file": ""}, {"file": "b.png", "shown": False}, {"file": "c.png"},
    )]
    assert len(routes._with_pictures(references, Deadline())) == 5 and seen == ["a.png", "c.png"]
    monkeypatch.setattr(routes, "PICTURE_SECONDS", -1.0)
    assert len(routes._with_pictures(references, Deadline())) == 5 and seen == ["a.png", "c.png"]


def test_a_case_is_listed_with_or_without_a_background():
    lamp, park, man = (
        (kind, CaseReference(None, phrase, 2)) for kind, phrase in (
            (routes.Kind.OBJECT, " white  lamp "), (routes.Kind.BACKGROUND, "park"), (routes.Kind.FACE, "man"),
        )
    )
    # Of words only; the board marks them so.
    row = {"occurrence": 2, "full_body": False, "shown": False, "image": None}
    place = {**row, "kind": "background", "phrase": "park"}
    for background, listed in ((None, None), (park, place)):
        assert routes._case(CaseNames("prompt", background, (lamp,), ((man,),)), None) == {
            "prompt": "prompt", "people": [{"references": [{**row, "kind": "face", "phrase": "man"}]}],
            "objects": [{**row, "kind": "object", "phrase": "white lamp"}], "background": listed,
        }


@pytest.mark.slow
def test_how_work_ends_that_nobody_waits_for_is_not_reported(monkeypatch):
    """Python would log an exception that nobody asked for when it forgets the work."""
    monkeypatch.setattr(routes, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(routes, "_is_gone", lambda request: True)
    reported, ended = [], threading.Event()

    def work(deadline):
        ended.wait(5)
        raise ValueError("nobody asks")

    async def ask():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        answer = await routes.Turn._work(None, work, 5)
        ended.set()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)
        gc.collect()
        await asyncio.sleep(0)
        return answer.status

    assert asyncio.run(ask()) == 503 and reported == []
