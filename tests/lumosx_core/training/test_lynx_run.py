"""The small Lynx: its training, and what ships."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lumosx_core.host.media.lynx import FacePlan, make_person
from lumosx_core.host.methods.lynx import Appearance, lynx_model
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS, RESAMPLER, Adapters
from lumosx_core.scene.prompt import NEGATIVE_PROMPT
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.lynx_faces import EMBEDDING, face_crops
from lumosx_core.tiny.trained import LYNX, TRAINED
from lumosx_core.tiny.world.cast import Split, random_face
from lumosx_core.tiny.world.clip import draw_cast, draw_strangers
from lumosx_core.tiny.world.script import Wear, draw_script
from lumosx_core.training import examples, lynx_run, lynx_samples
from lumosx_core.training.__main__ import main
from lumosx_core.training.lynx_adapters import TrainedAdapters, initialise_adapters
from lumosx_core.training.lynx_samples import (
    FACE_SUM,
    HEAD_WEIGHT,
    MOST_WEIGHT,
    FaceExamples,
    ReferencePass,
    encode_faces,
    face_weights,
    nobody,
    sample_of,
)
from lumosx_core.training.lynx_trainer import LynxTrainer, _instead, with_adapters
from lumosx_core.training.running import base_sha256
from lumosx_core.training.tiny_run import SIZE, small_network
from lumosx_core.training.trainer import TrainingPlan
from support.lynx_people import relative

RECORD = json.loads(LYNX.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def base():
    return small_network(TRAINED).requires_grad_(False)


@pytest.fixture(scope="module")
def models():
    """MODEL, CLIP and VAE as LumosX Tiny Models gives them."""
    from lumosx_core.host.weights.tiny import load_tiny_models

    with torch.inference_mode(False):
        return load_tiny_models()


@pytest.fixture(scope="module")
def encode(models):
    from lumosx_core.host.training import TextSide

    return TextSide(models[1]).encode


@pytest.fixture(scope="module")
def references(base, encode):
    return ReferencePass(base, encode)


@pytest.fixture(scope="module")
def shipped():
    adapters = TrainedAdapters(lynx_run.RESAMPLER, SIZE.dim, SIZE.num_layers, lynx_run.REGISTERS)
    adapters.load_state_dict(load_file(LYNX))
    return adapters.requires_grad_(False)


@pytest.mark.slow
@pytest.mark.parametrize("start", [None, LYNX], ids=["from the base", "from other adapters"])
def test_a_few_steps_write_adapters_record_and_plot(tmp_path, capsys, monkeypatch, start):
    monkeypatch.setattr(lynx_run, "CLIPS", 1)
    monkeypatch.setattr(lynx_run, "FaceCheck", lambda *_: lambda: {"faces, own among 9": 0.5})
    out = tmp_path / "lynx.safetensors"
    options = [] if start is None else ["--start", str(start)]
    assert main(["lynx", "--out", str(out), "--steps", "2", *options]) == 0
    assert capsys.readouterr().out == f"Trained in 0 minutes: {out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lynx.json", "lynx.png", "lynx.safetensors"]
    found = Adapters.of_files([out])
    assert found.sizes[RESAMPLER] == lynx_run.RESAMPLER
    assert found.layers(ID_LAYERS).kind == "full" and found.layers(REF_LAYERS).blocks == tuple(range(SIZE.num_layers))
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert (record["base"], record["base_sha256"]) == (TRAINED.name, base_sha256(TRAINED))
    assert record["checks"][-1]["faces, own among 9"] == 0.5
    assert (record["start"], record["still_steps"]) == (("", "700") if start is None else (LYNX.name, "0"))
    value = load_file(out)["blocks.0.self_attn.ref_adapter.to_v_ref.weight"].float()
    assert (value.abs().max() > 0.1) == (start is not None)


def test_adapters_to_start_from_are_refused_where_they_are_another_file(tmp_path, capsys):
    assert main(["lynx", "--start", str(TRAINED), "--out", str(tmp_path / "lynx.safetensors")]) == 1
    assert "--start" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_shipped_adapters_are_of_the_shipped_base_and_small():
    """Where this fails, the small model was replaced: run python dev.py train lynx, and ship what it writes."""
    assert RECORD["base_sha256"] == base_sha256(TRAINED)
    assert LYNX.stat().st_size < 4e6
    assert RECORD["parameters"] == sum(part.numel() for part in load_file(LYNX).values())


def test_an_example_is_the_same_whenever_it_is_asked_for_and_its_head_counts_more():
    faces = FaceExamples(load_codec(), 3, 2, Split.TRAIN, stills=2)
    first, again = faces[1], faces[1]
    assert torch.equal(first.latent, again.latent) and first.prompts == again.prompts
    assert first.latent.shape == (2, 16, 1, 12, 16) and first.references.shape == (2, 16, 1, 32, 32)
    assert first.embeddings.shape == (2, EMBEDDING) and first.weights.shape == (2, 1, 1, 12, 16)
    assert first.weights.min() == 1 and 0.1 < (first.weights >= HEAD_WEIGHT).float().mean() < 0.35


@pytest.mark.parametrize("wears", [(), ("hat", "glasses")])
def test_a_face_weighs_the_same_however_little_of_it_is_seen(wears):
    """Its weights are where the clip looks different with another face, which is in the head and the hands."""
    random = np.random.default_rng(4)
    script = draw_script(random, 1, drop=False)
    role = replace(script.roles[0], wears=tuple(map(Wear, wears)))
    script = replace(script, roles=(role,))
    cast = draw_cast(random, script, Split.TRAIN)
    weights = face_weights(script, cast, draw_strangers(random, cast.people[0].face, 3, Split.TRAIN), 3)
    assert weights.shape == (1, 3, 12, 16)
    assert weights.sum((-2, -1))[0].tolist() == pytest.approx([FACE_SUM] * 3, rel=1e-4)
    head = examples.weights_of(script, 3, lynx_samples._HEAD, 2.0) == 2.0
    assert weights[head].sum() > 0.6 * weights.sum() and weights.max() <= MOST_WEIGHT


def test_a_face_that_nothing_shows_weighs_nothing():
    random = np.random.default_rng(4)
    script = draw_script(random, 1, drop=False)
    cast = draw_cast(random, script, Split.TRAIN)
    assert not face_weights(script, cast, [cast.people[0].face], 3).any()


def test_a_latent_frame_weighs_the_head_where_it_is_in_its_own_frames(monkeypatch):
    """The first stands for one frame, every other for four; here the head moves by a column in each frame."""
    monkeypatch.setattr(examples, "positions", lambda script, frame, length: [(8 * frame, SimpleNamespace(lift=0))])
    weights = examples.weights_of(None, 3, lynx_samples._HEAD, HEAD_WEIGHT)[0]
    columns = [(one == HEAD_WEIGHT).any(0).nonzero().flatten().tolist() for one in weights]
    assert columns == [[0, 1, 2], list(range(7)), list(range(2, 11))]


def test_training_starts_from_the_base_as_it_is(base, references, encode):
    """Values add nothing at first, and no gradient reaches the base."""
    adapters = TrainedAdapters(lynx_run.RESAMPLER, SIZE.dim, SIZE.num_layers, lynx_run.REGISTERS)
    initialise_adapters(adapters, base, 0)
    sample = sample_of(FaceExamples(load_codec(), 3, 2, Split.TRAIN, stills=9)[0], encode, references)
    ids = adapters.bfloat16().fold_identities(base, sample.embeddings.bfloat16())
    refs = adapters.fold_references(base, sample.features)
    given = sample.latent.bfloat16(), torch.full((2,), 500.0), sample.context.bfloat16()
    with torch.no_grad():
        assert torch.equal(with_adapters(base, *given, ids, refs), with_adapters(base, *given, {}, {}))
    trainer = LynxTrainer(
        base, adapters, references(nobody(load_codec())), encode(NEGATIVE_PROMPT), TrainingPlan(2), torch.bfloat16,
        torch.device("cpu"),
    )
    before = copy.deepcopy(trainer.weights)
    trainer.train(iter([sample, sample]), lambda *_: None)
    changed = {name for name, old, new in zip(trainer.names, before, trainer.weights) if not torch.equal(old, new)}
    assert "blocks.0.cross_attn.ip_adapter.to_v_ip.weight" in changed
    assert "blocks.4.self_attn.ref_adapter.to_v_ref.weight" in changed
    assert not any(part.requires_grad or part.grad is not None for part in base.parameters())


def test_the_nodes_compute_what_was_trained(models, shipped, encode):
    """The velocity of the training's forward, in float32, is that of the MODEL with LumosX Lynx."""
    model, clip, vae = models
    base = small_network(TRAINED).float().requires_grad_(False)
    face = random_face(np.random.default_rng(5), Split.HELD_OUT)
    id_crop, ref_crop = (crop[None].float() / 255 for crop in face_crops(face, 0.5))
    person = make_person(Adapters.of_files([LYNX]), None, id_crop, ref_crop, vae, clip, FacePlan("CenterFace"))[0]
    prompt, noise = "A man on the left, wearing a hat, waves. They are in a park.", torch.randn(1, 16, 3, 12, 16)
    measured = _velocity(lynx_model(model, person, Appearance()), clip, prompt, noise)
    with torch.no_grad():
        embeddings, latents = encode_faces(load_codec(), [face], [0.5])
        ids = shipped.fold_identities(base, embeddings)
        refs = shipped.fold_references(base, ReferencePass(base, encode)(latents))
        expected = with_adapters(base, noise, torch.tensor([1000.0]), encode(prompt), ids, refs)
        without = with_adapters(base, noise, torch.tensor([1000.0]), encode(prompt), {}, {})
    assert relative(measured, expected) < 0.02 < 2 * relative(without, expected)


def _velocity(model, clip, prompt, noise):
    """One step from pure noise to nothing: noise - velocity."""
    from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
    from lumosx_core.tiny.codec import normalised

    text = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
    import comfy.sample

    drawn = comfy.sample.prepare_noise
    comfy.sample.prepare_noise = lambda *_: noise
    try:
        made = run_sampler(model, text, text, {"samples": torch.zeros_like(noise)}, SamplingPlan(0, steps=1, cfg=1.0))
    finally:
        comfy.sample.prepare_noise = drawn
    return noise - normalised(made["samples"].float())


def test_the_shorter_text_is_padded_where_the_negative_stands_in():
    context, negative = torch.ones(2, 3, 4), torch.full((1, 5, 4), 2.0)
    made = _instead(context, negative, torch.tensor([True, False]))
    assert made.shape == (2, 5, 4) and (made[0] == 2).all() and (made[1, :3] == 1).all() and not made[1, 3:].any()
    assert _instead(context, negative, torch.tensor([False, False])) is context
    longer = _instead(torch.ones(1, 5, 4), negative[:, :2], torch.tensor([True]))
    assert longer.shape == (1, 5, 4) and (longer[0, :2] == 2).all() and not longer[0, 2:].any()
