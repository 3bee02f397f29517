"""Whose clothes are on whom: on drawn people, on photographs, and on plain squares from first to last."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.cases import load_case
from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import ModelFolders
from lumosx_core.media import tensor_from_pil
from lumosx_core.media.pictures import pil_from_tensor
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.attributes.score import (
    AttributePlan,
    attribute_scores_of_case,
    check_scene,
    open_tools,
    score_attributes,
)
from support.coloured_faces import BLUE, GREEN, RED, ColourDetector, ColourEmbedder
from support.drawing import draw_dress, draw_guitar, draw_jacket
from support.dressed import PHOTOGRAPHS, PLACES, dressed_frame, seen_at
from support.transformers_folders import write_clip, write_dino, write_owl
from tools.people import MAN, WOMAN, draw_face

JACKET, DRESS = draw_jacket((62, 140, 92)), draw_dress((250, 204, 66))
FACES = draw_face(MAN), draw_face(WOMAN)
NOTHING = ModelFolders()


def reference(kind, phrase, picture):
    return Reference(kind, phrase, tensor_from_pil(picture))


def drawn_scene(phrases=("green jacket", "yellow dress"), objects=()):
    people = [
        Subject(reference(Kind.FACE, name, face), (reference(Kind.ATTRIBUTE, phrase, thing),))
        for name, face, phrase, thing in zip(("man", "woman"), FACES, phrases, (JACKET, DRESS))
    ]
    return Scene(None, tuple(reference(Kind.OBJECT, phrase, picture) for phrase, picture in objects), tuple(people))


def score(scene, frames, seen, folders=NOTHING, place=None, **plan):
    options = {} if place is None else {"place": place}
    return score_attributes(frames, seen, scene, open_tools(AttributePlan(**plan), folders), **options)


def verdicts(scores, measure="colour"):
    return [owner.verdict for owner in scores.owners if owner.measure == measure]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for write in (write_clip, write_dino, write_owl):
        write(root)
    return ModelFolders(lumosx=(root,))


@pytest.mark.parametrize("ground", [(120, 140, 110), (245, 245, 245), (15, 15, 20)])
def test_drawn_clothes_are_found_on_the_right_person_and_on_the_wrong_one(ground):
    right = dressed_frame(FACES, (JACKET, DRESS), ground)
    swapped = dressed_frame(FACES, (DRESS, JACKET), ground)
    assert verdicts(score(drawn_scene(), [right], [seen_at(0)])) == ["on the right person"] * 2
    found = score(drawn_scene(), [swapped], [seen_at(0)])
    assert verdicts(found) == ["on subject 2 instead", "on subject 1 instead"]
    assert all(owner.leakage > 0.1 and owner.win_rate == 0 for owner in found.owners)


def test_clothes_that_change_hands_halfway_leak_in_half_of_the_frames():
    orders = [(JACKET, DRESS)] * 2 + [(DRESS, JACKET)] * 2
    frames = [dressed_frame(FACES, order, shift=index) for index, order in enumerate(orders)]
    found = score(drawn_scene(), frames, [seen_at(index, shift=index) for index in range(4)])
    for owner in found.owners:
        assert owner.win_rate == 0.5 and owner.leakage > 0.05
        assert owner.verdict == "on the right person in 2 of 4 frames"
        assert [leak < 0 for leak in owner.leaks] == [True, True, False, False]


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs are not part of the project")
@pytest.mark.parametrize(
    ("case", "phrases"),
    [("subject_1", ("white jacket", "black jacket")), ("subject_2", ("denim jacket", "light brown sweater"))],
)
@pytest.mark.parametrize("ground", [(120, 140, 110), (245, 245, 245), (20, 20, 25)])
def test_jackets_of_real_photographs_are_distinguished(case, phrases, ground):
    scene = load_case(PHOTOGRAPHS / case).scene
    faces = [pil_from_tensor(subject.face.image) for subject in scene.subjects]
    things = [pil_from_tensor(next(attribute.image for attribute in subject.attributes if attribute.phrase == phrase))
              for subject, phrase in zip(scene.subjects, phrases)]
    for order, expected in (
        (things, ["on the right person"] * 2), (things[::-1], ["on subject 2 instead", "on subject 1 instead"])
    ):
        found = score(scene, [dressed_frame(faces, order, ground)], [seen_at(0)])
        told = [owner for owner in found.owners if owner.phrase in phrases]
        assert [owner.verdict for owner in told] == expected
        assert all(abs(owner.leaks[0]) > 0.2 for owner in told)


def test_a_frame_without_the_owner_counts_0_and_is_compared_with_nobody():
    frames = [dressed_frame(FACES, (JACKET, DRESS))] * 2
    found = score(drawn_scene(), frames, [seen_at(0), seen_at(1, shown=(None, 1))])
    jacket, dress = found.owners
    assert jacket.frames[1][0] is None and jacket.score == pytest.approx(jacket.frames[0][0] / 2)
    assert len(jacket.leaks) == len(dress.leaks) == 1
    assert "2 frames were watched; a face was assigned to: 1 man in 1, 2 woman in 2." in found.report()


def test_one_person_has_no_leakage():
    scene = drawn_scene()
    alone = Scene(None, (), scene.subjects[:1])
    seen = seen_at(0)
    seen = type(seen)(0, seen.faces[:1], seen.similarity[:1, :1], (0,))
    owner, = score(alone, [dressed_frame(FACES, (JACKET, DRESS))], [seen]).owners
    assert (owner.leakage, owner.win_rate, owner.verdict) == (None, None, "nobody to compare with")
    assert owner.score > 0.5


# Rectangles (left, top, right, bottom) from the middle of a drawn person, whose face goes from -38 to 38 and 66 to 163.
WORN = {
    "red hat": [(-40, 15, 40, 60)], "sunglasses": [(-36, 88, 36, 108)], "a thick beard": [(-30, 138, 30, 160)],
    "gold earrings": [(-45, 120, -38, 135), (38, 120, 45, 135)], "face mask": [(-36, 115, 36, 160)],
    "long blonde hair": [(-60, 15, 60, 62), (-62, 62, -39, 160), (39, 62, 62, 160)],
    "headphones": [(-55, 80, -40, 130), (40, 80, 55, 130)], "wig": [(-50, 20, 50, 64)],
    "pearl necklace": [(-25, 164, 25, 172)], "scarf": [(-40, 164, 40, 200)], "silk tie": [(-6, 166, 6, 280)],
    "jeans": [(-60, 420, 60, 480)],
}


@pytest.mark.parametrize("phrase", WORN)
def test_what_is_worn_is_found_where_it_is_worn(phrase):
    blue = (20, 60, 230)
    thing = reference(Kind.ATTRIBUTE, phrase, Image.new("RGB", (40, 40), blue))
    scene = Scene(None, (), (
        Subject(reference(Kind.FACE, "man", FACES[0]), (thing,)), Subject(reference(Kind.FACE, "woman", FACES[0])),
    ))
    frame = dressed_frame((FACES[0],) * 2, (JACKET, JACKET))
    for left, top, right, bottom in WORN[phrase]:
        frame[top:bottom, PLACES[0] + left:PLACES[0] + right] = blue
    owner, = score(scene, [frame], [seen_at(0)], by="colour").owners
    assert owner.verdict == "on the right person" and owner.leaks[0] < -0.1
    frame = dressed_frame((FACES[0],) * 2, (JACKET, JACKET))
    for left, top, right, bottom in WORN[phrase]:
        frame[top:bottom, PLACES[1] + left:PLACES[1] + right] = blue
    assert score(scene, [frame], [seen_at(0)], by="colour").owners[0].verdict == "on subject 2 instead"


def test_the_report_tells_where_each_attribute_was_looked_for():
    scene = drawn_scene(phrases=("sunglasses", "yellow dress"), objects=[("lamp", JACKET)])
    found = score(scene, [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], by="colour")
    report = found.report()
    assert '"sunglasses" on the face, "yellow dress" on the torso' in report and '"lamp" on' not in report
    assert found.as_json()["measures"] == found.measures and list(found.measures) == ["colour"]


def test_an_object_is_looked_for_in_the_whole_picture():
    guitar = draw_guitar((58, 110, 196))
    scene = drawn_scene(objects=[("blue guitar", guitar)])
    without = dressed_frame(FACES, (JACKET, DRESS))
    shown = without.copy()
    pixels = np.asarray(guitar.convert("RGB").resize((150, 200)))
    shown[270:470, 340:490] = np.where(pixels.min(axis=2, keepdims=True) < 245, pixels, shown[270:470, 340:490])
    (there,), (missing,) = (score(scene, [frame], [seen_at(0)]).objects for frame in (shown, without))
    assert there.score > missing.score + 0.1


def test_what_the_picture_cuts_off_counts_0_and_is_reported():
    scene = drawn_scene(phrases=("green jeans", "yellow dress"))
    found = score(scene, [dressed_frame(FACES, (JACKET, DRESS))[:380]], [seen_at(0)])
    assert found.owners[0].frames == ((0.0, 0.0),) and found.owners[0].verdict == "not told apart"
    assert 'colour: "green jeans" counts 0 on its owner, subject 1, in 1 of 1 frames' in found.report()


def test_missing_weights_are_named_and_the_rest_goes_on():
    found = score(drawn_scene(), [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)])
    assert list(found.measures) == ["colour"] and "a stand-in, needs no weights" in found.measures["colour"]
    clip, dino = found.notes
    assert clip.startswith("CLIP-I and CLIP-T left out: CLIP has no weights; put model.safetensors, config.json")
    assert clip.endswith("into models/lumosx/clip-vit-large-patch14.") and "models/lumosx/dinov2-base." in dino
    assert not score(drawn_scene(), [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], by="colour").notes


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ({"by": "CLIP"}, "by: CLIP has no weights; put .* into models/lumosx/clip-vit-large-patch14"),
        ({"by": "DINOv2"}, "by: DINOv2 has no weights; put .* into models/lumosx/dinov2-base"),
        ({"locate": "OWLv2 inside the person"}, "locate: OWLv2 has no weights; put .*owlv2-base-patch16-ensemble"),
        ({"by": "magic"}, "by: magic is not a choice"),
        ({"locate": "magic"}, "locate: magic is not a choice"),
        ({"every": 0}, "every_nth_frame: 0 is below 1"),
    ],
)
def test_what_is_asked_for_by_name_must_be_there(plan, sentence):
    with pytest.raises(LumosXError, match=sentence):
        open_tools(AttributePlan(**plan), NOTHING)


@pytest.mark.parametrize(
    ("by", "measures"),
    [("everything there is", ["colour", "CLIP-I", "CLIP-T", "DINO-I"]), ("CLIP", ["CLIP-I", "CLIP-T"]),
     ("DINOv2", ["DINO-I"]), ("colour", ["colour"])],
)
def test_all_measures_in_the_region(folders, by, measures):
    scene = drawn_scene(objects=[("blue guitar", draw_guitar((58, 110, 196)))])
    found = score(scene, [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], folders, by=by)
    assert [owner.measure for owner in found.owners[::2]] == measures == [thing.measure for thing in found.objects]
    assert not found.notes
    json.dumps(found.as_json(), allow_nan=False)
    assert all(-1.001 <= value <= 1.001 for owner in found.owners for value in owner.frames[0])


def test_located_boxes_lie_inside_their_regions_and_are_what_is_compared(folders):
    scene = drawn_scene(objects=[("blue guitar", draw_guitar((58, 110, 196)))])
    frame = dressed_frame(FACES, (JACKET, DRESS))
    found = score(scene, [frame], [seen_at(0)], folders, locate="OWLv2 inside the person")
    view, = found.views
    assert [(person, phrase) for person, phrase, _ in view.located] == [
        (0, "green jacket"), (0, "yellow dress"), (1, "green jacket"), (1, "yellow dress"), (None, "blue guitar")
    ]
    for person, _, place in view.located[:4]:
        left, top, right, bottom = view.regions[person].box
        assert left <= place.box[0] < place.box[2] <= right and top <= place.box[1] < place.box[3] <= bottom
    tools = open_tools(AttributePlan("DINOv2"), folders)
    left, top, right, bottom = view.located[2][2].box
    wanted = tools.comparers[0].of_references([scene.subjects[0].attributes[0]])["DINO-I"][0]
    by_hand = wanted @ tools.comparers[0].of_crops([frame[top:bottom, left:right]])[0]
    jacket = next(owner for owner in found.owners if owner.measure == "DINO-I")
    assert jacket.frames[0][1] == pytest.approx(by_hand, abs=1e-5)


def test_nothing_located_counts_0_and_is_reported(tmp_path):
    write_owl(tmp_path, sureness=-40.0)
    scene = drawn_scene(objects=[("blue guitar", draw_guitar((58, 110, 196)))])
    frames = [dressed_frame(FACES, (JACKET, DRESS))] * 2
    seen = [seen_at(0), seen_at(1, shown=(None, 1))]
    found = score(scene, frames, seen, ModelFolders(lumosx=(tmp_path,)), by="colour", locate="OWLv2 inside the person")
    assert [owner.frames for owner in found.owners] == [((0.0, 0.0), (None, 0.0))] * 2
    assert found.objects[0].frames == (0.0, 0.0) and found.views[0].located == ()
    assert found.notes == (
        'colour: "green jacket" counts 0 on its owner, subject 1, in 1 of 2 frames, since no box is found.',
        'colour: "yellow dress" counts 0 on its owner, subject 2, in 2 of 2 frames, since no box is found.',
    )


def test_networks_are_taken_back_from_the_device_even_after_an_interrupt(folders):
    inside = []

    @contextmanager
    def place(model):
        inside.append(model)
        try:
            yield
        finally:
            inside.remove(model)

    def interrupt(done, total):
        assert len(inside) == 2
        raise KeyboardInterrupt

    tools = open_tools(AttributePlan(), folders)
    with pytest.raises(KeyboardInterrupt):
        score_attributes([dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], drawn_scene(), tools, interrupt, place)
    assert inside == []


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (Scene(None, (), (Subject(None, (reference(Kind.ATTRIBUTE, "coat", JACKET),)),)),
         "relations: no subject has a face picture"),
        (Scene(None, (), (Subject(reference(Kind.FACE, "man", FACES[0])),)),
         "relations: there is no object"),
        (Scene(None, (reference(Kind.OBJECT, "lamp", JACKET),), ()), "relations: no subject has a face picture"),
    ],
)
def test_scenes_with_nothing_to_score_are_refused(scene, sentence):
    with pytest.raises(LumosXError, match=sentence):
        check_scene(scene)


def squares_scene():
    """Two people with faces and clothes of plain colours, and a third whose face nobody knows."""
    def plain(colour):
        return Image.new("RGB", (20, 20), colour)

    purple, orange = (150, 40, 160), (230, 130, 20)
    return Scene(None, (), (
        Subject(reference(Kind.FACE, "red", plain(RED)), (reference(Kind.ATTRIBUTE, "purple coat", plain(purple)),)),
        Subject(
            reference(Kind.FACE, "green", plain(GREEN)), (reference(Kind.ATTRIBUTE, "orange coat", plain(orange)),)
        ),
        Subject(None, (reference(Kind.ATTRIBUTE, "blue coat", plain(BLUE)),)),
    )), purple, orange


def squares_frame(faces, coats):
    """Two people side by side."""
    frame = np.full((160, 200, 3), 128, np.uint8)
    for left, face, coat in zip((30, 130), faces, coats):
        frame[20:40, left:left + 20] = face
        frame[42:140, left - 20:left + 40] = coat
    return frame


def test_what_somebody_else_wears_is_reported_for_nobody():
    """Blue is taken for green, since some face is, and wears green's coat."""
    scene, purple, orange = squares_scene()
    frames = [squares_frame((RED, BLUE), (purple, orange))] * 2
    found = attribute_scores_of_case(
        frames, scene, ColourDetector(), ColourEmbedder(), NOTHING, AttributePlan("colour")
    )
    assert verdicts(found) == ["on the right person", "owner not recognised"]
    assert [owner.win_rate for owner in found.owners] == [1.0, 1.0]
    told, = [note for note in found.notes if "not in the video" in note]
    assert told.startswith("Subject 2 (\"green\") is probably not in the video: ")
    assert told.endswith("while pictures of one person usually have 0.90 or more.") and told in found.report()


def test_full_bodies_and_the_background_are_left_out_and_reported():
    scene = drawn_scene(objects=[("lamp", JACKET)])
    body = Reference(Kind.OBJECT, "man", tensor_from_pil(FACES[0]), full_body=True)
    ground = reference(Kind.BACKGROUND, "a park", DRESS)
    scene = Scene(ground, (*scene.objects, body), scene.subjects)
    found = score(scene, [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], by="colour")
    assert [thing.phrase for thing in found.objects] == ["lamp"]
    assert found.notes == (
        "\"man\" is a full body, which is a person and not an object, and was left out.",
        "The background was left out: it belongs to nobody and is not an object.",
    )
    with pytest.raises(LumosXError, match="relations: there is no object"):
        check_scene(Scene(None, (body,), (Subject(scene.subjects[0].face),)))


def test_an_attribute_without_a_picture_is_left_out_and_reported():
    scene = drawn_scene()
    hat = Reference(Kind.ATTRIBUTE, "hat", None)
    first, second = scene.subjects
    scene = Scene(None, (), (Subject(first.face, (*first.attributes, hat)), second))
    found = score(scene, [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], by="colour")
    assert [owner.phrase for owner in found.owners] == ["green jacket", "yellow dress"]
    assert found.notes == ("\"hat\" has no picture to compare with, and was left out.",)


def test_an_object_without_a_picture_is_left_out_and_reported():
    scene = drawn_scene(objects=[("lamp", JACKET)])
    scene = Scene(None, (*scene.objects, Reference(Kind.OBJECT, "guitar", None)), scene.subjects)
    found = score(scene, [dressed_frame(FACES, (JACKET, DRESS))], [seen_at(0)], by="colour")
    assert [thing.phrase for thing in found.objects] == ["lamp"]
    assert found.notes == ("\"guitar\" has no picture to compare with, and was left out.",)


def test_from_frames_to_scores():
    scene, purple, orange = squares_scene()
    # The coats change hands from frame 4 on.
    frames = [squares_frame((RED, GREEN), (purple, orange) if index < 4 else (orange, purple)) for index in range(6)]
    before = [frame.copy() for frame in frames]
    ticks = []
    found = attribute_scores_of_case(
        frames, scene, ColourDetector(), ColourEmbedder(), NOTHING, AttributePlan("colour", every=2),
        lambda done, total: ticks.append((done, total)),
    )
    assert [view.index for view in found.views] == [0, 2, 4]
    assert [owner.phrase for owner in found.owners] == ["purple coat", "orange coat"]
    for owner in found.owners:
        assert owner.frames[0][owner.owner] > 0.95 and owner.frames[2][owner.owner] < 0.1
        assert owner.win_rate == pytest.approx(2 / 3) and owner.leakage == pytest.approx(owner.leaks[2] / 3)
    assert found.notes == (
        'Subject 3 ("blue coat") has no face picture and cannot be recognised, so its attributes were left out.',
    )
    assert ticks == sorted(ticks) and ticks[-1] == (6, 6) and {total for _, total in ticks} == {6}
    assert all((frame == same).all() for frame, same in zip(frames, before))


@pytest.mark.parametrize(("face", "attribute", "thing", "words"), [
    (True, True, False, None), (True, False, True, None), (True, True, True, None),
    (True, False, False, "there is no object, and no attribute"), (False, True, True, "no subject has a face picture"),
])
def test_a_scene_needs_a_face_and_something_to_look_for(face, attribute, thing, words):
    picture = torch.rand(1, 8, 8, 3)
    lamp = Reference(Kind.OBJECT, "lamp", picture)
    man = Subject(
        Reference(Kind.FACE, "man", picture if face else None),
        (Reference(Kind.ATTRIBUTE, "hat", picture if attribute else None),),
    )
    scene = Scene(None, (lamp,) if thing else (), (man,))
    if words is None:
        assert check_scene(scene) is None
    else:
        with pytest.raises(LumosXError, match=f"^relations: {words}"):
            check_scene(scene)
