"""Conditionings reduced to one person: one reference, that person's words, and the negative's kind of references."""

import dataclasses

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.encoder import encode_scene
from lumosx_core.host.conditioning.one_person import WholeScene
from lumosx_core.host.conditioning.pictures import WHITE, ZERO
from lumosx_core.host.conditioning.video_size import VideoSize
from lumosx_core.host.socket import BINDING, REFERENCES
from lumosx_core.scene.influence import Influence

SIZE = VideoSize(48, 32, 5)


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene()


@pytest.fixture(scope="module")
def whole(scene, encode):
    encoded = encode(scene)
    return WholeScene(scene, encoded.positive, encoded.negative)


def parts(conditioning):
    [[text, options]] = conditioning
    return text, options["model_conds"][BINDING].cond, options["model_conds"][REFERENCES].cond


@pytest.mark.parametrize("person", [0, 1])
def test_one_reference_and_no_words_of_others(whole, scene, tiny, person):
    before, bound, _ = parts(whole.positive)
    positive, negative = whole.of_person(person, scene.subjects[person].face, tiny[2], SIZE)
    text, binding, [latent] = parts(positive)
    assert binding.subject_images == (1,) and not binding.non_human_spans and latent.shape == (1, 16, 1, 4, 6)
    assert binding.subject_spans == (bound.subject_spans[person],)
    own, others = bound.subject_spans[person], bound.subject_spans[1 - person]
    assert all(text[:, start:end].eq(0).all() for start, end in others)
    assert all(text[:, start:end].any() for start, end in own)
    kept = torch.ones(text.shape[1], dtype=torch.bool)
    for start, end in others:
        kept[start:end] = False
    assert torch.equal(text[:, kept], before[:, kept]) and before[:, ~kept].any()
    # The negative keeps its whole text and gets the same reference, as it had before.
    assert torch.equal(parts(negative)[0], parts(whole.negative)[0]) and torch.equal(parts(negative)[2][0], latent)
    assert parts(whole.positive)[1] is bound


@pytest.mark.parametrize("choice", [ZERO, WHITE])
def test_the_negative_keeps_its_kind_of_references(scene, tiny, choice):
    _, clip, vae = tiny
    prompt = "A man on the left with a red hat and a woman on the right with a blue scarf in a sunny park near a lamp"
    encoded = encode_scene(clip, vae, scene, prompt, "", VideoSize(64, 48, 9), choice)
    whole = WholeScene(scene, encoded.positive, encoded.negative)
    positive, negative = whole.of_person(0, scene.subjects[0].face, vae, SIZE)
    [latent] = parts(negative)[2]
    assert not torch.equal(latent, parts(positive)[2][0]) and bool(latent.any()) is (choice == WHITE)


def test_the_strength_of_a_face_stays(make_scene, encode, tiny):
    scene = make_scene()
    subjects = list(scene.subjects)
    face = dataclasses.replace(subjects[1].face, influence=Influence(strength=0.5, end=0.5))
    subjects[1] = dataclasses.replace(subjects[1], face=face)
    scene = dataclasses.replace(scene, subjects=tuple(subjects))
    encoded = encode(scene)
    whole = WholeScene(scene, encoded.positive, encoded.negative)
    [[_, first]], _ = whole.of_person(0, scene.subjects[0].face, tiny[2], SIZE)
    [[_, second]], _ = whole.of_person(1, face, tiny[2], SIZE)
    assert first["model_conds"][BINDING].cond.strengths == ()
    assert second["model_conds"][BINDING].cond.strengths == (0.5,)
    # Its steps belong to the whole run.
    assert set(second["model_conds"]) == set(first["model_conds"])


def test_texts_for_a_part_of_the_picture_are_left_out(whole, scene, tiny, caplog):
    [[text, options]] = whole.positive
    placed = [*whole.positive, [text.clone(), {**options, "mask": torch.ones(1, 48, 64)}]]
    positive, _ = WholeScene(scene, placed, whole.negative).of_person(0, scene.subjects[0].face, tiny[2], SIZE)
    assert len(positive) == 1 and "positive" in caplog.text


def test_other_relations_are_refused(whole, scene):
    with pytest.raises(LumosXError, match=r"^positive: "):
        WholeScene(scene, [[torch.zeros(1, 4, 8), {}]], whole.negative)
    with pytest.raises(LumosXError, match=r"^relations: "):
        WholeScene(dataclasses.replace(scene, subjects=scene.subjects[:1]), whole.positive, whole.negative)
