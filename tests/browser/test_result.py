"""The result view on LumosX Relational Encode, and what a run tells the board."""

import json
import re
import shutil

from browser.boards import ADD_MODELS, PROMPT, build, row, settled
from support.photographs import astronaut_file
from tools.server import ROOT


def run(comfy):
    comfy.run(ADD_MODELS)
    entry = comfy.queue()
    assert entry["status"]["status_str"] == "success"
    result = comfy.page.locator(".lumosx-result")
    result.wait_for()
    settled(comfy)
    return result


def test_the_negative_prompt_says_what_empty_means_and_leaves_the_room_to_the_prompt(comfy):
    build(comfy)
    comfy.run("() => { app.graph.getNodeById(scene.encoder).setSize([460, 800]); app.canvas.setDirty(true, true); }")
    comfy.page.wait_for_timeout(500)
    prompt, negative = (comfy.page.locator("textarea:not(.lumosx-typing)").nth(place) for place in (0, 1))
    assert prompt.input_value() == PROMPT and negative.input_value() == ""
    heights = [field.bounding_box()["height"] for field in (prompt, negative)]
    if comfy.run("() => Boolean(LiteGraph.vueNodesMode)"):
        # Its height is the page's; earlier pages write the name into the empty field, later ones above it.
        assert heights[0] >= heights[1] - 1
    else:
        words = negative.get_attribute("placeholder")
        assert words.startswith("Negative prompt. Empty: the release's") and "色调艳丽" in words
        assert heights[0] > 2 * heights[1]


def test_a_node_is_copied_and_pasted(comfy):
    """A page of 0.3.75 could not copy a node with Chinese in it."""
    build(comfy)
    comfy.run("() => { app.canvas.canvas.focus(); app.canvas.selectNode(app.graph.getNodeById(scene.encoder)); }")
    for key in ("Control+c", "Control+v"):
        comfy.page.keyboard.press(key)
        comfy.page.wait_for_timeout(500)
    assert comfy.run("() => app.graph.nodes.filter((node) => node.type === 'LumosX_RelationalEncode').length") == 2
    assert comfy.errors == []


def test_a_run_is_reported_in_a_panel_and_the_tokenizer_replaces_the_guess(comfy):
    board = build(comfy)
    assert comfy.page.locator(".lumosx-result").is_hidden()
    result = run(comfy)
    lines = [" ".join(each.inner_text().split()) for each in result.locator(".lumosx-binding").all()]
    assert lines == [
        "1 face man on the left", "1a attribute white jacket", "1b attribute round glasses",
        "2 face woman with red hair", "2a attribute green dress",
    ]
    text = result.inner_text()
    # 5 x 12 x 20 tokens of video and as many for each of five pictures: 17 frames are 5 latent ones.
    assert "2,400 tokens: 1,200 video, 1,200 references" in text
    assert re.search(r"Prompt: \d+ of 512 tokens", text)
    assert "320 x 192, 17 frames" in text and "light: a step is" in text and "GB" in text
    # Before the first run on this machine there is a table.
    assert "docs/speed.md" in result.inner_text()
    assert "from the last run" not in text
    assert board.locator(".lumosx-checked").inner_text() == "checked by the tokenizer"
    assert board.locator(".lumosx-mark").count() == 5
    assert comfy.errors == []


_ADD_SAMPLER = """() => {
  const { add, set } = scene, encoder = app.graph.getNodeById(scene.encoder);
  const models = app.graph.nodes.find((node) => node.type === 'LumosX_TinyModels');
  const sampler = add('LumosX_Sampler', 1700, 300), saved = add('SaveLatent', 2100, 300);
  const input = (name) => sampler.inputs.findIndex((each) => each.name === name);
  models.connect(models.outputs.findIndex((each) => each.type === 'MODEL'), sampler, input('model'));
  ['positive', 'negative', 'latent'].forEach((name, slot) => encoder.connect(slot, sampler, input(name)));
  sampler.connect(0, saved, 0);
  for (const [name, value] of [['width', 64], ['height', 48], ['frames', 5]]) set(encoder, name, value);
  set(sampler, 'steps', 4);
  set(sampler, 'seed', Math.floor(1e9 * Math.random()));
}"""


def test_the_panel_names_the_model_and_says_as_soon_as_a_run_is_over_how_long_it_takes_here(comfy, server):
    (server.base / "user" / "__lumosx" / "pace.json").unlink(missing_ok=True)
    build(comfy)
    comfy.run(ADD_MODELS)
    comfy.run(_ADD_SAMPLER)
    result = comfy.page.locator(".lumosx-result")
    # Another negative prompt, so that the encoder runs.
    comfy.run("() => scene.set(app.graph.getNodeById(scene.encoder), 'negative_prompt', `no ${Math.random()}`)")
    assert comfy.queue()["status"]["status_str"] == "success"
    # It was encoded before anything was known.
    assert comfy.run("() => app.nodeOutputs[scene.encoder].lumosx_encoding[0].prediction.here") is None
    result.get_by_text(re.compile(r"about \d+ seconds? of sampling here \(light\)")).wait_for()
    settled(comfy)
    text = result.inner_text()
    assert result.get_by_role("link").count() == 0
    assert re.search(r"\d+ MB, and 11 MB of weights \(lumosx_tiny_dit.safetensors\)", text), text
    # The size and the pictures are such as the small models do not know.
    warnings = " ".join(result.locator(".lumosx-warning").all_inner_texts())
    assert "width, height, frames: " in warnings
    assert comfy.errors == []


def test_sizes_and_photographs_that_the_small_models_do_not_know_are_warned_of(comfy, server):
    build(comfy)
    comfy.run(ADD_MODELS)
    comfy.run("""() => {
      const encoder = app.graph.getNodeById(scene.encoder);
      for (const [name, value] of [['width', 128], ['height', 96]]) scene.set(encoder, name, value);
    }""")
    assert comfy.queue()["status"]["status_str"] == "success"
    warnings = comfy.page.locator(".lumosx-result .lumosx-warning")
    comfy.page.locator(".lumosx-result").wait_for()
    assert warnings.all_inner_texts() == []
    shutil.copy(astronaut_file(), server.base / "input" / "photograph.png")
    comfy.run("""() => {
      const face = app.graph.getNodeById(scene.subjects[1]).getInputNode(0);
      scene.set(face, 'image', 'photograph.png');
      scene.set(app.graph.getNodeById(scene.encoder), 'width', 160);
    }""")
    assert comfy.queue()["status"]["status_str"] == "success"
    warnings.nth(1).wait_for()
    size, photograph = warnings.all_inner_texts()
    assert "width, height, frames: " in size and "160 x 96" in size
    # The drawings of the others are no photographs.
    assert "woman with red hair" in photograph and "man on the left" not in photograph


def test_an_edit_returns_to_the_guess_and_the_panel_says_whose_result_it_is(comfy):
    board = build(comfy)
    result = run(comfy)
    field = row(board, 1).locator(".lumosx-face .lumosx-field")
    field.fill("man")
    settled(comfy)
    assert board.locator(".lumosx-checked").count() == 0
    result.locator(".lumosx-last").wait_for()
    field.fill("man on the left")
    result.locator(".lumosx-last").wait_for(state="detached")
    assert board.locator(".lumosx-checked").count() == 1
    comfy.run("() => scene.set(app.graph.getNodeById(scene.encoder), 'frames', 33)")
    result.locator(".lumosx-last").wait_for()


def test_what_the_page_cannot_compare_makes_no_result_an_old_one(classic):
    board = build(classic, f"{PROMPT} // a remark")
    classic.run("""() => {
      const text = scene.add('StringConcatenate', 0, 1500), subject = app.graph.getNodeById(scene.subjects[0]);
      scene.set(text, 'string_a', 'man on');
      scene.set(text, 'string_b', 'the left');
      scene.set(text, 'delimiter', ' ');
      scene.link(text, subject, 'phrase');
    }""")
    result = run(classic)
    told = classic.run("() => app.nodeOutputs[scene.encoder].lumosx_encoding[0].prompt")
    assert "remark" not in told and result.locator(".lumosx-last").count() == 0
    # The words may be others by now.
    assert board.locator(".lumosx-checked").count() == 0
    row(board, 2).locator(".lumosx-face .lumosx-field").fill("woman")
    result.locator(".lumosx-last").wait_for()


def test_the_panel_is_neither_saved_nor_queued(comfy):
    build(comfy)
    comfy.run(ADD_MODELS)
    before, inputs = _encoder(comfy), _inputs(comfy)
    assert comfy.queue()["status"]["status_str"] == "success"
    comfy.page.locator(".lumosx-result").wait_for()
    after = _encoder(comfy)
    assert after["widgets_values"] == before["widgets_values"]
    assert after.get("widgets_values_named") == before.get("widgets_values_named")
    assert _inputs(comfy) == inputs


def _encoder(comfy):
    [node] = [each for each in comfy.workflow()["nodes"] if each["type"] == "LumosX_RelationalEncode"]
    return node


def _inputs(comfy):
    return comfy.prompt()[str(comfy.run("() => scene.encoder"))]["inputs"]


# Where a node is drawn: a Vue node is an element, which can be taller than the size that the graph has for it.
_AREA = """(key) => {
  const node = app.graph.getNodeById(scene[key]), { offset, scale } = app.canvas.ds;
  const drawn = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
  if (drawn) return [drawn.x, drawn.y, drawn.width, drawn.height];
  const area = app.canvas.canvas.getBoundingClientRect();
  return [...[0, 1].map((axis) => (node.pos[axis] + offset[axis]) * scale + [area.x, area.y][axis]), ...node.size];
}"""


def test_both_views_lie_inside_their_nodes(comfy):
    build(comfy)
    run(comfy)
    comfy.run("() => { app.canvas.ds.offset = [-640, 60]; app.canvas.setDirty(true, true); }")
    comfy.page.wait_for_timeout(600)
    for name, key in ((".lumosx-board", "binder"), (".lumosx-result", "encoder")):
        box = comfy.page.locator(name).bounding_box()
        x, y, width, height = comfy.run(_AREA, key)
        assert x <= box["x"] and box["x"] + box["width"] <= x + width + 1, name
        assert y <= box["y"] and box["y"] + box["height"] <= y + height + 1, name


def test_languages_have_the_same_keys_and_the_page_s_own_english_is_the_same(comfy):
    words = {
        language: json.loads((ROOT / "locales" / language / "main.json").read_text(encoding="utf-8"))["lumosx"]
        for language in ("en", "zh")
    }
    assert words["en"].keys() == words["zh"].keys()
    for key, text in words["en"].items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", words["zh"][key])), key
    own = comfy.run("async () => (await import('/extensions/lumosx/english.js')).ENGLISH")
    assert own == words["en"]
