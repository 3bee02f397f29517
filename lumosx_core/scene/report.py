"""Readable reports: who is who, which words each reference binds to, and what it costs.

They are lists in Markdown, which ComfyUI's Preview Any renders and which reads well as plain text too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from decimal import Decimal

from .binding import BoundPrompt
from .duration import Expected, spoken
from .phrases import marked_text
from .prompt import NEGATIVE_PROMPT, clean_text
from .relations import Reference, Scene
from .summary import GIGABYTE, EncodingSummary, Outlook, TokenCounts

_TABLE = " Minutes for each card are in docs/speed.md."


def binder_report(scene: Scene) -> str:
    """What belongs to whom, and warnings; before any prompt is known."""
    lines = []
    if scene.background is not None:
        lines.append(f"- Background: {_named(scene.background)}")
    lines += [f"- Object: {_named(reference)}{_body_note(scene, reference)}" for reference in scene.objects]
    for number, subject in enumerate(scene.subjects, 1):
        lines += [f"- Subject {number}", *(f"  - {_describe(word)}" for word in subject.words)]
    lines.append(f"- {_count(len(scene.references), 'reference picture')}, {_count(len(scene.subjects), 'subject')}.")
    return "\n".join(lines + _warning_lines(scene.warnings()))


def encoding_report(summary: EncodingSummary) -> str:
    """Which words each reference binds to, what it costs in tokens, and a prediction of work and memory."""
    scene, tokens = summary.bound.scene, summary.tokens
    lines = [
        f"- {_describe(reference)}{_body_note(scene, reference)} {_bound(summary.bound, reference)}"
        f"{_cost(reference, tokens)}"
        for reference in scene.non_human
    ]
    for number, subject in enumerate(scene.subjects, 1):
        lines.append(f"- Subject {number}, {len(subject.references) * tokens.frame} tokens")
        for word in subject.words:
            lines.append(f"  - {_describe(word)} {_bound(summary.bound, word)}{_cost(word, tokens)}")
    lines.append(
        f"- Video {tokens.frames} x {tokens.height} x {tokens.width} = {tokens.video} tokens; references "
        f"{tokens.references} more ({tokens.references / tokens.video:.0%}); together {tokens.total}. "
        f"Prompt {tokens.prompt} of {tokens.prompt_limit} tokens."
    )
    if summary.negative_prompt is not None:
        lines.append(f"- Negative prompt: {_negative_name(summary.negative_prompt)}.")
    lines += _prediction_lines(summary.outlook)
    return "\n".join(lines + _warning_lines(summary.warnings))


def _prediction_lines(outlook: Outlook) -> list[str]:
    prediction, planned = outlook.prediction, outlook.planned_bytes
    beside = "" if planned is None else f" (ComfyUI plans {in_bytes(planned)})"
    weights = "2.8 GB in bf16, 1.5 GB in fp8 or Q8_0"
    if outlook.model is not None:
        weights = in_bytes(outlook.weights_bytes)
    table = _TABLE if outlook.expected is None else ""
    return [
        f"- Predicted for {outlook.model or 'the 1.3B model in bf16'}: one step with guidance is "
        f"{_operations(prediction.step_tflop)}; activations need "
        f"{in_bytes(prediction.activation_gigabytes * GIGABYTE)} for each video{beside}, beside the weights "
        f"({weights}).",
        f"- Time: {_here(outlook.expected)}{prediction.time_class}; a step is {share(prediction.class_ratio)} the work "
        f"of 832 x 480 with 81 frames and no references.{table}",
    ]


def share(ratio: float) -> str:
    """How much something is of something else, to be followed by that: "2.3 times", "43 % of"."""
    if ratio < 0.001:
        return "less than 0.1 % of"
    if 0.995 <= ratio < 1.005:
        return "as much as"
    return f"{_figure(ratio)} times" if ratio > 1 else f"{_figure(100 * ratio)} % of"


def _operations(tflop: float) -> str:
    return f"{_figure(tflop, 3)} TFLOP" if tflop >= 1 else f"{_figure(1000 * tflop, 3)} GFLOP"


def in_bytes(count: float) -> str:
    """A number of bytes as people say it."""
    if count < 10**6:
        return "less than 1 MB"
    # What would be rounded to 1000 MB is 1 GB.
    return f"{_figure(count / 10**9)} GB" if count >= 995 * 10**6 else f"{_figure(count / 10**6)} MB"


def _figure(value: float, digits: int = 2) -> str:
    """A number of so many digits, however large it is: 150, not 1.5e+02."""
    return f"{Decimal(f'{value:.{digits}g}'):f}"


def _here(expected: Expected | None) -> str:
    """How long it takes on this machine."""
    if expected is None:
        return ""
    like = expected.like
    known = "" if like is None else f" (based on a run at {like.width} x {like.height} with {like.frames} frames)"
    return f"{spoken(expected.seconds)} here for sampling{known}; "


def _negative_name(text: str) -> str:
    is_own = clean_text(text) == NEGATIVE_PROMPT
    return "the release's" if is_own else f"\"{textwrap.shorten(text, 80, placeholder=' …')}\""


def _bound(bound: BoundPrompt, word: Reference) -> str:
    match = bound.matches[word]
    times = "" if len(match.spans) == 1 else f" ({len(match.spans)} times)"
    how = "" if match.exact else ", matched by letters"
    places = ", ".join(str(start) if end == start + 1 else f"{start}-{end - 1}" for start, end in match.spans)
    return f"-> \"{marked_text(bound.tokens, match.spans[:1])}\"{times} at token {places}{how}"


def _describe(word: Reference) -> str:
    return f"{word.kind.value} {_named(word)}"


def _named(word: Reference) -> str:
    return _name(word) + ("" if word.image is not None else " (words only)")


def _cost(word: Reference, tokens: TokenCounts) -> str:
    return "" if word.image is None else f", {tokens.frame} tokens"


def _body_note(scene: Scene, reference: Reference) -> str:
    if not reference.full_body:
        return ""
    index = scene.owner_of(reference)
    return " (full body)" if index is None else f" (full body of subject {index + 1})"


def _name(word: Reference) -> str:
    return f"\"{word.phrase}\"" + (f" (occurrence {word.occurrence})" if word.occurrence else "") + _set(word)


def _set(word: Reference) -> str:
    """What a user set for it, such as " (strength 0.5, steps 0 to 50 %)"."""
    text = word.influence.text
    return f" ({text})" if text else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _warning_lines(warnings: Iterable[str]) -> list[str]:
    return [f"- **Warning:** {warning}" for warning in warnings]
