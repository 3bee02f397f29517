"""Strength and steps of pictures: nodes are no higher for them until somebody uses them."""

import pytest

from browser.page import VUE

NODES = ["LumosX_Subject", "LumosX_Object", "LumosX_Background"]
INFLUENCE = "/^(face_|attribute_\\d_|)(strength|start_percent|end_percent)$/"
# The height of a new node as it is drawn, and of one that never had these inputs.
_HEIGHT = """async ([type, without]) => {
  const seldom = """ + INFLUENCE + """, node = LiteGraph.createNode(type);
  const count = node.widgets.filter(({ name }) => seldom.test(name)).length;
  if (without) {
    node.widgets = node.widgets.filter(({ name }) => !seldom.test(name));
    node.inputs = node.inputs.filter(({ name }) => !seldom.test(name));
    node.setSize([node.size[0], node.computeSize()[1]]);
  }
  node.pos = [300, 100];
  app.graph.add(node);
  window.made = node;
  await new Promise((done) => setTimeout(done, 500));
  const drawn = document.querySelector(`[data-node-id='${node.id}']`);
  const height = drawn ? drawn.getBoundingClientRect().height / app.canvas.ds.scale : node.size[1];
  return { count, height, least: node.computeSize()[1], isVue: drawn !== null };
}"""
# The names of the inputs that one can see; Vue nodes have a row for each.
_SEEN = """() => {
  const row = (index) => document.querySelector(`.lg-node-widget [data-slot-key='${made.id}-in-${index}']`);
  const isVue = app.extensionManager.setting.get('Comfy.VueNodes.Enabled');
  const seldom = """ + INFLUENCE + """;
  return made.widgets.filter((widget) => seldom.test(widget.name) && (isVue
    ? row(made.inputs.findIndex(({ name }) => name === widget.name)) : made.isWidgetVisible(widget)))
    .map(({ name }) => name);
}"""
_FOLLOWS = """() => {
  const settings = app.extensionManager.setting;
  return !settings.get('Comfy.VueNodes.Enabled')
    || settings.get('Comfy.Node.AlwaysShowAdvancedWidgets') !== undefined;
}"""
_SET = """async ([name, value]) => {
  const widget = made.widgets.find((each) => each.name === name);
  widget.value = value;
  widget.callback(value);
  await new Promise((done) => setTimeout(done, 300));
}"""
_REOPEN = """async () => {
  await app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())));
  window.made = app.graph.nodes.find(({ type }) => type.startsWith('LumosX_'));
  await new Promise((done) => setTimeout(done, 500));
}"""
_LINK = """(name) => {
  const picture = LiteGraph.createNode('EmptyImage');
  picture.pos = [20, 100];
  app.graph.add(picture);
  picture.connect(0, made, made.inputs.findIndex((each) => each.name === name));
}"""


@pytest.mark.parametrize("node", NODES)
def test_a_node_is_as_high_as_without_these_inputs(comfy, request, node):
    ours, bare = (comfy.run(_HEIGHT, [node, without]) for without in (False, True))
    assert ours["count"] == (15 if node == "LumosX_Subject" else 3)
    assert ours["isVue"] == (request.node.callspec.params["comfy"] == VUE)
    assert ours["height"] <= bare["height"] + 0.5 and ours["least"] <= bare["least"]


def test_what_is_set_is_seen_also_in_a_workflow_that_is_opened_again(comfy):
    comfy.run(_HEIGHT, ["LumosX_Object", False])
    assert comfy.run(_SEEN) == []
    comfy.run(_SET, ["strength", 0.5])
    # Vue nodes of the oldest pages read which inputs are folded once, when a workflow is opened.
    if comfy.run(_FOLLOWS):
        comfy.page.wait_for_function("() => (" + _SEEN + ")().join() === 'strength'")
    comfy.run(_REOPEN)
    assert comfy.run(_SEEN) == ["strength"]
    assert comfy.run("() => made.widgets.find(({ name }) => name === 'strength').value") == 0.5
    comfy.run(_SET, ["strength", 1])
    comfy.run(_REOPEN)
    assert comfy.run(_SEEN) == [] and comfy.errors == []


def test_pages_own_way_to_show_advanced_inputs_shows_those_of_linked_pictures(classic):
    classic.run(_HEIGHT, ["LumosX_Subject", False])
    classic.run("() => made.toggleAdvanced()")
    whole = ["strength", "start_percent", "end_percent"]
    assert classic.run(_SEEN) == whole
    classic.run(_LINK, "attribute_2")
    assert classic.run(_SEEN) == [*whole, *(f"attribute_2_{name}" for name in whole)]
    classic.run("() => made.toggleAdvanced()")
    assert classic.run(_SEEN) == []


def test_a_workflow_saved_before_there_were_such_inputs_opens_with_their_defaults(classic):
    classic.run(_HEIGHT, ["LumosX_Subject", False])
    # Values are saved in the order of the inputs, and these came last.
    old = ["woman", "hat", "scarf", "", 2, 0, 1, 0]
    values = classic.run("""async (old) => {
      const saved = JSON.parse(JSON.stringify(app.graph.serialize()));
      saved.nodes[0].widgets_values = old;
      saved.nodes[0].inputs = saved.nodes[0].inputs.filter(({ name }) => !""" + INFLUENCE + """.test(name));
      await app.loadGraphData(saved);
      return app.graph.nodes[0].widgets.map(({ value }) => value);
    }""", old)
    assert values == [*old, *[1, 0, 1] * 5]
