"""One ComfyUI page in a headless Chromium, driven the way a user would."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections import deque
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

# As root and without a network there is no sandbox, and nothing of Chromium's own may ask for hosts outside.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)
MOST_SAID = 60
WINDOW = {"width": 1700, "height": 1000}
START_MILLISECONDS, WAIT_MILLISECONDS = 240_000, 90_000
CLASSIC, VUE = "classic", "vue"
MODES = (CLASSIC, VUE)
# The page asks these for news and sizes of files; tests run without the world outside.
FOREIGN = ("comfy.org", "sentry", "google", "github", "mixpanel", "huggingface.co", "civitai")

_READY = """() => window.app?.graph && window.app.extensionManager
    && window.LiteGraph?.registered_node_types?.['LumosX_Binder']"""
# In JSON, since what is undefined would come back as null, which pages refuse; and a page fits its view to a workflow
# that has none, at some later moment.
_SAVED = """() => {
    const { graph, canvas } = window.app, { scale, offset } = canvas.ds, saved = graph.serialize();
    return JSON.parse(JSON.stringify({ ...saved, extra: { ...saved.extra, ds: { scale, offset } } }));
}"""
# What tells apart a graph that was not loaded, nodes that the page does not draw, and a dialog over them.
_STATE = """() => ({
    nodes: app.graph.nodes.map(({ id, type }) => `${id} ${type}`), links: app.graph.links?.size,
    shown: app.canvas.graph === app.graph, view: [app.canvas.ds.scale, ...app.canvas.ds.offset],
    drawn: document.querySelectorAll('[data-node-id]').length,
    boards: document.querySelectorAll('.lumosx-board').length,
    vue: app.extensionManager.setting.get('Comfy.VueNodes.Enabled'),
    focus: document.activeElement?.outerHTML.slice(0, 200),
    over: [...document.querySelectorAll('[role=dialog], .p-dialog-mask, .p-toast-message')].map((one) => one.innerText),
    visible: document.visibilityState, made: app.graph.nodes.map(({ widgets }) => widgets?.map(({ element }) =>
        element?.isConnected)?.filter((each) => each !== undefined)),
})"""
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def chromium_path() -> str | None:
    """The Chromium or Chrome of this machine, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium():
    """A running headless browser.

    While it runs, this thread counts as having an event loop, so ``asyncio.run`` belongs into another thread.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        yield browser
        browser.close()


_HAS_PALETTE = """(palette) => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = 'var(--bg-color)';
    const parts = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map(Number);
    probe.remove();
    return (Math.max(...parts) < 128) === (palette === 'dark');
}"""


class ComfyPage:
    """ComfyUI's page, opened anew.

    Attributes:
        page: Playwright's page.
        errors: what the console called an error since the page was there.
        errors_at_start: what it said of our files before.
        said: the newest lines of the console, of whatever kind, and the tests that used this page.
    """

    def __init__(self, page: Page, url: str):
        self.page, self.url, self.errors, self.errors_at_start = page, url, [], []
        self.said: deque[str] = deque(maxlen=MOST_SAID)
        page.set_default_timeout(WAIT_MILLISECONDS)
        page.on("console", self._note_console)
        page.on("pageerror", self._note_uncaught)

    def open(self, mode: str = CLASSIC, **settings) -> ComfyPage:
        """Load the page with these settings (dots in their names written as "__") and an empty graph."""
        chosen = {name.replace("__", "."): value for name, value in settings.items()}
        self._post("/settings", {
            # The first-run dialog covers the graph, and a remembered one would come back.
            "Comfy.TutorialCompleted": True, "Comfy.Workflow.Persist": False,
            "Comfy.VueNodes.Enabled": mode == VUE, "Comfy.Locale": "en", "Comfy.ColorPalette": "dark", **chosen,
        })
        self.page.goto(self.url, timeout=START_MILLISECONDS)
        self.page.wait_for_function(_READY, timeout=START_MILLISECONDS)
        self.page.wait_for_function("() => !document.querySelector('.p-progressspinner, .comfyui-loading')")
        self.run("() => window.app.graph.clear()")
        self.close_dialogs()
        # What the host's own page stumbles over while it starts (files that a new user lacks) is not ours.
        self.errors_at_start = [error for error in self.errors if "lumosx" in error.lower()]
        self.errors = self.errors_at_start.copy()
        return self

    def run(self, function: str, argument=None):
        """What a JavaScript function of the page returns."""
        return self.page.evaluate(function, argument)

    def load(self, graph: dict | Path) -> None:
        """Open a workflow in its UI form."""
        if isinstance(graph, Path):
            graph = json.loads(graph.read_text(encoding="utf-8"))
        self.run("graph => window.app.loadGraphData(graph)", graph)
        self.page.wait_for_timeout(500)

    def close_dialogs(self) -> None:
        """Close whatever dialog lies over the graph."""
        for _ in range(3):
            if not self.page.locator(".p-dialog-mask:visible, [role=dialog]:visible").count():
                return
            self.page.keyboard.press("Escape")
            self.page.wait_for_timeout(200)

    def prompt(self) -> dict:
        """The API form of the graph, as the page would queue it."""
        return self.run("async () => (await window.app.graphToPrompt()).output")

    def workflow(self) -> dict:
        """The UI form of the graph with its view, as the page would save it."""
        return self.run(_SAVED)

    def missing_nodes(self) -> list[str]:
        """Types in the graph that the page does not know."""
        return self.run(
            "() => window.app.graph.nodes.map(node => node.type)"
            ".filter(type => !window.LiteGraph.registered_node_types[type] && !['Note', 'MarkdownNote'].includes(type))"
        )

    def choose_palette(self, palette: str) -> None:
        """Choose "dark" or "light" as the page's settings do, which changes its colours at once."""
        self.run("(palette) => app.extensionManager.setting.set('Comfy.ColorPalette', palette)", palette)
        self.page.wait_for_function(_HAS_PALETTE, arg=palette)

    def queue(self, timeout: float = 300) -> dict:
        """Queue the graph as its button does and return the history entry; raises TimeoutError."""
        before = set(self._get("/history"))
        self.run("() => window.app.queuePrompt(0, 1)")
        for _ in range(int(timeout * 4)):
            new = {key: entry for key, entry in self._get("/history").items() if key not in before}
            if new:
                self.page.wait_for_timeout(500)
                return next(iter(new.values()))
            self.page.wait_for_timeout(250)
        raise TimeoutError(f"The graph did not finish within {timeout:g} s.")

    def screenshot(self, path: Path, **options) -> None:
        """A picture of the window, or of a part of it (Playwright's options)."""
        self.page.screenshot(path=str(path), **options)

    def describe(self) -> str:
        """What the page holds and shows, and what it said lately: for the report of a failed test."""
        try:
            state = json.dumps(self.run(_STATE), indent=1)
        except Exception as error:  # A page that crashed has no state.
            state = f"cannot be read: {error}"
        return "\n".join([state, *self.said])

    def _note_uncaught(self, error):
        self.errors.append(f"uncaught: {error}")
        self.said.append(f"uncaught: {error}\n{error.stack}")

    def _note_console(self, message):
        where = f"{message.text} {message.location.get('url', '')}"
        self.said.append(f"{message.type}: {where}"[:500])
        if message.type == "error" and not any(name in where for name in FOREIGN):
            self.errors.append(where)

    def _get(self, path):
        with _opener.open(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def _post(self, path, body):
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with _opener.open(request, timeout=60) as answer:
            return answer.read()
