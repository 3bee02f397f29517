"""The help of a node, opened as users open it, in English and in Chinese, and the language of the nodes themselves."""

import inspect
import json
import re

import pytest

from browser.boards import build, save_pictures
from browser.page import MODES, WINDOW, ComfyPage
from tools.server import ROOT

NODE = "LumosX_Subject"
_ADD = """type => {
    const canvas = window.app.canvas, node = window.LiteGraph.createNode(type);
    window.app.graph.add(node);
    node.pos = [300, 200];
    canvas.ds.scale = 1;
    canvas.ds.offset = [0, 0];
    return {
        title: node.title, description: node.constructor.nodeData.description,
        inputs: node.inputs.map(input => input.label || input.localized_name || input.name),
        names: node.inputs.map(input => input.name),
        outputs: node.outputs.map(output => output.label || output.localized_name || output.name),
    };
}"""


def texts(language, name=NODE):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))[name]


def page_text(language):
    path = ROOT / "web" / "docs" / NODE / f"{language}.md"
    return (path if path.is_file() else path.parent.with_suffix(".md")).read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=MODES)
def chinese_page(request, browser, server):
    """Opening it takes seconds, so every test gets the same."""
    save_pictures(server.base / "input")
    context = browser.new_context(viewport=WINDOW)
    yield ComfyPage(context.new_page(), server.url).open(request.param, Comfy__Locale="zh")
    context.close()


@pytest.fixture
def chinese(chinese_page):
    """A page in Chinese with an empty graph."""
    chinese_page.run("() => app.graph.clear()")
    return chinese_page


def test_the_help_panel_shows_page_and_picture(comfy):
    help_is_shown(comfy, "en")


def test_the_help_panel_is_chinese_on_a_chinese_page(chinese):
    help_is_shown(chinese, "zh")


def help_is_shown(comfy, language):
    """Open the help of a node as users do, and look for all that its page has."""
    comfy.run(_ADD, NODE)
    # The page lays a new node out before it can stand under the toolbox of what is selected.
    comfy.page.wait_for_timeout(1000)
    comfy.run("() => window.app.canvas.selectNode(window.app.graph.nodes[0])")
    # A toolbox that still moves with its node cannot be hit by the mouse.
    comfy.page.get_by_test_id("info-button").dispatch_event("click")
    wanted = page_text(language)
    heading = comfy.page.locator("h1", has_text=wanted.splitlines()[0].removeprefix("# "))
    heading.wait_for()
    picture = comfy.page.locator(f"img[src$='images/{NODE}.webp']")
    picture.wait_for()
    comfy.page.wait_for_function("picture => picture.complete", arg=picture.element_handle())
    assert picture.evaluate("picture => picture.naturalWidth") > 100
    link_opens_its_page(comfy, comfy.page.locator("a[href*='/docs/LumosX_']").first)
    assert heading.is_visible()
    links = {link.get_attribute("href") for link in comfy.page.locator("a[href*='/docs/LumosX_']").all()}
    assert links and links == set(re.findall(r"^\[.+\]: (https://\S+/docs/LumosX_\S+)$", wanted, re.MULTILINE))
    # The page asks for the language's own file first, and a node without one has its page in English.
    assert not [error for error in comfy.errors if f"/docs/{NODE}/{language}.md" not in error]


def link_opens_its_page(comfy, link):
    """Press a link of a help page: the page that it names opens in a tab of its own, and nothing is downloaded."""
    downloads = []
    context, page = comfy.page.context, {"body": "<h1>Help</h1>", "content_type": "text/html"}
    context.route("https://github.com/**", lambda route: route.fulfill(**page))
    context.on("page", lambda tab: tab.on("download", lambda download: downloads.append(download.url)))
    with comfy.page.expect_popup() as opened:
        link.click()
    tab = opened.value
    tab.locator("h1").wait_for()
    assert (tab.url, downloads) == (link.get_attribute("href"), [])
    tab.close()
    context.unroute_all()


def test_english_reads_as_without_a_locale_file(classic):
    shown = classic.run(_ADD, NODE)
    english = texts("en")
    assert shown["inputs"] == [english["inputs"][name]["name"] for name in shown["names"]]
    assert (shown["title"], shown["description"]) == (english["display_name"], english["description"])
    assert shown["outputs"] == [output["name"] for output in english["outputs"].values()]


def test_the_board_speaks_the_language_of_the_page(chinese):
    board = build(chinese)
    assert board.locator(".lumosx-summary-text").inner_text() == "全部绑定成功"


def test_chinese_is_shown_where_the_page_keeps_it(chinese):
    from comfy_api.latest import io

    if "search_aliases" not in inspect.signature(io.Schema.__init__).parameters:
        pytest.skip("the page of this ComfyUI drops translations of packs when it loads its own")
    shown, wanted = chinese.run(_ADD, NODE), texts("zh")
    assert (shown["title"], shown["description"]) == (wanted["display_name"], wanted["description"])
    assert shown["inputs"] == [wanted["inputs"][name]["name"] for name in shown["names"]]
    assert shown["outputs"] == [output["name"] for output in wanted["outputs"].values()]
