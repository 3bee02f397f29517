"""The prompt is typed on the board: the same widget, marked while one types, with words offered."""

import pytest

from browser.boards import PROMPT, build, chip, hand_over, history, own_pictures, row, settled, widget


def held(comfy):
    return comfy.run(
        "() => app.graph.getNodeById(scene.encoder).widgets.find(({ name }) => name === 'prompt').value"
    )


def marks(board):
    return [element.text_content() for element in board.locator(".lumosx-mark").all()]


def test_what_is_typed_on_the_board_is_the_prompt(comfy):
    board = build(comfy)
    comfy.load(comfy.workflow())
    settled(comfy)
    before, steps = marks(board), history(comfy)
    field = board.locator("textarea")
    field.click()
    comfy.page.keyboard.press("Control+Home")
    comfy.page.keyboard.type("Rain.\n")
    # The marks move along before the server has answered.
    assert marks(board) == before
    assert held(comfy) == field.input_value() == "Rain.\n" + PROMPT
    # Keys of the canvas and of the browser stay in the field.
    comfy.page.keyboard.press("Control+z")
    comfy.page.keyboard.press("Control+y")
    assert held(comfy) == "Rain.\n" + PROMPT
    comfy.page.keyboard.press("Tab")
    settled(comfy)
    assert marks(board) == before and history(comfy) > steps
    comfy.page.keyboard.press("Control+z")
    comfy.page.wait_for_timeout(700)
    settled(comfy)
    assert held(comfy) == board.locator("textarea").input_value() == PROMPT
    assert comfy.errors == []


def test_letters_that_are_typed_lie_on_those_that_are_marked(comfy):
    board = build(comfy, PROMPT + "\n\n" + "wide, and wider still, " * 60 + "\n")
    comfy.page.wait_for_timeout(300)
    heights = board.locator(".lumosx-prompt").evaluate("""(prompt) => {
      const [sheet, field] = [prompt.querySelector('.lumosx-letters'), prompt.querySelector('textarea')];
      const style = ({ font, padding, whiteSpace, overflowWrap, letterSpacing }) =>
        [font, padding, whiteSpace, overflowWrap, letterSpacing];
      const same = String(style(getComputedStyle(sheet))) === String(style(getComputedStyle(field)));
      field.style.height = '0';
      const needed = field.scrollHeight;
      field.style.height = '';
      return [same, needed, sheet.offsetHeight, field.clientWidth - sheet.clientWidth];
    }""")
    assert heights[0] and heights[1] == heights[2] and heights[3] == 0


def test_a_linked_prompt_is_typed_where_it_is_held_or_not_at_all(classic):
    board = build(classic)
    classic.run("""(prompt) => {
      window.text = scene.add('PrimitiveString', 900, 900);
      scene.set(text, 'value', prompt);
      scene.link(text, app.graph.getNodeById(scene.encoder), 'prompt');
    }""", PROMPT)
    settled(classic)
    board.locator("textarea").click()
    classic.page.keyboard.press("Control+End")
    classic.page.keyboard.type(" Rain.")
    assert classic.run("() => text.widgets[0].value") == PROMPT + " Rain."
    # Behind a node that makes something of its own there is nothing to type into.
    classic.run("() => { text.comfyClass = 'Unreadable'; }")
    settled(classic)
    assert board.locator("textarea").is_hidden()
    assert "The prompt comes from" in board.locator(".lumosx-prompt").inner_text()


def test_words_of_pictures_are_offered_in_the_prompt(comfy):
    board = build(comfy, "A man on the left waits. ")
    settled(comfy)
    field, offers = board.locator("textarea"), comfy.page.locator(".lumosx-offer")
    field.click()
    comfy.page.keyboard.press("Control+End")
    comfy.page.keyboard.type("The wo")
    assert offers.all_inner_texts() == ["woman with red hair"]
    # Nothing is chosen yet, so Enter and Escape stay those of the field.
    comfy.page.keyboard.press("Escape")
    assert offers.count() == 0
    comfy.page.keyboard.type("m")
    comfy.page.keyboard.press("ArrowDown")
    comfy.page.keyboard.press("Enter")
    assert held(comfy) == "A man on the left waits. The woman with red hair"
    comfy.page.keyboard.type(" and @gl")
    offers.first.click()
    assert held(comfy) == "A man on the left waits. The woman with red hair and round glasses"
    assert offers.count() == 0 and comfy.errors == []


def test_words_of_the_prompt_are_offered_for_pictures(comfy):
    board = build(comfy, people=(("x", ("white jacket",)),))
    field, offers = row(board, 1).locator(".lumosx-face .lumosx-field"), comfy.page.locator(".lumosx-offer")
    field.fill("")
    field.press_sequentially("wom")
    assert offers.all_inner_texts() == ["woman", "woman with red", "woman with red hair"]
    for key in ("ArrowUp", "Enter"):
        comfy.page.keyboard.press(key)
    assert widget(comfy, 0, "phrase") == "woman with red hair"
    settled(comfy)
    assert "2woman" not in marks(board) and "1woman with red hair" in marks(board)
    assert chip(board, "white jacket").count() == 1


_MODULE = "async ([path, name, given]) => (await import(`/extensions/lumosx/board/${path}`))[name](...given)"


SUGGESTED = {
    "girl": ["woman"], "in the wite jacket": ["white jacket"],
    # A word that names nothing, and words that are spelled too differently to be meant.
    "wearings": [], "green shirt": [],
}
"""What is typed for a picture, and what of the prompt is offered in its place."""


def test_what_is_offered_names_something_and_is_like_what_was_typed(comfy):
    girl, *attributes = SUGGESTED
    prompt = "A man wearing a white jacket stands beside the woman in a green skirt."
    board = build(comfy, prompt, (("man", attributes), (girl, ())))
    shown = {girl: row(board, 2), **{words: chip(board, words) for words in attributes}}
    fixes = {words: element.locator(".lumosx-fix").all_inner_texts() for words, element in shown.items()}
    assert fixes == SUGGESTED
    asked = {words: "add these words to the prompt" in element.inner_text() for words, element in shown.items()}
    assert asked == {words: not offered for words, offered in SUGGESTED.items()}


def test_what_is_offered(classic):
    def runs(prompt, typed):
        return classic.run(_MODULE, ["offers.js", "runsOf", [prompt, typed]])

    prompt = "A tall man, the man's dog and {a man|a woman} of the town (hat:1.2)."
    assert runs(prompt, "ta") == ["tall", "tall man"]
    assert runs(prompt, "MAN") == ["man's", "man's dog"]
    assert runs(prompt, "m") == [] and runs(prompt, "ha") == ["hat"]
    assert runs("左边的男人穿着白色夹克", "男") != []
    phrases = ["man on the left", "white jacket"]

    def offers(text):
        return [each["text"] for each in classic.run(_MODULE, ["offers.js", "phrasesAt", [text, len(text), phrases]])]

    assert offers("the wh") == ["white jacket"] and offers("awh") == []
    assert offers("a man on") == ["man on the left"] and offers("a man on the left") == []
    assert offers("@") == phrases and offers("@ja") == ["white jacket"]


@pytest.mark.parametrize(("before", "after", "ranges"), [
    ("a man waits", "a tall man waits", [[7, 10]]),
    ("a man waits", "a man waits here", [[2, 5]]),
    ("a man waits", "a mean waits", []),
    ("a man waits", "", []),
])
def test_marks_move_with_what_is_typed_before_them(classic, before, after, ranges):
    assert classic.run(_MODULE, ["prompt.js", "afterEdit", [[[2, 5]], before, after]]) == ranges


def selected(field, words):
    """Select words of a text field, as with the mouse."""
    field.evaluate("""(field, words) => {
      const start = field.value.indexOf(words);
      field.focus();
      field.setSelectionRange(start, start + words.length);
    }""", words)


def point_of(board, words):
    """Where words of the prompt begin on the screen."""
    return board.locator(".lumosx-prompt").evaluate("""(prompt, words) => {
      const walker = document.createTreeWalker(prompt.querySelector('.lumosx-letters'), NodeFilter.SHOW_TEXT);
      for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        const index = text.textContent.indexOf(words);
        if (index < 0) continue;
        const range = document.createRange();
        range.setStart(text, index);
        const { left, top, height } = range.getBoundingClientRect();
        return [left, top + height / 2];
      }
    }""", words)


def undo(comfy):
    comfy.page.keyboard.press("Control+z")
    comfy.page.wait_for_timeout(700)
    settled(comfy)


def test_words_of_pictures_are_offered_for_a_key_on_the_board_and_on_the_node(comfy):
    board = build(comfy, "A man on the left waits. ")
    offers, page = comfy.page.locator(".lumosx-offer"), comfy.page
    every = ["white jacket", "round glasses", "woman with red hair", "green dress", "man on the left"]
    field = board.locator("textarea")
    field.click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+ ")
    assert offers.all_inner_texts() == every
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert held(comfy) == "A man on the left waits. round glasses"
    # The node's own field, in either kind of nodes; a field of another node has nothing to offer.
    comfy.run("() => { window.other = scene.add('CLIPTextEncode', 1220, 900).id; }")
    comfy.run("() => { scene.set(app.graph.getNodeById(scene.encoder), 'prompt', 'Rain, a whi'); }")
    comfy.run("() => { app.canvas.ds.offset = [-1000, 60]; app.canvas.setDirty(true, true); }")
    page.wait_for_timeout(500)
    texts = page.locator("textarea:visible").filter(visible=True)
    for index in range(texts.count()):
        text = texts.nth(index)
        if text.evaluate("(text) => Boolean(text.closest('.lumosx-board'))"):
            continue
        text.evaluate("(text) => { text.focus(); text.setSelectionRange(text.value.length, text.value.length); }")
        page.keyboard.press("Control+ ")
        assert offers.count() == (text.input_value() == "Rain, a whi")
        if offers.count():
            page.keyboard.press("Enter")
    assert held(comfy) == "Rain, a white jacket" and comfy.errors == []


def test_a_chip_that_is_dropped_into_the_prompt_writes_its_words_there(comfy):
    board = build(comfy, "A man waits in the rain.\nAll of the night.", (("man on the left", ("red hat",)),))
    comfy.load(comfy.workflow())
    settled(comfy)
    mouse = comfy.page.mouse
    for source, words, made in [
        (chip(board, "red hat").locator(".lumosx-thumb"), "the rain",
         "A man waits in red hat the rain.\nAll of the night."),
        (row(board, 1).locator(".lumosx-thumb-face"), "the night",
         "A man waits in the rain.\nAll of man on the left the night."),
    ]:
        box = source.bounding_box()
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mouse.down()
        mouse.move(*point_of(board, words), steps=6)
        assert "into the prompt" in comfy.page.locator(".lumosx-ghost").inner_text()
        mouse.up()
        settled(comfy)
        assert held(comfy) == made
        undo(comfy)
        assert held(comfy) == "A man waits in the rain.\nAll of the night."
    # One that can go nowhere else neither moves nor opens its menu.
    assert comfy.page.get_by_role("menu").count() == 0 and comfy.errors == []


def test_a_picture_that_is_dropped_on_selected_words_shows_what_they_name(comfy, tmp_path):
    own = own_pictures(tmp_path)
    board = build(comfy, "A man in a red hat holds a lamp.", (("man", ()),))
    comfy.load(comfy.workflow())
    settled(comfy)
    field, menu = board.locator("textarea"), comfy.page.get_by_role("menuitem")
    for words, entry, shown in [("red hat", "of person 1", ".lumosx-row"), ("lamp", "A thing", ".lumosx-things")]:
        selected(field, words)
        assert hand_over(comfy, "drop", field, own[0])
        assert all(words in text for text in menu.all_inner_texts())
        menu.filter(has_text=entry).click()
        board.locator(f"{shown} img[src*='own+0']").wait_for()
        settled(comfy)
        assert board.locator(shown).locator(f".lumosx-chip[aria-label$='{words}']").count() == 1
        if words == "red hat":
            assert widget(comfy, 0, "attribute_1_phrase") == words
        comfy.run("() => document.activeElement.blur()")
        # Picture and words go together; old pages note steps of their own behind them.
        for _ in range(3):
            undo(comfy)
            left = board.locator("img[src*='own+0']").count()
            assert board.locator(f".lumosx-chip[aria-label$='{words}']").count() == left
            if not left:
                break
        assert left == 0
    # Without a selection there is nothing to name.
    selected(field, "")
    assert board.locator(".lumosx-prompt").evaluate("(prompt) => prompt.take") is None
    assert comfy.errors == []
