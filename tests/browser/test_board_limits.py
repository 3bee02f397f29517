"""What a board cannot know or do, and how it says so; with classic nodes, since both kinds do it alike."""


from browser.boards import attributes, build, chip, drag, row, settled, widget


def marks(board):
    return [element.text_content() for element in board.locator(".lumosx-mark").all()]


def summary(board):
    return board.locator(".lumosx-summary-text").inner_text()


# A node that the page does not know: nothing tells what comes out of it.
_UNREADABLE = """(output) => {
  const node = scene.add('LumosX_Object', 330, 1400);
  node.addOutput('anything', output);
  node.comfyClass = 'Unreadable';
  return node;
}"""

_TOLD_BY_A_RUN = """(people) => {
  const told = ([kind, phrase]) => ({ kind, phrase, occurrence: 0, shown: true });
  const binding = { people: people.map((words) => ({ references: words.map(told) })), objects: [], background: null };
  app.nodeOutputs[scene.binder] = { lumosx_binding: [binding] };
}"""


def test_attributes_that_only_the_run_knows_join_their_row_and_an_old_run_is_no_help(classic):
    board = build(classic, people=(("man on the left", ()), ("woman with red hair", ("green dress",))))
    classic.run(f"""() => {{
      const node = ({_UNREADABLE})('*'), subject = app.graph.getNodeById(scene.subjects[0]);
      const index = subject.inputs.findIndex((input) => input.name === 'more_attributes');
      node.connect(node.outputs.length - 1, subject, index);
    }}""")
    man = [["face", "man on the left"], ["attribute", "white jacket"]]
    classic.run(_TOLD_BY_A_RUN, [man, [["face", "woman with red hair"], ["attribute", "green dress"]]])
    settled(classic)
    assert board.locator(".lumosx-row").count() == 2
    assert row(board, 1).locator(".lumosx-chip .lumosx-field").get_attribute("readonly") is not None
    assert marks(board) == ["1man on the left", "1awhite jacket", "2woman with red hair", "2agreen dress"]
    row(board, 2).locator(".lumosx-face .lumosx-field").fill("woman")
    settled(classic)
    assert board.locator(".lumosx-row").count() == 2
    assert marks(board) == ["1man on the left", "2woman", "2agreen dress"]


def test_words_that_cannot_be_read_make_no_promise(classic):
    board = build(classic)
    classic.run(f"""() => {{
      const node = ({_UNREADABLE})('STRING'), subject = app.graph.getNodeById(scene.subjects[0]);
      const index = subject.inputs.findIndex((input) => input.name === 'attribute_1_phrase');
      node.connect(node.outputs.length - 1, subject, index);
    }}""")
    settled(classic)
    assert row(board, 1).locator(".lumosx-chip .lumosx-field").first.get_attribute("readonly") is not None
    assert summary(board) == "Everything shown here binds"


def test_a_person_without_a_face_can_be_named_again(classic):
    board = build(classic)
    classic.run("() => app.graph.getNodeById(scene.subjects[0]).disconnectInput(0)")
    field = row(board, 1).locator(".lumosx-face .lumosx-field")
    field.fill("")
    settled(classic)
    field.click()
    classic.page.keyboard.type("man on the left")
    assert widget(classic, 0, "phrase") == "man on the left"
    settled(classic)
    assert marks(board)[0] == "1man on the left"


def test_a_full_person_takes_nothing_but_an_exchange(classic):
    """Nothing on the row would say which of the three has to leave."""
    people = (("man on the left", ("white jacket",)), ("woman", ("red hair", "green dress", "lamp")))
    board = build(classic, people=people)
    before = attributes(classic)
    source = chip(board, "white jacket").locator(".lumosx-thumb")
    drag(classic, source, row(board, 2).locator(".lumosx-thumb-face"))
    assert attributes(classic) == before
    source.click()
    entries = classic.page.get_by_role("menu").get_by_role("menuitem").all_inner_texts()
    swaps = ["Swap with “red hair”", "Swap with “green dress”", "Swap with “lamp”"]
    assert entries == [*swaps, "Choose picture …", "Paste picture", "Strength and steps …", "Show node"]
    classic.page.keyboard.press("Escape")
    drag(classic, source, chip(board, "lamp"))
    assert [slot[0] for slot in attributes(classic)[0]] == ["lamp", "", ""]
    assert [slot[0] for slot in attributes(classic)[1]] == ["red hair", "green dress", "white jacket"]


def test_a_refusal_is_reported_once_in_the_server_s_words(classic):
    asked = []
    classic.page.on("request", lambda request: asked.append(1) if request.url.endswith("/lumosx/board") else None)
    board = build(classic, "{" * 300 + "a" + "}" * 300)
    assert board.locator(".lumosx-note").inner_text().startswith("prompt: ")
    before = len(asked)
    classic.page.wait_for_timeout(6000)
    assert len(asked) == before


def test_a_second_background_is_marked(classic):
    build(classic)
    classic.run("""() => {
      const { add, set, link, picture } = scene, first = add('LumosX_Binder', 330, 1200);
      const binder = app.graph.getNodeById(scene.binder);
      for (const to of [first, binder]) {
        const place = add('LumosX_Background', 0, 1600);
        set(place, 'phrase', 'modern kitchen');
        link(picture('kitchen.png', 0, 1600), place, 'image');
        link(place, to, 'background');
      }
      link(first, binder, 'relations');
    }""")
    settled(classic)
    assert "There are two backgrounds" in classic.page.locator(".lumosx-note:visible").first.inner_text()
    assert "1 problem" in classic.page.locator(".lumosx-summary-text").all_inner_texts()
