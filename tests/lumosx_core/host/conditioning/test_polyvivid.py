"""Prompts and scenes through ComfyUI's own HunyuanVideo text encoder, small."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning import polyvivid
from lumosx_core.host.conditioning.polyvivid import (
    LATENTS,
    LAYOUT,
    SAME,
    WHITE,
    MissingPolyVividNode,
    _check_choices,
    encode_subjects,
    picture_size,
    tokenizer_of,
)
from lumosx_core.models.polyvivid import template
from lumosx_core.models.polyvivid.positions import TextLayout
from lumosx_core.models.polyvivid.template import tokenize_template
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from support.polyvivid_models import HIDDEN, TOKENIZER, small_clip, small_vision
from support.tiny_hunyuan import encoders
from tools.golden_polyvivid import WEIGHTS
from tools.llama_tokens import llama_tokenizer, tokenizer_folder

CASES = json.loads(WEIGHTS.with_name("polyvivid_template.json").read_text(encoding="utf-8"))["cases"]
PROMPT = "A man on the left with a red hat and a woman on the right with a blue scarf in a sunny park near a lamp"


@pytest.fixture(scope="module")
def models(tiny):
    """(clip, clip_vision, vae)."""
    try:
        folder = tokenizer_folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKENIZER, str(folder))
        return small_clip(), small_vision(), tiny[2]


@pytest.fixture
def encode(models):
    def run(scene, prompt=PROMPT, negative="blurred", side=64, negative_subjects=SAME):
        return encode_subjects(*models, scene, prompt, negative, side, negative_subjects)

    return run


@pytest.fixture
def man(picture):
    """man(1) is a scene of a man with his hat; another seed gives him another face."""
    def make(seed=1):
        hat = Reference(Kind.ATTRIBUTE, "red hat", picture(50))
        return Scene(None, (), (Subject(Reference(Kind.FACE, "man on the left", picture(seed)), (hat,)),))

    return make


@pytest.mark.parametrize("prompt", [PROMPT, "", "a {cat|dog} (hat:1.2)", "一位穿红色外套的女士", "\n\nA cat."])
def test_without_subjects_it_is_comfyuis_encoder_bit_for_bit(models, encode, prompt):
    clip = models[0]
    encoded = encode(None, prompt)
    for found, text in ((encoded.positive, prompt), (encoded.negative, "blurred")):
        (expected, options), = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        (tensor, given), = found
        assert torch.equal(tensor, expected) and given.keys() == options.keys()
        assert torch.equal(given["pooled_output"], options["pooled_output"])
    assert encoded.report.startswith("No subjects")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_tokens_are_those_of_the_golden_file(models, case):
    tokens = tokenize_template(tokenizer_of(models[0]), case["prompt"], case["subjects"])
    assert list(tokens.ids) == case["ids"] and tokens.length == case["length"]


def test_the_prompts_own_positions_are_those_of_comfyuis_encoder(models, encode, man):
    """The text encoder is causal, so what follows the separator changes nothing before it."""
    clip = models[0]
    (stock, options), = clip.encode_from_tokens_scheduled(clip.tokenize(PROMPT))
    (hidden, given), = encode(man()).positive
    assert torch.allclose(hidden[:, :stock.shape[1]], stock, atol=1e-5)
    assert torch.equal(given["pooled_output"], options["pooled_output"])
    assert "attention_mask" not in given


@pytest.mark.slow
def test_every_picture_becomes_a_subject_and_nothing_is_cut(encode, make_scene):
    encoded = encode(make_scene())
    (hidden, options), = encoded.positive
    conditions = options["model_conds"]
    layout = conditions[LAYOUT].cond.layout
    latents = conditions[LATENTS].cond
    assert len(latents) == 6 and all(latent.shape == (1, 16, 1, 8, 8) for latent in latents)
    assert layout.image_grids == ((24, 24),) * 6 and hidden.shape == (1, layout.tokens, HIDDEN)
    lines = [line for line in encoded.report.splitlines() if "looks like" in line]
    assert [line.split("The ")[1].split(" looks")[0] for line in lines] == [
        "man on the left", "red hat of the man on the left", "woman on the right",
        "blue scarf of the woman on the right", "lamp", "sunny park",
    ]
    assert encoded.report.count("is a subject of its own") == 2
    assert "There are 6 subjects" in encoded.report and "No public weights" in encoded.report


def test_each_picture_is_read_at_its_own_place(encode, man):
    """Another picture of the man changes the positions from his picture on, and no position before it."""
    first, second = (encode(man(seed)).positive[0] for seed in (1, 7))
    start = first[1]["model_conds"][LAYOUT].cond.layout.text[0]
    assert torch.allclose(first[0][:, :start], second[0][:, :start], atol=1e-6)
    changed = (first[0] - second[0]).abs().amax(dim=(0, 2))
    assert changed[start:start + 576].min() > 1e-4
    latents = [entry[1]["model_conds"][LATENTS].cond for entry in (first, second)]
    assert [not torch.equal(*pair) for pair in zip(*latents)] == [True, False]


@pytest.mark.parametrize("words", ["man {one}", "man (hat:1.3)", "红色的帽子", "man\\(a\\)"])
def test_braces_weights_and_chinese_reach_the_model_as_they_are(models, picture, words):
    clip, vision, vae = models
    prompt = f"Here is the {words}, and he waves."
    scene = Scene(None, (Reference(Kind.OBJECT, words, picture(1)),), ())
    encoded = encode_subjects(clip, vision, vae, scene, prompt, "", 64)
    tokens = tokenize_template(llama_tokenizer(), prompt, [words])
    assert encoded.positive[0][0].shape[1] == tokens.length
    assert encoded.positive[0][1]["model_conds"][LAYOUT].cond.layout == tokens.layout


def test_the_negative_keeps_the_pictures_and_says_nothing_of_them(encode, man):
    encoded = encode(man())
    white = encode(man(), negative_subjects=WHITE)
    (text, options), = encoded.negative
    layout, latents = options["model_conds"][LAYOUT].cond, options["model_conds"][LATENTS].cond
    assert layout.layout == TextLayout.without_images(text.shape[1], 2) and not layout.white
    kept = encoded.positive[0][1]["model_conds"][LATENTS].cond
    assert all(torch.equal(*pair) for pair in zip(latents, kept))
    options = white.negative[0][1]["model_conds"]
    assert options[LAYOUT].cond.white and len({latent.sum().item() for latent in options[LATENTS].cond}) == 1


def test_an_unpatched_model_says_what_is_missing(encode, man):
    mark = encode(man()).positive[0][1]["model_conds"][MissingPolyVividNode.NAME].cond
    assert not hasattr(mark, "dtype")
    with pytest.raises(LumosXError, match="^model: .* LumosX PolyVivid node"):
        mark.shape  # noqa: B018


def test_places_in_the_prompt_are_a_warning(encode, picture, caplog):
    face = Reference(Kind.FACE, "man on the left", picture(1), 1, "LumosX Subject phrase")
    scene = Scene(None, (), (Subject(face, (Reference(Kind.ATTRIBUTE, "red hat", None),)),))
    with caplog.at_level(logging.WARNING):
        report = encode(scene).report
    assert "occurrence 1 of \"man on the left\" has no effect" in report
    assert "\"red hat\" has no picture" in report and "has no effect" in caplog.text


def test_what_cannot_be_encoded_ends_in_a_sentence(models, encode, make_scene, tiny, monkeypatch):
    scene = make_scene()
    clip, vision, vae = models
    for given, sentence in (
        ((tiny[1], vision, vae), "^clip: it is not HunyuanVideo's"),
        ((clip, None, vae), "^clip_vision: nothing is linked"),
        ((clip, vision, None), "^vae: nothing is linked"),
    ):
        with pytest.raises(LumosXError, match=sentence):
            encode_subjects(*given, scene, PROMPT, "", 64)
    with pytest.raises(LumosXError, match="\"red hat\" is not in the prompt; the nearest words are \"red hats\""):
        encode(scene, PROMPT.replace("red hat", "red hats"))
    with pytest.raises(LumosXError, match="^prompt: it contains a control token"):
        encode(scene, f"{PROMPT}<|eot_id|>")
    with pytest.raises(LumosXError, match="^picture_side: 65"):
        encode(scene, side=65)
    with pytest.raises(LumosXError, match="^negative_subjects: "):
        encode(scene, negative_subjects="none")
    monkeypatch.setattr(template, "MOST_POSITIONS", 1000)
    with pytest.raises(LumosXError, match="^relations: the prompt and its 6 pictures take"):
        encode(scene)


@pytest.mark.slow
def test_forty_subjects(picture):
    """Through the small HunyuanVideo's encoders, whose pictures take 36 tokens."""
    names = [f"lamp number {number}" for number in range(1, 41)]
    scene = Scene(None, tuple(Reference(Kind.OBJECT, name, picture(seed)) for seed, name in enumerate(names)), ())
    encoded = encode_subjects(*encoders(), scene, ", ".join(names), "", 64)
    (hidden, options), = encoded.positive
    layout, latents = options["model_conds"][LAYOUT].cond.layout, options["model_conds"][LATENTS].cond
    assert layout.image_grids == ((6, 6),) * 40
    assert len(latents) == len({latent.sum().item() for latent in latents}) == 40
    assert hidden.shape[1] == layout.tokens and torch.isfinite(hidden).all()
    assert [f'The {name} looks like <image {number}>' in encoded.report for number, name in enumerate(names, 1)] == [
        True] * 40
    assert "There are 40 subjects" in encoded.report and "which was trained with" not in encoded.report


def test_a_vision_model_without_llavas_projector_is_refused(models, encode, make_scene):
    clip, _, vae = models
    other = small_vision()
    other.model.multi_modal_projector = None
    with pytest.raises(LumosXError, match="^clip_vision: it makes no image tokens for LLaVA"):
        encode_subjects(clip, other, vae, make_scene(), PROMPT, "", 64)


@pytest.mark.parametrize(("answer", "words"), [
    ({}, "no image tokens for LLaVA"), ({"mm_projected": None}, "no image tokens"),
    ({"mm_projected": torch.zeros(1, 576, 7)}, r"image tokens of shape \(1, 576, 7\)"),
    ({"mm_projected": torch.zeros(1, 575, 8)}, "image tokens of shape"),
    ({"mm_projected": torch.ones(1, 576, 8)}, None),
])
def test_a_picture_has_as_many_image_tokens_as_llava_reads(answer, words):
    weights = SimpleNamespace(weight=torch.zeros(3, 8))
    llama = SimpleNamespace(transformer=SimpleNamespace(get_input_embeddings=lambda: weights))
    clip = SimpleNamespace(cond_stage_model=SimpleNamespace(llama=llama))
    vision = SimpleNamespace(encode_image=lambda square, crop: SimpleNamespace(**answer))
    if words is None:
        assert polyvivid.picture_features(vision, Image.new("RGB", (8, 4)), clip).shape == (576, 8)
    else:
        with pytest.raises(LumosXError, match=f"^clip_vision: it makes {words}"):
            polyvivid.picture_features(vision, Image.new("RGB", (8, 4)), clip)


def test_pictures_of_the_videos_size(models, man):
    latents = encode_subjects(*models, man(), PROMPT, "", (96, 64)).positive[0][1]["model_conds"][LATENTS].cond
    assert [tuple(latent.shape) for latent in latents] == [(1, 16, 1, 8, 12)] * 2
    assert picture_size(384, 0, 0) == (384, 384) and picture_size(384, 96, 64) == (96, 64)
    with pytest.raises(LumosXError, match="^picture_height: it is 0, but the other is 96"):
        picture_size(384, 96, 0)
    with pytest.raises(LumosXError, match="^picture_width: 97"):
        encode_subjects(*models, man(), PROMPT, "", (97, 64))


@pytest.mark.parametrize(("side", "accepted"), [
    (16, True), (2048, True), (0, False), (8, False), (15, False), (17, False), (2047, False), (2064, False),
])
def test_sides_of_pictures_go_in_steps_of_16_up_to_2048(side, accepted):
    sizes = {"picture_side": (side, side), "picture_width": (side, 64), "picture_height": (64, side)}
    for name, size in sizes.items():
        if accepted:
            _check_choices(size, SAME)
        else:
            with pytest.raises(LumosXError, match=f"^{name}: {side} is not a multiple of 16"):
                _check_choices(size, SAME)


def test_a_clip_that_hooks_change_during_the_run_is_refused(models, encode, man, monkeypatch):
    clip = models[0]
    monkeypatch.setattr(clip, "use_clip_schedule", True)
    assert encode(man()).positive
    monkeypatch.setattr(clip.patcher, "forced_hooks", object())
    with pytest.raises(LumosXError, match="^clip: a hook changes it during the run .schedule_clip."):
        encode(man())


def test_a_chosen_last_layer_of_clip_counts(models, encode, man, monkeypatch):
    usual = encode(man()).positive[0][0]
    monkeypatch.setattr(models[0], "layer_idx", -1)
    other = encode(man()).positive[0][0]
    assert other.shape == usual.shape and not torch.allclose(other, usual, atol=1e-3)


def test_a_tokenizer_that_loses_spaces_is_refused():
    def clip(ids):
        return SimpleNamespace(tokenizer=SimpleNamespace(llama=SimpleNamespace(
            tokenizer=lambda text: {"input_ids": [128000, *ids]})))

    assert tokenizer_of(clip([32, 893]))("A man") == [128000, 32, 893]
    with pytest.raises(LumosXError, match=r"^clip: its tokenizer makes \[32, 1543\] of \"A man\" instead of"):
        tokenizer_of(clip([32, 1543]))


def test_a_text_encoder_that_cuts_the_text_is_refused(models, encode, man, monkeypatch):
    llama = models[0].cond_stage_model.llama
    whole = llama.encode_token_weights

    def cut(pairs):
        hidden, *rest = whole(pairs)
        return hidden[:, :-1], *rest

    monkeypatch.setattr(llama, "encode_token_weights", cut)
    with pytest.raises(LumosXError, match="^clip: it made .* positions, so something was cut"):
        encode(man())
