"""Templates as files: the page's form with its layout, and the API form that the tests run."""

from __future__ import annotations

import json
import uuid

from tools.server import ROOT
from tools.templates.sheet import BETWEEN_ROWS, lay_out, view_of
from tools.templates.stock import WIDGETS, sockets_of
from tools.ui_form import NOTES, PRIMITIVE, to_api

WORKFLOWS, API_FORMS = ROOT / "workflows", ROOT / "tests" / "workflows"
_NAMESPACE = uuid.UUID("5b0c5c1e-6f0a-4a52-9d1c-10f05a000000")
_ROUTE_MARGIN, _LANES, _LONG, _NEAR = 18, (0, -7, 7, -14, 14), 300, 120
# Dark enough for the light text of classic and of Vue nodes.
_NOTE_COLOURS = {"color": "#1f3a44", "bgcolor": "#16262d"}


def as_graph(template, object_info):
    """A template in the page's form."""
    lay_out(template)
    numbers = {node.key: number for number, node in enumerate(template.nodes, 1)}
    links, nodes = [], [_as_node(node, numbers, object_info) for node in template.nodes]
    for target in template.nodes:
        for name, (source, slot) in target.links.items():
            _link(links, nodes[numbers[source] - 1], slot, nodes[numbers[target.key] - 1], name)
    reroutes, ends = _routed(template, numbers, nodes, links)
    titled = [band for band in template.bands if band.title]
    return {
        "id": str(uuid.uuid5(_NAMESPACE, template.api)), "revision": 0, "last_node_id": len(nodes),
        "last_link_id": len(links), "nodes": nodes, "links": links,
        "groups": [_as_group(number, band) for number, band in enumerate(titled, 1)], "config": {},
        "extra": {"ds": view_of(template), "reroutes": reroutes, "linkExtensions": ends}, "version": 0.4,
    }


def _as_group(number, band):
    return {
        "id": number, "title": band.title, "bounding": list(band.box), "color": band.colour, "font_size": 22,
        "flags": {},
    }


def _as_node(node, numbers, object_info):
    made = {
        "id": numbers[node.key], "type": node.kind, "pos": list(node.place), "size": list(node.size),
        "flags": {"collapsed": True} if "collapsed" in node.options else {},
        "order": numbers[node.key] - 1, "mode": 0,
    }
    if node.kind in NOTES:
        made |= {"inputs": [], "outputs": [], "properties": {}, "widgets_values": [node.options["text"]]}
        made |= _NOTE_COLOURS
    elif node.kind == PRIMITIVE:
        made |= {"inputs": [], "outputs": [dict(node.options["output"])], "widgets_values": node.options["values"]}
        made["properties"] = {"Run widget replace on values": False}
    else:
        made |= _sockets(node, object_info)
    return made | ({"title": node.title} if node.title else {})


def _sockets(node, object_info):
    inputs, outputs, defaults = sockets_of(node.kind, object_info)
    unknown = {*node.values, *node.links} - {name for name, _ in inputs}
    if unknown:
        raise ValueError(f"{node.kind} {node.key} has no {', '.join(sorted(unknown))}")
    values, entries = [], []
    for name, kind in inputs:
        entry = {"name": name, "type": kind, "link": None}
        if kind in WIDGETS:
            entry["widget"] = {"name": name}
            values.append(node.values.get(name, defaults.get(name)))
            # The page keeps what happens to a seed after a run behind it.
            values += ["fixed"] if name == "seed" else []
        entries.append(entry)
    properties = {"Node name for S&R": node.kind, **({"models": node.models} if node.models else {})}
    made = [{"name": name, "type": kind, "links": None} for name, kind in outputs]
    return {"inputs": entries, "outputs": made, "properties": properties, "widgets_values": values}


def _link(links, source, slot, target, name):
    output = source["outputs"][slot]
    place = [entry["name"] for entry in target["inputs"]].index(name)
    number = len(links) + 1
    output["links"] = [*(output["links"] or []), number]
    target["inputs"][place]["link"] = number
    links.append([number, source["id"], slot, target["id"], place, output["type"]])


def _routed(template, numbers, nodes, links):
    """The points between the rows through which links go back, and which link ends behind which point."""
    reroutes, ends = [], []
    middle = max(y + height for _, y, _, height in (band.box for band in template.upper)) + BETWEEN_ROWS // 2
    for lane, route in enumerate(template.routes):
        start = template.node(route.source[0])
        from_x, y = start.place[0] + start.size[0], middle + _LANES[lane]
        # Without a point near its ends a long wire would swing out far.
        is_far = abs(y - start.place[1]) > _LONG
        columns = {}
        for key, name in route.targets:
            columns.setdefault(template.node(key).place, []).append(_number_of(nodes, numbers, key, name))
        stops = sorted(columns.items(), reverse=min(columns)[0] < from_x)
        every = sorted(number for _, ending in stops for number in ending)
        if is_far:
            reroutes.append(_point(reroutes, (from_x + 2 * _ROUTE_MARGIN, start.place[1] + _NEAR), every, None))
        reroutes.append(_point(
            reroutes, (from_x + is_far * 2 * _ROUTE_MARGIN, y), every, reroutes[-1]["id"] if is_far else None
        ))
        trunk = reroutes[-1]["id"]
        for place, ((x, top), ending) in enumerate(stops):
            beyond = sorted(number for _, others in stops[place:] for number in others)
            reroutes.append(_point(reroutes, (x, y), beyond, trunk))
            trunk = last = reroutes[-1]["id"]
            if abs(y - top) > _LONG:
                reroutes.append(_point(reroutes, (x, top + _NEAR), ending, last))
                last = reroutes[-1]["id"]
            ends += [{"id": link, "parentId": last} for link in ending]
    return reroutes, ends


def _point(reroutes, place, links, parent):
    """A point of a wire, a little to the left of a place."""
    before = {} if parent is None else {"parentId": parent}
    return {"id": len(reroutes) + 1, "pos": [place[0] - _ROUTE_MARGIN, place[1]], "linkIds": links, **before}


def _number_of(nodes, numbers, key, name):
    """The link that arrives at an input."""
    [entry] = [entry for entry in nodes[numbers[key] - 1]["inputs"] if entry["name"] == name]
    return entry["link"]


def as_api(graph, object_info):
    """The API form of a graph, with titles."""
    titles = {str(node["id"]): node.get("title") for node in graph["nodes"]}
    return {
        key: {**node, "_meta": {"title": titles[key] or object_info[node["class_type"]]["display_name"]}}
        for key, node in to_api(graph).items()
    }


def graph_text(graph):
    """The content of a file in workflows/."""
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"


def api_text(graph, object_info):
    """The content of a file in tests/workflows: a node a line."""
    made = as_api(graph, object_info)
    lines = [f"  {json.dumps(key)}: {json.dumps(node, ensure_ascii=False)}" for key, node in made.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_templates(templates, object_info):
    """Write both forms of every template; returns the paths."""
    written = []
    for template in templates:
        graph = as_graph(template, object_info)
        for path, text in (
            (WORKFLOWS / f"{template.name}.json", graph_text(graph)),
            (API_FORMS / f"{template.api}.json", api_text(graph, object_info)),
        ):
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written
