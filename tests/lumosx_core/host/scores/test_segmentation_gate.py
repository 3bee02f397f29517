"""Crops out of masks and boxes, behind the schema of LumosX Segmentation Gate."""

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.scores import segmentation_gate
from lumosx_core.host.scores.segmentation_gate import CLIP, OFF, gate_segments
from support.transformers_folders import write_clip

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def two_squares(frames=2):
    """Frames with a red square of 20 on the left and a blue one of 10 on the right, and the mask of each."""
    images = torch.full((frames, 40, 60, 3), 0.5)
    masks = torch.zeros(frames, 2, 40, 60)
    for number in range(frames):
        masks[number, 0, 5:25, 2 + number:22 + number] = 1
        masks[number, 1, 10:20, 45:55] = 1
        for mask, colour in zip(masks[number], (RED, BLUE)):
            images[number][mask > 0] = torch.tensor(colour)
    return images, masks.flatten(0, 1)


def colours_of(crops):
    return [tuple(crop[0, crop.shape[1] // 2, crop.shape[2] // 2].tolist()) for crop in crops]


@pytest.fixture
def clip_folder(tmp_path, monkeypatch):
    from lumosx_core.faces.face import ModelFolders

    write_clip(tmp_path)
    monkeypatch.setattr(segmentation_gate, "model_folders", lambda: ModelFolders(lumosx=(tmp_path,)))


def test_the_nth_mask_is_of_the_nth_line():
    images, masks = two_squares()
    crops, phrases, frames, sheet, report = gate_segments(images, masks, None, "a red box\na blue box", OFF, 0.2)
    assert colours_of(crops) == [RED, BLUE, RED, BLUE]
    assert phrases.splitlines() == ["a red box", "a blue box"] * 2 and frames == "0 0 1 1"
    assert [crop.shape[1:3] for crop in crops] == [(20, 20), (10, 10)] * 2
    assert report.startswith("4 of 4 kept; CLIP did not check them.") and sheet.shape[0] == 1


def test_of_one_line_the_largest_mask_counts():
    images, masks = two_squares()
    crops, _, frames, _, _ = gate_segments(images, masks, None, "a box", OFF, 0.2)
    assert colours_of(crops) == [RED, RED] and frames == "0 1"


def test_inside_a_box_the_largest_object_counts_and_is_cut_at_the_box():
    images, masks = two_squares(1)
    crops, *_ = gate_segments(images, masks, [[30, 0, 60, 40], [0, 0, 12, 40]], "", OFF, 0.2)
    assert colours_of(crops) == [BLUE, RED] and crops[1].shape[1:3] == (20, 10)


@pytest.mark.parametrize("boxes", [
    '[{"bboxes": [[30, 0, 60, 40], [0, 0, 30, 40]], "labels": ["Blue", "dog"]}]',
    {"bboxes": torch.tensor([[30, 0, 60, 40], [0, 0, 30, 40]]), "labels": ["blue", "dog"]},
    [{"boxes": np.array([[30, 0, 60, 40], [0, 0, 30, 40]]), "labels": ("blue", "dog")}],
], ids=["text", "tensor", "array"])
def test_labels_choose_the_line(boxes):
    images, masks = two_squares(1)
    crops, phrases, _, _, report = gate_segments(images, masks, boxes, "blue\ngreen", OFF, 0.2)
    assert colours_of(crops) == [BLUE] and phrases == "blue"
    assert 'whose label is not a phrase were ignored: "dog"' in report


def test_clip_decides_and_the_report_says_how_alike(clip_folder):
    images, masks = two_squares()
    phrases = "a red box\na blue box"
    crops, _, _, _, report = gate_segments(images, masks, None, phrases, CLIP, -1.0)
    found = sorted(float(part.split("\n")[0]) for part in report.split("similarity ")[1:])
    assert len(crops) == 4 and len(found) == 4 and found[0] < found[-1]
    least = (found[0] + found[-1]) / 2
    kept, _, _, _, report = gate_segments(images, masks, None, phrases, CLIP, least)
    assert 0 < len(kept) < 4 and "left out: it does not look like its phrase" in report
    with pytest.raises(LumosXError, match="min_similarity: nothing is kept. The best similarity is"):
        gate_segments(images, masks, None, phrases, CLIP, 1.0)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"masks": torch.zeros(3, 40, 60)}, "masks: .* does not fit 2 images"),
    ({"masks": torch.zeros(4, 20, 60)}, "masks: they are 60x20 pixels but the images are 60x40"),
    ({"masks": torch.full((4, 40, 60), torch.nan)}, "masks: they contain values that are not numbers"),
    ({"masks": torch.zeros(4, 40, 60)}, "nothing is kept. There is no object inside any box"),
    ({"phrases": "a\nb\nc"}, "phrases: there are 3 for 2 masks"),
    ({"phrases": "", "check": CLIP}, "phrases: it is empty"),
    ({"phrases": "a", "boxes": [[], []]}, "nothing is kept. No box has a label"),
    ({"phrases": "a\nb", "boxes": [[[0, 0, 9, 9]], []]}, "phrases: there are 2 for 1 boxes without labels"),
    ({"phrases": "", "boxes": [[[0, 0, 9, 9]], []], "check": CLIP}, "phrases: the boxes have no labels"),
    ({"check": CLIP}, "CLIP has no weights"),
], ids=str)
def test_what_cannot_be_used_ends_in_a_sentence(change, sentence):
    images, masks = two_squares()
    given = {"masks": masks, "boxes": None, "phrases": "a\nb", "check": OFF, **change}
    with pytest.raises(LumosXError, match=sentence):
        gate_segments(images, given["masks"], given["boxes"], given["phrases"], given["check"], 0.2)


def test_more_than_can_be_looked_at_is_refused(monkeypatch):
    images, masks = two_squares()
    with monkeypatch.context() as fewer:
        fewer.setattr(segmentation_gate, "MOST_BOXES", 2)
        assert len(gate_segments(images, masks, None, "a\nb", OFF, 0.2)[0]) == 4
        fewer.setattr(segmentation_gate, "MOST_BOXES", 1)
        with pytest.raises(LumosXError, match="masks: there are 2 for each image; link at most 1"):
            gate_segments(images, masks, None, "a\nb", OFF, 0.2)
    monkeypatch.setattr(segmentation_gate, "MOST_CROPS", 4)
    assert len(gate_segments(images, masks, None, "a\nb", OFF, 0.2)[0]) == 4
    monkeypatch.setattr(segmentation_gate, "MOST_CROPS", 3)
    with pytest.raises(LumosXError, match="images: they have 4 boxes or masks in all; link at most 3"):
        gate_segments(images, masks, None, "a\nb", OFF, 0.2)


def test_an_unknown_check_is_refused():
    with pytest.raises(LumosXError, match="^check_by: 'colour' is not known"):
        gate_segments(*two_squares(), None, "a", "colour", 0.2)


def test_without_any_words_the_largest_mask_of_each_image_counts():
    images, masks = two_squares()
    crops, phrases, frames, _, _ = gate_segments(images, masks, None, " \n", OFF, 0.2)
    assert colours_of(crops) == [RED, RED] and frames == "0 1" and phrases == "\n"
