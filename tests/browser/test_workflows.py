"""The shipped workflows in a real page: they load whole, give the API form that the tests run, and a batch goes on."""


import pytest

from browser.page import MODES, WINDOW, ComfyPage
from lumosx_core.tiny.demo_case import write_demo_case
from support.small_models import SCORES, SIZE, STEPS, on_small_models
from tools.shipped_workflows import API_FORMS, api_form, workflow

BATCH = "7 A folder of cases with scores"
CASES = ["page case 0", "page case 1", "page case 2"]
RUN_SECONDS = 300
MUTED = 2
# The dialog of missing models asks their hosts, which a ComfyUI without API nodes does not let its page do.
SIZE_UNKNOWN = "Error fetching file size"


@pytest.fixture(scope="module", params=MODES)
def comfy(request, browser, server):
    """One page for all workflows; their pictures and files are on the server, but for the text encoder."""
    for name in API_FORMS:
        on_small_models(api_form(name), server)
    # They have to be there before the page is: a stock Primitive loses its list when nodes are refreshed.
    for name in CASES:
        drawn_case(server, name)
    context = browser.new_context(viewport=WINDOW)
    yield ComfyPage(context.new_page(), server.url).open(request.param)
    context.close()


def as_api(prompt, api):
    """A prompt of the page without what newer pages and hosts add to stock nodes, such as a text box of Preview Any."""
    found = {}
    for key, node in prompt.items():
        inputs = dict(node["inputs"])
        if "format.codec" in inputs:
            # Newer hosts keep Save Video's codec inside its format.
            inputs["codec"] = inputs["format.codec"]
        if not node["class_type"].startswith("LumosX_"):
            inputs = {name: value for name, value in inputs.items() if name in api[key]["inputs"]}
        found[key] = {"class_type": node["class_type"], "inputs": inputs}
    return found


@pytest.mark.parametrize("name", API_FORMS)
def test_a_workflow_loads_whole_and_is_its_api_form(comfy, name):
    api = api_form(name)
    comfy.errors.clear()
    comfy.load(workflow(name))
    comfy.page.wait_for_timeout(500)
    comfy.close_dialogs()
    assert comfy.missing_nodes() == []
    assert as_api(comfy.prompt(), api) == api
    assert [error for error in comfy.errors if SIZE_UNKNOWN not in error] == []


def test_run_several_times_goes_through_the_cases(comfy):
    comfy.load(small_batch(CASES[0]))
    comfy.close_dialogs()
    before = set(history(comfy))
    comfy.run("() => window.app.queuePrompt(0, 2)")
    for _ in range(RUN_SECONDS):
        runs = [run for key, run in history(comfy).items() if key not in before]
        if len(runs) == 2:
            break
        comfy.page.wait_for_timeout(1000)
    saved = [file["filename"] for run in runs for output in run["outputs"].values()
             for file in output.get("images", ()) if file["filename"].endswith(".mp4")]
    assert [name.rpartition("_0")[0] for name in saved] == CASES[:2]
    assert all(run["status"]["status_str"] == "success" for run in runs)
    [case] = [node["inputs"]["case"] for node in comfy.prompt().values() if node["class_type"] == "LumosX_LoadCase"]
    assert case == CASES[2]


def drawn_case(server, name):
    """Put the drawn case into the server's input folder, under a name of its own."""
    caption = write_demo_case(server.base / "input" / name) / "caption.txt"
    caption.write_text(caption.read_text(encoding="utf-8").replace("demo;", f"{name};"), encoding="utf-8")


def history(comfy):
    """What the server has finished, oldest first."""
    return comfy.run("async () => (await fetch('/history')).json()")


def small_batch(case):
    """The workflow of the batch in the page's form, with the stand-ins' text encoder, small and without scores."""
    graph = workflow(BATCH)
    for node in graph["nodes"]:
        if node["type"] == "CLIPLoader":
            # The stock loader builds UMT5 in its full size, whatever its file holds.
            [clip] = node["outputs"]
            node.update(type="LumosX_TinyModels", inputs=[], widgets_values=[], properties={}, outputs=[
                {"name": "model", "type": "MODEL", "links": None}, clip, {"name": "vae", "type": "VAE", "links": None},
            ])
            for link in graph["links"]:
                link[2] = 1 if link[1] == node["id"] else link[2]
        elif node["type"] == "PrimitiveNode":
            node["widgets_values"][0] = case
        elif node["type"] == "LumosX_RelationalEncode":
            set_widgets(node, **SIZE)
        elif node["type"] == "LumosX_Sampler":
            set_widgets(node, steps=STEPS)
        elif node["type"] in (*SCORES, "PreviewAny"):
            node["mode"] = MUTED
    return graph


def set_widgets(node, **values):
    """Put values into a saved node; the page keeps one more behind every seed."""
    names = []
    for entry in node["inputs"]:
        if "widget" in entry:
            names += [entry["name"], "control"] if entry["name"] == "seed" else [entry["name"]]
    for name, value in values.items():
        node["widgets_values"][names.index(name)] = value
