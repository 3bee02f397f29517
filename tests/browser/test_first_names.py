"""What a newcomer sees of our nodes before any is used: found by plain words, named plainly, with little in the way."""

import re

import pytest

from browser.page import CLASSIC
from test_locales import FIRST_WORDS

_WIDGETS = """type => {
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  node.pos = [300, 200];
  window.made = node;
  return node.widgets.map(({ name, label }) => [name, label]);
}"""
_VISIBLE = "() => made.widgets.filter((widget) => made.isWidgetVisible(widget)).map(({ name }) => name)"
_SET = """([name, value]) => {
  const widget = made.widgets.find((each) => each.name === name);
  widget.value = value;
  widget.callback(value);
}"""


@pytest.mark.parametrize("node", ["LumosX_Subject", "LumosX_Object", "LumosX_Background", "LumosX_Views"])
def test_widgets_are_named_plainly_and_an_unused_occurrence_is_folded_away(comfy, node):
    labels = dict(comfy.run(_WIDGETS, node))
    assert (labels["phrase"], labels["occurrence"]) == ("words", "which one")
    assert "phrase" in comfy.run(_VISIBLE) and "occurrence" not in comfy.run(_VISIBLE)
    comfy.run(_SET, ["occurrence", 2])
    assert "occurrence" in comfy.run(_VISIBLE)
    # What is used is seen in a workflow that is opened again.
    comfy.run("async () => { await app.loadGraphData(app.graph.serialize()); window.made = app.graph.nodes[0]; }")
    assert "occurrence" in comfy.run(_VISIBLE)
    comfy.run(_SET, ["occurrence", 0])
    assert "occurrence" not in comfy.run(_VISIBLE)
    assert comfy.errors == []


def test_an_occurrence_that_is_linked_is_seen(comfy):
    comfy.run(_WIDGETS, "LumosX_Object")
    comfy.run("""() => {
      const number = LiteGraph.createNode('PrimitiveInt');
      app.graph.add(number);
      number.connect(0, made, made.inputs.findIndex(({ name }) => name === 'occurrence'));
    }""")
    assert "occurrence" in comfy.run(_VISIBLE)
    comfy.run("() => made.disconnectInput(made.inputs.findIndex(({ name }) => name === 'occurrence'))")
    assert "occurrence" not in comfy.run(_VISIBLE)


@pytest.mark.parametrize("words", FIRST_WORDS)
def test_search_finds_us_by_what_newcomers_type(blank, words):
    comfy = blank.open(CLASSIC)
    comfy.run("() => { app.extensionManager.command.execute('Workspace.SearchBox.Toggle'); }")
    comfy.page.locator("input[role=combobox]").fill(words)
    comfy.page.get_by_text(re.compile(r"LumosX \w")).first.wait_for()
    # Only search calls them so.
    assert comfy.run("() => LiteGraph.createNode('LumosX_Subject').title") == "LumosX Subject"
