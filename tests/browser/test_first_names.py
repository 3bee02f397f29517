"""What a newcomer sees of our nodes before any is used: found by plain words, named plainly, with little in the way."""

import re

import pytest

from test_locales import FIRST_WORDS

_WIDGETS = """type => {
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  node.pos = [300, 200];
  window.made = node;
  return node.widgets.map(({ name, label }) => [name, label]);
}"""
_VISIBLE = "() => made.widgets.filter((widget) => made.isWidgetVisible(widget)).map(({ name }) => name)"
_ADVANCED = """() => made.widgets.filter(({ name, advanced }) => advanced && /occurrence$/.test(name))
  .map(({ name }) => name)"""
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
    # Newer pages hide what is linked behind its socket, whatever it is.
    assert comfy.run(_ADVANCED) == []
    comfy.run("() => made.disconnectInput(made.inputs.findIndex(({ name }) => name === 'occurrence'))")
    assert comfy.run(_ADVANCED) == ["occurrence"]


# Every widget with the longest that it offers, or as many words as people have.
_FILL = """([type, place]) => {
  const node = LiteGraph.createNode(type);
  const longest = (values) => values.toSorted((one, other) => other.length - one.length)[0];
  node.pos = [300 + 700 * (place % 6), 120 + 1000 * Math.floor(place / 6)];
  app.graph.add(node);
  for (const widget of node.widgets ?? []) {
    if (widget.type === 'combo') widget.value = longest(widget.options.values.map(String)) ?? widget.value;
    if (widget.type === 'text' || widget.type === 'string') widget.value = 'woman with red hair';
  }
  app.canvas.setDirty(true, true);
  return node.id;
}"""
_LOOK_AT = """(id) => {
  window.made = app.graph.getNodeById(id);
  Object.assign(app.canvas.ds, { scale: 1, offset: [300 - made.pos[0], 120 - made.pos[1]] });
}"""
_DRAWN = """() => {
  const drawn = [], plain = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
    drawn.push(String(text));
    return plain.call(this, text, ...at);
  };
  app.canvas.draw(true, true);
  CanvasRenderingContext2D.prototype.fillText = plain;
  const named = ({ type }) => ['combo', 'number', 'text'].includes(type);
  const shown = (made.widgets ?? []).filter((widget) => named(widget) && made.isWidgetVisible(widget));
  const values = shown.filter(({ type }) => type !== 'number').map(({ value }) => String(value));
  const texts = [...shown.map(({ label, name }) => label ?? name), ...values];
  return [made.title, ...texts].filter((text) => text && !drawn.includes(text));
}"""
_CUT = """(id) => [...document.querySelectorAll(`[data-node-id='${id}'] *`)].filter((element) => {
  const hides = ['hidden', 'clip'].includes(getComputedStyle(element).overflowX);
  const ours = element.closest('.lumosx-board, .lumosx-result');
  return hides && !ours && element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1;
}).map((element) => element.value || element.innerText)"""
_IS_DRAWN = "(id) => document.querySelector(`[data-node-id='${id}']`)?.clientWidth > 100"


def test_a_new_node_is_wide_enough_for_what_it_says(comfy, request):
    """Names of widgets, choices, some words and the title, before anybody has made it larger."""
    types = comfy.run("() => Object.keys(LiteGraph.registered_node_types).filter((type) => /^LumosX_/.test(type))")
    made = {type_: comfy.run(_FILL, [type_, place]) for place, type_ in enumerate(types)}
    is_vue, cut = request.node.callspec.params["comfy"] == "vue", {}
    if is_vue:
        comfy.page.locator("[style*='--lumosx-names']").first.wait_for()
    comfy.page.wait_for_timeout(1500)
    for type_, id_ in made.items():
        comfy.run(_LOOK_AT, id_)
        if is_vue:
            assert comfy.run(_IS_DRAWN, id_), type_
        cut[type_] = comfy.run(_CUT, id_) if is_vue else comfy.run(_DRAWN)
    assert len(cut) == 44 and {type_: texts for type_, texts in cut.items() if texts} == {}


@pytest.mark.parametrize("words", FIRST_WORDS)
def test_search_finds_us_by_what_newcomers_type(comfy, words):
    found = comfy.page.get_by_text(re.compile(r"LumosX \w"))
    assert found.count() == 0
    comfy.run("() => { app.extensionManager.command.execute('Workspace.SearchBox.Toggle'); }")
    comfy.page.locator("input[role=combobox]").fill(words)
    found.first.wait_for()
    # Only search calls them so.
    assert comfy.run("() => LiteGraph.createNode('LumosX_Subject').title") == "LumosX Subject"
