"""Names in the frames of a video: by faces, by masks, by the heat of a relation map, and what is said of the rest."""

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.relation_map import THING, board_colours, person_colour
from lumosx_core.host.scores import who_is_who as module
from lumosx_core.host.scores.covered import Linked
from lumosx_core.host.scores.who_is_who import WhoPlan, who_is_who
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.identity.models import FacesOnly, ModelNames, ScoreModels
from support.coloured_faces import BLUE, GREEN, RED, ColourDetector, ColourEmbedder, drawn
from support.face_videos import people_of_photograph, walking_video

FRAMES, HEIGHT, WIDTH = 5, 80, 160


def image_of(*frames):
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 255)


def person(name, colour, *attributes):
    face = None if colour is None else image_of(drawn([(colour, 40)]))
    return Subject(Reference(Kind.FACE, name, face), tuple(
        Reference(Kind.ATTRIBUTE, phrase, image_of(drawn([]))) for phrase in attributes))


@pytest.fixture
def scene():
    lamp = Reference(Kind.OBJECT, "white lamp", image_of(drawn([])))
    park = Reference(Kind.BACKGROUND, "park", image_of(drawn([])))
    return Scene(park, (lamp,), (person("red man", RED, "hat", "coat"), person("green man", GREEN, "hat")))


@pytest.fixture
def video():
    """The red man leaves after frame 2; frame 4 shows somebody else."""
    frames = [drawn([(RED, 40 + n), (GREEN, 120 - n)]) for n in range(3)]
    return image_of(*frames, drawn([(GREEN, 60)]), drawn([(GREEN, 60), (BLUE, 120)]))


@pytest.fixture
def coloured(monkeypatch):
    """Faces that are squares, with an embedder of their colours."""
    models = ScoreModels(ColourDetector(), ColourEmbedder())
    monkeypatch.setattr(module, "open_models", lambda *_: models)


def colours_at(frame, x, y=40):
    """The colours of a column of pixels at the left edge of a face there, without its label."""
    return {tuple(pixel) for pixel in (frame[y - 8:y + 8, x].numpy() * 255).round().astype(int).tolist()}


@pytest.mark.usefixtures("coloured")
class TestFaces:
    def test_everybody_has_a_box_in_the_colour_of_the_board(self, video, scene):
        before = video.clone()
        images, report, best = who_is_who(video, scene, WhoPlan())
        assert torch.equal(video, before) and images.shape == (FRAMES, HEIGHT, WIDTH, 3)
        for frame, places in enumerate([((30, 0), (110, 1)), ((31, 0), (109, 1)), ((32, 0), (108, 1)), ((50, 1),)]):
            assert all(colours_at(images[frame], x) == {person_colour(who)} for x, who in places)
        assert "| 1 red man | face | 3 of 5 | 0 |" in report and "| 2 green man | face | 5 of 5 | 0 |" in report
        assert "nobody" in report and best.shape == (1, HEIGHT, WIDTH, 3) and not torch.equal(images[4], video[4])

    def test_somebody_who_is_not_there_is_said(self, video, scene):
        _, report, _ = who_is_who(video[3:4], scene, WhoPlan())
        assert "1 red man: not found in any frame." in report and "| 1 red man" not in report

    def test_somebody_without_a_face_picture_is_said_and_has_nobodys_face(self, video, scene):
        scene = Scene(subjects=(person("red man", None, "coat"), scene.subjects[1]))
        images, report, _ = who_is_who(video[:1], scene, WhoPlan())
        assert "Warning: 1 red man: there is no face reference" in report
        assert colours_at(images[0], 110) == {person_colour(1)} and colours_at(images[0], 30) != {person_colour(0)}

    def test_a_mask_shows_a_person_instead_of_the_face(self, video, scene):
        """The mask says that the face that looks like the red man's is the green man's."""
        mask = torch.zeros(1, HEIGHT, WIDTH)
        mask[0, 20:60, 20:60] = 1
        linked = Linked(mask, "green man")
        images, report, _ = who_is_who(video[:1], scene, WhoPlan(linked=linked))
        assert "| 2 green man | mask | 1 of 1 | 0 |" in report and "1 red man: not found" in report
        assert colours_at(images[0], 19) == {person_colour(1)}
        assert person_colour(0) not in colours_at(images[0], 30)
        assert not {person_colour(0), person_colour(1)} & colours_at(images[0], 110)

    def test_phrases_without_masks_are_named(self, video, scene):
        _, report, _ = who_is_who(video[:1], scene, WhoPlan(linked=Linked(phrases="hat")))
        assert "mask_phrases have no effect" in report


class TestWithoutAnythingThatTellsFacesApart:
    @pytest.fixture(autouse=True)
    def faces_only(self, monkeypatch):
        monkeypatch.setattr(module, "open_models", lambda *_: FacesOnly(ColourDetector(), "nothing is installed."))

    def test_several_people_are_not_named(self, video, scene, caplog):
        images, report, _ = who_is_who(video[:1], scene, WhoPlan())
        assert "nothing is installed" in report and "nothing is installed" in caplog.text
        assert "1 red man: not found" in report and person_colour(0) not in colours_at(images[0], 30)

    def test_the_only_face_is_probably_the_only_persons(self, video, scene):
        images, report, _ = who_is_who(video[2:4], Scene(subjects=scene.subjects[1:]), WhoPlan())
        assert "| 1 green man | face | 1 of 2 | 1 |" in report and colours_at(images[1], 50) == {person_colour(0)}


class TestMasksAndHeat:
    def test_masks_are_outlined_in_their_owners_colour(self, video, scene):
        masks = torch.zeros(3 * FRAMES, HEIGHT, WIDTH)
        masks[:FRAMES, 60:75, 20:50] = 1
        masks[FRAMES:2 * FRAMES, 60:75, 90:120] = 1
        masks[2 * FRAMES + 1, 5:20, 70:90] = 1
        linked = Linked(masks, "hat\n\n2 Hat\n white  lamp ")
        images, report, _ = who_is_who(video, scene, WhoPlan(faces=False, linked=linked))
        for x, who in ((19, 0), (89, 1)):
            assert person_colour(who) in colours_at(images[0], x, 68)
        assert "| hat (1 red man) | mask | 5 of 5 | 0 |" in report and "| hat (2 green man) | mask | 5 of 5" in report
        assert "| white lamp | mask | 1 of 5 | 0 |" in report and "not found" not in report
        assert colours_at(images[1], 69, 12) >= {THING} and THING not in colours_at(images[0], 69, 12)

    def test_heat_outlines_things_where_they_are_read_most(self, video, scene):
        """In token order: background, lamp, face, hat, coat, face, hat; two latent frames of 5 x 10 tokens each."""
        heat = torch.zeros(7, 2, 5, 10)
        heat[0] = heat[2] = heat[5] = 1
        heat[3, 0, 3:, 1:3] = 1
        heat[3, 0, 3, 8] = 0.9  # a second place, apart from the hottest one
        heat[6, 1, 3:, 6:9] = 0.8
        images, report, _ = who_is_who(video, scene, WhoPlan(faces=False, linked=Linked(heat=heat.flatten(0, 1))))
        assert "| hat (1 red man) | heat | 1 of 5 |" in report and "| hat (2 green man) | heat | 4 of 5 |" in report
        assert "coat (1 red man): its heat shows it in no frame." in report and "| park" not in report
        assert torch.equal(images[0, :30], video[0, :30]) and torch.equal(images[0, :, 100:], video[0, :, 100:])
        assert not torch.equal(images[0, 40:, 10:60], video[0, 40:, 10:60])
        assert not torch.equal(images[4, 40:, 90:150], video[4, 40:, 90:150])

    def test_frames_beyond_the_last_whole_latent_frame_keep_its_heat(self, video, scene):
        longer = torch.cat([video, video[:2]])
        heat = torch.ones(7 * 2, 5, 10)
        assert "| white lamp | heat | 7 of 7 |" in who_is_who(
            longer, scene, WhoPlan(faces=False, linked=Linked(heat=heat)))[1]

    @pytest.mark.parametrize(("linked", "named"), [
        (Linked(torch.zeros(1, HEIGHT, WIDTH), ""), "mask_phrases"),
        (Linked(torch.zeros(1, HEIGHT, WIDTH), "shoes"), "mask_phrases"),
        (Linked(torch.zeros(3, HEIGHT, WIDTH), "hat\nhat\nhat"), "mask_phrases"),
        (Linked(torch.zeros(1, HEIGHT, WIDTH + 1), "hat"), "masks"),
        (Linked(torch.zeros(3, HEIGHT, WIDTH), "hat\ncoat"), "masks"),
        (Linked(torch.full((1, HEIGHT, WIDTH), float("nan")), "hat"), "masks"),
        (Linked(heat=torch.zeros(13, 5, 10)), "heat"), (Linked(heat=torch.full((14, 5, 10), float("inf"))), "heat"),
        (Linked(), "faces"),
    ])
    def test_what_does_not_fit_is_named(self, video, scene, linked, named):
        with pytest.raises(LumosXError, match=f"^{named}: "):
            who_is_who(video, scene, WhoPlan(faces=False, linked=linked))


def test_images_that_are_none_are_named(video, scene):
    for wrong in (video[0], video[:0], torch.full_like(video, float("nan"))):
        with pytest.raises(LumosXError, match="^images: "):
            who_is_who(wrong, scene, WhoPlan())


def test_the_colours_are_the_boards(scene):
    assert board_colours(scene)[1:] == [THING, *[person_colour(0)] * 3, *[person_colour(1)] * 2]


@pytest.mark.slow
def test_people_who_walk_past_each_other_keep_their_names():
    pair = people_of_photograph()[1:3]
    scene = Scene(subjects=tuple(
        Subject(Reference(Kind.FACE, name, image_of(one.picture))) for name, one in zip(("woman", "man"), pair)))
    video = image_of(*walking_video(*pair, frames=3)[::2])
    images, report, _ = who_is_who(video, scene, WhoPlan(names=ModelNames(embedder="dlib")))
    assert "| 1 woman | face | 2 of 2 | 0 |" in report and "| 2 man | face | 2 of 2 | 0 |" in report
    for frame, sides in enumerate(((0, 1), (1, 0))):
        for who, half in zip(sides, (images[frame, :, :240], images[frame, :, 240:])):
            counts = [((half * 255).round().int() == torch.tensor(person_colour(one))).all(-1).sum() for one in (0, 1)]
            assert counts[who] > 200 > counts[1 - who]
