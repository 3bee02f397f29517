"""How the templates open on the real page and look after a run, in both kinds of nodes: nothing lies on anything."""

import re

import pytest

from browser.layout import bounds, lies_in, measure, overlaps
from browser.page import MODES, VUE
from tools.shipped_workflows import API_FORMS, workflow
from tools.templates.sheet import HIGHEST, VUE_SPREAD, WIDEST
from tools.ui_form import NOTES

# What the page's own bars cover, in pixels of the screen.
BARS = 60, 60
LEAST_CONTRAST = 4.5
# They run on the small models.
RUN = [name for name in API_FORMS if API_FORMS[name] in ("demo_scene", "snapshots", "polyvivid")]
PEOPLE, SAMPLERS = {"LumosX_Binder", "LumosX_LoadCase", "LumosX_LynxIdentity"}, {"LumosX_Sampler", "KSampler"}
# What stands above where a video is only finished.
LOADED = {"LoadVideo"}


@pytest.fixture(scope="module", params=MODES)
def comfy(request, emptied):
    page = emptied(request.param)
    page.mode = request.param
    return page


@pytest.fixture(scope="module", params=API_FORMS)
def opened(request, comfy):
    """A template, opened as the template browser does it, and what there is to see of it."""
    return opened_on(comfy, workflow(request.param))


def opened_on(comfy, graph):
    """The page with a graph, what there is to see of it, and by how much the page has spread it."""
    comfy.run("(graph) => app.loadGraphData(graph, true, true)", graph)
    comfy.page.wait_for_timeout(1000)
    comfy.close_dialogs()
    comfy.page.wait_for_timeout(500)
    seen = measure(comfy)
    return comfy, seen, spread_of(comfy, seen, graph)


def spread_of(comfy, seen, graph):
    """By how much the page has spread the groups of a graph: some pages do so for Vue nodes, and all by one number."""
    widths = {group["title"]: group["box"][2] - group["box"][0] for group in seen["groups"]}
    [spread] = {round(widths[group["title"]] / group["bounding"][2], 2) for group in graph["groups"]}
    assert spread == 1 or (comfy.mode == VUE and spread == VUE_SPREAD)
    return spread


def check_places(seen, spread):
    """Nothing lies on anything, all is in its group, and the whole is as small as it should be."""
    assert overlaps(seen["nodes"]) == []
    for node in seen["nodes"]:
        around = [group for group in seen["groups"] if lies_in(node["box"], group["box"])]
        assert len(around) == (node["type"] not in NOTES), (node["name"], node["box"])
    left, top, right, bottom = bounds([*seen["nodes"], *seen["groups"]])
    assert (right - left) / spread <= WIDEST and (bottom - top) / spread <= HIGHEST


def test_nothing_lies_on_anything_and_the_whole_is_small_enough(opened):
    _, seen, spread = opened
    check_places(seen, spread)
    assert all(group["title"] and group["color"] for group in seen["groups"])


def test_no_wire_goes_through_a_foreign_socket(opened):
    seen = opened[1]
    assert seen["drawn"] >= seen["links"] > 0
    assert seen["through"] == []


def test_people_are_above_and_the_video_below(opened):
    seen = opened[1]
    middle = sum(bounds(seen["groups"])[1::2]) / 2
    above = {node["type"] for node in seen["nodes"] if node["box"][3] < middle + 200 and node["box"][1] < middle}
    below = {node["type"] for node in seen["nodes"] if node["box"][1] > middle}
    assert above & PEOPLE and below & SAMPLERS or above & LOADED
    assert {"CreateVideo", "SaveVideo"} <= below


def test_the_note_comes_first_and_is_in_view_with_the_board_and_text(opened):
    _, seen, spread = opened
    first = min(seen["nodes"], key=lambda node: node["box"][0] + node["box"][1])
    assert first["type"] in NOTES
    x, y, right, bottom = seen["window"]
    free = [x + BARS[0] / seen["scale"], y + BARS[1] / seen["scale"], right, bottom]
    assert lies_in(first["box"], free)
    assert seen["hasText"]
    # A page that spreads the graph does not zoom out, so as much more than the window is needed.
    assert lies_in(bounds(seen["nodes"]), [*free[:2], x + (right - x) * spread, y + (bottom - y) * spread])


_CONTRAST = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const [r, g, b, part = 1] = parse(getComputedStyle(at).backgroundColor);
            layers.unshift([r, g, b, part]);
        }
        const lay = (below, [r, g, b, part]) => [r, g, b].map((value, at) => value * part + below[at] * (1 - part));
        return layers.reduce(lay, [0, 0, 0]);
    };
    const notes = app.graph.nodes.filter(({ type }) => type === 'MarkdownNote');
    const bodies = notes.map(({ id }) => document.querySelector(`[data-node-id='${id}']`)).filter(Boolean);
    return bodies.flatMap((body) => [...body.querySelectorAll('p, li, h1, h2, strong, em, a, code')])
        .filter((element) => element.textContent.trim()).map((element) => {
            const colours = [parse(getComputedStyle(element).color).slice(0, 3), behind(element)];
            const [more, less] = colours.map(light).sort((a, b) => b - a);
            return [(more + 0.05) / (less + 0.05), `${element.tagName} ${element.textContent.slice(0, 30)}`];
        });
}"""


def test_notes_can_be_read_in_vue_nodes(opened):
    comfy = opened[0]
    if comfy.mode != VUE:
        pytest.skip("classic nodes write every note in one colour")
    texts = comfy.run(_CONTRAST)
    assert len(texts) > 5
    assert [text for contrast, text in texts if contrast < LEAST_CONTRAST] == []


def test_the_board_is_clean(opened):
    comfy, seen, _ = opened
    if not any(node["type"] == "LumosX_Binder" for node in seen["nodes"]):
        pytest.skip("there is no board")
    comfy.page.locator(".lumosx-board .lumosx-sign-fine").wait_for(timeout=10_000)
    assert comfy.page.locator(".lumosx-problem:visible").count() == 0


def test_the_prompt_has_the_room_and_the_negative_one_says_what_empty_means(opened):
    comfy, seen, spread = opened
    encoders = [node["id"] for node in seen["nodes"] if node["type"] == "LumosX_RelationalEncode"]
    if not encoders:
        pytest.skip("the prompts are ComfyUI's own nodes'")
    negative = comfy.page.get_by_placeholder(re.compile("^Negative prompt. Empty: the release's"))
    negative.wait_for(timeout=10_000)
    if comfy.mode == VUE:
        prompt = comfy.page.locator(f"[data-node-id='{encoders[0]}'] textarea").first
    else:
        prompt = comfy.page.get_by_placeholder("prompt", exact=True)
    heights = [field.bounding_box()["height"] for field in (prompt, negative)]
    # Later pages give all text fields of a Vue node the same height; they do not spread it either.
    if comfy.mode != VUE or spread == VUE_SPREAD:
        assert heights[0] > 1.5 * heights[1], heights


@pytest.mark.parametrize("name", RUN)
def test_there_is_room_for_what_nodes_show_after_a_run(comfy, name):
    graph = workflow(name)
    for node in graph["nodes"]:
        if node["type"] in SAMPLERS:
            # Behind the seed, and what happens to it after a run; the preview is as large as after all steps.
            node["widgets_values"][2] = 2
    _, _, spread = opened_on(comfy, graph)
    assert comfy.queue()["status"]["status_str"] == "success"
    comfy.page.wait_for_timeout(2500)
    seen = measure(comfy)
    shown = comfy.run("() => app.graph.nodes.filter(({ id }) => app.nodeOutputs[id]).map(({ type }) => type)")
    assert "SaveVideo" in shown
    assert comfy.page.locator(".lumosx-result:visible").count() == ("LumosX_RelationalEncode" in shown)
    check_places(seen, spread)
