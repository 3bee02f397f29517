"""A Chromium, and pages of the running server: the same two for nearly all tests, or one that is opened anew."""

import os
import warnings

import pytest

from browser.boards import save_pictures
from browser.page import CLASSIC, MODES, WINDOW, ComfyPage, chromium, chromium_path

REQUIRED = "LUMOSX_TEST_BROWSER"


@pytest.fixture(scope="package")
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


_IS_INSIDE = "() => app.canvas.graph !== (app.rootGraph ?? app.graph)"
# Some pages give a new node the values of an earlier one of its number.
_EMPTY = """() => {
  document.activeElement?.blur();
  document.querySelectorAll('.p-toast-close-button').forEach((button) => button.click());
  // Beside an open panel there is less room for a graph.
  if (app.extensionManager.sidebarTab) app.extensionManager.sidebarTab.activeSidebarTabId = null;
  // Newer pages open one at the right that names missing models.
  const settings = app.extensionManager.setting, right = 'Comfy.RightSidePanel.IsOpen';
  if (settings.get(right)) settings.set(right, false);
  // Clearing a graph forgets the nodes inside of subgraphs, and leaves what they show.
  for (const { nodes } of app.graph.subgraphs?.values() ?? []) [...nodes].forEach((node) => node.graph.remove(node));
  app.graph.clear();
  // A graph of the other kind of nodes would be stretched when it is opened again.
  const vue = app.extensionManager.setting.get('Comfy.VueNodes.Enabled');
  app.graph.extra = vue ? { workflowRendererVersion: 'Vue' } : {};
  app.nodeOutputs = {};
  Object.assign(app.canvas.ds, { scale: 1, offset: [0, 0] });
  window.turn = (window.turn ?? 0) + 1000;
  app.graph.last_node_id = window.turn;
}"""


class PageWarning(UserWarning):
    """A browser test failed."""


_SPOILT = pytest.StashKey[bool]()
_LENT = pytest.StashKey[ComfyPage]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Report what was on the page of a failed test. The next gets another: nobody knows what is left on this one."""
    report = yield
    item.config.stash[_SPOILT] = report.failed or item.config.stash.get(_SPOILT, False)
    comfy = item.config.stash.get(_LENT, None)
    if report.failed and report.when != "teardown" and comfy is not None:
        page = comfy.describe()
        report.sections.append(("the page", page))
        # If it passes when it runs again, this is all that is left of the failure.
        warnings.warn(f"{item.nodeid} failed: {call.excinfo.value}\n{page}", PageWarning, stacklevel=1)
    return report


@pytest.fixture(scope="package")
def emptied(browser, server, request):
    """emptied(mode) is a page with an empty graph. Opening one takes seconds, so every test gets the same."""
    save_pictures(server.base / "input")
    pages = {}

    def close():
        while pages:
            pages.popitem()[1].page.context.close()

    def page(mode):
        # Some pages draw no Vue nodes any more if one leaves a subgraph and empties the graph around it.
        if request.config.stash.get(_SPOILT, False) or (mode in pages and pages[mode].run(_IS_INSIDE)):
            close()
            request.config.stash[_SPOILT] = False
        if mode not in pages:
            pages[mode] = ComfyPage(browser.new_context(viewport=WINDOW).new_page(), server.url).open(mode)
        comfy = pages[mode]
        comfy.page.mouse.up()
        comfy.page.unroute_all()
        comfy.close_dialogs()
        comfy.run(_EMPTY)
        comfy.errors.clear()
        comfy.said.append(f"-- {os.environ.get('PYTEST_CURRENT_TEST')}")
        request.config.stash[_LENT] = comfy
        return comfy

    yield page
    request.config.stash[_LENT] = None
    close()


@pytest.fixture(params=MODES)
def comfy(request, emptied):
    """An empty graph, with classic nodes and with Vue nodes."""
    return emptied(request.param)


@pytest.fixture
def classic(emptied):
    """An empty graph on the page with classic nodes, for what both kinds of nodes do alike."""
    return emptied(CLASSIC)
