"""The prompt is typed on the board: the same widget, marked while one types, with words offered."""

import pytest

from browser.boards import PROMPT, build, chip, history, row, settled, widget


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
