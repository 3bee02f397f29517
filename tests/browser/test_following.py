"""What the board reads through nodes of other packs: the same as the prompt that the page makes of the graph."""

import pytest

from browser.boards import build, row, settled
from browser.stand_ins import BROADCASTS, PAIRS, SWITCHES

MUTED, BYPASSED = 2, 4
WORDS = ("man on the left", "woman with red hair")


def summary(board):
    return board.locator(".lumosx-summary-text").inner_text()


def people(board):
    """The words of every person on the board, in order."""
    return [field.input_value() for field in board.locator(".lumosx-row .lumosx-face .lumosx-field").all()]


def linked(comfy, node, name):
    """[id of the node, slot] that the prompt has at an input, or None."""
    return comfy.prompt()[str(comfy.run(f"() => {node}"))]["inputs"].get(name)


def subject(comfy, index):
    return [str(comfy.run(f"() => scene.subjects[{index}]")), 0]


@pytest.mark.parametrize("kind", ["SetNode", "easy setNode"])
def test_pairs_of_set_and_get_are_followed_both_ways(comfy, kind):
    board = build(comfy)
    comfy.run(PAIRS)
    comfy.run("""(kind) => {
      const { add, set, link } = scene, [first] = scene.subjects.map((id) => app.graph.getNodeById(id));
      const encoder = app.graph.getNodeById(scene.encoder), text = add('PrimitiveString', 900, 900);
      set(text, 'value', app.graph.getNodeById(scene.encoder).widgets.find(({ name }) => name === 'prompt').value);
      set(encoder, 'prompt', 'Not this.');
      link(text, encoder, 'prompt');
      between(first, 'face', kind, 'face');
      between(app.graph.getNodeById(scene.binder), 'subject_1', kind, 'person');
      between(encoder, 'relations', kind, 'scene');
      between(encoder, 'prompt', kind, 'words');
    }""", kind)
    settled(comfy)
    assert linked(comfy, "scene.binder", "subject_1") == subject(comfy, 0)
    assert people(board) == list(WORDS) and summary(board) == "Everything binds"
    assert "filename=ben.png" in row(board, 1).locator(".lumosx-thumb-face img").get_attribute("src")
    assert board.locator(".lumosx-prompt .lumosx-mark").count() == 5
    assert comfy.errors == []


def test_get_inside_of_a_subgraph_and_set_outside(classic):
    board = build(classic)
    classic.run(PAIRS)
    classic.run("""() => {
      const first = app.graph.getNodeById(scene.subjects[0]);
      const [, get] = between(first, 'face', 'SetNode', 'face');
      app.graph.convertToSubgraph(new Set([first, get]));
    }""")
    settled(classic)
    assert people(board) == list(WORDS)
    assert "filename=ben.png" in row(board, 1).locator(".lumosx-thumb-face img").get_attribute("src")


def test_a_get_without_its_set_leads_nowhere_and_complains_once(classic):
    board = build(classic)
    classic.run(PAIRS)
    classic.run("""() => {
      const [set] = between(app.graph.getNodeById(scene.binder), 'subject_1', 'SetNode', 'person');
      app.graph.remove(set);
    }""")
    settled(classic)
    assert people(board) == [WORDS[1]]
    complaints = classic.run("() => window.toasts")
    classic.page.wait_for_timeout(1500)
    assert classic.run("() => window.toasts") == complaints <= 4
    # A new one of that name is seen all the same.
    classic.run("""() => {
      const set = scene.add('SetNode', 0, 2200);
      set.widgets[0].value = 'person';
      app.graph.getNodeById(scene.subjects[0]).connect(0, set, 0);
    }""")
    settled(classic)
    assert people(board) == list(WORDS)
    assert linked(classic, "scene.binder", "subject_1") == subject(classic, 0)


def test_of_two_sets_of_one_name_the_page_takes_one(classic):
    board = build(classic)
    classic.run(PAIRS)
    classic.run("""() => {
      between(app.graph.getNodeById(scene.binder), 'subject_1', 'SetNode', 'person');
      const again = scene.add('SetNode', 0, 2200);
      again.widgets[0].value = 'person';
      app.graph.getNodeById(scene.subjects[1]).connect(0, again, 0);
    }""")
    settled(classic)
    assert linked(classic, "scene.binder", "subject_1") == subject(classic, 0)
    assert people(board) == list(WORDS)


@pytest.mark.parametrize("mode", [MUTED, BYPASSED])
def test_nested_reroutes_behind_pairs_and_modes_that_others_set(classic, mode):
    board = build(classic)
    classic.run(PAIRS)
    classic.run("""() => {
      const binder = app.graph.getNodeById(scene.binder), [set] = between(binder, 'subject_1', 'SetNode', 'person');
      const reroutes = [scene.add('Reroute', 0, 2300), scene.add('Reroute', 100, 2300)];
      app.graph.getNodeById(scene.subjects[0]).connect(0, reroutes[0], 0);
      reroutes[0].connect(0, reroutes[1], 0);
      reroutes[1].connect(0, set, 0);
    }""")
    settled(classic)
    assert linked(classic, "scene.binder", "subject_1") == subject(classic, 0)
    assert people(board) == list(WORDS)
    classic.run("(mode) => { app.graph.getNodeById(scene.subjects[0]).mode = mode; }", mode)
    settled(classic)
    assert linked(classic, "scene.binder", "subject_1") is None
    assert people(board) == [WORDS[1]]


ANY = [f"any_{number:02}" for number in range(1, 6)]
CHOICES = [
    ("Any Switch (rgthree)", ANY, (None, None), "any_02", "any_04"),
    ("ImpactSwitch", ["input1", "input2", "input3"], ("select", 3), "input3", "input1"),
    ("easy anythingIndexSwitch", ["value0", "value1"], ("index", 0), "value0", "value1"),
    ("LazySwitchKJ", ["on_false", "on_true"], ("switch", False), "on_false", "on_true"),
    ("ImpactConditionalBranch", ["tt_value", "ff_value"], ("cond", True), "tt_value", "ff_value"),
]


@pytest.mark.parametrize(("kind", "inputs", "widget", "chosen", "other"), CHOICES)
def test_switches_pass_on_what_they_choose(classic, kind, inputs, widget, chosen, other):
    board = build(classic)
    classic.run(SWITCHES, [[kind, inputs, widget]])
    classic.run("""([kind, chosen, other]) => {
      const [first, second] = scene.subjects.map((id) => app.graph.getNodeById(id)), choice = scene.add(kind, 600, 700);
      scene.link(second, choice, chosen);
      scene.link(first, choice, other);
      scene.link(choice, app.graph.getNodeById(scene.binder), 'subject_1');
    }""", [kind, chosen, other])
    settled(classic)
    assert people(board) == [WORDS[1], WORDS[1]] and "not shown here" not in board.inner_text()


@pytest.mark.parametrize(("kind", "name", "widget"), [
    ("ImpactInversedSwitch", "input", ("select", 1)), ("easy anythingInversedSwitch", "in", ("index", 0)),
])
def test_switches_of_outputs_feed_one_of_them(classic, kind, name, widget):
    board = build(classic)
    classic.run(SWITCHES, [[kind, [name], widget]])
    classic.run("""([kind, name]) => {
      const choice = scene.add(kind, 600, 700), binder = app.graph.getNodeById(scene.binder);
      choice.addOutput('*', '*');
      scene.link(app.graph.getNodeById(scene.subjects[1]), choice, name);
      choice.connect(0, binder, 0);
      choice.connect(1, binder, 1);
    }""", [kind, name])
    settled(classic)
    assert people(board) == [WORDS[1]]


def test_any_switch_passes_over_what_is_muted_and_what_leads_nowhere(classic):
    board = build(classic)
    classic.run(PAIRS)
    classic.run(SWITCHES, [["Any Switch (rgthree)", ANY, (None, None)]])
    classic.run("""() => {
      const [first, second] = scene.subjects.map((id) => app.graph.getNodeById(id));
      const choice = scene.add('Any Switch (rgthree)', 600, 700), nowhere = scene.add('GetNode', 0, 2000);
      nowhere.connect(0, choice, 0);
      first.connect(0, choice, 1);
      second.connect(0, choice, 2);
      scene.link(choice, app.graph.getNodeById(scene.binder), 'subject_1');
      app.graph.getNodeById(scene.binder).disconnectInput(1);
    }""")
    settled(classic)
    assert people(board) == [WORDS[0]]
    classic.run("() => { app.graph.getNodeById(scene.subjects[0]).mode = 2; }")
    settled(classic)
    assert people(board) == [WORDS[1]]


def test_a_choice_that_only_a_run_makes_is_named(classic):
    board = build(classic)
    classic.run(SWITCHES, [["ImpactSwitch", ["select", "input1"], (None, None)]])
    classic.run("""() => {
      const choice = scene.add('ImpactSwitch', 600, 700), size = scene.add('LumosX_Object', 600, 900);
      size.connect(0, choice, 0);
      scene.link(app.graph.getNodeById(scene.subjects[0]), choice, 'input1');
      scene.link(choice, app.graph.getNodeById(scene.binder), 'subject_1');
    }""")
    settled(classic)
    assert "Comes from ImpactSwitch, not shown here." in board.inner_text()


def test_a_chain_of_switches_that_choose_by_each_other_is_not_followed_for_ever(classic):
    build(classic)
    classic.run(SWITCHES, [["LazySwitchKJ", ["switch", "on_false", "on_true"], ("switch", True)]])
    took = classic.run("""async () => {
      let before = app.graph.getNodeById(scene.subjects[0]);
      for (let step = 0; step < 40; step++) {
        const choice = scene.add('LazySwitchKJ', 0, 2000 + step);
        for (const slot of [0, 1, 2]) before.connect(0, choice, slot);
        before = choice;
      }
      scene.link(before, app.graph.getNodeById(scene.binder), 'subject_1');
      const { originOf } = await import('/extensions/lumosx/graph/walk.js');
      const start = performance.now();
      originOf(app.graph.getNodeById(scene.binder), 'subject_1', app.graph);
      return performance.now() - start;
    }""")
    assert took < 200


def test_a_broadcast_scene_is_read_and_found_from_its_people(comfy):
    board = build(comfy)
    comfy.run(BROADCASTS)
    comfy.run("""() => {
      const binder = app.graph.getNodeById(scene.binder), encoder = app.graph.getNodeById(scene.encoder);
      const first = app.graph.getNodeById(scene.subjects[0]);
      for (const [source, target, name] of [[binder, encoder, 'relations'], [first, binder, 'subject_1']]) {
        const anything = scene.add('Anything Everywhere', 900, 1200);
        target.disconnectInput(target.inputs.findIndex((input) => input.name === name));
        source.connect(0, anything, 0);
        broadcast(anything, [[target, target.inputs.findIndex((input) => input.name === name)]]);
      }
    }""")
    settled(comfy)
    assert linked(comfy, "scene.encoder", "relations") == [str(comfy.run("() => scene.binder")), 0]
    assert people(board) == list(WORDS) and summary(board) == "Everything binds"
    comfy.run("""() => {
      for (const node of app.graph.nodes.filter(({ type }) => type === 'Anything Everywhere')) node.mode = 4;
    }""")
    settled(comfy)
    assert people(board) == [WORDS[1]] and "Link relations" in board.locator(".lumosx-prompt").inner_text()


def test_what_a_pack_noted_that_is_not_there_any_more_is_no_link(classic):
    board = build(classic)
    classic.run("() => { LiteGraph.unregisterNodeType('Anything Everywhere'); }")
    classic.run("""() => {
      const binder = app.graph.getNodeById(scene.binder), encoder = app.graph.getNodeById(scene.encoder);
      encoder.disconnectInput(encoder.inputs.findIndex((input) => input.name === 'relations'));
      app.graph.extra.ue_links = [{
        downstream: encoder.id, downstream_slot: encoder.inputs.findIndex((input) => input.name === 'relations'),
        upstream: String(binder.id), upstream_slot: 0, controller: binder.id, type: '*',
      }];
    }""")
    settled(classic)
    assert "Link relations" in board.locator(".lumosx-prompt").inner_text()


def test_a_picture_that_is_broadcast_to_every_free_input_is_said(classic):
    board = build(classic, people=((WORDS[0], ()), (WORDS[1], ("green dress",))))
    assert summary(board) == "Everything binds"
    classic.run(BROADCASTS)
    classic.run("""() => {
      const anything = scene.add('Anything Everywhere', 0, 2000);
      scene.picture('lamp.png', 0, 1800).connect(0, anything, 0);
      const free = scene.subjects.map((id) => app.graph.getNodeById(id)).flatMap((node) => node.inputs.flatMap(
        (input, index) => (input.type === 'IMAGE' && !node.isInputConnected(index) ? [[node, index]] : [])
      ));
      broadcast(anything, free);
    }""")
    settled(classic)
    # Three attributes and a full body of the one, two and one of the other.
    note = board.locator(".lumosx-note").inner_text()
    assert "Anything Everywhere" in note and "7 inputs" in note
    assert "Anything Everywhere" in row(board, 1).locator(".lumosx-chip .lumosx-problem").first.inner_text()
    assert "filename=lamp.png" in row(board, 1).locator(".lumosx-chip img").first.get_attribute("src")
    # Full bodies have their persons' words.
    assert summary(board) == "5 problems"


def test_two_nodes_of_one_subgraph_show_their_own_people(classic):
    board = build(classic, people=((WORDS[0], ()), (WORDS[1], ())))
    classic.run("""() => {
      const binder = app.graph.getNodeById(scene.binder), first = app.graph.getNodeById(scene.subjects[0]);
      const text = scene.add('PrimitiveString', 0, 1500);
      scene.set(text, 'value', 'man on the left');
      scene.link(text, first, 'phrase');
      const { node } = app.graph.convertToSubgraph(new Set([first]));
      app.graph.remove(app.graph.getNodeById(scene.subjects[1]));
      const again = node.clone();
      app.graph.add(again);
      const words = scene.add('PrimitiveString', 0, 1600);
      scene.set(words, 'value', 'woman with red hair');
      scene.link(words, again, 'phrase');
      scene.link(scene.picture('anna.png', 0, 1700), again, 'face');
      again.connect(0, binder, 1);
    }""")
    settled(classic)
    assert people(board) == list(WORDS)
    faces = [row(board, number).locator(".lumosx-thumb-face img").get_attribute("src") for number in (1, 2)]
    assert ["ben.png" in faces[0], "anna.png" in faces[1]] == [True, True]
    assert summary(board) == "Everything binds"
