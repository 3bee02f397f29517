"""What a released version's nodes look like to saved workflows, and whether those of today still fit.

PYTHONPATH=. PYTHON -m tools.released [COMFYUI_DIR] writes tests/released/VERSION.json for the version in
pyproject.toml, and keeps its workflows beside it. Run it once for each release; what is there is never changed.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from tools.archive import ROOT
from tools.client import ComfyClient
from tools.server import ComfyServer

FOLDER = ROOT / "tests" / "released"
# Their lists are what the user has on disk.
FILE_LISTS = {("LumosX_ModelLoader", "model_name"), ("LumosX_ConvertWeights", "source"), ("LumosX_LoadCase", "case")}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
# Another default that means what the old one says: (node, input, default).
SAME_MEANING = {("LumosX_RelationalEncode", "negative_prompt", "")}
# Other steps would change saved values in the page; a widget for what happens after a run is a saved value of its own.
FIXED = ("type", "required", "default", "step", "multiselect", "control_after_generate")


def nodes_of(object_info):
    """What matters for saved workflows of our nodes, the same for every host: {id: {inputs, outputs, output_node}}."""
    return {
        name: {
            "inputs": [_input_of(name, node, group, key) for group in ("required", "optional")
                       for key in node["input_order"].get(group, ())],
            "outputs": list(node["output"]),
            "output_node": node["output_node"],
        }
        for name, node in sorted(object_info.items()) if node["category"].split("/")[0] == "LumosX"
    }


def _input_of(name, node, group, key):
    kind, said = (*node["input"][group][key], {})[:2]
    fields = {field: said.get(field) for field in ("default", "min", "max", "step", "options")}
    if (name, key) in FILE_LISTS:
        fields |= {"default": None, "options": None}
    # Hosts differ in whether they say that something is not so.
    flags = {field: True for field in ("multiselect", "control_after_generate") if said.get(field)}
    stated = {field: value for field, value in fields.items() if value is not None}
    return {"id": key, "type": kind, "required": group == "required", **stated, **flags}


def broken(old, new):
    """What of an older version's nodes a newer one breaks, as sentences; none if there are only additions."""
    for name, before in old.items():
        if name not in new:
            yield f"{name} is gone"
            continue
        after = new[name]
        if after["outputs"][:len(before["outputs"])] != before["outputs"]:
            yield f"{name}: the outputs {before['outputs']} have become {after['outputs']}"
        if before["output_node"] and not after["output_node"]:
            yield f"{name} is no longer an output node"
        yield from (f"{name}.{sentence}" for sentence in _broken_inputs(name, before["inputs"], after["inputs"]))


def _broken_inputs(node, old, new):
    for place, before in enumerate(old):
        after = new[place] if place < len(new) else {"id": "nothing"}
        if after["id"] != before["id"]:
            yield f"{before['id']}: in its place is {after['id']}"
        else:
            yield from (f"{before['id']}: {sentence}" for sentence in _broken_input(node, before, after))
    for added in new[len(old):]:
        if added["required"] or (added["type"] in WIDGETS and "default" not in added):
            yield f"{added['id']}: it is new, so it must be optional and have a default"


def _broken_input(node, before, after):
    for field in FIXED:
        is_meant = field == "default" and (node, before["id"], after.get(field)) in SAME_MEANING
        if before.get(field) != after.get(field) and not is_meant:
            yield f"{field} was {before.get(field)!r} and is {after.get(field)!r}"
    if "min" in after and after["min"] > before.get("min", float("-inf")):
        yield f"min was {before.get('min')} and is {after['min']}"
    if "max" in after and after["max"] < before.get("max", float("inf")):
        yield f"max was {before.get('max')} and is {after['max']}"
    lost = [option for option in before.get("options", ()) if option not in after.get("options", ())]
    if lost:
        yield f"it no longer takes {lost}"


def main():
    comfyui = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".venv" / "comfyui"
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    target = FOLDER / f"{version}.json"
    if target.exists():
        sys.exit(f"{target} already exists: give the new version its number in pyproject.toml first.")
    with ComfyServer(comfyui) as server:
        nodes = nodes_of(ComfyClient(server.url).object_info())
    workflows = FOLDER / version
    workflows.mkdir(parents=True)
    for path in sorted((ROOT / "workflows").glob("*.json")):
        shutil.copy(path, workflows)
    target.write_text(json.dumps(nodes, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
