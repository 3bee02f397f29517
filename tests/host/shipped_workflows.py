"""The workflows that the pack ships: the UI form in workflows/, and the API form that the tests run."""

import json

from host.server import ROOT

WORKFLOWS = ROOT / "workflows"
# By its title in the template browser.
API_FORMS = {
    "LumosX demo without downloads": "demo",
    "LumosX from snapshots": "snapshots",
    "LumosX two people by their faces": "faces",
    "LumosX people with clothes, objects and a background": "clothes",
    "LumosX on a small card": "small_card",
    "LumosX in three steps with a LoRA": "few_steps",
    "LumosX for a folder of cases with scores": "batch",
}


def workflow(name):
    """A workflow as the page opens it."""
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def api_form(name):
    """The same graph as a server takes it, without titles."""
    nodes = json.loads((ROOT / "tests" / "workflows" / f"{API_FORMS[name]}.json").read_text(encoding="utf-8"))
    return {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in nodes.items()}
