"""What the encoder's report predicts of a run."""

import re

import pytest
import torch

from benchmarks.shapes import SCENES, drawn_binding
from lumosx_core.models.lumosx.cost import GIGABYTE, Chunks, forward_work, peak_bytes
from lumosx_core.models.lumosx.prediction import RELEASE_BYTES, predict
from lumosx_core.models.lumosx.sequence import SequenceLayout
from lumosx_core.scene.binding import BoundPrompt
from lumosx_core.scene.duration import Expected, Size
from lumosx_core.scene.phrases import PhraseMatch, Tokens
from lumosx_core.scene.relations import Kind, Reference, Scene
from lumosx_core.scene.report import _prediction_lines, binder_report, encoding_report, in_bytes
from lumosx_core.scene.summary import EncodingSummary, Outlook, Prediction, TokenCounts

BODY = Reference(Kind.OBJECT, "man", torch.rand(1, 4, 4, 3), full_body=True)
LAMP = Reference(Kind.OBJECT, "lamp", torch.rand(1, 4, 4, 3))
LAMP_ALONE = Tokens((5,), ("lamp",))
LINE = re.compile(r"one step with guidance is (\S+) ([TG])FLOP; activations need (\S+) ([MG])B for each video")


def report_of(layout, matches=None, tokens=LAMP_ALONE):
    """Of the lamp alone, unless there are other matches."""
    matches = matches or {LAMP: PhraseMatch(((0, 1),), True)}
    counts = TokenCounts(layout.frames, layout.height, layout.width, layout.binding.references, 2, 512)
    bound = BoundPrompt(Scene(objects=tuple(matches)), tokens, matches)
    outlook = Outlook(predict(layout), RELEASE_BYTES)
    return encoding_report(EncodingSummary("", bound, (832, 480, 81), counts, (), outlook))


def predicted(layout):
    work, many, memory, much = LINE.search(report_of(layout)).groups()
    return float(work) / (1000 if many == "G" else 1), float(memory) / (1000 if much == "M" else 1)


def test_a_full_body_is_distinguished_from_an_object():
    layout = SequenceLayout(5, 15, 26, drawn_binding(*SCENES[3]))
    matches = {reference: PhraseMatch(((0, 1),), True) for reference in (LAMP, BODY)}
    report = report_of(layout, matches)
    assert '- object "lamp" -> ' in report and '- object "man" (full body) -> ' in report


def test_words_of_a_thing_without_a_picture_cost_nothing_and_say_so():
    words = Reference(Kind.OBJECT, "guitar", None)
    matches = {reference: PhraseMatch(((0, 1),), True) for reference in (LAMP, words)}
    lamp, guitar = report_of(SequenceLayout(5, 15, 26, drawn_binding(*SCENES[3])), matches).splitlines()[:2]
    assert lamp.endswith(", 390 tokens")
    assert guitar.startswith('- object "guitar" (words only) -> ') and "390 tokens" not in guitar
    told = binder_report(Scene(objects=(LAMP, words)))
    assert '- Object: "guitar" (words only)' in told and "1 reference picture" in told


def test_the_prediction_is_that_of_both_passes_with_the_chunks_that_run():
    layout = SequenceLayout(21, 30, 52, drawn_binding(*SCENES[6]))
    work, memory = predicted(layout)
    assert work == pytest.approx(2 * forward_work(layout).total / 1e12, rel=5e-3) == pytest.approx(735, abs=1)
    assert memory == pytest.approx(peak_bytes(layout, chunks=Chunks(8192)) / GIGABYTE, rel=5e-2)


def test_more_references_predict_more_of_both():
    figures = [predicted(SequenceLayout(21, 30, 52, drawn_binding(*SCENES[count]))) for count in (0, 3, 6, 10)]
    assert figures == sorted(figures) and figures[0][1] < figures[-1][1]


def test_a_small_video_is_not_rounded_to_nothing():
    work, memory = predicted(SequenceLayout(1, 3, 4, drawn_binding(*SCENES[1])))
    assert work > 0 and memory > 0


def test_it_says_that_it_is_a_prediction_and_for_what():
    layout = SequenceLayout(5, 15, 26, drawn_binding(*SCENES[3]))
    line, _ = report_of(layout).splitlines()[-2:]
    assert line.startswith("- Predicted for the 1.3B model in bf16") and "2.8 GB in bf16" in line


@pytest.mark.parametrize(
    ("ratio", "name"), [(0.5, "light"), (0.51, "usual"), (1.6, "usual"), (1.61, "heavy"), (4.0, "heavy"),
                        (4.01, "very heavy")],
)
def test_a_class_of_time_reaches_up_to_its_work(ratio, name):
    assert Prediction(1.0, 1.0, 1.0, ratio).time_class == name


def test_tokens_are_listed_from_the_first_to_the_last():
    layout = SequenceLayout(5, 15, 26, drawn_binding(*SCENES[1]))
    tokens = Tokens(tuple(range(9)), ("lamp",) * 9)
    match = PhraseMatch(((2, 3), (5, 8)), False)
    report = report_of(layout, {LAMP: match}, tokens)
    assert '"lamp" (2 times) at token 2, 5-7, matched by letters, 390 tokens' in report


@pytest.mark.parametrize(
    ("grid", "references", "expected"),
    [
        ((21, 30, 52), 0, "usual; a step is as much as"),
        ((21, 30, 52), 10, "usual; a step is 1.5 times"),
        ((9, 30, 52), 3, "light; a step is 35 % of"),
        ((41, 30, 52), 3, "heavy; a step is 3.5 times"),
        ((21, 45, 80), 0, "very heavy; a step is 4.4 times"),
        ((1, 3, 4), 1, "light; a step is less than 0.1 % of"),
        ((1, 15, 26), 1, "light; a step is 0.73 % of"),
        ((1, 20, 30), 1, "light; a step is 1.2 % of"),
    ],
)
def test_the_class_of_time_is_that_of_the_work_beside_the_trained_size(grid, references, expected):
    last = report_of(SequenceLayout(*grid, drawn_binding(*SCENES[references]))).splitlines()[-1]
    line = f"- Time: {expected} the work of 832 x 480 with 81 frames and no references."
    assert last == f"{line} Minutes for each card are in docs/speed.md."


@pytest.mark.parametrize(("count", "text"), [
    (10**9, "1 GB"), (999 * 10**6, "1 GB"), (994 * 10**6, "990 MB"), (123 * 10**6, "120 MB"), (11 * 10**6, "11 MB"),
    (2_840_000_000, "2.8 GB"), (123 * 10**9, "120 GB"), (10**6, "1 MB"),
    (999_999, "less than 1 MB"), (0, "less than 1 MB"),
])
def test_bytes_as_people_say_them(count, text):
    assert in_bytes(count) == text


@pytest.mark.parametrize(("expected", "words"), [
    (None, "- Time: usual"), (Expected(120.0), "- Time: about 2 minutes here for sampling; usual"),
    (Expected(3.0, Size(64, 48, 9)),
     "- Time: about 3 seconds here for sampling (based on a run at 64 x 48 with 9 frames); usual"),
])
def test_the_time_here_comes_before_its_class(expected, words):
    outlook = Outlook(Prediction(1.0, 1.0, 1.0, 1.0), 2 * 10**9, "a.gguf", 3 * 10**9, expected)
    first, second = _prediction_lines(outlook)
    assert "Predicted for a.gguf" in first and "(ComfyUI plans 3 GB)" in first and "the weights (2 GB)" in first
    assert second.startswith(words) and ("docs/speed.md" in second) == (expected is None)


@pytest.mark.parametrize(("ratio", "words"), [
    (0.001, "a step is 0.1 % of"), (0.00099, "a step is less than 0.1 % of"),
    (0.994, "a step is 99 % of"),
])
def test_a_share_is_a_percentage_below_one_and_never_a_long_fraction(ratio, words):
    outlook = Outlook(Prediction(1.0, 1.0, 1.0, ratio), RELEASE_BYTES)
    first, second = _prediction_lines(outlook)
    assert words in second and "plans" not in first and "1.5 GB in fp8" in first


def test_large_numbers_have_no_exponent():
    outlook = Outlook(Prediction(12345.0, 123.0, 1.0, 30.0), RELEASE_BYTES, planned_bytes=456 * GIGABYTE)
    line, _ = _prediction_lines(outlook)
    assert "is 12300 TFLOP; activations need 120 GB for" in line and "plans 460 GB" in line
