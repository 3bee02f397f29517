"""LumosX Cut-Out on a real server, from Load Image to a video."""

import numpy as np
import pytest
from PIL import Image

from tools.client import ExecutionFailed


@pytest.fixture(scope="module")
def photo(server):
    """"disc.png": a bright disc on dark; "alpha.png": the same with its surroundings transparent."""
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    rows, columns = np.mgrid[:100, :120]
    disc = (rows - 50) ** 2 + (columns - 60) ** 2 < 30**2
    pixels = np.where(disc[..., None], (230, 120, 60), (20, 40, 70)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "disc.png")
    Image.fromarray(np.dstack([pixels, (disc * 255).astype(np.uint8)])).save(folder / "alpha.png")
    return disc


def graph_of(image, mask=True, **inputs):
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "LumosX_CutOut", "inputs": {"image": ["1", 0], **inputs}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "cutout"}},
        "4": {"class_type": "MaskToImage", "inputs": {"mask": ["2", 1]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "cutout_mask"}},
        "6": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
    }
    if mask:
        graph["2"]["inputs"]["mask"] = ["1", 1]
    return graph


def pictures(run, server):
    for node in ("3", "5"):
        saved = run.outputs[node]["images"][0]
        with Image.open(server.base / "output" / saved["subfolder"] / saved["filename"]) as picture:
            yield np.asarray(picture.convert("RGB"))


def test_load_images_transparency_through_an_inverted_mask(client, server, photo):
    run = client.run(graph_of("alpha.png", invert_mask=True), timeout=300)
    cut, mask = pictures(run, server)
    kept = photo[21:80, 31:90]
    assert (cut[kept] == (230, 120, 60)).all() and (cut[~kept] == 255).all()
    assert (mask[kept] == 255).all() and (mask[~kept] == 0).all()
    assert run.outputs["2"]["images"] and "59x59 pixels at 31, 21 of 120x100" in run.outputs["6"]["text"][0]


def test_a_box_without_a_mask(client, server, photo):
    run = client.run(
        graph_of("disc.png", mask=False, box_x=20, box_y=10, box_width=80, box_height=80, padding=5), timeout=300
    )
    cut, mask = pictures(run, server)
    assert cut.shape == mask.shape and 67 <= cut.shape[0] <= 71
    assert (cut[:5] == 255).all() and (cut[len(cut) // 2, len(cut) // 2] == (230, 120, 60)).all()


def test_it_runs_alone_and_shows_its_picture(client, photo):
    graph = graph_of("alpha.png", invert_mask=True)
    run = client.run({node: graph[node] for node in ("1", "2")}, timeout=300)
    assert run.outputs["2"]["images"][0]["type"] == "temp"


@pytest.mark.parametrize(
    ("graph", "sentence"),
    [
        (graph_of("disc.png"), "mask: this is the empty 64x64 mask"),
        (graph_of("disc.png", mask=False), "link a mask, or set box_width and box_height"),
        (graph_of("disc.png", mask=False, box_width=200, box_height=20), "200x20 at 0, 0 goes beyond"),
    ],
)
def test_what_cannot_be_cut_out_ends_in_a_sentence(client, photo, graph, sentence):
    with pytest.raises(ExecutionFailed) as caught:
        client.run(graph, timeout=300)
    assert sentence in str(caught.value)
