"""The board on LumosX Binder: what it reads, marks and writes, with classic nodes and with Vue nodes."""

import pytest

from browser.boards import (
    ADD_MODELS,
    PEOPLE,
    PROMPT,
    attributes,
    build,
    chip,
    drag,
    row,
    settled,
    widget,
)


def marks(board):
    return [element.text_content() for element in board.locator(".lumosx-mark").all()]


def summary(board):
    return board.locator(".lumosx-summary-text").inner_text()


def node_ids(comfy):
    return [[slot[2] for slot in subject] for subject in attributes(comfy)]


def test_a_scene_that_binds_says_so_and_marks_every_phrase(comfy):
    board = build(comfy)
    assert summary(board) == "Everything binds"
    assert marks(board) == [
        "1man on the left", "1awhite jacket", "1bround glasses", "2woman with red hair", "2agreen dress",
    ]
    assert board.locator(".lumosx-problem").count() == 0
    assert comfy.errors == []


def test_thumbnails_show_the_linked_files(comfy):
    board = build(comfy)
    comfy.page.wait_for_function(
        "() => [...document.querySelectorAll('.lumosx-thumb img')].every((image) => image.naturalWidth === 64)"
    )
    assert "filename=ben.png" in row(board, 1).locator(".lumosx-thumb-face img").get_attribute("src")


def test_typing_on_the_board_writes_the_widget_and_is_checked_at_once(comfy):
    board = build(comfy)
    field = row(board, 2).locator(".lumosx-face .lumosx-field")
    field.click()
    comfy.page.keyboard.press("End")
    comfy.page.keyboard.type("s")
    assert widget(comfy, 1, "phrase") == "woman with red hairs"
    settled(comfy)
    assert summary(board) == "1 problem"
    assert "Not in the prompt" in row(board, 2).locator(".lumosx-problem").inner_text()
    # The caret stays where it was while the board draws.
    comfy.page.keyboard.press("Backspace")
    assert widget(comfy, 1, "phrase") == "woman with red hair"
    settled(comfy)
    assert summary(board) == "Everything binds"


def test_a_nearest_phrase_is_put_in_by_its_button(comfy):
    board = build(comfy, people=(("men on the left", ()), PEOPLE[1]))
    row(board, 1).locator(".lumosx-fix", has_text="man on the left").first.click()
    settled(comfy)
    assert widget(comfy, 0, "phrase") == "man on the left"
    assert summary(board) == "Everything binds"


def test_free_words_for_a_person_are_offered_and_what_is_taken_is_not(comfy):
    board = build(comfy, people=(("guy on the left", ()), ("lady", ())))
    row(board, 2).locator(".lumosx-fix", has_text="woman").first.click()
    settled(comfy)
    assert widget(comfy, 1, "phrase").startswith("woman")
    comfy.run("() => scene.set(app.graph.getNodeById(scene.subjects[0]), 'phrase', 'lady')")
    settled(comfy)
    assert "add these words to the prompt" in row(board, 1).inner_text()
    assert row(board, 1).locator(".lumosx-fix").count() == 0


def test_shared_words_are_marked_and_an_occurrence_resolves_them(comfy):
    people = (("man", ("white jacket",)), ("man", ("blue cap",)))
    board = build(comfy, "A man in a white jacket and a man with a blue cap.", people)
    first = row(board, 1)
    assert "cancel out" in first.inner_text()
    first.locator(".lumosx-fix", has_text="no. 1").click()
    settled(comfy)
    row(board, 2).locator(".lumosx-fix", has_text="no. 2").click()
    settled(comfy)
    assert [widget(comfy, index, "occurrence") for index in (0, 1)] == [1, 2]
    assert summary(board) == "Everything binds"


def test_too_few_and_empty_say_what_to_do(comfy):
    board = build(comfy, people=(("man on the left", ("white jacket", " ")), PEOPLE[1]))
    comfy.run("() => scene.set(app.graph.getNodeById(scene.subjects[1]), 'occurrence', 3)")
    settled(comfy)
    assert summary(board) == "2 problems"
    assert "Type the words" in row(board, 1).inner_text()
    assert "There is no occurrence 3; " in row(board, 2).inner_text()
    row(board, 2).locator(".lumosx-fix", has_text="all").click()
    assert widget(comfy, 1, "occurrence") == 0


def test_what_others_change_is_seen_without_a_hook(comfy):
    board = build(comfy)
    comfy.run("() => scene.set(app.graph.getNodeById(scene.encoder), 'prompt', 'A man on the left waves.')")
    settled(comfy)
    assert summary(board) == "4 problems"
    comfy.run("() => app.graph.getNodeById(scene.binder).disconnectInput(1)")
    settled(comfy)
    assert row(board, 2).count() == 0


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.5])
def test_dragging_an_attribute_rebinds_it(comfy, scale):
    board = build(comfy)
    comfy.run(
        "scale => { app.canvas.ds.scale = scale; app.canvas.ds.offset = [200 / scale - 700, scale > 1 ? -80 : 60];"
        " app.canvas.setDirty(true, true); }", scale,
    )
    comfy.run("() => app.graph.getNodeById(scene.binder).setSize([460, 640])")
    comfy.page.wait_for_timeout(500)
    [[jacket, glasses, _], [dress, _, _]] = node_ids(comfy)
    drag(comfy, chip(board, "round glasses").locator(".lumosx-thumb"), row(board, 2).locator(".lumosx-thumb-face"))
    assert attributes(comfy) == [
        [["white jacket", 0, jacket], ["", 0, None], ["", 0, None]],
        [["green dress", 0, dress], ["round glasses", 0, glasses], ["", 0, None]],
    ]
    prompt = comfy.prompt()
    second = prompt[str(comfy.run("() => scene.subjects[1]"))]["inputs"]
    assert second["attribute_2"] == [str(glasses), 0] and second["attribute_2_phrase"] == "round glasses"
    settled(comfy)
    assert summary(board) == "Everything binds"
    assert comfy.page.locator(".lumosx-ghost, .lumosx-target").count() == 0
    assert comfy.errors == []


def test_dropping_on_an_attribute_swaps_with_occurrences(comfy):
    board = build(comfy)
    comfy.run("() => scene.set(app.graph.getNodeById(scene.subjects[0]), 'attribute_1_occurrence', 1)")
    settled(comfy)
    [[jacket, glasses, _], [dress, _, _]] = node_ids(comfy)
    drag(comfy, chip(board, "white jacket").locator(".lumosx-thumb"), chip(board, "green dress"))
    assert attributes(comfy) == [
        [["green dress", 0, dress], ["round glasses", 0, glasses], ["", 0, None]],
        [["white jacket", 1, jacket], ["", 0, None], ["", 0, None]],
    ]


def test_escape_cancels_a_drag(comfy):
    board = build(comfy)
    before = attributes(comfy)
    box = chip(board, "white jacket").locator(".lumosx-thumb").bounding_box()
    target = row(board, 2).bounding_box()
    mouse = comfy.page.mouse
    mouse.move(box["x"] + 8, box["y"] + 8)
    mouse.down()
    mouse.move(target["x"] + 200, target["y"] + 10, steps=5)
    assert comfy.page.locator(".lumosx-ghost").count() == 1
    comfy.page.keyboard.press("Escape")
    assert comfy.page.locator(".lumosx-ghost").count() == 0
    mouse.up()
    comfy.page.wait_for_timeout(300)
    assert attributes(comfy) == before


def test_a_move_is_one_step_of_undo(comfy):
    board = build(comfy)
    # The host counts steps from the moment a workflow was opened.
    comfy.load(comfy.workflow())
    settled(comfy)
    before = attributes(comfy)
    drag(comfy, chip(board, "round glasses").locator(".lumosx-thumb"), row(board, 2).locator(".lumosx-thumb-face"))
    moved = attributes(comfy)
    assert moved != before
    comfy.page.keyboard.press("Control+z")
    comfy.page.wait_for_timeout(1000)
    assert attributes(comfy) == before
    comfy.page.keyboard.press("Control+y")
    comfy.page.wait_for_timeout(1000)
    assert attributes(comfy) == moved
    assert comfy.errors == []


def test_typing_and_then_dragging_are_two_steps_of_undo(comfy):
    board = build(comfy)
    comfy.load(comfy.workflow())
    settled(comfy)
    before = attributes(comfy)
    row(board, 1).locator(".lumosx-face .lumosx-field").click()
    comfy.page.keyboard.press("End")
    comfy.page.keyboard.type(" side")
    settled(comfy)
    drag(comfy, chip(board, "round glasses").locator(".lumosx-thumb"), row(board, 2).locator(".lumosx-thumb-face"))
    moved = attributes(comfy)
    assert moved != before

    def press(keys):
        comfy.page.keyboard.press(keys)
        comfy.page.wait_for_timeout(700)
        # The nodes are made anew, and so is their board.
        assert row(board, 1).locator(".lumosx-face .lumosx-field").input_value() == widget(comfy, 0, "phrase")
        return attributes(comfy), widget(comfy, 0, "phrase")

    assert press("Control+z") == (before, "man on the left side")
    assert press("Control+z") == (before, "man on the left")
    assert press("Control+y") == (before, "man on the left side")
    assert press("Control+y") == (moved, "man on the left side")
    assert comfy.errors == []


def test_the_keyboard_moves_an_attribute(comfy):
    board = build(comfy)
    [[_, glasses, _], _] = node_ids(comfy)
    thumb = chip(board, "round glasses").locator(".lumosx-thumb")
    thumb.focus()
    comfy.page.keyboard.press("Enter")
    menu = comfy.page.get_by_role("menu")
    assert menu.get_by_role("menuitem").first.inner_text() == "Move to person 2 (woman with red hair)"
    comfy.page.keyboard.press("Escape")
    assert menu.count() == 0
    assert thumb.evaluate("(element) => element === document.activeElement")
    comfy.page.keyboard.press("Space")
    comfy.page.keyboard.press("End")
    comfy.page.keyboard.press("ArrowDown")
    comfy.page.keyboard.press("Enter")
    comfy.page.wait_for_timeout(300)
    assert attributes(comfy)[1][1] == ["round glasses", 0, glasses]


def test_keys_in_a_field_are_not_the_canvas_s(comfy):
    board = build(comfy)
    nodes = comfy.run("() => app.graph.nodes.length")
    field = row(board, 1).locator(".lumosx-face .lumosx-field")
    field.click()
    comfy.page.keyboard.press("Control+a")
    comfy.page.keyboard.press("Delete")
    # Shortcuts of the canvas: queue, mute, collapse, refresh.
    comfy.page.keyboard.type("qmrc")
    assert widget(comfy, 0, "phrase") == "qmrc"
    assert comfy.run("() => app.graph.nodes.length") == nodes
    assert comfy.run("() => app.graph.nodes.every((node) => node.mode === 0)")


@pytest.fixture
def choose_palette(classic):
    """Chooses the page's colours; the usual ones come back."""
    yield classic.choose_palette
    classic.choose_palette("dark")


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_marked_words_can_be_read(classic, choose_palette, palette):
    choose_palette(palette)
    build(classic)
    worst = classic.run(CONTRASTS)
    assert len(worst) >= 10 and min(worst) >= 4.5, worst


CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (...layers) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const layer of layers) { canvas.fillStyle = layer; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (colour) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((each) => linear(each / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
    return rgb(...layers);
  };
  const texts = '.lumosx-mark, .lumosx-badge, .lumosx-summary-text, .lumosx-field';
  return [...document.querySelectorAll(texts)].map((element) => {
    const ground = behind(element);
    const [one, other] = [luminance(ground), luminance(rgb(getComputedStyle(element).color))].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05);
  });
}"""


def test_saving_and_queueing_are_as_without_the_board(comfy):
    build(comfy)
    binder = comfy.run("() => scene.binder")
    [saved] = [node for node in comfy.workflow()["nodes"] if str(node["id"]) == str(binder)]
    assert not saved.get("widgets_values") and not saved.get("widgets_values_named")
    assert set(comfy.prompt()[str(binder)]["inputs"]) == {"subject_1", "subject_2"}
    prompt = comfy.prompt()
    comfy.load(comfy.workflow())
    assert comfy.prompt() == prompt


def test_an_old_workflow_without_a_board_opens_with_one_of_a_sane_size(comfy):
    build(comfy)
    old = comfy.workflow()
    for node in old["nodes"]:
        if node["type"] == "LumosX_Binder":
            node["size"] = [320, 230]
    comfy.load(old)
    settled(comfy)
    box = comfy.page.locator(".lumosx-board").bounding_box()
    assert box["width"] >= 240 and 200 <= box["height"] <= 400
    assert summary(comfy.page.locator(".lumosx-board")) == "Everything binds"


WITHOUT_BADGES = """(element) => {
  const copy = element.cloneNode(true);
  copy.querySelectorAll('.lumosx-badge').forEach((badge) => badge.remove());
  return copy.textContent;
}"""


def test_phrases_are_never_markup(comfy):
    evil = "<img src=x onerror=window.broken=1>"
    board = build(comfy, f"{evil} sits there with a <b>hat</b>", ((evil, ("<b>hat</b>",)), PEOPLE[1]))
    assert comfy.run("() => window.broken") is None
    assert board.locator(".lumosx-prompt img, .lumosx-prompt b").count() == 0
    assert board.locator(".lumosx-prompt").evaluate(WITHOUT_BADGES) == f"{evil} sits there with a <b>hat</b>"
    assert row(board, 1).locator(".lumosx-face .lumosx-field").input_value() == evil


def test_a_server_without_the_route_is_said_in_one_line(comfy):
    comfy.page.route("**/lumosx/board", lambda route: route.fulfill(status=404, body="{}"))
    board = build(comfy)
    assert "not checked" in board.locator(".lumosx-note").inner_text()
    assert row(board, 1).locator(".lumosx-face .lumosx-field").input_value() == "man on the left"
    assert board.locator(".lumosx-mark").count() == 0


def test_reroutes_muted_and_bypassed_nodes_are_followed(comfy):
    board = build(comfy)
    comfy.run("""() => {
      const subject = app.graph.getNodeById(scene.subjects[0]), binder = app.graph.getNodeById(scene.binder);
      const reroute = scene.add('Reroute', 600, 40);
      subject.connect(0, reroute, 0);
      reroute.connect(0, binder, 0);
    }""")
    settled(comfy)
    assert row(board, 1).locator(".lumosx-face .lumosx-field").input_value() == "man on the left"
    comfy.run("() => { app.graph.getNodeById(scene.subjects[0]).mode = 2; }")
    settled(comfy)
    assert row(board, 1).locator(".lumosx-face .lumosx-field").input_value() == "woman with red hair"
    assert row(board, 2).count() == 0
    comfy.run("() => { app.graph.getNodeById(scene.subjects[0]).mode = 4; }")
    settled(comfy)
    assert row(board, 2).count() == 0


def test_objects_chains_backgrounds_and_linked_prompts_are_read(comfy):
    board = build(comfy)
    comfy.run("""() => {
      const { add, set, link, picture } = scene;
      const binder = app.graph.getNodeById(scene.binder);
      const one = add('LumosX_Object', 330, 1200), two = add('LumosX_Object', 330, 1400);
      const place = add('LumosX_Background', 330, 1600), text = add('PrimitiveString', 900, 900);
      set(one, 'phrase', 'white lamp'); set(two, 'phrase', 'sofa'); set(place, 'phrase', 'modern kitchen');
      link(picture('lamp.png', 0, 1200), one, 'image'); link(picture('lamp.png', 0, 1400), two, 'image');
      link(picture('kitchen.png', 0, 1600), place, 'image');
      link(one, two, 'previous'); link(two, binder, 'object_1'); link(place, binder, 'background');
      set(text, 'value', 'A man on the left, a woman with red hair and a white lamp in a modern kitchen.');
      const encoder = app.graph.getNodeById(scene.encoder);
      link(text, encoder, 'prompt');
    }""")
    settled(comfy)
    labels = [each.get_attribute("aria-label") for each in board.locator(".lumosx-things .lumosx-chip").all()]
    assert labels == ["A object: white lamp", "B object: sofa", "■ background: modern kitchen"]
    assert "Not in the prompt" in chip(board, "sofa").inner_text()
    assert marks(board) == ["1man on the left", "2woman with red hair", "Awhite lamp", "■modern kitchen"]


def test_what_comes_from_elsewhere_is_named(comfy):
    board = build(comfy)
    comfy.run("""() => {
      const load = scene.add('LumosX_LoadCase', 330, 1200);
      scene.link(load, app.graph.getNodeById(scene.binder), 'relations');
    }""")
    # The drawn case is drawn when it is first asked for.
    board.get_by_text("From LumosX Load Case; change it there.").first.wait_for()
    first = row(board, 1).locator(".lumosx-face .lumosx-field")
    assert first.get_attribute("readonly") is not None and first.input_value()


def test_a_removed_board_asks_no_more(comfy):
    build(comfy)
    comfy.run("() => app.graph.remove(app.graph.getNodeById(scene.binder))")
    comfy.page.wait_for_timeout(300)
    asked = []
    comfy.page.on("request", lambda request: asked.append(request.url) if "lumosx" in request.url else None)
    comfy.run("() => scene.set(app.graph.getNodeById(scene.encoder), 'prompt', 'nobody')")
    comfy.page.wait_for_timeout(900)
    assert asked == [] and comfy.page.locator(".lumosx-board").count() == 0


def test_subgraphs_are_seen_through_from_both_sides(comfy):
    board = build(comfy)
    comfy.run("""() => {
      const subject = app.graph.getNodeById(scene.subjects[0]);
      app.graph.convertToSubgraph(new Set([subject]));
    }""")
    settled(comfy)
    field = row(board, 1).locator(".lumosx-face .lumosx-field")
    assert field.input_value() == "man on the left"
    assert "filename=ben.png" in row(board, 1).locator(".lumosx-thumb-face img").get_attribute("src")
    comfy.run("""() => {
      const { subgraph } = app.graph.convertToSubgraph(new Set([app.graph.getNodeById(scene.binder)]));
      app.canvas.setGraph(subgraph);
      const [x, y] = subgraph.nodes[0].pos;
      app.canvas.ds.scale = 1;
      app.canvas.ds.offset = [300 - x, 100 - y];
      app.canvas.setDirty(true, true);
    }""")
    comfy.page.wait_for_timeout(1500)
    settled(comfy)
    inside = comfy.page.locator(".lumosx-board:visible")
    assert [row(inside, number).locator(".lumosx-face .lumosx-field").input_value() for number in (1, 2)] == [
        "man on the left", "woman with red hair",
    ]
    assert inside.locator(".lumosx-mark").count() == 5


def test_one_of_several_prompts_is_chosen(comfy):
    board = build(comfy)
    assert board.locator(".lumosx-encoder").is_hidden()
    other = comfy.run("""() => {
      const other = scene.add('LumosX_RelationalEncode', 1220, 800);
      scene.set(other, 'prompt', 'Nobody is here.');
      scene.link(app.graph.getNodeById(scene.binder), other, 'relations');
      return String(other.id);
    }""")
    settled(comfy)
    assert summary(board) == "Everything binds"
    board.locator(".lumosx-encoder").select_option(other)
    settled(comfy)
    assert summary(board) == "5 problems"
    assert board.locator(".lumosx-prompt").inner_text() == "Nobody is here."


def test_the_prompt_of_polyvivids_encoder_is_read_as_it_is_typed(comfy):
    """Braces are letters to it, and it reads any number of words; to the relational encoder neither is so."""
    board = build(comfy)
    typed = PROMPT.replace("man on the left", "{man|boy} on the left") + " and on" * 600
    other = comfy.run("""(prompt) => {
      const other = scene.add('LumosX_PolyVividEncode', 1220, 800);
      scene.set(other, 'prompt', prompt);
      scene.set(app.graph.getNodeById(scene.encoder), 'prompt', prompt);
      scene.link(app.graph.getNodeById(scene.binder), other, 'relations');
      return String(other.id);
    }""", typed)
    settled(comfy)
    relational = board.locator(".lumosx-problem").all_inner_texts()
    board.locator(".lumosx-encoder").select_option(other)
    settled(comfy)
    polyvivid = board.locator(".lumosx-problem").all_inner_texts()
    assert board.locator(".lumosx-prompt textarea").input_value() == typed
    assert any("512" in each for each in relational) and not any("512" in each for each in polyvivid)
    assert "Not in the prompt" in row(board, 1).locator(".lumosx-problem").first.inner_text()
    board.locator(".lumosx-prompt textarea").fill(PROMPT)
    settled(comfy)
    assert summary(board) == "Everything binds"
    held = "(id) => app.graph.getNodeById(id).widgets.find(({ name }) => name === 'prompt').value"
    assert comfy.run(held, int(other)) == PROMPT


def test_what_only_the_run_knows_is_shown_after_it(comfy):
    """A node that chooses between people can be followed by nobody but the server."""
    if not comfy.run("() => Boolean(LiteGraph.registered_node_types.ComfySwitchNode)"):
        pytest.skip("this ComfyUI has no switch node")
    board = build(comfy)
    comfy.run(ADD_MODELS)
    comfy.run("""() => {
      const subject = app.graph.getNodeById(scene.subjects[1]), choice = scene.add('ComfySwitchNode', 600, 700);
      // What this makes of a value only the server knows.
      const not = scene.add('ComfyNotNode', 300, 1500), no = scene.add('PrimitiveBoolean', 0, 1500);
      scene.link(no, not, 'value');
      scene.link(not, choice, 'switch');
      scene.link(subject, choice, 'on_true');
      scene.link(subject, choice, 'on_false');
      scene.link(choice, app.graph.getNodeById(scene.binder), 'subject_2');
    }""")
    settled(comfy)
    assert "not shown here" in board.inner_text() and row(board, 2).count() == 0
    assert summary(board) == "Everything shown here binds"
    assert comfy.queue()["status"]["status_str"] == "success"
    row(board, 2).wait_for()
    assert row(board, 2).locator(".lumosx-face .lumosx-field").input_value() == "woman with red hair"
    assert "From the last run" in row(board, 2).inner_text()
