"""The shipped workflows: core nodes and ours only, and the same graphs as the API forms that the tests run."""

import json
from pathlib import Path

import pytest

from host.client import ComfyClient

WORKFLOWS = Path(__file__).parents[2] / "workflows"
API_FORMS = {"LumosX demo without downloads": "demo", "LumosX from snapshots": "snapshots"}
# Only the page draws these.
NOTES = {"Note", "MarkdownNote"}


@pytest.fixture(scope="module")
def info(server):
    return ComfyClient(server.url).object_info()


def workflow(name):
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def to_api(graph):
    """The API form of a UI graph, as the page makes it: widget values by position, links by their source."""
    sources = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    nodes = {}
    for node in graph["nodes"]:
        if node["type"] in NOTES:
            continue
        linked = {entry["name"]: sources[entry["link"]] for entry in node["inputs"] if entry["link"] is not None}
        nodes[str(node["id"])] = {"class_type": node["type"], "inputs": {**widget_values(node), **linked}}
    return nodes


def widget_values(node):
    values, found = list(node["widgets_values"]), {}
    for name in (entry["name"] for entry in node["inputs"] if "widget" in entry):
        found[name] = values.pop(0)
        # The page keeps a second widget behind every seed.
        if name == "seed":
            assert values.pop(0) in ("fixed", "randomize", "increment", "decrement")
    assert not values, "a workflow holds more widget values than the node has widgets"
    return found


def test_every_workflow_has_an_api_form():
    assert {path.stem for path in WORKFLOWS.glob("*.json")} == set(API_FORMS)


@pytest.mark.parametrize("name", API_FORMS)
def test_both_forms_are_the_same_graph(name):
    api = json.loads((Path(__file__).parent / f"{API_FORMS[name]}.json").read_text(encoding="utf-8"))
    plain = {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in api.items()}
    assert to_api(workflow(name)) == plain


@pytest.mark.parametrize("name", API_FORMS)
def test_a_workflow_needs_nothing_but_the_core_and_us(name, info):
    for node in workflow(name)["nodes"]:
        if node["type"] in NOTES:
            continue
        origin = info[node["type"]]["python_module"]
        assert origin in ("nodes", "custom_nodes.lumosx") or origin.startswith("comfy_extras."), node["type"]


@pytest.mark.parametrize("name", API_FORMS)
def test_our_inputs_are_saved_in_the_order_of_the_schema(name, info):
    for node in workflow(name)["nodes"]:
        if node["type"].startswith("LumosX_"):
            order = info[node["type"]]["input_order"]
            schema = [*order.get("required", []), *order.get("optional", [])]
            assert [entry["name"] for entry in node["inputs"]] == schema


@pytest.mark.parametrize("name", API_FORMS)
def test_links_agree_at_both_ends(name):
    graph = workflow(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link, source, slot, target, entry, kind in graph["links"]:
        assert link in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][entry]["link"] == link
        assert nodes[source]["outputs"][slot]["type"] == kind
    assert graph["last_link_id"] == max(link[0] for link in graph["links"])
    assert graph["last_node_id"] == max(nodes)


def test_the_page_offers_the_workflows(server):
    from urllib.request import urlopen

    with urlopen(f"{server.url}/workflow_templates") as answer:
        assert sorted(json.load(answer)["lumosx"]) == sorted(API_FORMS)
