"""How the templates open on the real page, in both kinds of nodes: all of it in view, and nothing on anything."""

import pytest

from browser.layout import bounds, lies_in, measure, overlaps
from browser.page import MODES, VUE
from tools.shipped_workflows import API_FORMS, workflow
from tools.templates.sheet import HIGHEST, VUE_SPREAD, WIDEST
from tools.ui_form import NOTES

# What the page's own bars cover, in pixels of the screen.
BARS = 60, 60
LEAST_CONTRAST = 4.5
PEOPLE, SAMPLERS = {"LumosX_Binder", "LumosX_LoadCase", "LumosX_LynxIdentity"}, {"LumosX_Sampler", "KSampler"}


@pytest.fixture(scope="module", params=MODES)
def comfy(request, emptied):
    page = emptied(request.param)
    page.mode = request.param
    return page


@pytest.fixture(scope="module", params=API_FORMS)
def opened(request, comfy):
    """A template, opened as the template browser does it, and what there is to see of it."""
    comfy.run("(graph) => app.loadGraphData(graph, true, true)", workflow(request.param))
    comfy.page.wait_for_timeout(1000)
    comfy.close_dialogs()
    comfy.page.wait_for_timeout(500)
    return comfy, measure(comfy)


def spread_of(comfy, seen):
    """By how much the page has spread the graph: some do so for Vue nodes."""
    left, _, right, _ = bounds([*seen["nodes"], *seen["groups"]])
    return VUE_SPREAD if comfy.mode == VUE and right - left > WIDEST else 1


def test_no_node_lies_on_another(opened):
    assert overlaps(opened[1]["nodes"]) == []


def test_it_is_small_enough(opened):
    comfy, seen = opened
    spread = spread_of(comfy, seen)
    left, top, right, bottom = bounds([*seen["nodes"], *seen["groups"]])
    assert (right - left) / spread <= WIDEST and (bottom - top) / spread <= HIGHEST


def test_no_wire_goes_through_a_foreign_socket(opened):
    seen = opened[1]
    assert seen["drawn"] >= seen["links"] > 0
    assert seen["through"] == []


def test_every_node_is_in_one_coloured_group_but_the_notes(opened):
    seen = opened[1]
    assert all(group["title"] and group["color"] for group in seen["groups"])
    for node in seen["nodes"]:
        around = [group for group in seen["groups"] if lies_in(node["box"], group["box"])]
        assert len(around) == (node["type"] not in NOTES), node["name"]


def test_people_are_above_and_the_video_below(opened):
    seen = opened[1]
    middle = sum(bounds(seen["groups"])[1::2]) / 2
    above = {node["type"] for node in seen["nodes"] if node["box"][3] < middle + 200 and node["box"][1] < middle}
    below = {node["type"] for node in seen["nodes"] if node["box"][1] > middle}
    assert above & PEOPLE
    assert below & SAMPLERS and {"CreateVideo", "SaveVideo"} <= below


def test_the_note_comes_first_and_is_in_view_with_the_board_and_text(opened):
    comfy, seen = opened
    first = min(seen["nodes"], key=lambda node: node["box"][0] + node["box"][1])
    assert first["type"] in NOTES
    x, y, right, bottom = seen["window"]
    free = [x + BARS[0] / seen["scale"], y + BARS[1] / seen["scale"], right, bottom]
    assert lies_in(first["box"], free)
    assert seen["hasText"]
    # Vue nodes on pages that spread the graph reach out of the window at the bottom right.
    if spread_of(comfy, seen) == 1:
        assert lies_in(bounds(seen["nodes"]), free)


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
    comfy, _ = opened
    if comfy.mode != VUE:
        pytest.skip("classic nodes write every note in one colour")
    texts = comfy.run(_CONTRAST)
    assert len(texts) > 5
    assert [text for contrast, text in texts if contrast < LEAST_CONTRAST] == []


def test_the_board_is_clean(opened):
    comfy, seen = opened
    if not any(node["type"] == "LumosX_Binder" for node in seen["nodes"]):
        pytest.skip("there is no board")
    comfy.page.locator(".lumosx-board .lumosx-sign-fine").wait_for(timeout=10_000)
    assert comfy.page.locator(".lumosx-problem:visible").count() == 0
