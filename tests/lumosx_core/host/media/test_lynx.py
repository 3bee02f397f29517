"""A person for Lynx from real photos, with real detectors and a recogniser of random numbers; and identity cards."""

import shutil
from dataclasses import replace
from pathlib import Path

import comfy.latent_formats
import folder_paths
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lumosx_core.host.media.lynx as identities
from lumosx_core.errors import LumosXError
from lumosx_core.faces.centerface import CenterFace
from lumosx_core.faces.face import Face
from lumosx_core.host.media import lynx_cards
from lumosx_core.host.media.frames import as_picture, as_pixels
from lumosx_core.host.media.lynx import FacePlan, make_person
from lumosx_core.host.media.lynx_cards import card_path, check_card_name, list_cards, load_card, save_card
from lumosx_core.host.weights.tiny import load_tiny_lynx
from lumosx_core.models.lynx.adapters import ID_LAYERS, PARTS, REF_LAYERS, RESAMPLER, Adapters
from lumosx_core.models.lynx.alignment import aligned_crop
from lumosx_core.models.lynx.identity import identity_tokens
from lumosx_core.models.lynx.recogniser import load_recogniser, recogniser_input
from lumosx_core.tiny.lynx_faces import face_crops, world_embedding
from lumosx_core.tiny.world.cast import Split, random_face
from support import lynx_files
from support.lynx_people import write_adapters

PLAN = FacePlan("CenterFace", name="Eileen")


@pytest.fixture(scope="module")
def recogniser_file(tmp_path_factory):
    """The network's file in half precision; 0.1 of every drawn number keeps its 50 layers from overflowing."""
    path = tmp_path_factory.mktemp("recogniser") / "recognition_arcface_ir_se50.safetensors"
    save_file(lynx_files.recogniser(), path)
    return path


@pytest.fixture(autouse=True)
def with_recogniser(recogniser_file, monkeypatch):
    monkeypatch.setattr(identities, "recogniser_path", lambda: recogniser_file)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    return write_adapters(tmp_path_factory.mktemp("adapters"))


def without(adapters, part):
    kept = [one for one in PARTS if one in adapters and one != part]
    return Adapters({one: adapters.files[one] for one in kept}, {one: adapters.sizes[one] for one in kept})


@pytest.mark.slow
def test_a_photo_becomes_what_the_core_makes_of_its_largest_face(tiny, astronaut, adapters, recogniser_file):
    _, clip, vae = tiny
    person, of_ids, of_reference, report = make_person(adapters, astronaut, None, None, vae, clip, PLAN)
    pixels = as_pixels(astronaut)
    (face,) = CenterFace().detect(pixels)
    crops = [aligned_crop(torch.from_numpy(pixels), face.landmarks, size) for size in (112, 256)]
    assert torch.equal(of_ids, as_picture(crops[0].numpy())) and torch.equal(of_reference, as_picture(crops[1].numpy()))
    identity = person.identity
    with torch.no_grad():
        embedding = load_recogniser(recogniser_file)(recogniser_input(crops[0][None]))[0]
        torch.testing.assert_close(identity.tokens, identity_tokens(adapters.resampler(), embedding))
    encoded = torch.cat([vae.encode(one) for one in (of_reference, torch.full_like(of_reference, 0.5))])
    assert torch.equal(identity.reference.latents, comfy.latent_formats.Wan21().process_in(encoded.float()))
    assert identity.reference.latents.shape == (2, 16, 1, 32, 32)
    expected = clip.encode_from_tokens_scheduled(clip.tokenize("image of a face"))[0][0]
    assert torch.equal(identity.reference.padded_text(), expected.float())
    assert identity.kind == "full" and identity.name == "Eileen" and identity.projected is None
    assert torch.equal(identity.preview, crops[1]) and f"{face.width:.0f} px" in report


def test_the_small_lynx_knows_drawn_faces_without_a_recogniser(tiny, monkeypatch):
    monkeypatch.setattr(identities, "recogniser_path", lambda: pytest.fail("a recogniser was asked for"))
    _, clip, vae = tiny
    face = random_face(np.random.default_rng(0), Split.HELD_OUT)
    of_id, of_reference = face_crops(face)
    given = [crop[None].float() / 255 for crop in (of_id, of_reference)]
    small = load_tiny_lynx()
    person, _, _, _ = make_person(small, None, *given, vae, clip, PLAN)
    with torch.no_grad():
        expected = identity_tokens(small.resampler(), world_embedding(of_id[None])[0])
    torch.testing.assert_close(person.identity.tokens, expected)
    assert sorted(identities.for_card(person).projected) == [0, 1, 2, 3, 4]


def test_a_resampler_for_embeddings_that_nobody_gives_is_a_sentence(tiny, adapters):
    _, clip, vae = tiny
    sizes = {**adapters.sizes, RESAMPLER: replace(adapters.sizes[RESAMPLER], face_width=256)}
    crops = torch.zeros(1, 112, 112, 3), torch.zeros(1, 256, 256, 3)
    with pytest.raises(LumosXError, match="^lynx: its resampler takes face embeddings of 256 numbers"):
        make_person(Adapters(adapters.files, sizes), None, *crops, vae, clip, PLAN)


def test_manual_crops_stand_in_for_a_photo(tiny, astronaut, adapters):
    _, clip, vae = tiny
    person, of_ids, of_reference, _ = make_person(adapters, astronaut, None, None, vae, clip, PLAN)
    again, *_ = make_person(adapters, None, of_ids, of_reference, vae, clip, PLAN)
    torch.testing.assert_close(again.identity.tokens, person.identity.tokens)
    torch.testing.assert_close(again.identity.reference.latents, person.identity.reference.latents)


@pytest.mark.slow
def test_several_photos_are_averaged_only_when_asked(tiny, astronaut, adapters):
    _, clip, vae = tiny
    photos = torch.cat([astronaut, astronaut.flip(2)])
    with pytest.raises(LumosXError, match="^image: 2 pictures are linked"):
        make_person(adapters, photos, None, None, vae, clip, PLAN)
    person, of_ids, _, report = make_person(adapters, photos, None, None, vae, clip, FacePlan("CenterFace", True))
    one, *_ = make_person(adapters, astronaut, None, None, vae, clip, PLAN)
    assert len(of_ids) == 2 and "untrained" in report
    assert not torch.equal(person.identity.tokens, one.identity.tokens)
    assert torch.equal(person.identity.reference.latents, one.identity.reference.latents)


def test_without_reference_layers_neither_vae_nor_clip_is_needed(astronaut, adapters):
    person, *_ = make_person(without(adapters, REF_LAYERS), astronaut, None, None, None, None, PLAN)
    assert person.identity.reference is None


def test_what_is_linked_for_nothing_is_said(tiny, astronaut, adapters, caplog):
    _, clip, vae = tiny
    *_, report = make_person(adapters, astronaut, astronaut, astronaut, vae, clip, PLAN)
    assert "image: it has no effect" in report and "image: it has no effect" in caplog.text
    *_, report = make_person(without(adapters, REF_LAYERS), astronaut, None, None, vae, clip, PLAN)
    assert "vae: it has no effect" in report and "clip: it has no effect" in report


def test_nothing_is_said_of_inputs_that_are_not_linked(adapters):
    picture, no_layers = torch.zeros(1, 8, 8, 3), without(adapters, REF_LAYERS)

    def names(*given):
        return [sentence.partition(":")[0] for sentence in identities._without_effect(*given)]

    assert names(no_layers, picture, None, None, None, None) == []
    assert names(no_layers, picture, None, picture, None, "clip") == ["ref_crop", "clip"]
    assert names(no_layers, picture, picture, picture, "vae", None) == ["image", "ref_crop", "vae"]
    assert names(adapters, picture, None, picture, "vae", "clip") == []
    assert names(adapters, None, picture, picture, "vae", "clip") == []


def test_several_crops_by_hand_are_named_by_their_input(adapters):
    crops, one = torch.rand(2, 112, 112, 3), torch.rand(1, 200, 100, 3)
    with pytest.raises(LumosXError, match="^id_crop: 2 pictures are linked"):
        identities._crops(None, crops, one, PLAN)
    with pytest.raises(LumosXError, match="^ref_crop: 2 pictures are linked"):
        identities._crops(None, one, torch.rand(2, 8, 8, 3), FacePlan("CenterFace", True))
    found = identities._crops(None, crops, one, FacePlan("CenterFace", True))
    assert len(found.of_ids) == 2 and found.report[-1].startswith("The mean of 2 photos")
    assert all(np.array_equal(crop.numpy(), as_pixels(given[None])) for crop, given in zip(found.of_ids, crops))
    assert found.of_reference.shape == (256, 256, 3)
    assert not any("mean" in line for line in identities._crops(None, crops[:1], one, PLAN).report)


@pytest.mark.parametrize(("image", "id_crop", "ref_crop", "searched"), [
    (True, False, False, True), (True, True, False, True), (True, False, True, True), (True, True, True, False),
    (False, True, True, False),
])
def test_a_photo_is_searched_unless_both_crops_are_given(monkeypatch, image, id_crop, ref_crop, searched):
    landmarks = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]) * 80
    asked, black, white = [], torch.zeros(1, 80, 80, 3), torch.ones(1, 90, 90, 3)

    def found(given, plan, report):
        asked.append(given)
        return [(torch.zeros(80, 80, 3, dtype=torch.uint8), landmarks)]

    monkeypatch.setattr(identities, "_faces", found)
    made = identities._crops(black if image else None, white if id_crop else None, white if ref_crop else None, PLAN)
    assert bool(asked) == searched and len(made.of_ids) == 1
    assert made.of_ids[0].shape == (112, 112, 3) and made.of_ids[0].min() == (255 if id_crop else 0)
    assert made.of_reference.shape == (256, 256, 3) and made.of_reference.min() == (255 if ref_crop else 0)
    assert made.report == [f"{name}: as it is given." for name, given in (("id_crop", id_crop), ("ref_crop", ref_crop))
                           if given]


class OneFace:
    """Finds a face of each width that it is given, in every photo."""

    name = "one face"

    def __init__(self, *widths):
        self.widths = widths

    def detect(self, pixels):
        points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
        return [Face((0.0, 0.0, width, width), 0.9, points * width) for width in self.widths]


@pytest.mark.parametrize(("width", "warned"), [(63.9, True), (64.0, False), (65.0, False)])
def test_only_a_face_below_64_pixels_is_called_small(monkeypatch, caplog, width, warned):
    monkeypatch.setattr(identities, "open_detector", lambda name, folders: OneFace(20.0, width))
    report, done = [], []
    monkeypatch.setattr(identities, "frame_ticks", lambda: lambda *arguments: done.append(arguments))
    found = identities._faces(torch.zeros(2, 80, 80, 3), PLAN, report)
    assert ("photo 2 is only 64 px wide" in caplog.text) == ("photo 1" in caplog.text) == warned
    assert done == [(0, 2), (1, 2)] and [pixels.shape for pixels, _ in found] == [(80, 80, 3)] * 2
    assert all(line.endswith("px wide, the largest of 2.") for line in report) and len(report) == 2
    assert all(points[0, 0] == 0.3 * width for _, points in found)


def test_one_face_alone_is_not_called_the_largest(monkeypatch):
    monkeypatch.setattr(identities, "open_detector", lambda name, folders: OneFace(80.0))
    identities._faces(torch.zeros(1, 80, 80, 3), PLAN, report := [])
    assert report == ["Photo 1: a face 80 px wide."]


def test_what_is_missing_is_a_sentence_that_names_the_input(tiny, astronaut, adapters):
    _, clip, vae = tiny
    noise = torch.rand(1, 200, 200, 3, generator=torch.Generator().manual_seed(0))
    for name, given in {
        "image: nothing is linked here nor at id_crop and ref_crop": (adapters, None, None, None, vae, clip),
        "image: nothing is linked here nor at ref_crop": (adapters, None, astronaut, None, vae, clip),
        "image: CenterFace finds no face in photo 1": (adapters, noise, None, None, vae, clip),
        "vae: nothing is linked": (adapters, astronaut, None, None, None, clip),
        "clip: nothing is linked": (adapters, astronaut, None, None, vae, None),
        "lynx: no resampler": (without(adapters, RESAMPLER), astronaut, None, None, vae, clip),
    }.items():
        with pytest.raises(LumosXError, match=f"^{name}"):
            make_person(*given, PLAN)


def test_two_pictures_for_the_reference_are_refused_even_if_photos_are_averaged(tiny, astronaut, adapters):
    _, clip, vae = tiny
    two = torch.zeros(2, 256, 256, 3)
    with pytest.raises(LumosXError, match="^ref_crop: 2 pictures are linked, but one is taken"):
        make_person(adapters, astronaut, None, two, vae, clip, FacePlan("CenterFace", True))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


def test_a_card_brings_the_person_back(tiny, astronaut, adapters, folders):
    _, clip, vae = tiny
    person, *_ = make_person(adapters, astronaut, None, None, vae, clip, PLAN)
    names = [save_card(person, "Eileen", replace)[0] for replace in (False, False, True)]
    assert names == ["Eileen.safetensors [output]", "Eileen_2.safetensors [output]", "Eileen.safetensors [output]"]
    assert list_cards() == sorted(set(names))
    (folders / "input" / "lynx").mkdir()
    shutil.copy(card_path(names[0]), folders / "input" / "lynx" / "other.safetensors")
    for name in (names[0], "other.safetensors"):
        again, preview, report = load_card(name, without(adapters, ID_LAYERS))
        assert torch.equal(again.identity.tokens, person.identity.tokens)
        assert torch.equal(again.identity.reference.latents, person.identity.reference.latents)
        assert REF_LAYERS in again.adapters and RESAMPLER not in again.adapters
        assert preview.shape == (1, 256, 256, 3) and report.startswith("Eileen: full identity")
        assert set(again.identity.made_with) == {RESAMPLER, ID_LAYERS, REF_LAYERS}


def test_a_card_without_keys_is_small_and_needs_the_id_layers(tiny, astronaut, adapters, folders):
    _, clip, vae = tiny
    person, *_ = make_person(adapters, astronaut, None, None, vae, clip, PLAN)
    whole, small = (save_card(person, "Eileen", False, self_contained)[0] for self_contained in (True, False))
    again = load_card(small, adapters)[0]
    assert again.identity.projected is None and torch.equal(again.identity.tokens, person.identity.tokens)
    assert set(again.identity.made_with) == {RESAMPLER, ID_LAYERS, REF_LAYERS}
    assert sorted(load_card(whole, None)[0].identity.projected) == [0, 1, 2, 3]
    # Who came from a card keeps its keys where there are no ID layers to make them again.
    kept = load_card(whole, without(adapters, ID_LAYERS))[0]
    assert sorted(load_card(save_card(kept, "kept", False, False)[0], None)[0].identity.projected) == [0, 1, 2, 3]


def test_a_picture_on_a_card_that_no_layers_read_is_said(tiny, astronaut, adapters, folders, caplog):
    _, clip, vae = tiny
    person, *_ = make_person(adapters, astronaut, None, None, vae, clip, PLAN)
    name, _ = save_card(person, "Eileen", False)
    assert load_card(name, None)[0].identity.projected is not None
    caplog.clear()
    load_card(name, adapters)
    assert "card: " not in caplog.text
    for given in (None, without(adapters, REF_LAYERS)):
        caplog.clear()
        load_card(name, given)
        assert "card: it has a picture for the reference layers, which have no effect" in caplog.text


def test_other_files_are_no_cards_and_a_full_folder_is_listed_in_part(folders, monkeypatch):
    assert list_cards() == []
    for place in ("input", "output"):
        (folders / place / "lynx").mkdir()
        for name in ("b.safetensors", "a.safetensors", ".hidden.safetensors", "notes.txt"):
            (folders / place / "lynx" / name).write_bytes(b"")
    cards = ["a.safetensors", "b.safetensors"]
    assert list_cards() == [*cards, *(f"{name} [output]" for name in cards)]
    monkeypatch.setattr(lynx_cards, "_MOST_CARDS", 1)
    assert len(list_cards()) <= 2


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "none.safetensors", "", "a\0b"])
def test_no_card_leads_out_of_its_folder(folders, name):
    (folders / "input" / "lynx").mkdir()
    Path(folders / "input" / "secret.safetensors").write_bytes(b"")
    for ending in ("", " [output]"):
        with pytest.raises(LumosXError, match="^card: "):
            card_path(name + ending)


@pytest.mark.parametrize("name", ["card.safetensors", "deep/card.safetensors"])
def test_a_card_is_named_from_its_folder_on(folders, name):
    path = folders / "input" / "lynx" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert Path(card_path(name)).samefile(path)
    for other in (str(path), f"../lynx/{name}", f"{name} [output]"):
        with pytest.raises(LumosXError, match="^card: "):
            card_path(other)


@pytest.mark.parametrize("name", ["", "a/b", "..", "con", "x" * 101, "a:b"])
def test_a_card_needs_a_name_that_every_system_takes(adapters, name):
    with pytest.raises(LumosXError, match="^name: "):
        save_card(None, name, False)


@pytest.mark.parametrize(("letter", "most"), [("\U0001f600", 50), ("\u00e4", 100), ("a", 100)])
def test_a_cards_name_has_exactly_so_many_letters_and_bytes(letter, most):
    assert check_card_name(letter * most) is None
    with pytest.raises(LumosXError, match="^name: .* cannot be a file name"):
        check_card_name(letter * (most + 1))
