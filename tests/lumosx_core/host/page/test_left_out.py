"""Required pictures that the page leaves out of a prompt: which nodes do without, and what is not touched."""

import copy
import sys
from types import SimpleNamespace

import pytest

from lumosx_core.host.page import left_out

LINK = ["1", 0]


def node(kind="LumosX_Object", **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.mark.parametrize("kind", ["LumosX_Object", "LumosX_Background"])
@pytest.mark.parametrize("words", ["lamp", ["2", 0]])
def test_a_node_with_words_gets_a_picture_of_none(kind, words):
    request = {"prompt": {"5": node(kind, phrase=words), "6": node(kind, phrase="hat", image=LINK)}, "client_id": "a"}
    before = copy.deepcopy(request)
    changed = left_out.with_words_alone(request)
    assert changed == {**before, "prompt": {**before["prompt"], "5": node(kind, phrase=words, image=None)}}
    assert request == before


@pytest.mark.parametrize("request_", [
    {"prompt": {"5": node(phrase="  ")}}, {"prompt": {"5": node()}}, {"prompt": {"5": node(phrase=3)}},
    {"prompt": {"5": node(phrase="hat", image=LINK)}}, {"prompt": {"5": node("LoadImage", phrase="hat")}},
    {"prompt": {"5": {"class_type": ["LumosX_Object"], "inputs": {"phrase": "hat"}}}},
    {"prompt": {"5": {"class_type": "LumosX_Object", "inputs": ["phrase"]}}}, {"prompt": {"5": None}},
    {"prompt": ["5"]}, {"prompt": None}, {}, [], None,
])
def test_anything_else_is_left_to_the_host(request_):
    assert left_out.with_words_alone(request_) is request_


def test_the_server_asks_once(monkeypatch):
    handlers = []
    running = SimpleNamespace(on_prompt_handlers=handlers, add_on_prompt_handler=handlers.append)
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=running)))
    left_out.register()
    left_out.register()
    assert handlers == [left_out.with_words_alone]
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace())
    left_out.register()
