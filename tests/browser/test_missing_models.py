"""LumosX's weights among the page's missing models: where they come from, until their folder is there."""

import torch.distributed.checkpoint as checkpoint

from host.weight_files import small_transformer
from lumosx_core.weights.convert import convert

RELEASE = "https://huggingface.co/Alibaba-DAMO-Academy/LumosX/tree/main/LumosX_models"
NAME = "absent_models_bf16.safetensors"
GRAPH = {
    "last_node_id": 1, "last_link_id": 0, "links": [], "groups": [], "config": {}, "extra": {}, "version": 0.4,
    "nodes": [{
        "id": 1, "type": "LumosX_ModelLoader", "pos": [200, 200], "size": [320, 130], "flags": {}, "order": 0,
        "mode": 0, "inputs": [], "outputs": [{"name": "model", "type": "MODEL", "links": None}],
        "properties": {
            "Node name for S&R": "LumosX_ModelLoader",
            "models": [{"name": NAME, "url": RELEASE, "directory": "diffusion_models"}],
        },
        "widgets_values": [NAME, "default", 0.0],
    }],
}


def is_missing(comfy):
    """Whether the page says so once a graph with the file is opened: in a dialog, or in a message on newer pages."""
    comfy.open("classic", Comfy__Workflow__ShowMissingModelsWarning=True)
    comfy.load(GRAPH)
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
