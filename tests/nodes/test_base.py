"""Values that no schema allows end in a sentence that names the input, on every node of the pack and on every host."""

import asyncio
import inspect
import math
import sys
import time

import numpy as np
import pytest
import torch
from comfy_api.latest import io

from lumosx_core.weights.precision import INT8, NVFP4
from tools.client import failure, refusal

NUMBERS = (io.Int.Input, io.Float.Input)
HALF = "a \ud83d face"


@pytest.fixture(scope="module")
def nodes(pack):
    extension = sys.modules[pack].comfy_entrypoint()
    if inspect.isawaitable(extension):
        extension = asyncio.run(extension)
    return asyncio.run(extension.get_node_list())


def widgets_of(nodes, kinds):
    """(node, widget) of every widget of these kinds; there are some of each."""
    found = [(node, widget) for node in nodes for widget in node.GET_SCHEMA().inputs if isinstance(widget, kinds)]
    assert found
    return found


def as_sent(node, values):
    """The values as the host hands them to the node: each in a list, if the node takes lists."""
    return {name: [value] for name, value in values.items()} if node.GET_SCHEMA().is_input_list else values


def verdict(node, **values):
    """What the node says when these values are queued."""
    answer = node.validate_inputs(**as_sent(node, values))
    return asyncio.run(answer) if inspect.isawaitable(answer) else answer


def refused(node, name, value):
    """The sentence that `execute` ends in with this value, and with nothing else given."""
    with pytest.raises(ValueError) as caught:
        node.execute(**as_sent(node, {name: value}))
    assert type(caught.value).__name__ == "LumosXError"
    return str(caught.value)


@pytest.mark.parametrize("value", ["no such choice", None, 5, math.nan, [], {}])
def test_a_choice_that_is_not_listed_is_never_used(nodes, value):
    for node, widget in widgets_of(nodes, io.Combo.Input):
        if widget.id in node.FILES and isinstance(value, str):
            continue
        assert refused(node, widget.id, value).startswith(f"{widget.id}: "), node


def test_a_choice_that_is_not_listed_is_refused_when_queued(nodes):
    for node, widget in widgets_of(nodes, io.Combo.Input):
        if widget.id not in node.FILES:
            answer = verdict(node, **{widget.id: "no such choice"})
            assert answer.startswith(f"{widget.id}: "), (node, answer)


def test_every_listed_choice_is_allowed_when_queued(nodes):
    for node, widget in widgets_of(nodes, io.Combo.Input):
        # A backend that is not installed is refused for that reason.
        if widget.id not in (*node.FILES, "backend"):
            for choice in widget.options:
                answer = verdict(node, **{widget.id: choice})
                # The formats of newer hosts are refused where nothing could compute in them.
                assert answer is True or choice in (INT8, NVFP4) and "this ComfyUI" in answer, (node, choice)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "6", [1]])
def test_what_is_no_number_is_never_computed_with(nodes, value):
    for node, widget in widgets_of(nodes, NUMBERS):
        assert refused(node, widget.id, value).startswith(f"{widget.id}: "), node


def test_numbers_keep_their_range_when_they_come_by_a_link(nodes):
    for node, widget in widgets_of(nodes, NUMBERS):
        if widget.min is not None:
            assert refused(node, widget.id, widget.min - 1).startswith(f"{widget.id}: "), node
        if widget.max is not None:
            assert refused(node, widget.id, widget.max * 2 + 1).startswith(f"{widget.id}: "), node


@pytest.mark.parametrize("value", [10**9, 10**15, 10**400, -10**400, 10**5000], ids=lambda value: value.bit_length())
def test_huge_numbers_are_refused_at_once(nodes, value):
    """JSON can spell them, and a node must not compute with them before it looks at its range."""
    for node, widget in widgets_of(nodes, NUMBERS):
        if value > 10**15 or widget.max is not None and not widget.min <= value <= widget.max:
            assert refused(node, widget.id, value).startswith(f"{widget.id}: "), node
            began = time.process_time()
            if widget.id in inspect.signature(node.validate_inputs).parameters:
                assert verdict(node, **{widget.id: value}).startswith(f"{widget.id}: "), node
            assert time.process_time() - began < 1, node


def test_a_whole_number_has_no_fraction(nodes):
    for node, widget in widgets_of(nodes, io.Int.Input):
        assert "whole number" in refused(node, widget.id, widget.min + 0.5), node


@pytest.mark.parametrize("value", [HALF, None, 5, ["text"]])
def test_what_is_no_text_is_never_read(nodes, value):
    for node, widget in widgets_of(nodes, io.String.Input):
        assert refused(node, widget.id, value).startswith(f"{widget.id}: "), node


@pytest.mark.parametrize("value", ["x" * 256, "é" * 200, "a/" * 3000 + "b", "a\0b", HALF])
def test_names_that_no_disk_takes_are_refused(nodes, value):
    files = [(node, name) for node in nodes for name in node.FILES]
    assert len(files) >= 3
    for node, name in files:
        assert refused(node, name, value).startswith(f"{name}: ")
        assert verdict(node, **{name: value}).startswith(f"{name}: ")


def test_a_link_that_carries_nothing_or_something_else_is_named(nodes):
    """Switches, Set and Get nodes pass on anything."""
    required = [
        (node, socket) for node in nodes for socket in node.GET_SCHEMA().inputs
        if not isinstance(socket, io.WidgetInput) and not socket.optional
    ]
    assert {socket.get_io_type() for _, socket in required} >= {
        "MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "LUMOSX_RELATIONS",
    }
    for node, socket in required:
        # The picture of an object or a background may be left out to compare.
        nothing = () if socket.id in node.LEFT_OUT else ((None, "NoneType"),)
        for value, kind in (*nothing, ("a man", "str"), (3, "int")):
            said = refused(node, socket.id, value)
            assert said.startswith(f"{socket.id}: {kind} came through the link instead of {socket.get_io_type()};")


@pytest.mark.parametrize("entry", [
    [], [torch.zeros(1, 2, 3)], [torch.zeros(1, 2, 3), {}, {}], [torch.zeros(1, 2, 3), []], ["text", {}], None, {},
], ids=str)
def test_a_conditioning_is_pairs_of_a_tensor_and_options(nodes, entry):
    sampler = next(node for node in nodes if node.__name__ == "LumosXSampler")
    for value in ([entry], [[torch.zeros(1, 2, 3), {}], entry]):
        assert refused(sampler, "positive", value).startswith("positive: list came through the link")


def test_an_optional_link_may_carry_nothing_but_nothing_wrong(nodes):
    binder = next(node for node in nodes if node.__name__ == "LumosXBinder")
    assert "there is no reference" in refused(binder, "subject_1", None)
    for name in ("subject_1", "object_1", "background", "relations"):
        assert refused(binder, name, "a man").startswith(f"{name}: str came through the link")


@pytest.mark.parametrize("value", ["false", None, [], {}])
def test_what_is_no_boolean_never_counts_as_true_or_false(nodes, value):
    for node, widget in widgets_of(nodes, io.Boolean.Input):
        assert refused(node, widget.id, value).startswith(f"{widget.id}: ")


def test_numbers_of_numpy_and_whole_fractions_are_numbers(nodes):
    schedule = next(node for node in nodes if node.__name__ == "LumosXSchedule")
    expected = schedule.execute(steps=2, shift=8.0, denoise=1.0).result[1]
    for steps in (2.0, np.int64(2), np.float32(2)):
        assert torch.equal(schedule.execute(steps=steps, shift=np.float32(8), denoise=1).result[1], expected)


def test_a_node_is_wrapped_once_however_often_the_host_copies_its_class(nodes):
    node = nodes[0]
    copied = type("Copy", (node, *node.__bases__), dict(vars(node)))
    assert vars(copied)["execute"].__func__ is vars(node)["execute"].__func__


@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("4", "unconditional_references", "white"), ("5", "cfg", "many"), ("5", "steps", "ten"), ("5", "shift", "wide"),
        ("2", "full_body", "somehow"), ("4", "frames", "all"), ("4", "width", "wide"),
    ],
)
def test_the_refusal_names_the_input_when_queued(client, graph, node, name, value):
    graph[node]["inputs"][name] = value
    # The report needs no sampler, and a graph with one sound output runs.
    del graph["9"]
    text = refusal(client, graph)
    assert name in text and value in text and "Exception" not in text


@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("4", "unconditional_references", None), ("5", "cfg", math.nan), ("5", "shift", math.nan),
        ("10", "ratio", math.nan), ("4", "prompt", HALF), ("4", "negative_prompt", HALF),
    ],
)
def test_what_no_host_checks_ends_in_our_sentence(client, graph, node, name, value):
    if node == "10":
        graph["10"] = {"class_type": "LumosX_Model", "inputs": {"model": graph["5"]["inputs"]["model"], name: value}}
        graph["5"]["inputs"]["model"] = ["10", 0]
    graph[node]["inputs"][name] = value
    failed = failure(client, graph)
    # No page could read a history with NaN in it, and the server has tests with pages too.
    client.forget(failed.run.prompt_id)
    assert f"{name}: " in str(failed)


def test_a_node_of_lists_takes_one_value_where_it_takes_no_list(nodes):
    node = next(node for node in nodes if node.LISTS)
    with pytest.raises(ValueError, match="^by: 2 values came through the link"):
        node.execute(crops=[], by=["colours", "faces"])
    with pytest.raises(ValueError, match="^crops: str came through the link instead of IMAGE"):
        node.execute(crops=[torch.zeros(1, 4, 4, 3), "no picture"], by=["colours"])


def test_a_node_without_an_execute_of_its_own_keeps_that_of_the_node_it_is_made_from(nodes):
    """As the host's copy of a class for each run."""
    copy = type("Copy", (nodes[0],), {})
    assert copy.execute.__func__ is nodes[0].execute.__func__


def test_links_are_no_widgets(nodes, pack):
    """Of every node: what comes by a link alone has no value to check when it is queued."""
    base = sys.modules[f"{pack}.nodes.base"]
    for node in nodes:
        widgets = base._widgets(node)
        assert list(widgets) == [one.id for one in node.GET_SCHEMA().inputs if isinstance(one, io.WidgetInput)]
    links = [one.id for node in nodes for one in node.GET_SCHEMA().inputs if not isinstance(one, io.WidgetInput)]
    assert "model" in links and "vae" in links
