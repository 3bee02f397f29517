"""Binding through ComfyUI's real CLIP and VAE objects."""

from collections import Counter

import comfy.latent_formats
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.host import pace
from lumosx_core.host.conditioning import summary
from lumosx_core.host.conditioning.encoder import encode_scene
from lumosx_core.host.conditioning.pictures import UNCONDITIONAL
from lumosx_core.host.conditioning.scene import join_scene
from lumosx_core.host.conditioning.video_size import VideoSize
from lumosx_core.models.lumosx import prediction
from lumosx_core.scene import relations
from lumosx_core.scene.phrases import Tokens, token_units
from lumosx_core.scene.prompt import NEGATIVE_PROMPT, clean_text, read_text
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

SIZE = VideoSize(64, 48, 9)


@pytest.fixture(scope="module")
def models(tiny):
    return tiny[1:]


@pytest.fixture
def one(picture):
    """one(phrase, occurrence=0): a scene of one person without attributes."""
    return lambda phrase, occurrence=0: Scene(
        subjects=(Subject(Reference(Kind.FACE, phrase, picture(1), occurrence, "LumosX Subject face")),)
    )


def conditions(conditioning):
    found = conditioning[0][1]["model_conds"]
    return found["lumosx_references"].cond, found["lumosx_binding"].cond


def bound_words(clip, prompt, spans):
    pieces = [piece for _, piece in clip.tokenizer.untokenize(clip.tokenize(prompt)["umt5xxl"][0])]
    return ["".join(pieces[start:end]).replace("\u2581", " ").strip() for start, end in spans]


def test_outputs_have_the_shapes_of_the_host(models, make_scene):
    clip, vae = models
    encoded = encode_scene(*models, make_scene(), "man on the left red hat woman on the right blue scarf sunny park "
                           "lamp", "", VideoSize(64, 48, 9, 2))
    assert encoded.latent["samples"].shape == (2, 16, 3, 6, 8)
    references, binding = conditions(encoded.positive)
    assert [tuple(reference.shape) for reference in references] == [(1, 16, 1, 6, 8)] * 6
    assert binding.subject_images == (2, 2) and len(binding.non_human_spans) == 2
    assert encoded.positive[0][0].shape == (1, 512, 4096)
    assert conditions(encoded.negative)[1] == binding


def test_references_are_letterboxed_encoded_one_by_one_and_normalised(models, one):
    from lumosx_core.media import letterbox, pil_from_tensor, tensor_from_pil

    clip, vae = models
    scene = one("a man")
    references, _ = conditions(encode_scene(clip, vae, scene, "a man walks", "", SIZE).positive)
    fitted = tensor_from_pil(letterbox(pil_from_tensor(scene.references[0].image), 64, 48))
    expected = comfy.latent_formats.Wan21().process_in(vae.encode(fitted))
    assert torch.equal(references[0], expected)


def test_spans_are_those_of_the_ids_that_clip_produced(models, one):
    clip, _ = models
    prompt = "A dog, a man on the left and a man on the right"
    for occurrence, count in ((0, 2), (1, 1), (2, 1)):
        _, binding = conditions(encode_scene(*models, one("a man", occurrence), prompt, "", SIZE).positive)
        assert bound_words(clip, prompt, binding.subject_spans[0]) == ["a man"] * count


@pytest.mark.parametrize("prompt", ["a (red hat:1.2) walks", "a man, a (red) hat", "a red (hat:1.3)", "a red\nhat"])
def test_weights_are_stripped_before_matching(models, picture, prompt):
    clip, _ = models
    scene = Scene(objects=(Reference(Kind.OBJECT, "red hat", picture(3)),))
    _, binding = conditions(encode_scene(*models, scene, prompt, "", SIZE).positive)
    (words,) = bound_words(clip, clean_text(prompt), binding.non_human_spans[0])
    assert words.split() == ["red", "hat"]


@pytest.mark.parametrize(
    ("prompt", "phrase"), [("a cafe\u0301 lamp", "caf\u00e9 lamp"), ("a caf\u00e9 lamp", "cafe\u0301 lamp")]
)
def test_composed_and_decomposed_letters_are_the_same(models, picture, prompt, phrase):
    """File names from macOS come decomposed."""
    scene = Scene(objects=(Reference(Kind.OBJECT, phrase, picture(3)),))
    _, binding = conditions(encode_scene(*models, scene, prompt, "", SIZE).positive)
    assert bound_words(models[0], clean_text(prompt), binding.non_human_spans[0])


def test_chinese_prompts_bind(models, picture):
    scene = Scene(objects=(Reference(Kind.OBJECT, "白色夹克", picture(3)),))
    prompt = "一个穿着白色夹克的男人站在门前"
    _, binding = conditions(encode_scene(*models, scene, prompt, "", SIZE).positive)
    (words,) = bound_words(models[0], prompt, binding.non_human_spans[0])
    assert "白色夹克" in words and len(words) <= 6


def test_a_person_of_words_only_leaves_the_other_bound_as_before(models, picture):
    """As when the only picture of one is bypassed: the other's picture is still drawn away from these words."""
    def two(woman):
        people = (("the man", picture(1)), ("the woman", woman))
        return Scene(subjects=tuple(Subject(Reference(Kind.FACE, *person)) for person in people))

    prompt = "the man greets the woman"
    (both, all_bound), (one, bound) = (
        conditions(encode_scene(*models, two(woman), prompt, "", SIZE).positive) for woman in (picture(2), None)
    )
    assert torch.equal(one[0], both[0]) and (len(one), bound.subject_images) == (1, (1, 0))
    assert bound.subject_spans == all_bound.subject_spans
    assert torch.equal(bound.text_weights(), all_bound.text_weights()[:1])


def test_a_scene_of_words_only_is_encoded_without_references_and_warned_about(models):
    lamp = Reference(Kind.OBJECT, "lamp", None)
    scene = Scene(objects=(lamp,), subjects=(Subject(Reference(Kind.FACE, "man", None)),))
    encoded = encode_scene(*models, scene, "a man with a lamp", "", SIZE)
    references, binding = conditions(encoded.positive)
    assert references == [] and binding.references == 0
    assert encoded.view["tokens"]["references"] == 0 and "**Warning:** No picture" in encoded.report
    assert [finding["code"] for finding in encoded.view["findings"]] == ["no_pictures", "no_picture"]
    with pytest.raises(LumosXError, match="\"lamp\" is not in the prompt"):
        encode_scene(*models, scene, "a man", "", SIZE)


def test_a_missing_phrase_stops_before_any_model_runs(models, one):
    clip, _ = models
    with pytest.raises(LumosXError, match=r'face: "tall man" is not in the prompt; .* "man":'):
        encode_scene(clip, None, one("tall man"), "a man walks", "", SIZE)


def test_too_long_a_text_stops_before_any_model_runs(models, one):
    clip, _ = models
    long = "a man " * 600
    with pytest.raises(LumosXError, match=r"^prompt: the text has \d+ tokens, but the model reads 512"):
        encode_scene(clip, None, one("a man"), long, "", SIZE)
    with pytest.raises(LumosXError, match="^negative_prompt: the text has"):
        encode_scene(clip, None, one("a man"), "a man", long, SIZE)


def test_a_text_of_exactly_512_tokens_is_read(models, one):
    clip, _ = models
    words = "a man" + " a" * 800
    while len(encoder_ids(clip, words)) > 511:
        words = words.rpartition(" ")[0]
    assert len(encoder_ids(clip, words)) == 511
    assert encode_scene(*models, one("a man"), words, "", SIZE).positive[0][0].shape[1] == 512
    with pytest.raises(LumosXError, match="has 513 tokens"):
        encode_scene(*models, one("a man"), words + " a", "", SIZE)


def encoder_ids(clip, text):
    return [token for token, _ in clip.tokenize(text)["umt5xxl"][0] if token > 1]


def test_another_text_encoder_is_refused(one):
    class Other:
        def tokenize(self, text):
            return {"l": [[(1, 1.0)]]}

    with pytest.raises(LumosXError, match="clip: its tokens are for l, not for UMT5") as caught:
        encode_scene(Other(), None, one("a man"), "a man", "", SIZE)
    for way in ("umt5_xxl_fp8_e4m3fn_scaled.safetensors", "umt5-xxl-enc-bf16.pth", "LumosX Text Encoder Loader"):
        assert way in str(caught.value)


def test_another_vae_is_refused(models, one):
    class Other:
        def encode(self, image):
            return torch.zeros(1, 4, 6, 8)

    with pytest.raises(LumosXError, match=r"vae: it makes latents of shape \(1, 4, 6, 8\)"):
        encode_scene(models[0], Other(), one("a man"), "a man", "", SIZE)


def negative(models, one, text):
    encoded = encode_scene(*models, one("a man"), "a man", text, SIZE)
    line = next(line for line in encoded.report.splitlines() if line.startswith("- Negative prompt: "))
    return encoded.negative[0][0], line


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "&nbsp;", "\u3000"])
def test_an_empty_negative_prompt_is_the_releases(models, one, text):
    expected, line = negative(models, one, NEGATIVE_PROMPT)
    found, same = negative(models, one, text)
    assert torch.equal(found, expected)
    assert same == line == "- Negative prompt: the release's."


def test_another_negative_prompt_is_itself_and_named(models, one):
    clip = models[0]
    found, line = negative(models, one, "blurred,  static")
    assert torch.equal(found, clip.encode_from_tokens(clip.tokenize("blurred, static")))
    assert line == '- Negative prompt: "blurred, static".'
    assert len(negative(models, one, "word " * 120)[1]) < 120


def test_brackets_around_nothing_are_no_negative_prompt_at_all(models, one):
    clip = models[0]
    found, line = negative(models, one, "()")
    assert torch.equal(found, clip.encode_from_tokens(clip.tokenize("")))
    assert line == '- Negative prompt: "()".'


def test_what_the_negative_pass_sees_can_be_chosen(models, one):
    same, zero, white = (
        conditions(encode_scene(*models, one("a man"), "a man", "", SIZE, choice).negative)[0][0]
        for choice in UNCONDITIONAL
    )
    positive = conditions(encode_scene(*models, one("a man"), "a man", "", SIZE).positive)[0][0]
    assert torch.equal(same, positive)
    assert zero.abs().max() == 0
    assert not torch.equal(white, positive) and white.abs().max() > 0


def test_the_report_says_words_tokens_and_cost(models, make_scene):
    prompt = "A man on the left with a Red Hat, a woman on the right with a blue scarf, sunny park, lamp and lamp"
    report = encode_scene(*models, make_scene(), prompt, "", SIZE).report
    assert 'background "sunny park" -> "sunny park" at token' in report
    assert 'object "lamp" -> "lamp" (2 times) at token' in report
    assert 'attribute "red hat" -> "Red Hat" at token' in report and "matched by letters" in report
    assert "12 tokens" in report and "= 36 tokens; references 72 more (200%); together 108." in report
    # Of the size alone, which the small models do not know.
    assert report.count("Warning") == 1 and "**Warning:** width, height, frames: " in report


def test_people_who_share_all_their_tokens_are_warned_about(models, picture, caplog):
    names = (1, "man"), (2, "the man")
    people = tuple(Subject(Reference(Kind.FACE, phrase, picture(seed))) for seed, phrase in names)
    report = encode_scene(*models, Scene(subjects=people), "the man walks", "", SIZE).report
    assert '**Warning:** Subject 1 ("man") has no words of its own' in report
    assert "has no words of its own" in caplog.text


def test_two_people_called_the_same_are_warned_about_here_as_on_the_board(models, picture, caplog):
    """Attributes tell them apart, so that only the board said that their names cancel out."""
    people = tuple(
        Subject(Reference(Kind.FACE, "man", picture(seed)), (Reference(Kind.ATTRIBUTE, thing, picture(seed + 100)),))
        for seed, thing in ((1, "red hat"), (2, "blue scarf"))
    )
    prompt = "A man in a red hat and a man in a blue scarf"
    encoded = encode_scene(*models, Scene(subjects=people), prompt, "", SIZE)
    assert encoded.view["findings"] == [{"code": "shared", "words": [0, 2], "people": [0, 1], "values": {"places": 2}}]
    assert '**Warning:** Subject 1 ("man") and subject 2 ("man") share words of the prompt ("man")' in encoded.report
    # The binder has logged it already.
    assert "share words" not in caplog.text


def test_a_picture_that_is_nearly_nothing_in_this_video_is_warned_about(models, caplog):
    thin = torch.rand(1, 4, 900, 3, generator=torch.Generator().manual_seed(1))
    scene = Scene(objects=(Reference(Kind.OBJECT, "lamp", thin),))
    (finding,) = encode_scene(*models, scene, "a lamp", "", SIZE).view["findings"]
    assert finding == {"code": "thin_picture", "words": [0], "people": [], "values": {"width": 64, "height": 1}}
    assert 'The picture of "lamp" is 900 x 4 pixels' in caplog.text
    assert scene.warnings() == ()


def test_warnings_and_cost_are_worked_out_once(models, make_scene, monkeypatch):
    """Once for a scene, whoever asks; and once for an encoding of it."""
    counted = Counter()

    def count(module, name):
        original = getattr(module, name)

        def counting(*arguments, **options):
            counted[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counting)

    for module, name in ((relations, "find"), (pace, "predict"), (prediction, "peak_bytes"), (summary, "doubts")):
        count(module, name)
    made = make_scene()
    scene, _ = join_scene(made.subjects, [made.objects], made.background, None)
    assert counted == {"find": 1}
    prompt = "man on the left red hat woman on the right blue scarf sunny park lamp"
    encode_scene(*models, scene, prompt, "", SIZE)
    assert counted == {"find": 2, "predict": 1, "peak_bytes": 1, "doubts": 1}
    encode_scene(*models, scene, prompt, "", SIZE)
    assert counted["find"] == 3


def test_texts_are_cleaned_as_in_the_release():
    assert clean_text("  a &amp;amp; b\n\tc &lt;d&gt; ") == "a & b c <d>"
    assert clean_text("\u201cit\u2019s\u201d") == "\"it's\""


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((830, 480, 81), "width: 830 .* use 832"),
        ((832, 8, 81), "height: 8 .* use 16"),
        ((832, 480, 80), r"frames: 80 is not 4 n \+ 1 .* use 81"),
        ((832, 480, 0), "frames: 0 is not .* use 1"),
        ((832, 480, 81, 0), "batch_size: 0 is below 1"),
    ],
)
def test_bad_sizes_are_refused_with_a_good_one(sizes, sentence):
    with pytest.raises(LumosXError, match=sentence):
        VideoSize(*sizes)


@pytest.mark.parametrize(("name", "accepted", "refused"), [
    ("width", 16, 8), ("height", 16, 8), ("width", 8192, 8200), ("height", 8192, 8200), ("frames", 1, 0),
    ("frames", 1025, 1029), ("frames", 5, 4), ("batch", 1, 0),
])
def test_the_last_size_that_is_accepted(name, accepted, refused):
    usual = {"width": 64, "height": 48, "frames": 9}
    assert getattr(VideoSize(**{**usual, name: accepted}), name) == accepted
    with pytest.raises(LumosXError, match=f"^{'batch_size' if name == 'batch' else name}: {refused} .*use "):
        VideoSize(**{**usual, name: refused})


def test_inputs_are_not_changed(models, make_scene, encode):
    scene = make_scene()
    before = [reference.image.clone() for reference in scene.references]
    encode(scene)
    assert all(torch.equal(reference.image, image) for reference, image in zip(scene.references, before))


PIECES = [
    "man", "Red", " hat", " ", "(", ")", ":1.2)", "\\(", "\\)", "&amp;", "\u0301", "e", "\u2019s", "\U0001f600",
    "男人", ", ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=15).map("".join))
@example("hat(s) ((a red:1.3) hat:0.5)")
@example("a) red (hat:1.2)")
def test_a_typed_prompt_has_the_words_that_clip_makes_of_it(models, typed):
    clip, _ = models
    pieces = [piece for _, piece in clip.tokenizer.untokenize(clip.tokenize(clean_text(typed))["umt5xxl"][0])]
    tokens = Tokens(tuple(range(len(pieces))), tuple(piece for piece in pieces if piece not in ("</s>", "<pad>")))
    assert [unit.text for unit in read_text(typed).units] == [unit.text for unit in token_units(tokens)]


def test_the_panel_names_places_in_the_prompt_as_it_was_given(models, make_scene):
    typed = (
        "\U0001f600 A  man on the left, (red\nhat:1.2), woman &quot;on the right&quot;, blue scarf, sunny park: a "
        "red lamp"
    )
    view = encode_scene(*models, make_scene(), typed, "", SIZE).view
    utf16 = typed.encode("utf-16-le")
    found = [utf16[2 * start:2 * end].decode("utf-16-le") for one in view["references"] for start, end in one["ranges"]]
    assert found == [
        "sunny park", "lamp", "man on the left", "red\nhat", "woman &quot;on the right", "blue scarf",
    ]
    assert [one["tokens"] for one in view["references"]] == [12] * 6
    assert view["prompt"] == typed and view["tokens"]["prompt"] == len(encoder_ids(models[0], clean_text(typed))) + 1
