from dataclasses import replace

import numpy as np
import pytest
import torch

from lumosx_core.tiny.codec import world_codec
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast, draw_frames, draw_photographed_view, draw_references, draw_view
from lumosx_core.tiny.world.script import Role, Script, draw_script
from lumosx_core.training.checking import decode_frames
from lumosx_core.training.examples import (
    LENGTHS,
    WorldExamples,
    bind,
    encode_clips,
    encode_references,
    length_of,
    weights_of,
)
from support.tokens import small_tokenizer


def test_an_example_is_the_same_whenever_it_is_asked_for():
    first, again = (WorldExamples(world_codec(), 3, 2, Split.TRAIN)[5] for _ in range(2))
    assert first.prompts == again.prompts and torch.equal(first.latent, again.latent)
    assert all(torch.equal(one, other) for one, other in zip(first.references, again.references))
    other = WorldExamples(world_codec(), 4, 2, Split.TRAIN)[5].latent
    assert not torch.equal(first.latent[:, :, 0], other[:, :, 0])


@pytest.mark.slow
def test_examples_fit_together():
    tokenise = small_tokenizer()
    for index in range(12):
        example = WorldExamples(world_codec(), 0, 3, Split.TRAIN)[index]
        assert example.latent.shape[:2] == (3, 16) and example.latent.shape[3:] == (12, 16)
        assert example.latent.shape[2] in LENGTHS
        assert {tuple(reference.shape) for reference in example.references} == {(3, 16, 1, 12, 16)}
        (binding,) = {bind(scene, prompt, tokenise) for scene, prompt in zip(example.scenes, example.prompts)}
        assert len(example.prompts) == 3 and binding.references == len(example.references)
        assert all(binding.subject_spans) and (binding.text_weights().amax(1) > 0).all()


def test_bare_examples_have_the_same_clips_and_no_references():
    plain, bare = (WorldExamples(world_codec(), 0, 1, Split.TRAIN, bare=chance)[3] for chance in (0.0, 1.0))
    assert bare.references == bare.scenes == [] and plain.references
    assert torch.equal(plain.latent, bare.latent) and plain.prompts == bare.prompts
    some = [bool(WorldExamples(world_codec(), 0, 1, Split.TRAIN, bare=0.5)[index].references) for index in range(12)]
    assert set(some) == {True, False}


def test_lessons_are_the_first_examples_only():
    plain, examples = (WorldExamples(world_codec(), 0, 2, Split.TRAIN, lessons) for lessons in (0, 6))
    easy = [examples[index] for index in range(6)]
    assert all(example.latent.shape[2] == 1 and "shirt" in example.prompts[0] for example in easy)
    assert all(len(set(example.prompts)) == 2 for example in easy)
    assert all(examples[index].prompts == plain[index].prompts for index in range(6, 12))


@pytest.mark.slow
def test_places_are_changed_in_clips_of_every_length():
    found = [example for example in map(WorldExamples(world_codec(), 0, 1, Split.TRAIN).__getitem__, range(120))
             if "change places" in example.prompts[0]]
    assert {example.latent.shape[2] for example in found} == set(LENGTHS[1:])


def test_weights_are_higher_in_the_box_around_each_person():
    people = [Role("man", side, x, (), "stands") for side, x in (("on the left", 34.0), ("on the right", 94.0))]
    script = Script(tuple(people), "park")
    weights = weights_of(script, 3, (-10.0, -60.0, 10.0, -30.0), 5.0)
    assert weights.shape == (1, 3, 12, 16)
    expected = torch.ones(12, 16)
    # The ground is 93 units from the top, and a number is 8 units.
    expected[4:8, 3:6] = expected[4:8, 10:14] = 5.0
    assert torch.equal(weights, expected.expand(1, 3, -1, -1))


def test_every_cast_gets_its_own_pictures_at_its_own_place():
    random = np.random.default_rng(0)
    script = draw_script(random, 2, drop=False)
    casts = [draw_cast(random, script, Split.TRAIN) for _ in range(2)]
    codec = world_codec()
    latent = encode_clips(codec, [script] * 2, casts, 3)
    assert latent.shape == (2, 16, 3, 12, 16)
    for number, cast in enumerate(casts):
        assert torch.allclose(encode_clips(codec, [script], [cast], 3)[0], latent[number], atol=1e-5)
    assert not torch.allclose(latent[0], latent[1], atol=0.1)


def test_references_are_those_of_each_cast_in_the_codecs_own_precision():
    random = np.random.default_rng(0)
    script = draw_script(random, 2, drop=False)
    casts = [draw_cast(random, script, Split.TRAIN) for _ in range(2)]
    exact, coarse = (
        encode_references(codec, np.random.default_rng(1), [script] * 2, casts)
        for codec in (world_codec(), world_codec().bfloat16())
    )
    assert len(exact) == len(coarse) == sum(1 for _ in draw_references(None, script, casts[0]))
    for one, other in zip(exact, coarse):
        assert one.dtype is other.dtype is torch.float32 and one.shape == (2, 16, 1, 12, 16)
        assert 0 < (one - other).abs().max() < 0.2


def test_training_varies_references_as_photographs_do_and_checks_do_not():
    random = np.random.default_rng(0)
    script = replace(draw_script(random, 3, drop=False), place_shown=False)
    cast = draw_cast(random, script, Split.TRAIN)
    seen = {"plain": 0, "varied": 0}
    for seed in range(12):
        plain = encode_references(world_codec(), np.random.default_rng(seed), [script], [cast])
        again = encode_references(world_codec(), np.random.default_rng(seed), [script], [cast], draw_view)
        assert all(map(torch.equal, plain, again))
        varied = encode_references(world_codec(), np.random.default_rng(seed), [script], [cast], draw_photographed_view)
        seen["plain" if torch.equal(plain[0], varied[0]) else "varied"] += 1
    assert min(seen.values()) > 2


def test_frames_come_back_from_their_latents():
    """Four frames of a latent frame are one for the block transform, so only the first is exact."""
    random = np.random.default_rng(2)
    script = draw_script(random, 2)
    cast = draw_cast(random, script, Split.TRAIN)
    video = decode_frames(encode_clips(world_codec(), [script], [cast], 3)[0], world_codec())
    assert video.shape == (length_of(3), 96, 128, 3) == (9, 96, 128, 3)
    for made, picture in zip(video, draw_frames(script, cast, 9)):
        assert np.abs(made - np.asarray(picture, float)).mean() < 20
