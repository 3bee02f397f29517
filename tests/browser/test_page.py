"""The page itself: it loads the pack's files and nothing in the console complains."""

from browser.boards import build, chip, drag, row, save_pictures, settled

# What our files read of a slot's links by themselves; newer pages call that deprecated and have accessors instead.
_WATCH = """() => {
  window.uses = [];
  const ours = (frame) => frame?.includes('/extensions/lumosx/');
  LiteGraph.alwaysRepeatWarnings = true;
  LiteGraph.onDeprecationWarning.push((message) => {
    if (ours(new Error().stack)) uses.push(message);
  });
  const watch = (slot, name) => {
    const own = Object.getOwnPropertyDescriptor(slot, name);
    if (!own || !('value' in own)) return;
    let { value } = own;
    const get = () => {
      if (ours(new Error().stack.split('\\n')[2])) uses.push(name);
      return value;
    };
    Object.defineProperty(slot, name, { configurable: true, enumerable: true, get, set: (next) => { value = next; } });
  };
  for (const node of app.graph.nodes) {
    for (const slot of node.inputs ?? []) watch(slot, 'link');
    for (const slot of node.outputs ?? []) watch(slot, 'links');
  }
}"""


def test_the_page_opens_in_the_mode_that_was_asked_for_without_an_error(comfy, request):
    vue = comfy.run("() => window.app.extensionManager.setting.get('Comfy.VueNodes.Enabled')")
    assert vue == (request.node.callspec.params["comfy"] == "vue")
    assert "\n".join(comfy.errors_at_start) == ""


def test_a_node_is_drawn_by_the_mode_it_was_asked_for(comfy, request):
    comfy.run("() => { app.graph.add(LiteGraph.createNode('LumosX_Sampler')); }")
    drawn = comfy.page.locator("[data-node-id]")
    if request.node.callspec.params["comfy"] == "vue":
        drawn.first.wait_for()
    else:
        comfy.page.wait_for_timeout(800)
        assert drawn.count() == 0
    assert comfy.missing_nodes() == []


def test_ours_uses_nothing_that_the_page_calls_deprecated(comfy, server):
    save_pictures(server.base / "input")
    board = build(comfy)
    comfy.run(_WATCH)
    drag(comfy, chip(board, "round glasses").locator(".lumosx-thumb"), row(board, 2).locator(".lumosx-thumb-face"))
    comfy.run("() => scene.set(app.graph.getNodeById(scene.encoder), 'prompt', 'A man on the left waves.')")
    settled(comfy)
    assert "problems" in board.inner_text()
    assert comfy.run("() => window.uses") == []
