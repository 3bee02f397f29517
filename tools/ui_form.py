"""A workflow as ComfyUI's page saves it, turned into the API form that a server runs."""

# Only the page draws these.
NOTES = {"Note", "MarkdownNote"}
# A value of the page's own, which goes to the widgets that it is linked to.
PRIMITIVE = "PrimitiveNode"
CONTROLS = ("fixed", "randomize", "increment", "decrement")
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def to_api(graph, info=None):
    """The API form of a UI graph, as the page makes it: widget values by position, links by their source.

    The widgets are those that the file names, and it must hold a value for each. With `info`, today's object_info, our
    nodes have those of today instead, and what the file is too old to hold takes its default.
    """
    values = {node["id"]: node["widgets_values"][0] for node in graph["nodes"] if node["type"] == PRIMITIVE}
    sources = {
        link[0]: values[link[1]] if link[1] in values else [str(link[1]), link[2]] for link in graph["links"]
    }
    nodes = {}
    for node in graph["nodes"]:
        if node["type"] in NOTES or node["type"] == PRIMITIVE:
            continue
        linked = {entry["name"]: sources[entry["link"]] for entry in node["inputs"] if entry["link"] is not None}
        ours = info is not None and node["type"].startswith("LumosX_")
        defaults = _defaults(info[node["type"]]) if ours else None
        nodes[str(node["id"])] = {"class_type": node["type"], "inputs": {**_widget_values(node, defaults), **linked}}
    return nodes


def _widget_values(node, defaults):
    values, found = list(node["widgets_values"]), {}
    for name in _saved_widgets(node) if defaults is None else defaults:
        found[name] = values.pop(0) if values or defaults is None else defaults[name]
        # The page keeps a second widget behind every seed.
        if name == "seed":
            assert values.pop(0) in CONTROLS
    assert not values, "a workflow holds more widget values than the node has widgets"
    return found


def _saved_widgets(node):
    return [entry["name"] for entry in node["inputs"] if "widget" in entry]


def _defaults(schema):
    """The node's widgets of today in their order, with their defaults."""
    inputs = {**schema["input"].get("required", {}), **schema["input"].get("optional", {})}
    found = {}
    for name in (*schema["input_order"].get("required", []), *schema["input_order"].get("optional", [])):
        kind, options = inputs[name][0], inputs[name][1] if len(inputs[name]) > 1 else {}
        if isinstance(kind, list) or kind in _WIDGETS:
            found[name] = options.get("default")
    return found
