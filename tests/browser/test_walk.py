"""A newcomer's two ways, with every press of the mouse counted: the demo with an exchange, and own pictures."""

import pytest

from browser.boards import chip, drag, hand_over, own_pictures, row, settled
from browser.test_first_video import shrink

COUNT = "() => { window.presses = 0; addEventListener('pointerdown', () => window.presses++, true); }"
RUN_MILLISECONDS = 90_000
_FREE = """() => getComputedStyle(document.body).pointerEvents !== 'none' &&
    ![...document.querySelectorAll('[role=dialog], .p-dialog-mask')].some((dialog) => dialog.checkVisibility())"""
DEMO, OWN = 8, 14
"""The most presses that each may take."""


@pytest.fixture
def walk(comfy):
    """The page with the demo's template open, by three counted presses."""
    comfy.run(COUNT)
    page = comfy.page
    page.locator(".templates-tab-button, button[aria-label*='emplate']").first.click()
    page.get_by_text("lumosx", exact=True).last.click()
    page.locator("[role=dialog]").get_by_text("1 Demo without downloads").first.click()
    page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'LumosX_Sampler')")
    # The page takes presses again once its dialog is gone: until then its <body> has "pointer-events: none", which the
    # dialogs of newer pages (reka-ui) put there and take away; nothing of ours writes it.
    page.wait_for_function(_FREE)
    page.wait_for_timeout(1500)
    shrink(comfy)
    return comfy


def run(comfy):
    """Press Run, and wait until this run has ended."""
    comfy.run("""async () => {
        const {api} = await import('/scripts/api.js');
        window.ended = false;
        api.addEventListener('execution_success', () => (window.ended = true));
    }""")
    comfy.page.get_by_role("button", name="Run", exact=True).first.click()
    comfy.page.wait_for_function("() => window.ended", timeout=RUN_MILLISECONDS)


def test_the_demo_and_an_exchange_of_two_pictures(walk):
    run(walk)
    board = walk.page.locator(".lumosx-board")
    drag(walk, chip(board, "green jacket").locator(".lumosx-thumb"), chip(board, "yellow dress"))
    settled(walk)
    board.get_by_role("button", name="Exchange the words in the prompt").click()
    settled(walk)
    shrink(walk)
    run(walk)
    assert walk.run("() => window.presses") <= DEMO
    assert "\n".join(walk.errors) == ""


def test_own_pictures_of_two_people(walk, tmp_path):
    own = own_pictures(tmp_path)
    board = walk.page.locator(".lumosx-board")
    dropped = 0
    for person, picture in zip((1, 2), own):
        hand_over(walk, "drop", row(board, person).locator(".lumosx-thumb-face"), picture)
        settled(walk)
        dropped += 1
    board.locator("textarea").click()
    walk.page.keyboard.press("Control+End")
    walk.page.keyboard.type(" They smile.")
    settled(walk)
    run(walk)
    presses = walk.run("() => window.presses")
    assert presses >= 5 and presses + dropped <= OWN
    files = [node["inputs"]["image"] for node in walk.prompt().values() if node["class_type"] == "LoadImage"]
    assert {"own 0.png", "own 1.png"} <= set(files)
    assert "\n".join(walk.errors) == ""
