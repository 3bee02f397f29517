"""Pictures that go to another place, and what the prompt still says of them."""

import pytest

from browser.boards import PROMPT, attributes, build, chip, drag, row, settled, summary


def prompt(comfy):
    return comfy.run(
        "() => app.graph.getNodeById(scene.encoder).widgets.find(({ name }) => name === 'prompt').value"
    )


def hold_over(comfy, source, target):
    """Drag with the mouse and stay; what the ghost says."""
    start, end = source.bounding_box(), target.bounding_box()
    mouse = comfy.page.mouse
    mouse.move(start["x"] + 9, start["y"] + 9)
    mouse.down()
    mouse.move(end["x"] + 12, end["y"] + 12, steps=5)
    return comfy.page.locator(".lumosx-drop").inner_text()


def test_a_drag_says_what_its_drop_will_do(comfy):
    people = (("man on the left", ("white jacket",)), ("woman", ("red hair", "green dress", "lamp")))
    board = build(comfy, people=people)
    source, full = chip(board, "white jacket").locator(".lumosx-thumb"), row(board, 2).locator(".lumosx-thumb-face")
    assert hold_over(comfy, source, full).startswith("Person 2 has three attributes")
    assert comfy.page.locator(".lumosx-target").count() == 0
    comfy.page.keyboard.press("Escape")
    comfy.page.mouse.up()
    assert hold_over(comfy, source, chip(board, "lamp")) == "⇄ Swap with “lamp”"
    assert "lumosx-swap" in chip(board, "lamp").get_attribute("class")
    comfy.page.keyboard.press("Escape")
    comfy.page.mouse.up()
    back = hold_over(comfy, chip(board, "lamp").locator(".lumosx-thumb"), row(board, 1).locator(".lumosx-thumb-face"))
    assert back == "→ Move to person 1 (man on the left)"
    assert "lumosx-move" in row(board, 1).get_attribute("class")
    comfy.page.mouse.up()
    comfy.page.wait_for_timeout(400)
    assert [slot[0] for slot in attributes(comfy)[0]] == ["white jacket", "lamp", ""]
    assert comfy.page.locator(".lumosx-swap, .lumosx-move").count() == 0


def test_words_that_a_swap_leaves_behind_are_exchanged_in_the_prompt(comfy):
    board = build(comfy)
    comfy.load(comfy.workflow())
    settled(comfy)
    drag(comfy, chip(board, "white jacket").locator(".lumosx-thumb"), chip(board, "green dress"))
    settled(comfy)
    note = board.locator(".lumosx-note")
    assert "“white jacket” and “green dress” have changed places, but not in the prompt." in note.inner_text()
    changed = PROMPT.replace("white jacket", "-").replace("green dress", "white jacket").replace("-", "green dress")
    assert note.locator(".lumosx-preview").inner_text() == changed
    note.get_by_role("button", name="Exchange the words in the prompt").click()
    settled(comfy)
    assert prompt(comfy) == changed and note.count() == 0
    assert summary(board) == ("fine", "Everything binds")
    moved = attributes(comfy)
    comfy.page.keyboard.press("Control+z")
    comfy.page.wait_for_timeout(700)
    assert prompt(comfy) == PROMPT and attributes(comfy) == moved
    assert comfy.errors == []


def test_words_that_a_move_leaves_behind_follow_or_stay(comfy):
    board = build(comfy)
    glasses, woman = chip(board, "round glasses").locator(".lumosx-thumb"), row(board, 2).locator(".lumosx-thumb-face")
    drag(comfy, glasses, woman)
    settled(comfy)
    note = board.locator(".lumosx-note")
    assert "“round glasses” now belongs to “woman with red hair”, but not in the prompt." in note.inner_text()
    note.get_by_role("button", name="Keep the prompt as it is").click()
    assert note.count() == 0 and prompt(comfy) == PROMPT
    # By the menu too, and nothing is said once the prompt is another.
    chip(board, "white jacket").locator(".lumosx-thumb").click()
    comfy.page.get_by_role("menuitem", name="Move to person 2").click()
    assert note.count() == 1
    comfy.run("() => scene.set(app.graph.getNodeById(scene.encoder), 'prompt', 'A man on the left.')")
    settled(comfy)
    assert note.count() == 0


def test_a_prompt_that_cannot_be_typed_into_is_spoken_of_and_left(classic):
    board = build(classic)
    classic.run("""() => {
      const case_ = scene.add('LumosX_LoadCase', 900, 900), encoder = app.graph.getNodeById(scene.encoder);
      case_.connect(1, encoder, encoder.inputs.findIndex(({ name }) => name === 'prompt'));
    }""")
    classic.page.wait_for_timeout(2000)
    settled(classic)
    assert board.locator("textarea").is_visible() and board.locator("textarea").get_attribute("readonly") is not None


_MODULE = "async ([name, given]) => (await import('/extensions/lumosx/board/rewrite.js'))[name](...given)"


def ranges(text, words):
    start = text.index(words)
    return [start, start + len(words)]


@pytest.mark.parametrize(("text", "words", "siblings", "after", "is_thing", "changed"), [
    ("A man in a hat and a coat meets a girl.", "hat", ["coat"], "girl", False,
     "A man in a coat meets a girl wearing a hat."),
    ("A man in a hat and a coat meets a girl.", "coat", ["hat"], "girl", False,
     "A man in a hat meets a girl wearing a coat."),
    ("A man in a hat, a tie and a coat meets a girl.", "tie", ["hat", "coat"], "girl", False,
     "A man in a hat and a coat meets a girl wearing a tie."),
    ("A girl in a dress meets a man, who wears his hat.", "hat", [], "dress", True,
     "A girl in a dress and hat meets a man."),
    ("A man in a hat, and a girl in a dress.", "hat", [], "dress", True, "A man, and a girl in a dress and a hat."),
    ("Hat, man, girl.", "Hat", [], "girl", False, None),
])
def test_a_sentence_follows_a_move_as_far_as_simple_english_goes(
    classic, text, words, siblings, after, is_thing, changed
):
    given = [text, ranges(text, words), [ranges(text, each) for each in siblings],
             {"range": ranges(text, after), "isThing": is_thing}]
    assert classic.run(_MODULE, ["moveWords", given]) == changed


def test_words_are_exchanged_wherever_they_are_and_in_any_language(classic):
    def exchange(text, one, other):
        return classic.run(_MODULE, ["exchangeWords", [text, one, other]])

    text = "a hat, a cap, a hat"
    assert exchange(text, [[2, 5], [16, 19]], [[9, 12]]) == "a cap, a hat, a cap"
    assert exchange("男人穿夹克，女人穿裙子", [[3, 5]], [[9, 11]]) == "男人穿裙子，女人穿夹克"
    assert exchange(text, [[2, 5]], [[4, 8]]) is None and exchange(text, [[2, 5]], []) is None
