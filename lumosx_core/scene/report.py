"""Readable reports: who is who, which words each reference binds to, and what it costs.

They are lists in Markdown, which ComfyUI's Preview Any renders and which reads well as plain text too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..models.lumosx.cost import GIGABYTE, GUIDANCE_PASSES, Chunks, forward_work, peak_bytes, plan_forward
from ..models.lumosx.sequence import Binding, SequenceLayout
from ..models.pace import Expected, spoken
from ..models.wan.config import UMT5, WAN21_1_3B, WAN21_LATENT, WanConfig
from .phrases import PhraseMatch, Tokens, marked_text
from .prompt import NEGATIVE_PROMPT, clean_text
from .relations import Reference, Scene
from .verdict import Finding

RELEASE_BYTES = 2_840_000_000
"""Of the 1.3B model's weights in bf16."""
TIME_CLASSES = ((0.5, "light"), (1.6, "usual"), (4.0, "heavy"))
"""Up to which work of a step, in units of 832 x 480 with 81 frames and no references, a class goes; above is the next.

The size that the model was trained on is usual with up to ten references; 1280 x 720 with 81 frames is very heavy.
"""
HEAVIEST = "very heavy"

_NOTHING = Binding((), (), ())
_TRAINED = SequenceLayout(*WAN21_LATENT.token_grid(WAN21_LATENT.shape(832, 480, 81)), _NOTHING)


@dataclass(frozen=True)
class Outlook:
    """What is known of the run that follows.

    Attributes:
        model: name of the weight file that is linked; None where nobody knows, and the released model stands for it.
        shape: its sizes.
        weights_bytes: of its weights, as they are loaded.
        planned_bytes: what ComfyUI itself plans for the activations of one video, if that is known.
        expected: how long sampling takes on this machine, if a run has shown it.
    """

    model: str | None = None
    shape: WanConfig = WAN21_1_3B
    weights_bytes: int = RELEASE_BYTES
    planned_bytes: int | None = None
    expected: Expected | None = None


UNKNOWN = Outlook()
"""Nothing is known, and the released model stands for the one that will sample."""


@dataclass(frozen=True)
class Prediction:
    """What one video costs.

    Attributes:
        step_tflop: 10^12 operations of one step with guidance.
        activation_gigabytes: what a run holds at most beside the weights, in bf16.
        work_ratio: work of a step, divided by that of the same video without references.
        class_ratio: the same, divided by that of 832 x 480 with 81 frames and no references.
    """

    step_tflop: float
    activation_gigabytes: float
    work_ratio: float
    class_ratio: float

    @property
    def time_class(self) -> str:
        """How long a step takes compared with others; in seconds nobody knows, for cards differ a hundredfold."""
        return next((name for most, name in TIME_CLASSES if self.class_ratio <= most), HEAVIEST)


def binder_report(scene: Scene) -> str:
    """What belongs to whom, and warnings; before any prompt is known."""
    lines = []
    if scene.background is not None:
        lines.append(f"- Background: {_name(scene.background)}")
    lines += [f"- Object: {_name(reference)}{_body_note(scene, reference)}" for reference in scene.objects]
    for number, subject in enumerate(scene.subjects, 1):
        lines += [f"- Subject {number}", *(f"  - {_describe(word)}" for word in subject.words)]
    lines.append(f"- {_count(len(scene.references), 'reference picture')}, {_count(len(scene.subjects), 'subject')}.")
    return "\n".join(lines + _warning_lines(scene.warnings()))


def encoding_report(
    scene: Scene,
    matches: Mapping[Reference, PhraseMatch],
    prompt: Tokens,
    layout: SequenceLayout,
    findings: Iterable[Finding],
    negative_prompt: str | None = None,
    outlook: Outlook = UNKNOWN,
    more_warnings: Iterable[str] = (),
) -> str:
    """Which words of the prompt each reference binds to, what it costs in tokens, and a prediction of work and memory.

    Args:
        matches: where each phrase was found.
        prompt: the tokens that were searched.
        layout: the sequence that the model will see.
        findings: what is probably not meant, see ``Scene.findings``.
        negative_prompt: the text of the unconditional pass, if that is known.
        outlook: what is known of the run that follows.
        more_warnings: sentences about other things than the scene.
    """
    cost = layout.frame_tokens
    lines = [f"- {_describe(reference)}{_body_note(scene, reference)} {_bound(matches[reference], prompt)}, "
             f"{cost} tokens" for reference in scene.non_human]
    for number, subject in enumerate(scene.subjects, 1):
        lines.append(f"- Subject {number}, {len(subject.references) * cost} tokens")
        for word in subject.words:
            tokens = f", {cost} tokens" if word.image is not None else ""
            lines.append(f"  - {_describe(word)} {_bound(matches[word], prompt)}{tokens}")
    share = (layout.tokens - layout.video_tokens) / layout.video_tokens
    lines.append(
        f"- Video {layout.frames} x {layout.height} x {layout.width} = {layout.video_tokens} tokens; references "
        f"{layout.tokens - layout.video_tokens} more ({share:.0%}); together {layout.tokens}. "
        f"Prompt {len(prompt.ids) + 1} of {UMT5.length} tokens."
    )
    if negative_prompt is not None:
        lines.append(f"- Negative prompt: {_negative_name(negative_prompt)}.")
    lines += _prediction_lines(layout, outlook)
    return "\n".join(lines + _warning_lines([*(finding.text for finding in findings), *more_warnings]))


def predict(layout: SequenceLayout, shape: WanConfig = WAN21_1_3B) -> Prediction:
    """What a run costs a model of these sizes, the released one unless given."""
    work = forward_work(layout, shape).total
    alone = SequenceLayout(layout.frames, layout.height, layout.width, _NOTHING)
    peak = peak_bytes(layout, shape, chunks=Chunks(plan_forward(layout, shape).chunk_tokens))
    return Prediction(
        step_tflop=GUIDANCE_PASSES * work / 10**12,
        activation_gigabytes=peak / GIGABYTE,
        work_ratio=work / forward_work(alone, shape).total,
        class_ratio=work / forward_work(_TRAINED).total,
    )


def _prediction_lines(layout: SequenceLayout, outlook: Outlook) -> list[str]:
    prediction, planned = predict(layout, outlook.shape), outlook.planned_bytes
    beside = "" if planned is None else f" (ComfyUI plans {planned / GIGABYTE:.2g} GB)"
    weights = "2.8 GB in bf16, 1.5 GB in fp8 or Q8_0"
    if outlook.model is not None:
        weights = in_bytes(outlook.weights_bytes)
    times = f"{prediction.class_ratio:.2f}" if prediction.class_ratio >= 0.01 else "less than 0.01"
    return [
        f"- Predicted for {outlook.model or 'the 1.3B model in bf16'}: one step with guidance is "
        f"{prediction.step_tflop:.3g} TFLOP; activations need {prediction.activation_gigabytes:.2g} GB for each "
        f"video{beside}, beside the weights ({weights}).",
        f"- Time: {_here(outlook.expected)}{prediction.time_class}; a step is {times} times the work of 832 x 480 with "
        "81 frames and no references.",
    ]


def in_bytes(count: int) -> str:
    """A number of bytes as people say it."""
    return f"{count / 10**9:.2g} GB" if count >= 10**9 else f"{count / 10**6:.2g} MB"


def _here(expected: Expected | None) -> str:
    """How long it takes on this machine."""
    if expected is None:
        return ""
    like = expected.like
    known = "" if like is None else f" (going by a run at {like.width} x {like.height} with {like.frames} frames)"
    return f"{spoken(expected.seconds)} here for sampling{known}; "


def _negative_name(text: str) -> str:
    is_own = clean_text(text) == NEGATIVE_PROMPT
    return "the release's" if is_own else f"\"{textwrap.shorten(text, 80, placeholder=' …')}\""


def _bound(match: PhraseMatch, prompt: Tokens) -> str:
    times = "" if len(match.spans) == 1 else f" ({len(match.spans)} times)"
    how = "" if match.exact else ", matched by letters"
    places = ", ".join(str(start) if end == start + 1 else f"{start}-{end - 1}" for start, end in match.spans)
    return f"-> \"{marked_text(prompt, match.spans[:1])}\"{times} at token {places}{how}"


def _describe(word: Reference) -> str:
    note = "" if word.image is not None else " (words only)"
    return f"{word.kind.value} {_name(word)}{note}"


def _body_note(scene: Scene, reference: Reference) -> str:
    if not reference.full_body:
        return ""
    index = scene.owner_of(reference)
    return " (full body)" if index is None else f" (full body of subject {index + 1})"


def _name(word: Reference) -> str:
    return f"\"{word.phrase}\"" + (f" (occurrence {word.occurrence})" if word.occurrence else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _warning_lines(warnings: Iterable[str]) -> list[str]:
    return [f"- **Warning:** {warning}" for warning in warnings]
