"""Views of one person or thing from what sockets and widgets hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ...errors import LumosXError
from ...faces.catalogue import open_detector
from ...faces.quality import measure_quality, sharpness
from ...media.views import EACH, FACE, SHARPNESS_SIDE, SHOWS, USES, View, rank, views_report
from ...scene.relations import Kind, Reference
from ..conditioning.scene import log_warnings
from ..weights.face_models import model_folders
from .frames import as_pixels, frame_ticks, split_batch

NODE = "LumosX Views"


@dataclass(frozen=True)
class ViewsPlan:
    """What one run of LumosX Views does.

    Attributes:
        shows: one of ``media.views.SHOWS``.
        use: one of ``media.views.USES``.
        phrase: the words of the prompt that the other views stand for.
        occurrence: 0 binds every occurrence of the phrase, n only the n-th.
        detector: a name of ``faces.catalogue``; opened for faces only.
    """

    shows: str
    use: str
    phrase: str
    occurrence: int
    detector: str


def check_views(shows: str, use: str, phrase: str) -> None:
    """Whether the words are there where words are needed.

    Raises:
        LumosXError: they are not, or a choice that is not known.
    """
    if shows not in SHOWS:
        raise LumosXError(f"shows: {shows!r} is not known; choose one of {', '.join(SHOWS)}.")
    if use not in USES:
        raise LumosXError(f"use: {use!r} is not known; choose one of {', '.join(USES)}.")
    if use == EACH and not phrase.strip():
        raise LumosXError(
            f"phrase: it is empty, but use is {EACH}; type the words of the prompt that the pictures show."
        )


def choose_views(
    images: Mapping[str, torch.Tensor | None], previous: tuple[Reference, ...] | None, plan: ViewsPlan
) -> tuple[torch.Tensor, tuple[Reference, ...], str]:
    """The best picture, the other references and a report whose warnings are logged too.

    Args:
        images: IMAGEs by the input's name; a batch holds several views.
        previous: references that come first among the others.

    Raises:
        LumosXError: no picture, an empty phrase where one is needed, or (faces) a view with none or several.
    """
    check_views(plan.shows, plan.use, plan.phrase)
    pictures = _pictures(images)
    views, problems = _measured(pictures, plan)
    ranking = rank(views)
    best, *rest = ranking
    warnings = [f"{views[best].source}, the best view: {problem}." for problem in problems[best]]
    notes, others = [], tuple(previous or ())
    if plan.use == EACH:
        # A thing's kind; LumosX Subject makes attributes of what it gets.
        others += tuple(
            Reference(Kind.OBJECT, plan.phrase, pictures[views[position].source], plan.occurrence, f"{NODE} phrase")
            for position in rest
        )
        if rest:
            notes.append(f"References of \"{others[-1].phrase}\": {', '.join(views[index].source for index in rest)}.")
            warnings.append(
                f"{len(rest)} more picture{'' if len(rest) == 1 else 's'} of one thing: the model was trained with one "
                "of each in a group; compare with the best one alone."
            )
    elif rest:
        notes.append(f"Left out: {', '.join(views[position].source for position in rest)}.")
    log_warnings(f"{NODE}: {warning}" for warning in warnings)
    return pictures[views[best].source], others, views_report(views, notes, warnings)


def _pictures(images: Mapping[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    """Every view [1, H, W, 3] by its name, in order."""
    found = {}
    for name, image in images.items():
        if image is None:
            continue
        views = split_batch(image, f"{NODE} {name}")
        names = [name] if len(views) == 1 else [f"{name} view {number}" for number in range(1, len(views) + 1)]
        found.update(zip(names, views))
    if not found:
        raise LumosXError(f"{NODE} image_1: nothing is linked; link pictures of one person or thing.")
    return found


def _measured(pictures: Mapping[str, torch.Tensor], plan: ViewsPlan) -> tuple[list[View], list[list[str]]]:
    """The views' figures, and what is wrong with each face."""
    detector = open_detector(plan.detector, model_folders()) if plan.shows == FACE else None
    views, problems, tick = [], [], frame_ticks()
    for number, (name, picture) in enumerate(pictures.items()):
        tick(number, len(pictures))
        pixels = as_pixels(picture)
        if detector is None:
            views.append(View(name, float(min(pixels.shape[:2])), sharpness(pixels, SHARPNESS_SIDE)))
            problems.append([])
            continue
        faces = detector.detect(pixels)
        if len(faces) != 1:
            raise LumosXError(f"{NODE} {name}: {detector.name} finds {_instead(len(faces))}.")
        quality = measure_quality(pixels, faces[0])
        views.append(View(name, quality.short_side, quality.sharpness, quality.frontality))
        problems.append(quality.problems())
    tick(len(pictures), len(pictures))
    return views, problems


def _instead(faces: int) -> str:
    if faces == 0:
        return "no face; link a picture that shows one, or set shows to a thing"
    return f"{faces} faces; crop the right one with LumosX Face Crop first"
