"""What nodes check and fingerprint before they run, in this process and with values that come by a link."""

import asyncio
import inspect
import sys
from types import SimpleNamespace

import pytest
from comfy_api.latest import io


@pytest.fixture(scope="module")
def module(pack):
    """module(name): a module of the pack's nodes, as the host loads it."""
    return lambda name: sys.modules[f"{pack}.nodes.{name}"]


@pytest.fixture(scope="module")
def node(pack):
    """node(id): a node's class."""
    extension = sys.modules[pack].comfy_entrypoint()
    if inspect.isawaitable(extension):
        extension = asyncio.run(extension)
    found = {one.GET_SCHEMA().node_id: one for one in asyncio.run(extension.get_node_list())}
    return found.__getitem__


def answer(node, **values):
    said = node.validate_inputs(**values)
    return asyncio.run(said) if inspect.isawaitable(said) else said


@pytest.mark.parametrize(("value", "words"), [
    (0, None), (10, None), (-1, "must be from 0 to 10; use 0"), (11, "must be from 0 to 10; use 10"),
    (3.0, None), (3.5, "is not a whole number"), (True, None), ("3", "is not a whole number"),
    (None, "is not a whole number"),
])
def test_a_whole_number_is_taken_exactly_up_to_its_bounds(module, value, words):
    check, widget = module("base")._check_number, io.Int.Input("steps", min=0, max=10)
    if words is None:
        check(widget, value)
    else:
        with pytest.raises(ValueError, match=f"^steps: .*{words}"):
            check(widget, value)


@pytest.mark.parametrize(("low", "high", "value", "fits"), [
    (0.5, 1.0, 0.5, True), (0.5, 1.0, 1.0, True), (0.5, 1.0, 0.4999, False), (0.5, 1.0, 1.0001, False),
    (None, 1.0, -1e9, True), (0.5, None, 1e9, True), (None, None, float("nan"), False),
])
def test_a_fraction_is_taken_exactly_up_to_its_bounds(module, low, high, value, fits):
    check, widget = module("base")._check_number, io.Float.Input("cfg", min=low, max=high)
    if fits:
        check(widget, value)
    else:
        with pytest.raises(ValueError, match="^cfg: "):
            check(widget, value)


@pytest.mark.parametrize(("name", "fits"), [
    ("a" * 255, True), ("a" * 256, False), ("b/" + "a" * 255, True), ("b/" + "a" * 256, False), ("a\0", False),
    ("b\\\\" + "a" * 256, False), ("ä" * 127, True), ("ä" * 128, False),
])
def test_a_file_name_has_parts_that_a_disk_takes(module, name, fits):
    base = module("base")
    assert base._LONGEST_NAME == 255
    if fits:
        base._check_path("file", name)
    else:
        with pytest.raises(ValueError, match="^file: .* cannot be a file name"):
            base._check_path("file", name)


def test_a_path_is_no_longer_than_a_system_takes(module, monkeypatch):
    base = module("base")
    monkeypatch.setattr(base, "_LONGEST_PATH", 5)
    base._check_path("file", "a/b/c")
    with pytest.raises(ValueError, match="^file: "):
        base._check_path("file", "a/b/cd")


@pytest.mark.parametrize(("value", "shown"), [
    (1, "1"), ("a", '"a"'), ("\n", "'\\n'"), (None, "None"),
])
def test_how_a_value_is_shown(module, value, shown):
    base = module("base")
    assert base._shown(value) == shown
    assert base._shown("x" * 999).endswith("…") and len(base._shown("x" * 999)) == base._SHOWN + 1
    assert base._shown("x" * (base._SHOWN - 2)) == f'"{"x" * (base._SHOWN - 2)}"'
    assert base._shown(base._LARGEST_SHOWN).startswith("1000")
    assert base._shown(base._LARGEST_SHOWN + 1) == base._shown(-base._LARGEST_SHOWN - 1) == "a very long number"


@pytest.mark.parametrize(("given", "taken"), [
    ({"one": [3]}, {"one": 3}), ({"one": []}, {"one": None}), ({"one": 3}, {"one": 3}),
    ({"many": [1, 2]}, {"many": [1, 2]}), ({"one": (3,)}, {"one": 3}), ({"one": [1, 2]}, None),
])
def test_single_values_out_of_lists(module, monkeypatch, given, taken):
    base, cls = module("base"), SimpleNamespace(LISTS=frozenset({"many"}))
    monkeypatch.setattr(base, "_schema", lambda cls: SimpleNamespace(is_input_list=True))
    if taken is None:
        with pytest.raises(ValueError, match="^one: 2 values came through the link"):
            base._without_lists(cls, given)
    else:
        assert base._without_lists(cls, given) == taken
    monkeypatch.setattr(base, "_schema", lambda cls: SimpleNamespace(is_input_list=False))
    assert base._without_lists(cls, given) is given


@pytest.mark.parametrize(("values", "words"), [
    ({"steps": 4, "start_step": 3, "end_step": 4}, None), ({"steps": 4, "start_step": 0, "end_step": 1}, None),
    ({"steps": 4, "start_step": 4, "end_step": 9}, "start_step: 4 "),
    ({"steps": 4, "start_step": 1, "end_step": 1}, "start_step: 1 "),
    ({"steps": 4, "start_step": None, "end_step": 1}, None), ({"steps": None, "start_step": 9, "end_step": 1}, None),
    ({"steps": 4, "start_step": -1, "end_step": 1}, "start_step: -1 must"),
    ({"steps": 4, "start_step": 0, "end_step": 0}, "end_step: 0 must"),
    ({"steps": 0, "start_step": 0, "end_step": 1}, "steps: 0 "),
])
def test_a_part_of_a_run_is_checked_when_all_of_it_is_known(node, values, words):
    found = answer(node("LumosX_Sampler"), denoise=1.0, schedule="release", **values)
    assert found is True if words is None else found.startswith(words)


@pytest.mark.parametrize(("values", "words"), [
    ({"blocks": "0-3", "rows": "0"}, None), ({"blocks": "x"}, "blocks: "), ({"rows": "x"}, "rows: "), ({}, None),
    ({"start_percent": 0.5, "end_percent": 0.5}, None), ({"start_percent": 0.6, "end_percent": 0.5}, "end_percent: "),
    ({"start_percent": None, "end_percent": 0.5}, None), ({"start_percent": 0.6, "end_percent": None}, None),
    ({"blocks": None, "rows": "x", "start_percent": 0.6, "end_percent": 0.5}, "rows: "),
])
def test_where_lynx_works_is_checked_as_far_as_it_is_known(node, values, words):
    found = answer(node("LumosX_Lynx"), **values)
    assert found is True if words is None else found.startswith(words)


def test_files_of_lynx_are_fingerprinted_when_all_are_known(node, module, monkeypatch):
    asked = []
    monkeypatch.setattr(module("lynx"), "adapters_fingerprint", lambda names: asked.append(list(names)) or "print")
    loader = node("LumosX_LynxLoader")
    assert loader.fingerprint_inputs("a", None, "none") == "" == loader.fingerprint_inputs(None) and asked == []
    assert loader.fingerprint_inputs("a") == "print" and asked == [["a", "none", "none"]]
    assert answer(loader, file_1=None, file_2="gone") is True
    assert answer(loader, file_1="gone.safetensors").startswith("file_1: ")


@pytest.mark.parametrize(("detector", "state"), [("CenterFace", ""), ("InsightFace", "state"), (None, "state")])
def test_the_weights_of_a_detector_count_where_it_has_any(node, module, monkeypatch, detector, state):
    monkeypatch.setattr(module("lynx"), "weights_state", lambda: "state")
    assert node("LumosX_LynxIdentity").fingerprint_inputs(detector, name="x") == state


@pytest.mark.parametrize(("id", "name", "function", "where"), [
    ("LumosX_LoadLynxIdentity", "card", "card_fingerprint", "lynx"),
    ("LumosX_PolyVivid", "adapter", "adapter_fingerprint", "polyvivid"),
    ("LumosX_LoadPerson", "person", "person_fingerprint", "people"),
    ("LumosX_ModelLoader", "model_name", "model_file_fingerprint", "loader"),
])
def test_a_file_that_comes_by_a_link_has_no_fingerprint_yet(node, module, monkeypatch, id, name, function, where):
    monkeypatch.setattr(module(where), function, lambda value: f"print of {value}")
    assert node(id).fingerprint_inputs(**{name: None}) == ""
    assert node(id).fingerprint_inputs(**{name: "a"}) == "print of a"


@pytest.mark.parametrize(("values", "words"), [
    ({"layers": "0-3"}, None), ({"layers": "x"}, "layers: "), ({"layers": None, "adapter": None}, None),
    ({"adapter": "gone.safetensors", "layers": None}, "adapter: "), ({"strength": float("nan")}, "strength: "),
    ({"strength": -99.0, "layers": "x"}, "strength: "),
])
def test_an_adapter_and_its_layers_are_checked_apart(node, values, words):
    found = answer(node("LumosX_PolyVivid"), **values)
    assert found is True if words is None else found.startswith(words)


@pytest.mark.parametrize(("values", "words"), [
    ({"source": None, "file_name": "a"}, None), ({"source": None, "file_name": "a/b"}, "file_name: "),
    ({"source": "gone", "file_name": None}, "source: "), ({"source": None, "file_name": None}, None),
])
def test_a_conversion_is_checked_as_far_as_it_is_known(node, values, words):
    found = answer(node("LumosX_ConvertWeights"), format="bf16", **values)
    assert found is True if words is None else found.startswith(words)


@pytest.mark.parametrize(("name", "label"), [
    ("occurrence", "which one"), ("attribute_2_occurrence", "which one for 2"),
    ("attribute_1_occurrence", "which one for 1"),
])
def test_an_occurrence_is_labelled_by_its_phrase(module, name, label):
    made = module("sockets").occurrence_input(name, "phrase")
    assert (made.id, made.display_name, made.min, made.max, made.default) == (name, label, 0, 100, 0)


def test_a_list_with_several_values_is_refused_when_queued(node):
    cls = node("LumosX_ClipSubjects")
    name = next(widget.id for widget in cls.GET_SCHEMA().inputs if widget.id not in cls.LISTS and widget.id == "by")
    assert answer(cls, **{name: ["colours", "faces"]}).startswith("by: 2 values came through the link")


@pytest.mark.parametrize("value", ["4", [4], {}])
def test_what_is_no_number_is_left_to_the_host_when_queued(node, value):
    values = {"steps": value, "denoise": 1.0, "schedule": "no such", "start_step": 0, "end_step": 1}
    assert node("LumosX_Sampler").verdict(**values) is True
    assert node("LumosX_Sampler").verdict(**{**values, "steps": 4}).startswith("schedule: ")
