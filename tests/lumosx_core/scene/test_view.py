"""What the panels show: plain values that say what the reports say."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch

from lumosx_core.models.lumosx.prediction import RELEASE_BYTES, predict
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.scene.binding import BoundPrompt, bind_prompt
from lumosx_core.scene.duration import Expected, Size
from lumosx_core.scene.phrases import PhraseMatch, Tokens, find_phrase
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scene.report import binder_report
from lumosx_core.scene.summary import EncodingSummary, Outlook, Prediction, TokenCounts
from lumosx_core.scene.view import _prediction, _typed_ranges, encoding_view, scene_view

DRAWN = object()


def of(kind, phrase, image=DRAWN, occurrence=0, body=False):
    """A reference with a picture of its own, unless it has none."""
    return Reference(kind, phrase, torch.rand(1, 24, 24, 3) if image is DRAWN else image, occurrence, full_body=body)


def tokens(*pieces):
    return Tokens(tuple(hash(piece) for piece in pieces), tuple(f"\u2581{piece}" for piece in pieces))


def view_of(typed, scene, prompt=None):
    """The view of a scene on a tokenizer that makes one token of a word, at 832 x 480 with 81 frames."""
    bound = bind_prompt(lambda text, source: tokens(*text.split()), scene, typed)
    if prompt is not None:
        bound = dataclasses.replace(bound, tokens=prompt, matches={
            word: find_phrase(prompt, tokens(*word.phrase.split()), word.occurrence) for word in scene.words
        })
    return json.loads(json.dumps(encoding_view(summary_of(typed, bound)), allow_nan=False))


def summary_of(typed, bound):
    """Of 832 x 480 with 81 frames."""
    layout = SequenceLayout(21, 30, 52, Binding.of(bound))
    counts = TokenCounts(21, 30, 52, layout.binding.references, len(bound.tokens.ids) + 1, 512)
    findings = tuple(bound.findings((832, 480)))
    return EncodingSummary(typed, bound, (832, 480, 81), counts, findings, Outlook(predict(layout), RELEASE_BYTES))


def test_a_scene_is_shown_as_in_its_report():
    scene = Scene(None, (of(Kind.OBJECT, "lamp", occurrence=2),), (Subject(of(Kind.FACE, "man", None), (
        of(Kind.ATTRIBUTE, "red  hat"),
    )),))
    view = json.loads(json.dumps(scene_view(scene)))
    full = {"strength": 1.0, "start": 0.0, "end": 1.0}
    assert view["people"] == [{"references": [
        {"kind": "face", "phrase": "man", "occurrence": 0, "shown": False, **full},
        {"kind": "attribute", "phrase": "red hat", "occurrence": 0, "shown": True, **full},
    ]}]
    assert view["objects"] == [{"kind": "object", "phrase": "lamp", "occurrence": 2, "shown": True, **full}]
    assert view["background"] is None and view["report"] == binder_report(scene)
    assert view["warnings"] == ['Subject "man" has no face image; the video invents the face.']


def test_who_binds_to_what_at_what_cost():
    scene = Scene.of_people(
        of(Kind.BACKGROUND, "park"), [of(Kind.OBJECT, "woman", body=True)],
        [Subject(of(Kind.FACE, "man", None), (of(Kind.ATTRIBUTE, "hat"),)), Subject(of(Kind.FACE, "woman"))],
    )
    view = view_of("a man with hat and a woman in a park", scene)
    told = [(one["kind"], one["person"], one["full_body"], one["shown"], one["tokens"]) for one in view["references"]]
    assert told == [
        ("background", None, False, True, 1560), ("object", 1, True, True, 1560), ("face", 0, False, False, 0),
        ("attribute", 0, False, True, 1560), ("face", 1, False, True, 1560),
    ]
    park = view["references"][0]
    assert (park["words"], park["ranges"], park["token_spans"], park["exact"]) == ("park", [[32, 36]], [[9, 10]], True)
    assert view["tokens"] == {
        "video": 32760, "references": 6240, "total": 39000, "prompt": 11, "prompt_limit": 512, "width": 832,
        "height": 480, "frames": 81,
    }
    assert view["warnings"] == list(scene.warnings())


def test_the_prediction_is_plain_numbers():
    prediction = view_of("a man", Scene(subjects=(Subject(of(Kind.FACE, "man")),)))["prediction"]
    assert prediction["time_class"] == "usual" and prediction["weights_gb"] == 2.84
    assert prediction["model"] is None and prediction["here"] is None and prediction["runs"] == []
    assert prediction["class_ratio"] == prediction["work_ratio"] == pytest.approx(1.05, abs=0.01)
    assert prediction["step_tflop"] > 100 and 0 < prediction["activation_gb"] < 20
    # Four digits, as many as anybody reads.
    figures = [value for value in prediction.values() if isinstance(value, float)]
    assert len(figures) == 5 and all(value == float(f"{value:.4g}") for value in figures)


@pytest.mark.parametrize(("expected", "here"), [
    (Expected(90.0), {"amount": 1.5, "unit": "minutes", "like": None}),
    (Expected(4.2, Size(64, 48, 9)),
     {"amount": 4, "unit": "seconds", "like": {"width": 64, "height": 48, "frames": 9}}),
])
def test_the_time_here_is_plain_too(expected, here):
    outlook = Outlook(Prediction(1.0, 2.0, 3.0, 4.0), 10**9, "a.gguf", expected=expected)
    view = _prediction(outlook)
    assert view["here"] == here and (view["model"], view["weights_gb"]) == ("a.gguf", 1.0)


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [(("man", "man"), [False, False]), (("tall", "tall man"), [False, True]), (("old man", "tall man"), [True, True])],
)
def test_people_without_words_of_their_own_are_those_that_the_warnings_name(phrases, expected):
    view = view_of("a tall man and old man", Scene(subjects=tuple(Subject(of(Kind.FACE, one)) for one in phrases)))
    assert [person["own_words"] for person in view["people"]] == expected
    lost = [number for number, own in enumerate(expected) if not own]
    assert [each["people"] for each in view["findings"] if each["code"] == "no_own_words"] == ([lost] if lost else [])
    assert len(view["warnings"]) == len(view["findings"]) == len(lost[:1])


def test_no_places_where_the_typed_text_has_other_words():
    scene = Scene(objects=(of(Kind.OBJECT, "lamp"),))
    (one,) = view_of("a {red} lamp x", scene, tokens("a", "lamp"))["references"]
    assert one["ranges"] is None and one["token_spans"] == [[1, 2]]


def test_no_place_for_a_part_of_a_word():
    """Ids find "hat" in "hats", as the release does."""
    prompt = Tokens((1, 2, 3), ("\u2581red", "\u2581hat", "s"))
    reference = of(Kind.OBJECT, "hat")
    scene = Scene(objects=(reference,))
    for span, ranges in (((1, 2), None), ((0, 3), [[0, 8]])):
        bound = BoundPrompt(scene, prompt, {reference: PhraseMatch((span,), True)})
        assert encoding_view(summary_of("red hats", bound))["references"][0]["ranges"] == ranges


@pytest.mark.parametrize(("spans", "ranges"), [
    ([(0, 2)], [[0, 3]]), ([(2, 4)], [[4, 7]]), ([(0, 4)], [[0, 7]]), ([(0, 2), (2, 4)], [[0, 3], [4, 7]]), ([], []),
    ([(0, 1)], None), ([(1, 2)], None), ([(0, 3)], None), ([(4, 5)], None), ([(2, 2)], None), ([(1, 4)], None),
])
def test_token_spans_are_typed_ranges_where_they_are_whole_words(spans, ranges):
    """Two words of two tokens each."""
    units = [SimpleNamespace(start=0, end=2), SimpleNamespace(start=2, end=4)]
    words = [SimpleNamespace(start=0, end=3), SimpleNamespace(start=4, end=7)]
    text = SimpleNamespace(units=words, typed=lambda place: place)
    assert _typed_ranges(text, units, spans) == ranges
