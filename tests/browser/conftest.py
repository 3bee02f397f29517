"""A Chromium, and pages of the running server: the same two for all tests of a file, or one that is opened anew."""

import os

import pytest

from browser.boards import save_pictures
from browser.page import CLASSIC, MODES, WINDOW, ComfyPage, chromium, chromium_path

REQUIRED = "LUMOSX_TEST_BROWSER"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; without one on this machine the tests skip, unless LUMOSX_TEST_BROWSER asks for it."""
    if chromium_path() is None:
        if os.environ.get(REQUIRED):
            pytest.fail("There is no Chromium on this machine: install the package chromium.")
        pytest.skip("there is no Chromium on this machine")
    # Not for the whole run: while it is open, other tests could not use asyncio.run.
    with chromium() as running:
        yield running


@pytest.fixture
def blank(browser, server):
    """A page that is not opened yet: blank.open(mode, Comfy__Locale="zh")."""
    context = browser.new_context(viewport=WINDOW)
    yield ComfyPage(context.new_page(), server.url)
    context.close()


# Some pages give a new node the values of an earlier one of its number.
_EMPTY = """() => {
  document.activeElement?.blur();
  app.canvas.setGraph(app.rootGraph ?? app.graph);
  app.graph.clear();
  app.graph.extra = {};
  app.nodeOutputs = {};
  Object.assign(app.canvas.ds, { scale: 1, offset: [0, 0] });
  window.turn = (window.turn ?? 0) + 1000;
  app.graph.last_node_id = window.turn;
}"""


@pytest.fixture(scope="module")
def emptied(browser, server):
    """emptied(mode) is a page with an empty graph, the same one for every test of a file."""
    save_pictures(server.base / "input")
    contexts, pages = [], {}

    def page(mode):
        if mode not in pages:
            contexts.append(browser.new_context(viewport=WINDOW))
            pages[mode] = ComfyPage(contexts[-1].new_page(), server.url).open(mode)
        comfy = pages[mode]
        comfy.page.mouse.up()
        comfy.page.unroute_all()
        comfy.close_dialogs()
        comfy.run(_EMPTY)
        comfy.errors.clear()
        return comfy

    yield page
    for context in contexts:
        context.close()


@pytest.fixture(params=MODES)
def comfy(request, emptied):
    """An empty graph, with classic nodes and with Vue nodes, on the same two pages for every test of a file."""
    return emptied(request.param)


@pytest.fixture
def classic(emptied):
    """An empty graph on the page with classic nodes, for what both kinds of nodes do alike."""
    return emptied(CLASSIC)


@pytest.fixture(params=MODES)
def opened_anew(request, blank):
    """An empty graph on a page of its own, for what the page does when it is opened, with both kinds of nodes."""
    return blank.open(request.param)
