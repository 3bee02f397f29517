"""A question about a scene as values of sockets."""

from __future__ import annotations

import torch

from ...media.numbered import numbered_batch, numbered_sheet
from ...scene.answering import read_answer
from ...scene.asking import Question
from ...scene.relations import Scene
from .scene import log_warnings

SHEET, BATCH = "one numbered sheet", "a batch"
LAYOUTS = (SHEET, BATCH)


def ask(scene: Scene, prompt: str, task: str, layout: str) -> tuple[torch.Tensor, str, Question]:
    """The pictures as an IMAGE, the question as text, and the question for ``answered``.

    Raises:
        LumosXError: there is nothing to ask, or too much.
    """
    question = Question(scene, task, prompt)
    pictures = [each.reference.image for each in question.pictures if each.reference.image is not None]
    is_sheet = layout == SHEET
    return (numbered_sheet if is_sheet else numbered_batch)(pictures), question.text(is_sheet), question


def answered(answer: str, question: Question) -> tuple[Scene, str, str]:
    """The scene with its phrases, the prompt, and a report; warnings are logged.

    Raises:
        LumosXError: the answer is not of the asked form, or its words are not in the prompt.
    """
    found = read_answer(answer, question)
    log_warnings(found.scene.warnings())
    return found.scene, found.prompt, found.report
