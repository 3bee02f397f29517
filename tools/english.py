"""Writes locales/en/nodeDefs.json: what the schemas say, in the form in which a page looks names up."""

import json
import os
import sys

from tools.client import ComfyClient
from tools.server import ROOT, ComfyServer

OURS = "LumosX_"
TARGET = ROOT / "locales" / "en" / "nodeDefs.json"
# Their choices are what lies in the user's folders.
OF_FILES = (
    "case", "model_name", "source", "text_encoder", "adapter", "file_1", "file_2", "file_3", "card", "person",
)


def key(name):
    """Return `name` as a part of a page's key, in which a dot would part two names."""
    return name.replace(".", "_")


def options_of(name, kind, settings):
    """Return the choices of a combo by key, or None for any other input and for lists of files."""
    if name in OF_FILES or not (kind == "COMBO" or isinstance(kind, list)):
        return None
    return {key(option): option for option in (kind if isinstance(kind, list) else settings["options"])}


def input_texts(name, specification):
    """Return an input's name, tooltip and choices."""
    kind, settings = specification[0], specification[1] if len(specification) > 1 else {}
    options = options_of(name, kind, settings)
    texts = {"name": settings.get("display_name", name), "tooltip": settings["tooltip"]}
    return {**texts, **({"options": options} if options else {})}


def node_texts(node):
    """Return all texts of one node of object_info."""
    inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    outputs = zip(node["output_name"], node["output_tooltips"], strict=True)
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        "inputs": {key(name): input_texts(name, specification) for name, specification in inputs.items()},
        "outputs": {str(number): {"name": name, "tooltip": tooltip} for number, (name, tooltip) in enumerate(outputs)},
    }


def english(object_info):
    """Return the texts of all our nodes, by node id in the order of their names."""
    return {name: node_texts(object_info[name]) for name in sorted(object_info) if name.startswith(OURS)}


def as_text(messages):
    """Return a locale file's content."""
    return json.dumps(messages, ensure_ascii=False, indent=2) + "\n"


def main():
    """Ask a real server and write the file."""
    with ComfyServer(os.environ["LUMOSX_TEST_COMFYUI"]) as server:
        messages = english(ComfyClient(server.url).object_info())
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(as_text(messages), encoding="utf-8")
    print(f"Wrote the texts of {len(messages)} nodes to {TARGET}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
