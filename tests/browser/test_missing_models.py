"""LumosX's weights among the page's missing models: where they come from, until their folder is there."""

import json

import pytest
import torch.distributed.checkpoint as checkpoint

from lumosx_core.weights.convert import convert
from tools.shipped_workflows import workflow
from tools.weight_files import small_transformer

TEMPLATE, SHIPPED_NAME = "2 Two people by their faces", "LumosX_models_bf16.safetensors"
_SETTING = "Comfy.Workflow.ShowMissingModelsWarning"


def loader_alone(name):
    """A template's Model Loader as it ships, but for the name of its file, in a graph of its own."""
    graph = workflow(TEMPLATE)
    [loader] = [node for node in graph["nodes"] if node["type"] == "LumosX_ModelLoader"]
    [output] = loader["outputs"]
    output["links"] = None
    loader = json.loads(json.dumps(loader).replace(SHIPPED_NAME, name))
    return {**graph, "nodes": [loader], "links": [], "groups": [], "extra": {}}


def is_missing(comfy, name):
    """Whether the page says so once a graph with the file is opened: in a dialog, or in a message on newer pages."""
    # As the key R does; some pages look for files that are new at no other time.
    comfy.run("() => app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')")
    comfy.load(loader_alone(name))
    comfy.page.wait_for_timeout(2500)
    text = comfy.page.locator("body").inner_text()
    return name in text and "missing" in text.lower()


@pytest.fixture
def warned(comfy):
    """An empty graph on a page that warns of missing models."""
    get, put = (f"app.extensionManager.setting.{name}" for name in ("get", "set"))
    before = comfy.run(f"([name]) => {get}(name)", [_SETTING])
    comfy.run(f"([name]) => {put}(name, true)", [_SETTING])
    yield comfy
    comfy.run(f"([name, value]) => {put}(name, value)", [_SETTING, before])


def test_they_are_listed_until_their_folder_is_there(warned, server, tmp_path):
    # Other tests on the same server may put a file there under the name that ships.
    folder = server.models / "diffusion_models" / f"absent_{tmp_path.name}"
    made = folder.with_name(f"{folder.name}_bf16.safetensors")
    assert is_missing(warned, made.name)
    if warned.page.locator(".p-dialog").count():
        dialog = warned.page.locator(".p-dialog", has_text="Missing Models")
        assert dialog.locator("button", has_text="Download").count()
    warned.close_dialogs()
    checkpoint.save({"ema": small_transformer()}, checkpoint_id=folder / "all", no_dist=True)
    # The page of 0.3.75 looks for files alone, so it lists this one until the first run has made it.
    assert not is_missing(warned, made.name) or warned.page.locator(".p-dialog").count()
    warned.close_dialogs()
    convert(folder, made, "bf16")
    assert not is_missing(warned, made.name)
