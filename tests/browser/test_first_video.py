"""A newcomer's way: the template browser, the Run button, progress, previews and a video on the page."""

import base64
import io

import av
import numpy as np
import pytest
from PIL import Image

from browser.boards import hand_over, settled
from browser.building import demo_pictures, two_people
from lumosx_core.tiny.demo_case import CAPTION

_LISTEN = """async () => {
    const {api} = await import('/scripts/api.js');
    window.seen = {progress: 0, previews: 0};
    api.addEventListener('progress_state', () => window.seen.progress++);
    api.addEventListener('b_preview', ({ detail }) => {
        window.seen.previews++;
        window.preview = detail;
    });
}"""
RUN_SECONDS = 90
LATENT = (16, 12)
"""Width and height in latent pixels of the size that the small models were trained at."""
FARTHEST = 35
"""In 0..255: own colours are 11 to 22 from those of the video, and Wan2.1's of the same latents 58 to 79."""


@pytest.fixture
def run_button(comfy):
    """run_button() presses Run with the mouse and returns when the page shows a video."""
    def press():
        comfy.run(_LISTEN)
        comfy.page.get_by_role("button", name="Run", exact=True).first.click()
        # A classic node shows its video only where it can be seen.
        comfy.run("() => Object.assign(app.canvas.ds, {scale: 0.5, offset: [150, 150]})")
        comfy.run("() => app.canvas.setDirty(true, true)")
        comfy.page.locator("video").first.wait_for(state="attached", timeout=RUN_SECONDS * 1000)

    return press


def shrink(comfy):
    """The smallest video that has all parts, and that no earlier run has made."""
    comfy.run("""() => {
        const small = {
            LumosX_RelationalEncode: {width: 64, height: 48, frames: 5},
            LumosX_Sampler: {steps: 2, seed: Date.now()},
        };
        for (const node of app.graph.nodes)
            for (const [name, value] of Object.entries(small[node.type] ?? {}))
                node.widgets.find(widget => widget.name === name).value = value;
    }""")
    assert [node["inputs"]["steps"] for node in comfy.prompt().values() if "steps" in node["inputs"]] == [2]


def test_from_the_template_browser_to_a_video(comfy, run_button):
    comfy.run("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    comfy.page.get_by_text("lumosx", exact=True).last.click()
    comfy.page.get_by_text("1 Demo without downloads").first.click()
    comfy.page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'LumosX_Sampler')")
    # The page goes on placing nodes and values for a moment.
    comfy.page.wait_for_timeout(1500)
    assert comfy.missing_nodes() == []
    shrink(comfy)
    run_button()
    seen = comfy.run("() => window.seen")
    assert seen["progress"] > 3 and seen["previews"] > 0
    assert "\n".join(comfy.errors) == ""


# What the page got last.
_PREVIEW = """async () => {
    const picture = await createImageBitmap(preview), canvas = document.createElement('canvas');
    Object.assign(canvas, {width: picture.width, height: picture.height});
    canvas.getContext('2d').drawImage(picture, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
}"""


def new_seed(comfy):
    """Make a run that no earlier one has made: what the server keeps has no preview, and its file another graph."""
    comfy.run("""() => {
        const sampler = app.graph.nodes.find(({ type }) => type === 'LumosX_Sampler');
        sampler.widgets.find(({ name }) => name === 'seed').value = Date.now();
    }""")


def saved_video(comfy):
    """The bytes of the file that the page shows."""
    video = comfy.page.locator("video").first
    source = video.evaluate("video => video.currentSrc || video.querySelector('source')?.src")
    answer = comfy.page.request.get(source)
    assert answer.ok
    return answer.body()


def small(picture):
    """What is left of a picture at the size of the latents, in 0..255."""
    return np.asarray(picture.convert("RGB").resize(LATENT, Image.Resampling.BOX)).astype(float)


def test_live_previews_have_the_colours_of_the_video(comfy, run_button, server):
    width, height = (8 * side for side in LATENT)
    two_people(demo_pictures(server.base / "input"), steps=4, size=(width, height, 5)).put_into(comfy)
    new_seed(comfy)
    run_button()
    preview = small(Image.open(io.BytesIO(base64.b64decode(comfy.run(_PREVIEW)))))
    with av.open(io.BytesIO(saved_video(comfy))) as file:
        frame = small(next(file.decode(video=0)).to_image())
    difference = np.abs(preview - frame).mean()
    assert difference < FARTHEST


def test_a_scene_of_single_nodes_shows_its_video_which_brings_it_back_when_dropped(comfy, run_button, server, tmp_path):
    two_people(demo_pictures(server.base / "input"), steps=2, size=(64, 48, 5)).put_into(comfy)
    new_seed(comfy)
    before = comfy.prompt()
    run_button()
    video = saved_video(comfy)
    assert video[4:8] == b"ftyp"
    (tmp_path / "video.mp4").write_bytes(video)
    comfy.run("() => app.graph.clear()")
    assert hand_over(comfy, "drop", comfy.page.locator("#graph-canvas"), tmp_path / "video.mp4")
    comfy.page.wait_for_function("() => app.graph.nodes.some(({ type }) => type === 'LumosX_Binder')")
    board = comfy.page.locator(".lumosx-board")
    board.wait_for()
    settled(comfy)
    assert board.locator("textarea").input_value() == CAPTION.partition(";")[2]
    assert board.locator(".lumosx-summary-text").inner_text() == "Everything binds"
    assert comfy.prompt() == before
    assert "\n".join(comfy.errors) == ""
