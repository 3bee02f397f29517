"""LumosX's weights among the page's missing models: where they come from, until their folder is there."""

import json

import torch.distributed.checkpoint as checkpoint

from lumosx_core.weights.convert import convert
from tools.shipped_workflows import workflow
from tools.weight_files import small_transformer

TEMPLATE, SHIPPED_NAME = "2 Two people by their faces", "LumosX_models_bf16.safetensors"
# Other tests on the same server may put a file there under the name that ships.
NAME = "absent_models_bf16.safetensors"


def loader_alone():
    """A template's Model Loader as it ships, but for the name of its file, in a graph of its own."""
    graph = workflow(TEMPLATE)
    [loader] = [node for node in graph["nodes"] if node["type"] == "LumosX_ModelLoader"]
    [output] = loader["outputs"]
    output["links"] = None
    loader = json.loads(json.dumps(loader).replace(SHIPPED_NAME, NAME))
    return {**graph, "nodes": [loader], "links": [], "groups": [], "extra": {}}


def is_missing(comfy):
    """Whether the page says so once a graph with the file is opened: in a dialog, or in a message on newer pages."""
    comfy.open("classic", Comfy__Workflow__ShowMissingModelsWarning=True)
    comfy.load(loader_alone())
    comfy.page.wait_for_timeout(2500)
    text = comfy.page.locator("body").inner_text()
    return NAME in text and "missing" in text.lower()


def test_they_are_listed_until_their_folder_is_there(blank, server):
    assert is_missing(blank)
    if blank.page.locator(".p-dialog").count():
        assert blank.page.locator(".p-dialog", has_text="Missing Models").locator("button", has_text="Download").count()
    folder = server.models / "diffusion_models" / "absent_models"
    checkpoint.save({"ema": small_transformer()}, checkpoint_id=folder / "all", no_dist=True)
    # The page of 0.3.75 looks for files alone, so it lists this one until the first run has made it.
    assert not is_missing(blank) or blank.page.locator(".p-dialog").count()
    convert(folder, folder.with_name(NAME), "bf16")
    assert not is_missing(blank)
