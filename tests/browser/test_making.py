"""The board builds: people, things, a background and their pictures, with classic nodes and with Vue nodes."""

import pytest

from browser.boards import build, chip, hand_over, history, own_pictures, row, settled, start


@pytest.fixture
def own(tmp_path):
    return own_pictures(tmp_path)


def kinds(comfy):
    return sorted(comfy.run("() => app.graph.nodes.map((node) => node.type)"))


def choose(comfy, element, *paths):
    """Press something that asks for files, and choose these."""
    with comfy.page.expect_file_chooser() as chooser:
        element.click()
    with comfy.page.expect_response("**/upload/image"):
        chooser.value.set_files(paths)
    comfy.page.wait_for_function("() => !document.querySelector('.lumosx-board').innerText.includes('Uploading')")
    settled(comfy)


def shown(element):
    """The name of the file that the first thumbnail of an element shows."""
    return element.locator(".lumosx-thumb img").first.get_attribute("src").partition("filename=")[2].partition("&")[0]


def test_two_clicks_and_words_make_a_person_with_own_pictures_and_undo_takes_each_back(comfy, own):
    board = start(comfy)
    field = board.locator("textarea")
    field.click()
    comfy.page.keyboard.type("A man in a red coat waits.")
    board.locator(".lumosx-add").first.click()
    # The words of the new person are typed at once.
    comfy.page.keyboard.type("man")
    choose(comfy, row(board, 1).locator(".lumosx-thumb-face"), own[0])
    choose(comfy, row(board, 1).locator(".lumosx-plus"), own[1])
    comfy.page.keyboard.type("red coat")
    comfy.page.keyboard.press("Enter")
    settled(comfy)
    assert board.locator(".lumosx-summary-text").inner_text() == "Everything binds"
    assert (shown(row(board, 1)), shown(chip(board, "red coat"))) == ("own+0.png", "own+1.png")
    prompt = comfy.prompt()
    person, = (node["inputs"] for node in prompt.values() if node["class_type"] == "LumosX_Subject")
    files = [prompt[person[name][0]]["inputs"]["image"] for name in ("face", "attribute_1")]
    assert files == ["own 0.png", "own 1.png"]
    assert (person["phrase"], person["attribute_1_phrase"]) == ("man", "red coat")
    scene = ["LoadImage", "LoadImage", "LumosX_Binder", "LumosX_RelationalEncode", "LumosX_Subject"]
    assert kinds(comfy) == scene
    seen = [kinds(comfy)]
    while len(seen[-1]) > 2 and len(seen) < 10:
        comfy.page.keyboard.press("Control+z")
        comfy.page.wait_for_timeout(700)
        seen.append(kinds(comfy))
    # Node and link go together; between them are the words, and what old pages note of their own.
    assert list(dict.fromkeys(len(each) for each in seen)) == [5, 4, 3, 2]
    assert comfy.errors == []


def test_pictures_are_dropped_and_pasted_where_they_belong(comfy, own, tmp_path):
    board = build(comfy)
    nodes = len(kinds(comfy))
    # A Load Image of this thing alone shows the new file.
    assert hand_over(comfy, "drop", chip(board, "white jacket").locator(".lumosx-field"), own[0])
    chip(board, "white jacket").locator("img[src*='own+0']").wait_for()
    assert len(kinds(comfy)) == nodes
    # One that others use too stays as it is.
    comfy.run("""() => {
      const [first, second] = scene.subjects.map((id) => app.graph.getNodeById(id));
      first.getInputNode(0).connect(0, second, 0);
    }""")
    settled(comfy)
    thumb = row(board, 2).locator(".lumosx-thumb-face")
    thumb.click()
    comfy.page.get_by_role("menuitem", name="Choose picture").wait_for()
    assert hand_over(comfy, "paste", comfy.page.get_by_role("menuitem").first, own[1])
    row(board, 2).locator(".lumosx-face img[src*='own+1']").wait_for()
    assert shown(row(board, 1)) == "ben.png" and len(kinds(comfy)) == nodes + 1
    # Several make several, each with its words to be typed.
    assert hand_over(comfy, "drop", board.locator(".lumosx-add").nth(1), *own[:2])
    board.locator(".lumosx-things .lumosx-chip").nth(1).wait_for()
    assert kinds(comfy).count("LumosX_Object") == 2
    # What is no picture, or lands beside, is the host's.
    (tmp_path / "notes.txt").write_text("x")
    assert not hand_over(comfy, "paste", chip(board, "green dress").locator(".lumosx-thumb"), tmp_path / "notes.txt")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    count = len(kinds(comfy))
    assert hand_over(comfy, "paste", chip(board, "green dress").locator(".lumosx-thumb"), tmp_path / "broken.png")
    board.locator(".lumosx-note", has_text="cannot read “broken.png” as a picture").wait_for()
    assert len(kinds(comfy)) == count and comfy.errors == []


def test_where_no_room_is_the_board_says_so(classic, own):
    board = start(classic)
    person, thing, background = board.locator(".lumosx-add").all()
    for _ in range(3):
        person.click()
        settled(classic)
    assert person.is_disabled() and "second one" in person.get_attribute("title")
    background.click()
    for _ in range(4):
        thing.click()
        settled(classic)
    assert background.is_disabled() and not thing.is_disabled()
    # The fourth thing is chained before the third.
    assert board.locator(".lumosx-things .lumosx-chip").count() == 5
    plus = row(board, 1).locator(".lumosx-plus")
    steps = history(classic)
    choose(classic, plus, *own, own[0])
    assert row(board, 1).locator(".lumosx-chip").count() == 3 and plus.is_disabled()
    assert "no room for one of the pictures" in board.locator(".lumosx-note").inner_text()
    assert history(classic) == steps + 1
    boxes = classic.run("() => app.graph.nodes.map(({ pos, size }) => [pos[0], pos[1] - 30, ...size].map(Number))")
    for index, (left, top, width, height) in enumerate(boxes):
        for other_left, other_top, other_width, other_height in boxes[:index]:
            beside = left >= other_left + other_width or other_left >= left + width
            assert beside or top >= other_top + other_height or other_top >= top + height


def test_what_comes_from_outside_of_a_subgraph_is_given_there_and_new_nodes_stay_inside(classic, own):
    build(classic)
    classic.run("""() => {
      const nodes = [scene.binder, ...scene.subjects].map((id) => app.graph.getNodeById(id));
      const { subgraph } = app.graph.convertToSubgraph(new Set(nodes));
      app.canvas.setGraph(subgraph);
      const [x, y] = subgraph.nodes.find(({ type }) => type === 'LumosX_Binder').pos;
      Object.assign(app.canvas.ds, { scale: 1, offset: [400 - x, 100 - y] });
      app.canvas.setDirty(true, true);
      window.inside = subgraph;
    }""")
    classic.page.wait_for_timeout(1000)
    settled(classic)
    board = classic.page.locator(".lumosx-board:visible")
    outside = "() => app.rootGraph?.nodes.length ?? app.graph.rootGraph.nodes.length"
    before = classic.run(outside)
    choose(classic, row(board, 1).locator(".lumosx-plus"), own[0])
    assert row(board, 1).locator(".lumosx-chip").count() == 3
    assert classic.run("() => inside.nodes.filter(({ type }) => type === 'LoadImage').length") == 1
    assert hand_over(classic, "drop", row(board, 1).locator(".lumosx-thumb-face"), own[1])
    row(board, 1).locator(".lumosx-face img[src*='own+1']").wait_for()
    assert classic.run("() => inside.nodes.filter(({ type }) => type === 'LoadImage').length") == 1
    assert classic.run(outside) == before


def test_a_late_upload_leaves_the_focus_where_somebody_types(classic, own):
    board = build(classic)
    uploads = []
    classic.page.route("**/upload/image", lambda route: uploads.append(route))
    with classic.page.expect_file_chooser() as chooser:
        row(board, 1).locator(".lumosx-plus").click()
    with classic.page.expect_request("**/upload/image"):
        chooser.value.set_files(own[:1])
    field = row(board, 2).locator(".lumosx-face .lumosx-field")
    field.click()
    uploads[0].continue_()
    row(board, 1).locator(".lumosx-chip img[src*='own+0']").wait_for()
    classic.page.keyboard.type("!")
    settled(classic)
    assert "!" in field.input_value()


def test_an_idle_board_touches_nothing_and_asks_nothing(comfy):
    board = build(comfy)
    asked = []
    comfy.page.on("request", lambda request: asked.append(request.url) if "lumosx" in request.url else None)
    touched = board.evaluate("""async (element) => {
      const seen = [], watch = new MutationObserver((records) => seen.push(...records));
      watch.observe(element, { subtree: true, childList: true, attributes: true, characterData: true });
      await new Promise((resolve) => setTimeout(resolve, 1500));
      watch.disconnect();
      return seen.length;
    }""")
    assert touched == 0 and asked == []


def test_thumbnails_show_whole_pictures_and_enlarge(comfy):
    board = build(comfy)
    picture = row(board, 1).locator(".lumosx-thumb-face")
    assert picture.locator("img").evaluate("(image) => getComputedStyle(image).objectFit") == "contain"
    picture.hover()
    large = comfy.page.locator(".lumosx-zoom")
    large.wait_for()
    assert "ben.png" in large.get_attribute("src") and large.bounding_box()["width"] == 280
    board.locator("textarea").hover()
    large.wait_for(state="detached")


def test_nine_things_of_three_people_fit_on_a_new_board(comfy):
    """At the size that a Binder has when it is made; the rest is the prompt's."""
    words = [["white jacket", "round glasses", "blue tie"], ["green dress", "gold earrings", "red scarf"]]
    things = ", ".join(sum(words, []))
    prompt = f"A man on the left and a woman with red hair wear {things}, a cap, a bag and boots."
    board = build(comfy, prompt, (("man on the left", words[0]), ("woman with red hair", words[1])))
    comfy.run("""() => {
      const third = scene.add('LumosX_Subject', 330, 1200), first = app.graph.getNodeById(scene.subjects[0]);
      scene.set(third, 'phrase', 'a cap');
      scene.link(third, app.graph.getNodeById(scene.binder), 'subject_3');
      ['cap', 'bag', 'boots'].forEach((words, index) => {
        scene.set(third, `attribute_${index + 1}_phrase`, words);
        scene.link(scene.add('EmptyImage', 0, 2000 + 200 * index), third, `attribute_${index + 1}`);
      });
    }""")
    settled(comfy)
    assert board.locator(".lumosx-chip").count() == 9
    # The third has no face, which is said in between.
    assert board.locator(".lumosx-problem:visible").count() == 1
    room = board.evaluate("""(element) => {
      const scroll = element.querySelector('.lumosx-scroll'), prompt = element.querySelector('.lumosx-prompt');
      const fields = [...element.querySelectorAll('.lumosx-chip .lumosx-field')];
      const cut = fields.filter((field) => field.scrollWidth > field.clientWidth);
      return [scroll.scrollHeight - scroll.clientHeight, prompt.clientHeight, cut.map(({ value }) => value)];
    }""")
    assert room[0] <= 0 and room[1] >= 100 and room[2] == []
