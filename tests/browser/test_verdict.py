"""Red for what stops the run, amber for what is probably not meant, and each conflict once."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from browser.boards import ADD_MODELS, build, chip, row, save_pictures, settled

TWO_MEN = (("man", ("white jacket",)), ("man", ("green dress",)))


@pytest.fixture(autouse=True)
def pictures(server):
    folder = server.base / "input"
    save_pictures(folder)
    Image.new("RGB", (64, 64), "white").save(folder / "blank.png")
    # With so little in it, JPEG's marks around the hard edges would make another picture.
    Image.open(folder / "ben.png").resize((320, 320), Image.Resampling.NEAREST).save(folder / "ben_again.png")


def summary(board):
    """The kind of the sign, and the text beside it."""
    (kind,) = [name.removeprefix("lumosx-sign-") for name in
               board.locator(".lumosx-summary .lumosx-sign").get_attribute("class").split() if "sign-" in name]
    return kind, board.locator(".lumosx-summary-text").inner_text()


def set_file(comfy, subject, name, file):
    comfy.run("""([index, name, file]) => {
      const subject = app.graph.getNodeById(scene.subjects[index]);
      const place = subject.inputs.findIndex((input) => input.name === name);
      scene.set(subject.getInputNode(place), 'image', file);
    }""", [subject, name, file])
    settled(comfy)


def test_two_people_called_the_same_are_one_warning_in_amber(comfy):
    board = build(comfy, "A man in a white jacket and a man in a green dress.", TWO_MEN)
    assert summary(board) == ("warning", "Everything binds, with 1 warning")
    assert "cancel out" in row(board, 1).inner_text() and "cancel out" in row(board, 2).inner_text()
    assert board.locator(".lumosx-field[aria-invalid]").count() == 0
    comfy.run("() => scene.set(app.graph.getNodeById(scene.subjects[1]), 'phrase', 'boy')")
    settled(comfy)
    assert summary(board) == ("problem", "1 problem")


def test_choices_and_comments_of_a_linked_prompt_are_words(classic):
    typed = "A {man|boy} in a white jacket // and a lamp"
    people = (("lamp", ()),)
    board = build(classic, typed, people)
    assert summary(board)[0] == "problem"
    classic.run("""(text) => {
      const held = scene.add('PrimitiveString', 900, 900);
      scene.set(held, 'value', text);
      scene.link(held, app.graph.getNodeById(scene.encoder), 'prompt');
    }""", typed)
    settled(classic)
    assert summary(board) == ("fine", "Everything binds")
    encoder = str(classic.run("() => scene.encoder"))
    prompt = classic.prompt()
    assert prompt[prompt[encoder]["inputs"]["prompt"][0]]["inputs"]["value"] == typed


def test_pictures_that_carry_nothing_are_marked_before_a_run(classic, server):
    board = build(classic)
    assert summary(board) == ("fine", "Everything binds")
    set_file(classic, 0, "attribute_1", "blank.png")
    assert summary(board) == ("warning", "Everything binds, with 1 warning")
    assert "one colour" in chip(board, "white jacket").inner_text()
    set_file(classic, 1, "face", "ben_again.png")
    assert summary(board) == ("warning", "Everything binds, with 2 warnings")
    assert "The same picture as “woman with red hair”" in row(board, 1).inner_text()
    assert "The same picture as “man on the left”" in row(board, 2).inner_text()
    set_file(classic, 0, "attribute_1", "thing00.png")
    set_file(classic, 1, "face", "anna.png")
    assert summary(board) == ("fine", "Everything binds")


def test_comfyuis_example_picture_is_known(classic, server):
    import folder_paths

    shipped = Path(folder_paths.__file__).parent / "input" / "example.png"
    if not shipped.exists():
        pytest.skip("this ComfyUI has no example picture")
    shutil.copy(shipped, server.base / "input" / "lumosx_example.png")
    board = build(classic)
    set_file(classic, 0, "face", "lumosx_example.png")
    assert summary(board)[0] == "warning" and "example picture" in row(board, 1).inner_text()


def test_one_picture_that_is_linked_to_two_people_is_seen_from_its_links(classic):
    board = build(classic)
    classic.run("""() => {
      const made = scene.add('EmptyImage', 0, 1500);
      for (const id of scene.subjects) scene.link(made, app.graph.getNodeById(id), 'face');
    }""")
    settled(classic)
    assert summary(board) == ("warning", "Everything binds, with 1 warning")
    assert "The same picture as" in row(board, 2).inner_text()


def test_what_the_run_saw_of_a_made_picture_is_shown_until_it_changes(classic):
    board = build(classic)
    classic.run(ADD_MODELS)
    classic.run("""() => {
      const made = scene.add('EmptyImage', 0, 1500);
      scene.link(made, app.graph.getNodeById(scene.subjects[0]), 'face');
    }""")
    settled(classic)
    assert summary(board) == ("fine", "Everything binds")
    assert classic.queue()["status"]["status_str"] == "success"
    board.locator(".lumosx-checked").wait_for()
    settled(classic)
    assert summary(board) == ("warning", "Everything binds, with 1 warning")
    assert "one colour" in row(board, 1).inner_text()


def test_a_prompt_that_is_too_long_is_red(classic):
    board = build(classic, "A man on the left in a white jacket. " + "He waits. " * 300, (("man on the left", ()),))
    assert summary(board) == ("problem", "1 problem")
    assert "the model reads 512" in board.locator(".lumosx-note").inner_text()
