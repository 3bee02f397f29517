"""Readable reports: who is who, which words each reference binds to, and what it costs.

They are lists in Markdown, which ComfyUI's Preview Any renders and which reads well as plain text too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .layout import SequenceLayout
from .memory import GIGABYTE, GUIDANCE_PASSES, Chunks, forward_work, peak_bytes, plan_forward
from .phrases import PhraseMatch, Tokens, marked_text
from .relations import Reference, Scene


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
    warnings: Iterable[str],
) -> str:
    """Which words of the prompt each reference binds to, what it costs in tokens, and a prediction of work and memory.

    Args:
        matches: where each phrase was found.
        prompt: the tokens that were searched.
        layout: the sequence that the model will see.
        warnings: see ``token_warnings``; those of the scene are added.
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
        f"Prompt {len(prompt.ids) + 1} of 512 tokens."
    )
    lines.append(_prediction(layout))
    return "\n".join(lines + _warning_lines((*scene.warnings(), *warnings)))


def token_warnings(scene: Scene, layout: SequenceLayout) -> list[str]:
    """Subjects whose every token is claimed as much by the others, seen only once tokens are known."""
    weights = layout.binding.text_weights()[len(scene.non_human):]
    found, row = [], 0
    for number, subject in enumerate(scene.subjects, 1):
        if weights[row].max() <= 0:
            found.append(
                f"Subject {number} (\"{subject.name}\") keeps no words of its own in this prompt: other people bind to "
                "the same ones; give it a phrase or an occurrence that only it has."
            )
        row += len(subject.references)
    return found


def _prediction(layout: SequenceLayout) -> str:
    """For the model that LumosX is, since the encoder does not know which one will sample."""
    work = GUIDANCE_PASSES * forward_work(layout).total / 10**12
    activations = peak_bytes(layout, chunks=Chunks(plan_forward(layout).chunk_tokens)) / GIGABYTE
    return (
        f"- Predicted for the 1.3B model in bf16: one step with guidance is {work:.3g} TFLOP; activations need "
        f"{activations:.2g} GB for each video, beside the weights (2.8 GB in bf16, 1.5 GB in fp8 or Q8_0)."
    )


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


def _warning_lines(warnings: tuple[str, ...]) -> list[str]:
    return [f"- **Warning:** {warning}" for warning in warnings]
