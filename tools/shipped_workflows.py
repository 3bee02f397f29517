"""The workflows that the pack ships: the UI form in workflows/, and the API form that the tests run."""

import json

from tools.server import ROOT
from tools.templates.catalogue import templates

WORKFLOWS = ROOT / "workflows"
# By its title in the template browser.
API_FORMS = {template.name: template.api for template in templates()}


def workflow(name):
    """A workflow as the page opens it."""
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def api_form(name):
    """The same graph as a server takes it, without titles."""
    nodes = json.loads((ROOT / "tests" / "workflows" / f"{API_FORMS[name]}.json").read_text(encoding="utf-8"))
    return {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in nodes.items()}
