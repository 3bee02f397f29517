"""A newcomer's way: the template browser, the Run button, progress, previews and a video on the page."""

import pytest

from browser.building import demo_pictures, two_people

_LISTEN = """async () => {
    const {api} = await import('/scripts/api.js');
    window.seen = {progress: 0, previews: 0};
    api.addEventListener('progress_state', () => window.seen.progress++);
    api.addEventListener('b_preview', () => window.seen.previews++);
}"""
RUN_SECONDS = 90


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


def test_a_scene_of_single_nodes_shows_its_video_too(comfy, run_button, server):
    two_people(demo_pictures(server.base / "input"), steps=2, size=(64, 48, 5)).put_into(comfy)
    run_button()
    video = comfy.page.locator("video").first
    source = video.evaluate("video => video.currentSrc || video.querySelector('source')?.src")
    answer = comfy.page.request.get(source)
    assert answer.ok and answer.body()[4:8] == b"ftyp"
    assert "\n".join(comfy.errors) == ""
