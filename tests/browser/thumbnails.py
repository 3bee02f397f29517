"""Takes the pictures of the template browser: each template as it opens, or after a run where it needs no download.

    python dev.py pictures thumbnails
"""

import io

from PIL import Image

from browser.layout import bounds, measure
from browser.page import CLASSIC, ComfyPage
from tools.shipped_workflows import API_FORMS, WORKFLOWS, workflow

THUMBNAILS = "thumbnails"
WINDOW = {"width": 1900, "height": 1200}
WIDTH, QUALITY, MARGIN = 800, 80, 16
# A place at which no bar of the page lies over the graph.
CORNER, BELOW = (90, 170), 80
_SMALL = {"LumosX_TinyModels", "LumosX_TinyHunyuan"}
"""With one of these, a template runs without a download."""


def take_thumbnails(browser, server):
    """Write one JPEG for each template; returns the paths."""
    for name in API_FORMS:
        _name_files(workflow(name), server.models)
    context = browser.new_context(viewport=WINDOW)
    comfy = ComfyPage(context.new_page(), server.url).open(
        CLASSIC, Comfy__Minimap__Visible=False, Comfy__NodeBadge__NodeSourceBadgeMode="None",
        Comfy__Graph__CanvasInfo=False, Comfy__NodeBadge__NodeIdBadgeMode="None", Comfy__Queue__ShowFlatList=False,
    )
    taken = [_take(comfy, name) for name in API_FORMS]
    context.close()
    return taken


def _name_files(graph, models):
    """Empty files under the names that the loaders ask for: they are listed only."""
    for node in graph["nodes"]:
        names = [(model["directory"], model["name"]) for model in node["properties"].get("models", ())]
        if node["type"] == "LumosX_ModelLoader":
            names.append(("diffusion_models", node["widgets_values"][0]))
        for folder, name in names:
            (models / folder).mkdir(exist_ok=True)
            (models / folder / name).touch()


def _take(comfy, name):
    graph = workflow(name)
    comfy.load(graph)
    comfy.close_dialogs()
    if _SMALL & {node["type"] for node in graph["nodes"]}:
        comfy.queue(timeout=600)
    left, top, right, bottom = bounds(_boxes(comfy))
    room = WINDOW["width"] - CORNER[0] - MARGIN, WINDOW["height"] - CORNER[1] - BELOW
    scale = min(room[0] / (right - left), room[1] / (bottom - top))
    comfy.run("""([scale, x, y]) => {
        Object.assign(app.canvas.ds, { scale, offset: [x / scale, y / scale] });
        app.canvas.setDirty(true, true);
    }""", [scale, CORNER[0] - left * scale, CORNER[1] - top * scale])
    comfy.page.wait_for_timeout(2500)
    # It closes by itself, some seconds after a run.
    comfy.page.get_by_text("job completed").first.wait_for(state="hidden", timeout=30_000)
    # Bars and messages of the page, which have nothing to do with the template.
    comfy.page.add_style_tag(content=".p-toast, .actionbar, .p-message { display: none !important }")
    shot = comfy.page.screenshot(clip={
        "x": CORNER[0] - MARGIN, "y": CORNER[1] - MARGIN, "width": (right - left) * scale + 2 * MARGIN,
        "height": (bottom - top) * scale + MARGIN,
    })
    path = WORKFLOWS / f"{name}.jpg"
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    picture.save(path, quality=QUALITY, optimize=True)
    return path


def _boxes(comfy):
    """All nodes and groups of the open graph."""
    seen = measure(comfy)
    return [*seen["nodes"], *seen["groups"]]
