"""A Chromium for each test file, and a fresh page of the running server for each test."""

import os

import pytest

from browser.page import MODES, WINDOW, ComfyPage, chromium, chromium_path

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


@pytest.fixture(params=MODES)
def comfy(request, blank):
    """An empty graph, with classic nodes and with Vue nodes."""
    return blank.open(request.param)
