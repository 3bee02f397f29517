"""Pictures that are muted or bypassed to compare: amber, the words stay, and the run goes on without the picture."""

import pytest

from browser.boards import ADD_MODELS, attributes, build, chip, row, settled, summary

MUTED, BYPASSED = 2, 4
FACES = (("man on the left", ()), ("woman with red hair", ()))

_MODE = """([index, name, mode]) => {
  const subject = app.graph.getNodeById(scene.subjects[index]);
  subject.getInputNode(subject.inputs.findIndex((input) => input.name === name)).mode = mode;
}"""
# An object and a background, with what they show.
_PLACES = """() => {
  const binder = app.graph.getNodeById(scene.binder);
  [['Object', 'white lamp', 'lamp', 'object_1'], ['Background', 'modern kitchen', 'kitchen', 'background']]
    .forEach(([type, words, file, input], index) => {
      const node = scene.add(`LumosX_${type}`, 330, 1400 + 300 * index);
      scene.set(node, 'phrase', words);
      scene.link(scene.picture(`${file}.png`, 0, 1400 + 400 * index), node, 'image');
      scene.link(node, binder, input);
    });
}"""
_ALL = "(mode) => app.graph.nodes.filter(({ type }) => type === 'LoadImage').forEach((node) => { node.mode = mode; })"


# The page gets no result of a node that the server has in its cache.
_ANEW = "() => scene.set(app.graph.getNodeById(scene.encoder), 'negative_prompt', `no ${Math.random()}`)"


def queue(comfy):
    comfy.run(_ANEW)
    return comfy.queue()["status"]["status_str"]


def shown(comfy):
    """For each phrase of the last run, whether the encoder had a picture of it."""
    view = comfy.run("() => app.nodeOutputs[scene.encoder].lumosx_encoding[0]")
    return {each["phrase"]: each["shown"] for each in view["references"]}


def test_a_thing_that_a_person_wears(comfy):
    board = build(comfy)
    comfy.run(ADD_MODELS)
    comfy.run(_MODE, [0, "attribute_1", BYPASSED])
    settled(comfy)
    assert summary(board) == ("warning", "Everything binds, with 1 warning")
    assert "“Load Image” is bypassed: only these words count" in chip(board, "white jacket").inner_text()
    assert chip(board, "white jacket").locator(".lumosx-fix").count() == 0
    # What is left out is still to be seen.
    paused = chip(board, "white jacket").locator(".lumosx-paused img")
    assert "thing00.png" in paused.get_attribute("src")
    assert queue(comfy) == "success"
    settled(comfy)
    assert board.locator(".lumosx-checked").count() == 1
    assert summary(board) == ("warning", "Everything binds, with 1 warning")
    comfy.run(_MODE, [0, "attribute_1", 0])
    settled(comfy)
    assert summary(board)[0] == "fine" and attributes(comfy)[0][0][0] == "white jacket"
    assert comfy.errors == []


@pytest.mark.parametrize("mode", [MUTED, BYPASSED])
def test_a_person_who_is_only_a_face(comfy, mode):
    """As in the template of two people by their faces."""
    board = build(comfy, people=FACES)
    comfy.run(ADD_MODELS)
    comfy.run(_MODE, [0, "face", mode])
    settled(comfy)
    for checked in (0, 1):
        assert board.locator(".lumosx-checked").count() == checked
        assert summary(board) == ("warning", "Everything binds, with 1 warning")
        assert "muted or bypassed: only the words count" in row(board, 1).inner_text()
        assert row(board, 1).locator(".lumosx-error").count() == 0
        if not checked:
            assert queue(comfy) == "success"
            settled(comfy)
    assert shown(comfy) == {"man on the left": False, "woman with red hair": True}
    assert row(board, 1).locator(".lumosx-field").first.input_value() == "man on the left"
    comfy.run(_MODE, [0, "face", 0])
    settled(comfy)
    assert summary(board)[0] == "fine" and comfy.errors == []


def test_a_thing_and_a_place(comfy):
    board = build(comfy, people=FACES)
    comfy.run(ADD_MODELS)
    comfy.run(_PLACES)
    comfy.run("""([muted, bypassed]) => {
      const mode = { 'lamp.png': muted, 'kitchen.png': bypassed };
      app.graph.nodes.filter(({ type }) => type === 'LoadImage').forEach((node) => {
        node.mode = mode[node.widgets[0].value] ?? 0;
      });
    }""", [MUTED, BYPASSED])
    settled(comfy)
    assert summary(board) == ("warning", "Everything binds, with 2 warnings")
    assert "“Load Image” is muted: only these words count" in chip(board, "white lamp").inner_text()
    assert "“Load Image” is bypassed: only these words count" in chip(board, "modern kitchen").inner_text()
    assert queue(comfy) == "success"
    settled(comfy)
    assert board.locator(".lumosx-checked").count() == 1
    assert [words for words, has in shown(comfy).items() if not has] == ["modern kitchen", "white lamp"]
    assert "words only" in comfy.page.locator(".lumosx-result").inner_text()
    assert comfy.errors == []


def test_every_picture_at_once(comfy):
    board = build(comfy, people=FACES)
    comfy.run(ADD_MODELS)
    comfy.run(_PLACES)
    comfy.run(_ALL, BYPASSED)
    settled(comfy)
    assert summary(board)[0] == "warning"
    assert "the video is made from the prompt alone" in board.inner_text()
    assert queue(comfy) == "success"
    assert not any(shown(comfy).values())
    comfy.run(_ALL, 0)
    settled(comfy)
    assert summary(board)[0] == "fine" and comfy.errors == []


def test_without_words_too_it_is_red_and_says_what_to_do(classic):
    board = build(classic, people=FACES)
    classic.run(_PLACES)
    row(board, 1).locator(".lumosx-field").first.fill("")
    chip(board, "white lamp").locator(".lumosx-field").fill("")
    classic.run(_ALL, BYPASSED)
    settled(classic)
    assert summary(board) == ("problem", "2 problems")
    assert "there are no words; type words, or bypass “LumosX Subject” too." in row(board, 1).inner_text()
    assert "is bypassed, and there are no words" in board.locator(".lumosx-things .lumosx-chip").first.inner_text()


def test_a_thing_of_a_chain_that_a_person_wears_needs_a_picture_or_words(classic):
    board = build(classic, people=FACES)
    classic.run("""() => {
      const thing = scene.add('LumosX_Object', 330, 1400);
      scene.link(thing, app.graph.getNodeById(scene.subjects[0]), 'more_attributes');
    }""")
    settled(classic)
    assert summary(board) == ("problem", "1 problem")
    assert "neither a picture nor words" in row(board, 1).locator(".lumosx-chip").inner_text()
    # Words alone are enough for the run, and clearing them would stop it.
    row(board, 1).locator(".lumosx-chip .lumosx-field").fill("white jacket")
    settled(classic)
    assert summary(board)[0] == "warning"
    assert row(board, 1).locator(".lumosx-chip .lumosx-fix").count() == 0
