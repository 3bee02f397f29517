"""Graphs with a board, built in the page by hand, and what the board shows of them."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path

from PIL import Image, ImageDraw

PROMPT = (
    "A man on the left in a white jacket and round glasses talks to a woman with red hair, who wears a green dress. "
    "They sit in a modern kitchen next to a white lamp."
)
PEOPLE = (("man on the left", ("white jacket", "round glasses")), ("woman with red hair", ("green dress",)))
PICTURES = {
    "ben.png": "peru", "anna.png": "tan", "lamp.png": "gold", "kitchen.png": "gray",
    **{f"thing{person}{place}.png": "teal" for person in range(2) for place in range(3)},
}

_BUILD = """([prompt, people]) => {
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type);
    node.pos = [x, y];
    app.graph.add(node);
    return node;
  };
  const set = (node, name, value) => {
    const widget = node.widgets.find((each) => each.name === name);
    widget.value = value;
    widget.callback?.(value);
  };
  const link = (from, to, name) => from.connect(0, to, to.inputs.findIndex((input) => input.name === name));
  const picture = (file, x, y) => {
    const node = add('LoadImage', x, y);
    set(node, 'image', file);
    return node;
  };
  const binder = add('LumosX_Binder', 700, 60);
  const encoder = add('LumosX_RelationalEncode', 1220, 60);
  set(encoder, 'prompt', prompt);
  link(binder, encoder, 'relations');
  const subjects = people.map(([phrase, attributes], index) => {
    const subject = add('LumosX_Subject', 330, 60 + index * 520);
    set(subject, 'phrase', phrase);
    link(subject, binder, `subject_${index + 1}`);
    link(picture(['ben.png', 'anna.png'][index], 0, 60 + index * 900), subject, 'face');
    attributes.forEach((words, place) => {
      set(subject, `attribute_${place + 1}_phrase`, words);
      const thing = picture(`thing${index}${place}.png`, 0, 200 + index * 900 + place * 100);
      link(thing, subject, `attribute_${place + 1}`);
    });
    return subject;
  });
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [-300, 60];
  app.canvas.setDirty(true, true);
  const ids = { binder: binder.id, encoder: encoder.id, subjects: subjects.map(({ id }) => id) };
  window.scene = { ...ids, add, set, link, picture };
}"""

_ATTRIBUTES = """() => {
  const graph = app.graph, scene = window.scene;
  return scene.subjects.map((id) => {
    const subject = graph.getNodeById(id);
    return [1, 2, 3].map((slot) => {
      const index = subject.inputs.findIndex((input) => input.name === `attribute_${slot}`);
      const value = (name) => subject.widgets.find((widget) => widget.name === name).value;
      const linked = subject.getInputNode(index)?.id ?? null;
      return [value(`attribute_${slot}_phrase`), value(`attribute_${slot}_occurrence`), linked];
    });
  });
}"""


# It looks four times a second, and shows at once that it waits: once nothing changes for longer, it is done.
_SETTLED = """() => {
  const now = document.querySelector('.lumosx-board')?.innerHTML, time = performance.now();
  if (!window.shown || window.shown.now !== now) window.shown = { now, time };
  return time - window.shown.time > 500 && !document.querySelector('.lumosx-sign-waiting');
}"""

# The small models, an encode node that uses them, and something that makes it run.
ADD_MODELS = """() => {
  const { add, set, link } = scene;
  const encoder = app.graph.getNodeById(scene.encoder), models = add('LumosX_TinyModels', 1220, 1000);
  for (const [type, name] of [['CLIP', 'clip'], ['VAE', 'vae']]) {
    const output = models.outputs.findIndex((each) => each.type === type);
    models.connect(output, encoder, encoder.inputs.findIndex((input) => input.name === name));
  }
  for (const [name, value] of [['width', 320], ['height', 192], ['frames', 17]]) set(encoder, name, value);
  const shown = add('PreviewAny', 1700, 60);
  encoder.connect(3, shown, 0);
}"""


def save_pictures(folder) -> None:
    """The files that the graphs below show, each another drawing, into the server's input folder."""
    for number, (name, colour) in enumerate(PICTURES.items()):
        picture = Image.new("RGB", (64, 64), colour)
        ImageDraw.Draw(picture).rectangle((4 * number, 8, 4 * number + 20, 8 + 5 * number), "white", "black", 4)
        picture.save(folder / name)


def build(comfy, prompt: str = PROMPT, people=PEOPLE):
    """A Binder with its people and an encode node; returns the board's locator once it has its verdict."""
    comfy.run(_BUILD, [prompt, people])
    board = comfy.page.locator(".lumosx-board")
    board.wait_for()
    settled(comfy)
    return board


def start(comfy):
    """A Binder and an encode node with nothing before them; returns the board's locator."""
    comfy.run(_BUILD, ["", []])
    # The host counts steps of undo from the moment a workflow was opened.
    comfy.load(comfy.workflow())
    board = comfy.page.locator(".lumosx-board")
    board.wait_for()
    settled(comfy)
    return board


def own_pictures(folder) -> list[Path]:
    """Three picture files of the user's own, outside of the server's folders."""
    paths = []
    for number, colour in enumerate(("brown", "navy", "olive")):
        picture = Image.new("RGB", (90, 150), colour)
        ImageDraw.Draw(picture).ellipse((5 + 20 * number, 20, 50 + 10 * number, 120), "white", "black", 3)
        paths.append(folder / f"own {number}.png")
        picture.save(paths[-1])
    return paths


_TRANSFER = """([kind, files]) => {
  window.transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
}"""
_SEND = """(element, kind) => {
  const send = (name) => element.dispatchEvent(kind === 'paste'
    ? new ClipboardEvent(name, { bubbles: true, cancelable: true, clipboardData: transfer })
    : new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  const names = kind === 'paste' ? ['paste'] : ['dragenter', 'dragover', 'drop'];
  return !names.map(send).at(-1);
}"""


def hand_over(comfy, kind: str, target, *paths: Path) -> bool:
    """Drop or paste files ("drop", "paste") on an element; whether something on the page took them."""
    files = [(path.name, mimetypes.guess_type(path)[0], base64.b64encode(path.read_bytes()).decode()) for path in paths]
    comfy.run(_TRANSFER, [kind, files])
    return target.evaluate(_SEND, kind)


def history(comfy) -> int:
    """How many steps the host could undo."""
    return comfy.run("() => app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length")


def settled(comfy) -> None:
    """Wait until the board has asked about what it shows, and shows the answer."""
    comfy.run("() => { window.shown = null; }")
    comfy.page.wait_for_function(_SETTLED, polling=100)


def attributes(comfy) -> list:
    """[phrase, occurrence, id of the linked node] of every attribute slot, subject by subject."""
    return comfy.run(_ATTRIBUTES)


def widget(comfy, subject: int, name: str):
    """The value of a widget of the subject at an index."""
    return comfy.run(
        "([index, name]) => app.graph.getNodeById(scene.subjects[index]).widgets"
        ".find((each) => each.name === name).value",
        [subject, name],
    )


def summary(board) -> tuple[str, str]:
    """The sign of a board's summary ("fine", "warning", "problem", "idle", "waiting"), and its sentence."""
    (kind,) = [name.removeprefix("lumosx-sign-") for name in
               board.locator(".lumosx-summary .lumosx-sign").get_attribute("class").split() if "sign-" in name]
    return kind, board.locator(".lumosx-summary-text").inner_text()


def chip(board, words: str):
    """The chip that shows these words."""
    return board.locator(f".lumosx-chip[aria-label$='{words}']")


def row(board, number: int):
    """The row of a person, from 1."""
    return board.locator(f".lumosx-row[aria-label='Person {number}']")


def drag(comfy, source, target, steps: int = 8) -> None:
    """Drag with the real mouse from the middle of one element to the middle of another."""
    start, end = (element.bounding_box() for element in (source, target))
    mouse = comfy.page.mouse
    mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    mouse.down()
    mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=steps)
    mouse.up()
    comfy.page.wait_for_timeout(400)
