"""What the panels on the nodes show: a scene and its binding to a prompt as plain values, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .binding import BoundPrompt
from .duration import Expected, rounded
from .phrases import Span, Unit, marked_text, token_units
from .prompt import PromptText, read_text
from .relations import Reference, Scene
from .report import binder_report
from .summary import GIGABYTE, EncodingSummary, Outlook
from .verdict import Finding


def scene_view(scene: Scene) -> dict[str, Any]:
    """Who is who, before any prompt is known."""
    findings = scene.findings()
    return {
        "people": [{"references": [_words(word) for word in subject.words]} for subject in scene.subjects],
        "objects": [_words(reference) for reference in scene.objects],
        "background": None if scene.background is None else _words(scene.background),
        "warnings": [finding.text for finding in findings],
        "findings": [finding_view(finding) for finding in findings],
        "report": binder_report(scene),
    }


def encoding_view(summary: EncodingSummary) -> dict[str, Any]:
    """Which words each reference binds to, and what it costs."""
    scene, prompt, counts = summary.bound.scene, summary.bound.tokens, summary.tokens
    text, units = read_text(summary.prompt), token_units(prompt)
    # Words of another spelling, such as a token that the tokenizer does not know, have no sure place.
    aligned = [unit.text for unit in text.units] == [unit.text for unit in units]
    people = {word: number for number, subject in enumerate(scene.subjects) for word in subject.words}
    people |= {body: scene.owner_of(body) for body in scene.full_bodies}

    def bound(word: Reference) -> dict[str, Any]:
        match = summary.bound.matches[word]
        return {
            **_words(word),
            "person": people.get(word),
            "full_body": word.full_body,
            "source": word.source,
            "words": marked_text(prompt, match.spans[:1]),
            "ranges": _typed_ranges(text, units, match.spans) if aligned else None,
            "token_spans": [list(span) for span in match.spans],
            "exact": match.exact,
            "tokens": 0 if word.image is None else counts.frame,
            "thumbnail": None,
        }

    width, height, frames = summary.size
    return {
        "prompt": summary.prompt,
        "references": [bound(word) for word in scene.words],
        "people": _people(summary.bound),
        "tokens": {
            "video": counts.video, "references": counts.references, "total": counts.total,
            "prompt": counts.prompt, "prompt_limit": counts.prompt_limit,
            "width": width, "height": height, "frames": frames,
        },
        "prediction": _prediction(summary.outlook),
        "warnings": list(summary.warnings),
        "findings": [finding_view(finding) for finding in summary.findings],
    }


def finding_view(finding: Finding) -> dict[str, Any]:
    """A finding as the page takes it, which has a sentence of its own for each code."""
    return {
        "code": finding.code, "words": list(finding.words), "people": list(finding.people), "values": finding.values,
    }


def _words(word: Reference) -> dict[str, Any]:
    return {
        "kind": word.kind.value, "phrase": word.phrase, "occurrence": word.occurrence, "shown": word.image is not None,
        "strength": word.influence.strength, "start": word.influence.start, "end": word.influence.end,
    }


def _people(bound: BoundPrompt) -> list[dict[str, Any]]:
    """A person has words of its own if other people together do not claim all of them."""
    claims = [{token for span in spans for token in range(*span)} for spans in bound.subject_spans]
    found = []
    for index, subject in enumerate(bound.scene.subjects):
        others = set().union(*claims[:index], *claims[index + 1:])
        found.append({"name": subject.name, "own_words": not claims[index] <= others})
    return found


def _typed_ranges(text: PromptText, units: list[Unit], spans: Iterable[Span]) -> list[list[int]] | None:
    """UTF-16 ranges of token spans in the typed prompt, by words; None if a span has no words or only part of one."""
    ranges = []
    for start, end in spans:
        inside = [index for index, unit in enumerate(units) if unit.start < end and start < unit.end]
        if not inside or units[inside[0]].start < start or units[inside[-1]].end > end:
            return None
        ranges.append(list(text.typed((text.units[inside[0]].start, text.units[inside[-1]].end))))
    return ranges


def _prediction(outlook: Outlook) -> dict[str, Any]:
    prediction = outlook.prediction
    return {
        "step_tflop": _rounded(prediction.step_tflop),
        "activation_gb": _rounded(prediction.activation_gigabytes),
        "weights_gb": _rounded(outlook.weights_bytes / GIGABYTE),
        "model": outlook.model,
        "work_ratio": _rounded(prediction.work_ratio),
        "time_class": prediction.time_class,
        "class_ratio": _rounded(prediction.class_ratio),
        "here": here_view(outlook.expected),
        "runs": [vars(run) for run in outlook.runs],
    }


def here_view(expected: Expected | None) -> dict[str, Any] | None:
    """How long sampling takes on this machine, and the size of the run that this goes by if it is another."""
    if expected is None:
        return None
    amount, unit = rounded(expected.seconds)
    like = expected.like
    return {"amount": amount, "unit": unit, "like": None if like is None else vars(like)}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
