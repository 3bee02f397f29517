"""LumosX Face Crop behind its schema, on real photographs."""

import logging
import math
import re
from pathlib import Path

import cv2
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from lumosx_core.errors import LumosXError
from lumosx_core.faces.catalogue import CENTERFACE, DLIB
from lumosx_core.faces.centerface import CenterFace
from lumosx_core.faces.crop import Margins
from lumosx_core.faces.picking import LARGEST_FIRST, LEFT_TO_RIGHT, LIKENESS
from lumosx_core.faces.preview import LEFT_OUT, PICKED
from lumosx_core.host.media import faces
from lumosx_core.host.media.faces import FACE_OUTPUTS, CropPlan, crop_faces
from lumosx_core.host.media.frames import as_picture, as_pixels

PEAK = Path("/proc/self/clear_refs")
# Where each of the six stands, from the left.
CENTRES = ((114, 327), (324, 209), (518, 344), (798, 417), (958, 135), (1181, 337))


def plan(order=LEFT_TO_RIGHT, pick="", upright=False, detector=CENTERFACE, embedder=DLIB, **others):
    return CropPlan(order, pick, upright, detector, embedder, **others)


def place_in(photo, crop):
    """Left and top of where a crop was cut out of a photo, or None."""
    height, width = crop.shape[1:3]
    corner = (photo[0] == crop[0, 0, 0]).all(-1).nonzero().tolist()
    return next(
        ((left, top) for top, left in corner if torch.equal(photo[:, top:top + height, left:left + width], crop)), None
    )


def middles(photo, crops):
    return [
        (left + crop.shape[2] / 2, top + crop.shape[1] / 2)
        for crop in crops for left, top in [place_in(photo, crop)]
    ]


def test_every_face_is_cut_out_of_the_photos_own_pixels(six):
    outputs, faces, preview, report = crop_faces(six, None, plan())[:4]
    assert len(faces) == 6 and preview.shape == six.shape
    assert all(output is face for output, face in zip(outputs, faces))
    for (x, y), middle in zip(CENTRES, middles(six, faces)):
        assert abs(middle[0] - x) < 15 and abs(middle[1] - y) < 20
    assert "6 faces found by CenterFace; picked: 1, 2, 3, 4, 5, 6." in report
    assert report.count("- Face ") == 6


def test_floating_point_pixels_stay_exact(six):
    """Not through eight bits: what a node before has computed is kept."""
    shifted = (six + 0.0003).clamp(0, 1)
    _, faces, _, _ = crop_faces(shifted, None, plan(pick="3"))[:4]
    assert place_in(shifted, faces[0]) is not None


def test_numbers_choose_faces_and_their_order(six):
    outputs, faces, _, report = crop_faces(six, None, plan(pick="5, 1"))[:4]
    found = middles(six, faces)
    assert [x for x, _ in found] == pytest.approx([958, 114], abs=15) and "picked: 5, 1." in report
    assert torch.equal(outputs[0], faces[0]) and torch.equal(outputs[1], faces[1])
    assert [type(output) for output in outputs[2:]] == [ExecutionBlocker] * 2
    assert outputs[2].message.startswith("LumosX Face Crop face_3: pick names only 2 faces; ")


def test_a_face_that_is_not_there_stops_its_own_output_only(astronaut):
    outputs, faces, _, _ = crop_faces(astronaut, None, plan())[:4]
    assert len(faces) == 1 and torch.equal(outputs[0], faces[0])
    for number in FACE_OUTPUTS[1:]:
        sentence = f"LumosX Face Crop face_{number}: the image shows only 1 face "
        assert outputs[number - 1].message.startswith(sentence)


def test_largest_first(six):
    _, faces, _, _ = crop_faces(six, None, plan(LARGEST_FIRST, margins=Margins(0, 0, 0)))[:4]
    areas = [face.shape[1] * face.shape[2] for face in faces]
    assert areas[0] == pytest.approx(max(areas), rel=0.02) and areas[-1] == pytest.approx(min(areas), rel=0.02)


@pytest.mark.slow
def test_likeness_finds_a_person_again(six):
    """From a crop that is brighter, smaller and mirrored."""
    crops = crop_faces(six, None, plan())[1]
    for wanted in (2, 5):
        like = torch.nn.functional.interpolate(crops[wanted].movedim(-1, 1), scale_factor=0.8, mode="area")
        like = (like.movedim(1, -1).flip(2) * 1.1).clamp(0, 1)
        _, faces, _, report = crop_faces(six, like, plan(LIKENESS, "1"))[:4]
        assert torch.equal(faces[0], crops[wanted])
        assert report.count(", likeness ") == 6 and "told apart by dlib" in report


def test_a_batch_is_numbered_photo_after_photo(six):
    batch = torch.cat([six, six.flip(2)])
    _, faces, preview, report = crop_faces(batch, None, plan(pick="1, 7, 12"))[:4]
    assert preview.shape == batch.shape
    assert "12 faces found" in report and "- Face 7: photo 2" in report
    assert place_in(batch[:1], faces[0]) is not None
    found = middles(batch[1:], faces[1:])
    # The mirrored photo's first face is the other's last.
    assert [x for x, _ in found] == pytest.approx([1280 - 1181, 1280 - 114], abs=15)


def test_each_photo_of_a_batch_shows_its_own_faces(six):
    batch = torch.cat([six, torch.full_like(six, 0.5), six.flip(2)])
    preview = crop_faces(batch, None, plan())[2]
    assert torch.equal(preview[0], crop_faces(six, None, plan())[2][0])
    assert (preview[1] - 0.5).abs().max() < 1 / 255 and not torch.equal(preview[2], preview[0])


def test_a_crop_does_not_keep_the_photo_in_memory(six):
    face = crop_faces(six, None, plan(pick="1"))[1][0]
    assert face.untyped_storage().nbytes() == face.nbytes


@pytest.mark.slow
def test_of_several_faces_in_like_the_largest_counts(six):
    crops = crop_faces(six, None, plan())[1]
    for large, small in ((2, 5), (5, 2)):
        like = torch.full((1, 200, 400, 3), 0.5)
        little = shrunk(crops[small], 0.6)
        like[:, :crops[large].shape[1], :crops[large].shape[2]] = crops[large][:, :200, :200]
        like[:, 20:20 + little.shape[1], 250:250 + little.shape[2]] = little
        assert torch.equal(crop_faces(six, like, plan(LIKENESS, "1"))[1][0], crops[large])


def test_a_photo_of_nobody_among_others_is_a_warning(six, caplog):
    batch = torch.cat([torch.full_like(six, 0.5), six])
    with caplog.at_level(logging.WARNING, "LumosX"):
        _, faces, _, report = crop_faces(batch, None, plan(pick="1"))[:4]
    assert place_in(six, faces[0]) is not None
    assert "- **Warning:** CenterFace finds no face in photo 1." in report
    assert "LumosX Face Crop: CenterFace finds no face in photo 1." in caplog.text


def test_transparency_becomes_white(astronaut):
    alpha = torch.ones(1, 512, 512, 1)
    alpha[:, :, 280:] = 0
    outputs, _, preview, _ = crop_faces(torch.cat([astronaut, alpha], -1), None, plan())[:4]
    assert outputs[0].shape[-1] == 3 and (preview[:, 10, 310:] == 1).all()
    assert (outputs[0][:, :, -1] == 1).all()


@pytest.mark.parametrize("degrees", (-25, 25))
def test_an_upright_crop_has_level_eyes(astronaut, degrees):
    turn = cv2.getRotationMatrix2D((225, 120), degrees, 1)
    tilted = as_picture(cv2.warpAffine(as_pixels(astronaut), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE))
    tilts = {}
    for upright in (False, True):
        crop = crop_faces(tilted, None, plan(upright=upright))[1][0]
        assert crop.min() >= 0 and crop.max() <= 1
        (face,) = CenterFace().detect(as_pixels(crop))
        along, down = face.landmarks[1] - face.landmarks[0]
        tilts[upright] = abs(math.degrees(math.atan2(down, along)))
    assert tilts[False] > 17 and tilts[True] < 6


def test_nothing_given_is_changed(six):
    before = six.clone()
    crop_faces(six, None, plan(upright=True))[1][0].zero_()
    crop_faces(six, None, plan())[1][0].zero_()
    assert torch.equal(six, before)


def with_passers_by(six):
    """The six people at the right, and at the left the same again, too small."""
    both, small = torch.full((1, 900, 1760, 3), 0.5), shrunk(six, 0.36)
    both[:, :886, 470:1750] = six
    both[:, :small.shape[1], :small.shape[2]] = small
    return both


def shrunk(photo, scale):
    return torch.nn.functional.interpolate(photo.movedim(-1, 1), scale_factor=scale, mode="area").movedim(1, -1)


def test_faces_below_48_pixels_are_refused_with_the_figure(six):
    with pytest.raises(LumosXError, match=r"pick: face 1 is \d\d px on its short side, below 48 px; link a large"):
        crop_faces(shrunk(six, 0.35), None, plan())


def test_a_small_face_that_is_not_picked_stops_nobody(six):
    """And the sentence says who could be picked."""
    both = with_passers_by(six)
    with pytest.raises(LumosXError, match="pick from the larger ones, 7, 8, 9, 10, 11, 12, or link a larger photo"):
        crop_faces(both, None, plan(pick="7, 2"))
    assert len(crop_faces(both, None, plan(pick="7, 12"))[1]) == 2


def test_small_faces_that_nobody_named_are_left_out(six, caplog):
    """They keep their numbers, and are grey in the preview."""
    both = with_passers_by(six)
    with caplog.at_level(logging.WARNING, "LumosX"):
        outputs, faces, preview, report = crop_faces(both, None, plan())[:4]
    assert [x for x, _ in middles(both, faces)] == pytest.approx([470 + x for x, _ in CENTRES], abs=15)
    assert all(output is face for output, face in zip(outputs, faces))
    assert "12 faces found by CenterFace; picked: 7, 8, 9, 10, 11, 12." in report
    told = r"face 1 is left out: its short side is \d\d px, below 48 px\."
    assert re.search(rf"\*\*Warning:\*\* {told}", report) and re.search(f"LumosX Face Crop: {told}", caplog.text)
    shown = (as_pixels(preview[:1]) == LEFT_OUT).all(-1)
    assert shown[:, :470].any() and not shown[:, 470:].any()


def test_an_output_without_a_face_counts_the_large_ones(six, astronaut):
    both = torch.full((1, 512, 900, 3), 0.5)
    both[:, :, :512] = astronaut
    both[:, :265, 512:896] = shrunk(six, 0.3)
    outputs = crop_faces(both, None, plan())[0]
    assert outputs[1].message.startswith("LumosX Face Crop face_2: the image shows only 1 face ")


@pytest.mark.slow
def test_blurred_cut_off_and_turned_faces_are_warnings(six, caplog):
    with caplog.at_level(logging.WARNING, "LumosX"):
        report = crop_faces(six, None, plan())[3]
    assert "**Warning:** face 5: it is turned far away" in report
    assert "face 5: it is turned far away" in caplog.text
    blurred = torch.nn.functional.avg_pool2d(six.movedim(-1, 1), 15, 1, 7).movedim(1, -1)
    assert "**Warning:** face 3: it is blurred" in crop_faces(blurred, None, plan(pick="3"))[3]
    # Through the middle of the third face.
    cut = crop_faces(six[:, :, 500:], None, plan())[3]
    assert "**Warning:** face 1: " in cut and "of it is cut off by the edge of the picture" in cut


@pytest.mark.parametrize(
    ("order", "like", "sentence"),
    [
        (LIKENESS, False, "LumosX Face Crop like: nothing is linked"),
        (LEFT_TO_RIGHT, True, "LumosX Face Crop order: "),
    ],
)
def test_a_picture_of_whom_and_its_order_belong_together(astronaut, order, like, sentence):
    with pytest.raises(LumosXError, match=sentence):
        crop_faces(astronaut, astronaut if like else None, plan(order))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (plan(pick="2"), "pick: there is no face 2"),
        (plan(pick="x"), "pick: 'x' is not a list of numbers"),
        (plan(min_score=math.nan), "min_score: nan"),
        (plan(min_score=0.4), "min_score: 0.4"),
        (plan(margins=Margins(up=math.nan)), "margin_up: nan"),
        (plan(margins=Margins(down=math.inf)), "margin_down: inf"),
        (plan(margins=Margins(sides=-0.1)), "margin_sides: -0.1"),
        (plan("by age"), "order: 'by age' is not known"),
        (plan(detector="none"), "detector: 'none' is not known"),
    ],
)
def test_bad_widgets_end_in_a_sentence(astronaut, made, sentence):
    with pytest.raises(LumosXError, match=sentence):
        crop_faces(astronaut, None, made)


@pytest.mark.slow
def test_a_stranger_is_a_warning_with_both_figures(six, astronaut, caplog):
    crops = crop_faces(six, None, plan())[1]
    with caplog.at_level(logging.WARNING, "LumosX"):
        report = crop_faces(six, astronaut, plan(LIKENESS, "1"))[3]
    told = r"face 1: its likeness is 0\.[0-3]\d\d, below 0\.4 \(1 - L2 distance\), so it is probably somebody else\."
    assert re.search(rf"- \*\*Warning:\*\* {told}", report) and re.search(f"LumosX Face Crop: {told}", caplog.text)
    assert "somebody else" not in crop_faces(six, crops[2], plan(LIKENESS, "1"))[3]
    # Of six picked faces the other five are strangers.
    assert crop_faces(six, crops[2], plan(LIKENESS))[3].count("probably somebody else") == 5


@pytest.mark.slow
def test_faces_that_min_score_passes_over_are_counted(six, astronaut):
    """And the figure that a sentence names serves as the new min_score."""
    with pytest.raises(LumosXError) as caught:
        crop_faces(astronaut, None, plan(min_score=0.95))
    sentence = r"LumosX Face Crop min_score: the best of 1 face has (0\.\d\d), below 0\.95; lower min_score\."
    told = re.fullmatch(sentence, str(caught.value))
    assert "Ignored" not in crop_faces(astronaut, None, plan(min_score=float(told[1])))[3]
    scores = sorted(face.score for face in CenterFace().detect(as_pixels(six)))
    least = (scores[1] + scores[2]) / 2
    both = torch.cat([torch.nn.functional.pad(astronaut, (0, 0, 0, 768, 0, 374)), six])
    report = crop_faces(both, None, plan(min_score=least))[3]
    passed = 2 + sum(face.score < least for face in CenterFace().detect(as_pixels(both[:1])))
    assert f"- Ignored: {passed} faces with a score below {least:g}." in report


def test_a_photo_whose_faces_are_all_passed_over_says_so(six, astronaut):
    both = torch.cat([torch.nn.functional.pad(astronaut, (0, 0, 0, 768, 0, 374)), six])
    faces = [CenterFace().detect(as_pixels(photo)) for photo in both.split(1)]
    surest = [max(face.score for face in found) for found in faces]
    least, worse = (surest[0] + surest[1]) / 2, min((0, 1), key=lambda photo: surest[photo])
    report = crop_faces(both, None, plan(min_score=least))[3]
    assert f"CenterFace finds no face in photo {worse + 1}; the best of {len(faces[worse])} face" in report


def test_a_face_on_its_side_is_a_warning_unless_it_is_turned(astronaut, caplog):
    lying = astronaut.rot90(1, (1, 2))
    with caplog.at_level(logging.WARNING, "LumosX"):
        report = crop_faces(lying, None, plan())[3]
    assert "**Warning:** face 1: it is on its side, tilt about " in report and "on its side" in caplog.text
    assert "Warning" not in crop_faces(lying, None, plan(upright=True))[3]


@pytest.mark.slow
def test_large_photos_have_a_small_preview_of_the_same_faces(six):
    """One batch, and the crops keep the photos' own size."""
    large = torch.nn.functional.interpolate(six.movedim(-1, 1), scale_factor=2, mode="bilinear").movedim(1, -1)
    batch = torch.cat([large, large.flip(2)])
    _, faces, preview, _ = crop_faces(batch, None, plan(pick="3, 8"))[:4]
    assert preview.shape == (2, round(2048 / 2560 * 1772), 2048, 3)
    assert [x for x, _ in middles(batch[:1], faces[:1])] == pytest.approx([2 * CENTRES[2][0]], abs=30)
    for index, x in enumerate((CENTRES[2][0], 1280 - CENTRES[4][0])):
        columns = (as_pixels(preview[index:index + 1]) == PICKED).all(-1).nonzero()[1]
        assert columns.mean() == pytest.approx(x * 2048 / 1280, abs=30)


@pytest.mark.slow
@pytest.mark.skipif(not PEAK.is_file(), reason="only Linux can forget a process's peak")
def test_only_one_photo_at_a_time_is_held(six):
    """Crops, preview and the detector's networks included; it was eleven photos when all were held in every form."""
    large = torch.nn.functional.interpolate(six.movedim(-1, 1), scale_factor=3, mode="bilinear").movedim(1, -1)
    three = large.expand(3, -1, -1, -1)
    # What the networks keep shall not count.
    crop_faces(large, None, plan(upright=True))
    PEAK.write_text("5")
    before = held("VmRSS")
    crop_faces(three, None, plan(upright=True))
    assert held("VmHWM") - before < 7.5 * large.nbytes


def held(what):
    """Bytes of this process's memory: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024


def test_pictures_of_nobody(astronaut):
    nobody = torch.rand(1, 200, 200, 3)
    with pytest.raises(LumosXError, match="LumosX Face Crop image: CenterFace finds no face"):
        crop_faces(nobody, None, plan())
    with pytest.raises(LumosXError, match="LumosX Face Crop like: CenterFace finds no face in it"):
        crop_faces(astronaut, nobody, plan(LIKENESS))
    with pytest.raises(LumosXError, match="LumosX Face Crop image: the image has shape"):
        crop_faces(torch.rand(0, 20, 20, 3), None, plan())
    with pytest.raises(LumosXError, match="LumosX Face Crop like: 2 pictures came in one batch"):
        crop_faces(astronaut, torch.rand(2, 20, 20, 3), plan(LIKENESS))


@pytest.mark.parametrize(("shape", "made"), [
    ((4, 5, 3), (1, 4, 5, 3)), ((1, 4, 5, 3), (1, 4, 5, 3)), ((3, 4, 5, 4), (3, 4, 5, 4)), ((0, 4, 5, 3), None),
    ((5, 3), None), ((1, 1, 4, 5, 3), None),
])
def test_a_batch_or_one_picture(shape, made):
    if made is None:
        with pytest.raises(LumosXError, match="^image: the image has shape"):
            faces._batch(torch.zeros(shape), "image")
    else:
        assert faces._batch(torch.zeros(shape), "image").shape == made
