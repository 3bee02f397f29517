"""The steps of the segmentation gate: masks, boxes and labels exactly where they begin to fit, and what is said."""

import contextlib

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.scores import segmentation_gate as gate
from lumosx_core.models.polyvivid.boxes import LabelledBox
from lumosx_core.models.polyvivid.segmentation import GateVerdict

FRAMES = [torch.zeros(1, 4, 6, 3)] * 2
BOX = (0.0, 0.0, 3.0, 3.0)


@pytest.mark.parametrize(("shape", "made"), [
    ((2, 4, 6), (2, 1, 4, 6)), ((4, 4, 6), (2, 2, 4, 6)), ((2, 1, 4, 6), (2, 1, 4, 6)), ((2, 3, 4, 6), (2, 3, 4, 6)),
    ((1, 2, 2, 4, 6), (2, 2, 4, 6)), ((3, 4, 6), "does not fit 2 images"), ((4, 6), "does not fit 2 images"),
    ((0, 4, 6), "does not fit"), ((6,), "does not fit"), ((), "does not fit"), ((2, 0, 6), "does not fit"),
    ((2, 6, 4), "they are 4x6 pixels but the images are 6x4"), ((2, 4, 5), "they are 5x4 pixels"),
])
def test_masks_are_as_many_for_every_frame_and_of_its_size(shape, made):
    if isinstance(made, tuple):
        assert gate._masks_of(torch.ones(shape), FRAMES).shape == made
    else:
        with pytest.raises(LumosXError, match=f"masks: .*{made}"):
            gate._masks_of(torch.ones(shape), FRAMES)


def test_masks_are_whole_numbers_or_shares():
    masks = torch.zeros(2, 4, 6)
    masks[0, 0, 0], masks[1, 0, 0] = 2.0, -1.0
    made = gate._masks_of(masks, FRAMES)
    assert made[0, 0, 0, 0] == 1 and made[1, 0, 0, 0] == 0
    assert gate._masks_of(torch.ones(2, 4, 6, dtype=torch.bool), FRAMES).dtype == torch.float32


@pytest.mark.parametrize(("phrases", "masks", "found"), [
    ([], 3, [(0, "", 3), (1, "", 3)]), (["a"], 3, [(0, "a", 3), (1, "a", 3)]),
    (["a", "b"], 2, [(0, "a", 1), (0, "b", 1), (1, "a", 1), (1, "b", 1)]), (["a", "b"], 3, None),
    (["a", "b", "c"], 2, None), (["a"], 1, [(0, "a", 1), (1, "a", 1)]),
])
def test_without_boxes_a_line_is_of_every_mask_or_of_its_own(phrases, masks, found):
    given = torch.arange(2 * masks).reshape(2, masks, 1, 1).expand(2, masks, 4, 6)
    if found is None:
        with pytest.raises(LumosXError, match=f"phrases: there are {len(phrases)} for {masks} masks"):
            gate._by_masks(FRAMES, given, phrases)
        return
    made = gate._by_masks(FRAMES, given, phrases)
    assert [(frame, box.label, len(own)) for frame, box, own in made] == found
    assert {box.edges for _, box, _ in made} == {(0.0, 0.0, 6.0, 4.0)}
    if len(phrases) > 1:
        assert [int(own[0, 0, 0]) for _, _, own in made] == [0, 1, 2, 3]


@pytest.mark.parametrize(("labels", "phrases", "found", "ignored"), [
    (["Red", "dog"], ["red"], ["red"], ["dog"]), (["Red", "dog"], [], ["Red", "dog"], []),
    (["", ""], ["a"], ["a", "a"], []), (["", ""], ["a", "b"], ["a", "b"], []), (["", ""], [], ["", ""], []),
    (["", "b"], ["a", "b"], ["a", "b"], []), (["", ""], ["a", "b", "c"], None, []), ([""], ["a", "b"], None, []),
    (list("fedcba"), ["x"], [], list("abcde")), (["d" * 41], ["x"], [], ["d" * 40]),
])
def test_labels_and_lines_find_each_other(labels, phrases, found, ignored):
    boxes = [[], [LabelledBox(BOX, label) for label in labels]]
    if found is None:
        with pytest.raises(LumosXError, match=f"there are {len(phrases)} for {len(labels)} boxes .* in frame 1"):
            gate._by_boxes(boxes, torch.zeros(2, 1, 4, 6), phrases)
        return
    made, notes = gate._by_boxes(boxes, torch.zeros(2, 1, 4, 6), phrases)
    assert [box.label for _, box, _ in made] == found and {frame for frame, _, _ in made} <= {1}
    words = ", ".join(f'"{label}"' for label in ignored)
    assert notes == ([f"Boxes whose label is not a phrase were ignored: {words}."] if ignored else [])


@pytest.mark.parametrize(("boxes", "phrases", "check", "word"), [
    (None, [], gate.CLIP, "phrases: it is empty"), (None, [], gate.OFF, None), (None, ["a"], gate.CLIP, None),
    ([[[0, 0, 3, 3]], []], [], gate.CLIP, "boxes have no labels"), ([[[0, 0, 3, 3]], []], [], gate.OFF, None),
    ([[[0, 0, 3, 3]], []], ["a"], gate.CLIP, None),
    ([{"bboxes": [[0, 0, 3, 3]], "labels": ["a"]}, []], [], gate.CLIP, None),
])
def test_clip_needs_words_for_every_crop(boxes, phrases, check, word):
    masks = torch.ones(2, 1, 4, 6)
    if word is None:
        assert len(gate._segments(FRAMES, masks, boxes, phrases, check)[0]) == (2 if boxes is None else 1)
    else:
        with pytest.raises(LumosXError, match=word):
            gate._segments(FRAMES, masks, boxes, phrases, check)


def candidate(phrase="a", crop=True, frame=0):
    masks = torch.ones(1 if crop else 0, 4, 6)
    return gate._Candidate(frame, phrase, torch.full((1, 2, 2, 3), 0.5) if crop else None, BOX, masks)


class Clip:
    """Pictures lie on the first axis; a phrase is as near as its number says."""

    models = (None,)

    def of_crops(self, crops):
        return torch.tensor([[1.0, 0.0]] * len(crops))

    def of_phrases(self, phrases):
        self.asked = phrases
        return torch.tensor([[float(phrase), 0.0] for phrase in phrases])


def test_each_crop_is_compared_with_its_own_words(monkeypatch):
    monkeypatch.setattr(gate, "on_device", lambda model: contextlib.nullcontext())
    clip, found = Clip(), [candidate("0.25"), candidate("0.5", crop=False), candidate("0.75"), candidate("0.25")]
    verdicts = gate._verdicts(found, clip, 0.25)
    assert [likeness for _, likeness in verdicts] == [0.25, None, 0.75, 0.25] and clip.asked == ["0.25", "0.75"]
    assert [verdict.kept for verdict, _ in verdicts] == [False, False, True, False]
    # Nothing is loaded for nobody.
    assert gate._similarities([], None) == []
    assert [verdict.kept for verdict, _ in gate._verdicts(found, None, 0.25)] == [True, False, True, True]


KEPT, OUT = GateVerdict(0, 9, True), GateVerdict(0, 9, False, "no")


def test_a_report_has_a_line_for_each_box():
    found = [candidate("hat"), candidate("", frame=3)]
    report = gate._report(found, [(KEPT, 0.5), (OUT, None)], ["odd"], True)
    assert report.splitlines() == [
        "1 of 2 kept.", '- Frame 0 "hat": kept, 9 pixels, similarity 0.500', "- Frame 3: left out: no",
        "- **Warning:** odd",
    ]
    assert gate._report(found, [(KEPT, None)] * 2, [], False).splitlines() == [
        "2 of 2 kept; CLIP did not check them.", '- Frame 0 "hat": kept, 9 pixels', "- Frame 3: kept, 9 pixels",
    ]


@pytest.mark.parametrize(("likenesses", "words"), [
    ([], "No box has a label"), ([None], "no object inside any box"), ([0.1, None, 0.15], "best similarity is 0.150"),
])
def test_why_nothing_is_kept(likenesses, words):
    found = [candidate()] * len(likenesses)
    assert words in gate._why_nothing(found, [(OUT, likeness) for likeness in likenesses], 0.2)


@pytest.mark.parametrize(("verdicts", "titles"), [
    ([KEPT, OUT], ["kept: 1", "left out: 1"]), ([KEPT, KEPT], ["kept: 2"]), ([OUT, OUT], ["left out: 2"]), ([], []),
])
def test_the_sheet_has_rows_of_what_there_is(verdicts, titles):
    found = [*[candidate()] * len(verdicts), candidate(crop=False)]
    rows = gate._rows(found, [(verdict, None) for verdict in (*verdicts, OUT)])
    assert [row.title for row in rows] == titles


def test_a_box_without_an_object_has_no_crop(monkeypatch):
    ticks = []
    monkeypatch.setattr(gate, "frame_ticks", lambda: lambda *given: ticks.append(given))
    masks = torch.zeros(2, 4, 6)
    masks[1, :2, :2] = 1
    frame = torch.zeros(1, 4, 6, 3)
    segments = [(0, LabelledBox(BOX, "a"), masks), (0, LabelledBox((4.0, 0.0, 6.0, 4.0), "b"), masks)]
    first, second = gate._candidates([frame], segments)
    assert first.crop.shape == (1, 2, 2, 3) and first.masks.shape == (1, 4, 6) and first.masks.sum() == 4
    assert second.crop is None and len(second.masks) == 0 and ticks == [(0, 2), (1, 2)]
    assert (first.phrase, second.phrase) == ("a", "b")
