"""A folder of videos through all stages; every clip ends as a case or with a reason, and a second run goes on."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import LumosXError, shown
from ..files import DEVICE_NAME, write_aside
from ..scores.pairing import VIDEO_ENDINGS
from ..untrusted import children
from ..whole_folders import UNFINISHED
from .backends import Backends, LanguageModel, Message, ModelFailed
from .captions import caption
from .cases import CASE, case
from .entities import entities
from .filters import filters
from .frames import frames
from .owners import owners
from .people import people
from .pictures import SHEET, pictures
from .places import places
from .progress import Progress
from .settings import Settings
from .shots import shots
from .work import Rejected, digest, write_mark

CLIP_STAGES = (filters, frames, people, caption, entities, places, owners, pictures, case)
"""Of one clip, in their order; people come before the first question to a language model, which takes longest."""
WORK, CASES, RESULTS = "work", "cases", "results.jsonl"
MADE, REJECTED, FAILED = "made", "rejected", "failed"
MOST_IN_A_ROW = 3
"""Questions in a row that reach nobody, after which the language model is not asked any more."""
_AWAY = "no language model"
_ODD = re.compile(r"[^\w.()+-]+")
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Outcome:
    """What became of a clip, or of a video of which there are no clips.

    Attributes:
        name: of the case: ``VIDEO_NNNN``, or the video's own.
        video: the file's name.
        status: ``MADE``; ``REJECTED``, which stays so; or ``FAILED``, which the next run tries again.
        reason: in a few words, for counting; empty for a case.
        detail: one sentence.
        notes: what was left out of a case, or flagged.
        sheet: the contact sheet; None where there is none.
    """

    name: str
    video: str
    status: str
    reason: str = ""
    detail: str = ""
    notes: tuple[str, ...] = ()
    sheet: Path | None = None

    @property
    def line(self) -> dict:
        """As it goes into ``results.jsonl``."""
        return {key: value for key, value in asdict(self).items() if key != "sheet"}


def find_videos(path: Path) -> list[Path]:
    """The video file, or all videos of the folder, in the order of their names.

    Raises:
        LumosXError: there is none.
    """
    if path.is_file():
        return [path]
    try:
        found = sorted(each for each in children(path, "videos") if each.suffix.lower() in VIDEO_ENDINGS)
    except OSError as error:
        raise LumosXError(f"videos: {path} cannot be read ({error.strerror}); give a video or a folder.") from error
    if not found:
        raise LumosXError(f"videos: {path} has no video ({', '.join(VIDEO_ENDINGS)}); give another folder.")
    return found


def check_out(out: Path) -> None:
    """Refuse a folder with other things in it, since a build replaces and removes cases there.

    Raises:
        LumosXError: it is a file, or has something in it and no ``results.jsonl`` of an earlier run.
    """
    try:
        # The lock is there from the start, the results only at the end.
        marks = (out / RESULTS, out / f"{RESULTS}.lock")
        is_ours = not out.exists() or any(mark.is_file() for mark in marks) or not any(out.iterdir())
    except OSError:
        is_ours = False
    if not is_ours:
        raise LumosXError(f"out: {out} contains other things than an earlier run; give a new folder.")


class Build:
    """One run.

    Args:
        out: gets ``cases/``, ``work/`` and ``results.jsonl``.
        backends, settings: of all stages.
        progress: where it is shown.

    Attributes:
        outcomes: of all clips that have ended, in their order.
    """

    def __init__(self, out: Path, backends: Backends, settings: Settings, progress: Progress) -> None:
        self._out, self._settings, self._progress = out, settings, progress
        self._backends = replace(backends, model=_Patient(backends.model))
        self.outcomes: list[Outcome] = []

    def run(self, videos: Sequence[Path]) -> None:
        """Take every video through all stages.

        Raises:
            OSError: the disk is full, or may not be written.
        """
        for folder in (self._out / WORK, self._out / CASES):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            for video, name in zip(videos, _names(videos)):
                for outcome in self._of_video(video, name):
                    self.outcomes.append(outcome)
                    self._progress.ended(outcome.name, _said(outcome))
        finally:
            lines = [json.dumps(outcome.line, ensure_ascii=False) + "\n" for outcome in self.outcomes]
            write_aside(self._out / RESULTS, "".join(lines).encode(errors="replace"))

    def _of_video(self, video: Path, name: str) -> Iterator[Outcome]:
        folder = self._out / WORK / name
        folder.mkdir(exist_ok=True)
        try:
            state = video.stat()
            source = {"video": str(video.resolve()), "bytes": state.st_size, "changed": state.st_mtime_ns}
            write_mark(folder, "source", {"key": digest(source), "result": source})
            found = [each["folder"] for each in shots(folder, self._backends, self._settings)["clips"]]
        except Rejected as rejected:
            self._progress.more(1)
            yield Outcome(name, video.name, REJECTED, rejected.reason, rejected.detail)
            return
        except LumosXError as error:
            self._progress.more(1)
            yield Outcome(name, video.name, FAILED, "error", str(error))
            return
        self._progress.more(len(found))
        # Of other settings, or of an older file of this name.
        for old in (self._out / CASES).glob(f"{glob.escape(name)}_[0-9][0-9][0-9][0-9]"):
            if old.name.rpartition("_")[2] not in found:
                shutil.rmtree(old, ignore_errors=True)
        for number in found:
            yield self._of_clip(folder / number, f"{name}_{number}", video.name)

    def _of_clip(self, folder: Path, name: str, video: str) -> Outcome:
        target = self._out / CASES / name
        notes: list[str] = []
        try:
            for stage in CLIP_STAGES:
                result = stage(folder, self._backends, self._settings)
                notes += [*result.get("notes", ()), *result.get("flags", ())]
            _publish(folder / CASE, target)
        except Rejected as rejected:
            shutil.rmtree(target, ignore_errors=True)
            return Outcome(name, video, REJECTED, rejected.reason, rejected.detail, sheet=_sheet(folder))
        except ModelFailed as error:
            return Outcome(name, video, FAILED, _AWAY, str(error))
        except LumosXError as error:
            return Outcome(name, video, FAILED, "error", str(error))
        return Outcome(name, video, MADE, notes=tuple(notes), sheet=_sheet(folder))


class _Patient:
    """A language model that is given up once it was away too often, so that a run ends."""

    def __init__(self, model: LanguageModel) -> None:
        self.name, self._model, self._away = model.name, model, 0

    def ask(self, messages: Sequence[Message], schema: dict[str, Any]) -> str:
        """As ``LanguageModel`` says."""
        if self._away == MOST_IN_A_ROW:
            raise ModelFailed(f"model: it was not asked, since {MOST_IN_A_ROW} questions before reached nobody.")
        try:
            answer = self._model.ask(messages, schema)
        except ModelFailed as error:
            self._away = self._away + 1 if error.away else 0
            raise
        self._away = 0
        return answer


def _publish(made: Path, target: Path) -> None:
    """Put a copy of a case where cases are collected; it appears complete or not at all."""
    if _state(made) == _state(target):
        return
    part = target.with_name(f"{target.name}{UNFINISHED}")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(made, part, copy_function=_linked)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """The files of a folder, with what changes when one is written again."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [(path.relative_to(folder).as_posix(), path.stat()) for path in paths]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _sheet(folder: Path) -> Path | None:
    return folder / SHEET if (folder / SHEET).is_file() else None


def _said(outcome: Outcome) -> str:
    return "" if outcome.status == MADE else f"{outcome.status}, {outcome.reason}. {outcome.detail}"


def _names(videos: Sequence[Path]) -> list[str]:
    """A folder's name for each video, the same in every run as long as no other video comes to have it too."""
    names: list[str] = []
    for video in videos:
        name = _ODD.sub("_", shown(video.stem)).strip("._")[:_LONGEST_NAME] or "video"
        name = f"_{name}" if DEVICE_NAME.match(name) else name
        taken = {each.casefold() for each in names}
        if name.casefold() in taken:
            name = f"{name}_{digest(video.name)[:8]}"
        names.append(name)
    return names
