"""Takes the pictures of README and docs: the board and the result view of the drawn case, after a run.

    python dev.py pictures screenshots
"""

import io
from pathlib import Path

from PIL import Image

from browser.building import demo_pictures, sampled_people
from browser.page import VUE, ComfyPage
from tools.server import ROOT

SCREENSHOTS = "screenshots"
IMAGES = ROOT / "docs" / "images"
WINDOW = {"width": 1500, "height": 1250}
SHARPNESS, QUALITY, MARGIN = 1.5, 80, 16
KNOWN_SIZE = (128, 96, 17)
"""A size that the small models were trained on, so that nothing is amber but what the picture is about."""
TRIES = 8
RIGHT_PHRASE, WRONG_PHRASE = "yellow dress", "gold dress"


def take_screenshots(browser, server) -> list[Path]:
    """Write board.jpg (board and result view) and board_marks.jpg (a phrase that the prompt lacks)."""
    pictures = demo_pictures(server.base / "input")
    context = browser.new_context(viewport=WINDOW, device_scale_factor=SHARPNESS)
    comfy = ComfyPage(context.new_page(), server.url).open(VUE)
    # Its sampler does not run, and says whose weights are counted.
    graph = sampled_people(pictures, KNOWN_SIZE)
    graph.node("report", "PreviewAny", (1880, 500), inputs=[("source", "encode", 3)])
    # Both nodes as high as what they show; the page is not wide enough for the others.
    for node in graph.nodes:
        if node["key"] in ("binder", "encode"):
            node.update(size=[470, 760] if node["key"] == "binder" else [470, 980])
    ids = graph.put_into(comfy)
    comfy.run("() => { app.canvas.ds.scale = 1; app.canvas.ds.offset = [-760, 110]; app.canvas.setDirty(true, true); }")
    comfy.queue()
    comfy.page.wait_for_timeout(3000)
    _wait_for_board(comfy, "fine")
    taken = [_keep(comfy, "board.jpg", ids["binder"], ids["encode"])]
    fields = comfy.page.locator(".lumosx-chip input").all()
    next(field for field in fields if field.input_value() == RIGHT_PHRASE).fill(WRONG_PHRASE)
    comfy.page.wait_for_timeout(2000)
    _wait_for_board(comfy, "problem")
    taken.append(_keep(comfy, "board_marks.jpg", ids["binder"]))
    context.close()
    return taken


def _wait_for_board(comfy, sign: str) -> None:
    """A busy machine may not answer the board within its time, which no picture is to show: ask again."""
    for _ in range(TRIES):
        if comfy.page.locator(f".lumosx-board .lumosx-summary .lumosx-sign-{sign}").count():
            return
        field = comfy.page.locator(".lumosx-board textarea").first
        text = field.input_value()
        for typed in (f"{text} ", text):
            field.fill(typed)
            comfy.page.wait_for_timeout(500)
        field.blur()
        comfy.page.wait_for_timeout(6000)
    raise RuntimeError(f"The board did not become {sign}; take the pictures on a machine that has less to do.")


def _keep(comfy, name, *node_ids):
    boxes = [comfy.page.locator(f"[data-node-id='{identity}']").bounding_box() for identity in node_ids]
    left, top = (min(box[side] for box in boxes) - MARGIN for side in "xy")
    right = max(box["x"] + box["width"] for box in boxes) + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    shot = comfy.page.screenshot(clip={"x": left, "y": top, "width": right - left, "height": bottom - top})
    Image.open(io.BytesIO(shot)).convert("RGB").save(IMAGES / name, quality=QUALITY, optimize=True)
    return IMAGES / name
