"""Subjects of drawn clips, behind the schema of LumosX Clip Subjects."""

import numpy as np
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.frames import as_picture
from lumosx_core.host.scores import subjects as clip_subjects
from lumosx_core.host.scores.subjects import SubjectsPlan, consolidate_crops, read_frame_numbers, read_phrases
from lumosx_core.models.polyvivid.cliques import CliqueSubject, Consolidation
from lumosx_core.scores.attributes.colour import ColourLikeness
from lumosx_core.scores.crop_likeness import CLIP, COLOUR_TAU, COLOURS, FACES
from tools.clip_crops import BRIDGE, draw_clip_crops

PLAN = SubjectsPlan(COLOURS, 0.0, 0, False)
# Over seeds 0 to 99 all but 27 were exact: dev.py bench subjects.
CLIPS = 8


def consolidated(clip, plan=PLAN, crops=None, **options):
    crops = [as_picture(one) for one in clip.pictures] if crops is None else crops
    return consolidate_crops(crops, "\n".join(clip.phrases), " ".join(map(str, clip.frames)), plan, **options)


@pytest.fixture(scope="module")
def clip():
    return draw_clip_crops(3, twins=True)


@pytest.mark.parametrize("seed", range(CLIPS))
def test_exactly_the_scripts_people_are_found(seed):
    """With twins in every third clip, and in each clip two crops that hold two people."""
    drawn = draw_clip_crops(seed, twins=seed % 3 == 0)
    _, subjects, names, _, _ = consolidated(drawn)
    people = [role.phrase for role in drawn.script.roles]
    assert sorted(names.splitlines()) == sorted(people)
    for picture, name in zip(subjects, names.splitlines()):
        owner = people.index(name)
        own = [crop for crop, one in zip(drawn.pictures, drawn.owners) if one == owner]
        assert any(torch.equal(picture, as_picture(crop)) for crop in own)


def test_a_crop_of_two_people_stands_for_nobody(clip):
    *_, report = consolidated(clip)
    bridges = [number for number, owner in enumerate(clip.owners) if owner == BRIDGE]
    listed = [int(one) for one in report.split("belong to no subject: ")[1].split("\n")[0].split(", ")]
    assert set(bridges) <= set(listed)


def test_linking_neighbours_would_merge_what_a_bridge_joins(clip):
    """Else the clips would say nothing about cliques: two people of one clip are nearer than two crops of one."""
    vectors = ColourLikeness().of_crops(clip.pictures)
    near, owners = 1 - vectors @ vectors.T < COLOUR_TAU, np.array(clip.owners)
    assert near[owners == BRIDGE][:, owners != BRIDGE].any()


def test_outputs_beyond_the_subjects_stop_what_is_linked_there(clip):
    outputs, subjects, _, sheet, _ = consolidated(clip)
    assert all(torch.equal(output, subject) for output, subject in zip(outputs, subjects))
    missing = outputs[len(subjects):]
    assert missing and all(isinstance(one, ExecutionBlocker) for one in missing)
    assert f"subject_{len(subjects) + 1}: " in missing[0].message
    assert sheet.ndim == 4 and sheet.shape[3] == 3


def test_a_linked_clip_vision_model_takes_the_place_of_ours(clip):
    """The model is asked once for each crop, and what it says decides."""
    owners, asked = iter(clip.owners), []

    class Vision:
        def encode_image(self, image):
            asked.append(image.shape)
            owner = next(owners)
            row = torch.eye(8)[owner] if owner != BRIDGE else torch.ones(8)
            return type("Output", (), {"image_embeds": row[None]})()

    plan = SubjectsPlan(CLIP, 0.0, 0, False)
    _, subjects, *_ = consolidated(clip, plan, clip_vision=Vision())
    assert len(asked) == len(clip.pictures) and len(subjects) == len(clip.script.roles)
    assert all(shape[1] == shape[2] for shape in asked)
    with pytest.raises(LumosXError, match="^clip_vision: a model is linked, but by is colours"):
        consolidated(clip, clip_vision=Vision())


def test_one_batch_and_a_list_are_the_same():
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3)).astype(np.uint8)
    pictures = [as_picture(one) for one in pixels]
    plan = SubjectsPlan(COLOURS, 2.0, 0, False)
    single = consolidate_crops(pictures, "", "", plan)
    batch = consolidate_crops([torch.cat(pictures)], "", "", plan)
    assert single[4] == batch[4] and torch.equal(single[3], batch[3])


def test_frames_and_phrases():
    assert read_frame_numbers("", 3) == [0, 1, 2] and read_frame_numbers(" 4,4\n7 ", 3) == [4, 4, 7]
    assert read_phrases(" \n", 2) is None and read_phrases("a man", 2) == ["a man"] * 2
    assert read_phrases("a\nb", 2) == ["a", "b"]
    for bad in ("1 2", "1 2 -3", "1 2 99999999999"):
        with pytest.raises(LumosXError, match="^frames: "):
            read_frame_numbers(bad, 3)


def test_no_subject_and_no_faces_end_in_a_sentence(clip):
    with pytest.raises(LumosXError, match="tau: at 1e-09, no .* are similar enough"):
        consolidated(clip, SubjectsPlan(COLOURS, 1e-9, 30, False))
    with pytest.raises(LumosXError, match="crops: there are 0"):
        consolidated(clip, crops=[])
    with pytest.raises(LumosXError, match="CLIP has no weights"):
        consolidated(clip, SubjectsPlan(CLIP, 0.0, 0, False))


@pytest.mark.slow
def test_face_crops_are_distinguished_by_the_face_network(six):
    """Six people at a table, each photo twice; dlib or what else is there."""
    pytest.importorskip("dlib")
    from lumosx_core.faces.catalogue import CENTERFACE, DLIB
    from lumosx_core.faces.picking import LEFT_TO_RIGHT
    from lumosx_core.host.media.faces import CropPlan, crop_faces

    photos = torch.cat([six, (six * 0.9)])
    _, faces, _, _, frames = crop_faces(photos, None, CropPlan(LEFT_TO_RIGHT, "", False, CENTERFACE, DLIB))
    assert frames == "0 0 0 0 0 0 1 1 1 1 1 1"
    _, subjects, *_ = consolidate_crops(faces, "", frames, SubjectsPlan(FACES, 0.0, 0, False))
    assert len(subjects) == 6


@pytest.mark.parametrize("answer", [{}, {"image_embeds": None}, {"image_embeds": torch.ones(8)}], ids=str)
def test_a_vision_model_without_an_image_embedding_is_refused(answer):
    class Vision:
        def encode_image(self, image):
            return type("Output", (), answer)()

    with pytest.raises(LumosXError, match="^clip_vision: this model gives no image embedding"):
        consolidate_crops([torch.zeros(2, 8, 8, 3)], "", "", SubjectsPlan(CLIP, 0.0, 0, False), Vision())


def test_more_crops_than_can_be_compared_are_refused(monkeypatch):
    crops, plan = [torch.rand(4, 8, 8, 3)], SubjectsPlan(COLOURS, 2.0, 0, False)
    monkeypatch.setattr(clip_subjects, "MOST_CROPS", 4)
    assert len(consolidate_crops(crops, "", "", plan)[1]) == 1
    monkeypatch.setattr(clip_subjects, "MOST_CROPS", 3)
    with pytest.raises(LumosXError, match="crops: there are 4; link from 1 to 3"):
        consolidate_crops(crops, "", "", plan)


def test_the_closest_and_the_farthest_of_two_are_said():
    assert clip_subjects._closest(np.array([[1.0]])) == "there is one crop"
    words = clip_subjects._closest(np.array([[1.0, 0.75], [0.75, 1.0]]))
    assert "closest two differ by 0.250" in words and "farthest by 0.250" in words
    three = np.array([[1.0, 0.75, 0.5], [0.75, 1.0, 0.25], [0.5, 0.25, 1.0]])
    assert "differ by 0.250, the farthest by 0.750" in clip_subjects._closest(three)


@pytest.mark.parametrize("left_over", [(), (2,)])
def test_the_sheet_has_a_row_for_what_belongs_to_nobody_only_if_there_is_any(left_over):
    pixels = [np.full((2, 2, 3), value, np.uint8) for value in range(3)]
    found = Consolidation((CliqueSubject((0, 1), 1, None, 0.9),), left_over, 2)
    rows = clip_subjects._rows(found, pixels)
    assert [len(row.pictures) for row in rows] == [2] + [1] * len(left_over)
    assert rows[0].pictures[1] is pixels[1] and (not left_over or rows[1].pictures[0] is pixels[2])


@pytest.mark.parametrize(("text", "numbers"), [
    ("", [0, 1, 2]), (" \n", [0, 1, 2]), ("1,2;3", [1, 2, 3]), ("1 ,\n2 3", [1, 2, 3]),
    ("0 0 999999999", [0, 0, 999999999]),
    ("1 2 1000000000", "1000000000"), ("1 2 x", "x"), ("1 2 3.5", "3.5"), ("1 2 -3", "-3"), ("1 2", "2 numbers"),
    ("1 2 3 4", "4 numbers"), ("1 2 \u0663", "\u0663"), ("," , "''"),
])
def test_frame_numbers_are_whole_and_one_for_each_crop(text, numbers):
    if isinstance(numbers, list):
        assert read_frame_numbers(text, 3) == numbers
    else:
        with pytest.raises(LumosXError, match="^frames: ") as caught:
            read_frame_numbers(text, 3)
        assert numbers in str(caught.value)


@pytest.mark.parametrize(("text", "lines"), [
    ("", None), ("a", ["a"] * 3), ("a\n b \nc", ["a", "b", "c"]), ("a\n\nc", ["a", "", "c"]), ("a\nb", 2),
    ("a\nb\nc\nd", 4),
])
def test_lines_are_one_for_all_or_one_for_each_crop(text, lines):
    if isinstance(lines, int):
        with pytest.raises(LumosXError, match=f"^phrases: there are {lines} lines for 3 crops"):
            read_phrases(text, 3)
    else:
        assert read_phrases(text, 3) == lines


@pytest.mark.parametrize("count", range(6))
def test_an_output_is_a_subject_or_says_how_many_there_are(count):
    made = clip_subjects._outputs(list(range(count)))
    assert len(made) == 4 and list(made[:count]) == list(range(count))[:4]
    words = f"only {count} subject{'' if count == 1 else 's'};"
    assert all(f"subject_{place}: " in one.message and words in one.message for place, one in enumerate(made, 1)
               if place > count)


def test_a_group_is_titled_by_its_words_if_it_has_some():
    pixels = [np.full((2, 2, 3), value, np.uint8) for value in range(3)]
    found = Consolidation((CliqueSubject((0, 2), 2, "man", 0.9), CliqueSubject((1,), 1, None, 1.0)), (), 3)
    first, second = clip_subjects._rows(found, pixels)
    assert first.title == '1. "man" 2 crops, mean similarity 0.900' and second.title.startswith("2. 1 crops")
    assert [row.pictures for row in (first, second)] == [[pixels[0], pixels[2]], [pixels[1]]]


def test_a_linked_vision_model_belongs_to_clip_alone():
    with pytest.raises(LumosXError, match="^clip_vision: a model is linked, but by is colours"):
        clip_subjects._likeness([], SubjectsPlan(COLOURS, 0.0, 0, False), object())
