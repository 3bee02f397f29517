"""The template from snapshots in a real page: it runs as it opens, and then the board shows each person's own face."""

import pytest

from browser.boards import row, settled
from browser.layout import measure, overlaps
from tools.shipped_workflows import workflow

NAME = "4 From snapshots"


def faces(board):
    """The addresses of both people's thumbnails; None for a person without one."""
    images = [row(board, number).locator(".lumosx-thumb-face img") for number in (1, 2)]
    return [image.get_attribute("src") if image.count() else None for image in images]


@pytest.fixture
def opened(comfy):
    """The template with as little to compute as possible; its Binder's board."""
    graph = workflow(NAME)
    for node in graph["nodes"]:
        if node["type"] == "LumosX_Sampler":
            node["widgets_values"][node["widgets_values"].index(20)] = 1
    comfy.load(graph)
    board = comfy.page.locator(".lumosx-board")
    board.wait_for()
    settled(comfy)
    return board


def test_it_runs_as_it_opens_and_shows_each_face(comfy, opened):
    # Until there are crops the board has no face to show, rather than the whole photo twice.
    assert faces(opened) == [None, None]
    entry = comfy.queue(timeout=300)
    assert entry["status"]["status_str"] == "success"
    comfy.page.wait_for_timeout(1500)
    first, second = faces(opened)
    assert first and second and first != second
    sizes = comfy.run("""() => [...document.querySelectorAll('.lumosx-thumb-face img')]
        .map(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])""")
    # The crops, not the photo of 640 x 400.
    assert all(100 < width < 250 and 100 < height < 250 for width, height in sizes)
    crop = "() => app.graph.nodes.find(({ type }) => type === 'LumosX_FaceCrop')"
    assert comfy.run(f"() => app.nodeOutputs[({crop})().id].images.length") == 1
    assert overlaps(measure(comfy)["nodes"]) == []
    assert comfy.errors == []
