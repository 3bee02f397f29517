"""Score one video, or a folder of them against a folder of cases, into files."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.reading import CAPTION, Case, load_case, read_caption, unreadable
from ..errors import LumosXError
from ..files import append_line, write_aside
from ..media.video import VideoFile, write_video
from ..packages import matplotlib
from ..untrusted import inside, shown
from ..whole_folders import UNFINISHED
from .drawing.annotate import annotate_frame
from .drawing.plot import as_png, plot_attributes, plot_identity, plot_motion
from .figures import mean_of_known, strict_json
from .identity.measured import IdentityPlan
from .identity.presence import number_faces
from .pairing import VIDEO_ENDINGS, pair_videos
from .table import markdown_table
from .video_scores import Equipment, TickOf, VideoScores, score_all
from .watching import Tick

_log = logging.getLogger("LumosX")

GROUPS = {1: "1 person", 2: "2 people", 3: "3 people"}
# Sentences about single attributes would bury the tables; those about missing weights are about most cases.
_SHOWN_NOTES = 12
_MEANS = {
    "score": "Score", "second_score": "Second score", "swap_rate": "Order swap rate", "switches": "Identity switches",
    "leakage": "Leakage", "win_rate": "Wins", "dynamic": "Dynamic",
}


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What a folder of cases came to.

    Attributes:
        lines: one for each case in the order of their names, as they go into scores.jsonl.
    """

    lines: tuple[dict, ...]

    @property
    def failed(self) -> tuple[dict, ...]:
        """The lines of cases that could not be scored."""
        return tuple(line for line in self.lines if "error" in line)

    def means(self) -> dict[str, dict]:
        """For cases of 1, 2 and 3 people, and of all: how many, and the mean of each score; None for an empty group.

        As in the release, a group's score is the mean over its videos; cases without a score do not count. That of
        dynamic is the share of dynamic videos.
        """
        scored = [line for line in self.lines if "error" not in line]
        groups = {name: [line for line in scored if line["people"] == people] for people, name in GROUPS.items()}
        return {name: {"cases": len(lines), **{key: mean_of_known([line[key] for line in lines]) for key in _MEANS}}
                for name, lines in {**groups, "overall": scored}.items()}

    def report(self) -> str:
        """A table of the cases, one of the means, what went wrong, and what was left out of the most cases."""
        cases = [[line["case"], line.get("people"), *(_shown(line.get(key)) for key in _MEANS)] for line in self.lines]
        means = [[name, group["cases"], *(group[key] for key in _MEANS)] for name, group in self.means().items()]
        lines = [f"- **Warning:** Case {line['case']} has no score: {line['error']}" for line in self.failed]
        lines += self._notes()
        return "\n\n".join([
            markdown_table(["Case", "People", *_MEANS.values()], cases),
            markdown_table(["Mean over", "Cases", *_MEANS.values()], means),
            *(["\n".join(lines)] if lines else []),
        ])

    def _notes(self) -> list[str]:
        """What was left out, each sentence once with the cases it is about, the commonest first."""
        cases: dict[str, list[str]] = {}
        for line in self.lines:
            for note in line.get("left_out", ()):
                cases.setdefault(note, []).append(line["case"])
        lines = []
        for note, names in sorted(cases.items(), key=lambda entry: -len(entry[1])):
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"- **Note:** Case {names[0]}{others}: {note}")
        more = len(lines) - _SHOWN_NOTES
        return [*lines[:_SHOWN_NOTES], *([f"- And {more} more, all in scores.jsonl."] if more > 0 else [])]


def score_video(
    video: Path, case: Case, equipment: Equipment, plan: IdentityPlan, out: Path | None, tick_of: TickOf
) -> VideoScores:
    """Score a video file against a case, and note what was left out of either.

    With ``out`` write scores.json into that folder and, where there is anything to show, plot.png (people by frames),
    attributes.png, motion.png, and annotated.mp4.

    Raises:
        LumosXError: no readable video, no matplotlib for the plots, or what ``score_all`` raises.
    """
    with _in_a_sentence(video):
        frames = VideoFile(video)
        if out is not None:
            matplotlib()
        scores = score_all(frames, case.scene, equipment, plan, tick_of)
        scores = replace(scores, notes=(*case.notes, *scores.notes))
        if out is not None:
            _write_scores(scores, frames, plan, out)
    return scores


def _write_scores(scores: VideoScores, frames: VideoFile, plan: IdentityPlan, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_aside(out / "scores.json", _json_bytes(scores.as_json(), indent=1))
    plots: tuple[tuple[str, Any, Callable[[Any], Any]], ...] = (
        ("plot", scores.identity, plot_identity), ("attributes", scores.attributes, plot_attributes),
        ("motion", scores.motion, plot_motion),
    )
    for name, part, plot in plots:
        if part is not None:
            write_aside(out / f"{name}.png", as_png(plot(part)))
    if scores.people is not None:
        write_video(_annotated(frames, scores, scores.people.frames), out / "annotated.mp4", frames.fps / plan.every)


@contextmanager
def _in_a_sentence(video: Path) -> Iterator[None]:
    """Turns whatever goes wrong into a LumosXError: videos come from anywhere, and what reads them raises anything."""
    try:
        yield
    except LumosXError:
        raise
    except OSError as error:
        file = f"{Path(error.filename).name} cannot be read or written; " if error.filename else ""
        raise LumosXError(f"video: {video.name} cannot be scored ({file}{error.strerror or error}).") from error
    except Exception as error:
        _log.warning("%s cannot be scored.", video.name, exc_info=True)
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        raise LumosXError(f"video: {video.name} cannot be scored ({reason}); convert it, or leave it out.") from error


def score_folder(
    videos: Path, root: Path, equipment: Equipment, plan: IdentityPlan, out: Path | None,
    tick_of: Callable[[str, str], Tick],
) -> BatchResult:
    """Score every case below ``root`` by its video in ``videos``; a case that cannot be scored is named, not skipped.

    With ``out``, each case has its files in a folder of its name, scores.jsonl one line for each case, and means.json
    the means. Both are on disk as soon as a case is known, so whatever ends the scoring loses only the case in work.

    Args:
        tick_of: makes the tick of one pass over a video from the names of the case and the pass.

    Raises:
        LumosXError: no case, no video at all, no matplotlib for the plots, or lines that cannot be written.
    """
    cases = _cases(root)
    files = _videos(videos)
    if out is not None:
        matplotlib()
    paired = pair_videos({name: sample for name, sample in cases.items() if isinstance(sample, str)}, files)
    lines: list[dict] = []
    for name, sample in cases.items():
        video = paired[name] if isinstance(sample, str) else sample
        if isinstance(video, LumosXError):
            line = {"case": name, "error": str(video)}
        else:
            line = _scored(name, video, root / name, equipment, plan, None if out is None else out / name, tick_of)
        lines.append(line)
        if out is not None:
            _keep(out, lines)
    return BatchResult(tuple(lines))


def _scored(
    name: str, video: Path, folder: Path, equipment: Equipment, plan: IdentityPlan, out: Path | None,
    tick_of: Callable[[str, str], Tick],
) -> dict:
    """The line of one case, whatever goes wrong with it."""
    try:
        with _in_a_sentence(video):
            scores = score_video(video, load_case(folder), equipment, plan, out, partial(tick_of, name))
            line = _line(name, video, scores)
            _json_bytes(line)
            return line
    except LumosXError as error:
        return {"case": name, "video": video.name, "error": str(error)}


def _keep(out: Path, lines: list[dict]) -> None:
    """Write the last line and the means to disk; the first line starts a new file."""
    line = _json_bytes(lines[-1])
    try:
        out.mkdir(parents=True, exist_ok=True)
        if len(lines) == 1:
            write_aside(out / "scores.jsonl", line + b"\n")
        else:
            append_line(out / "scores.jsonl", line)
        write_aside(out / "means.json", _json_bytes(BatchResult(tuple(lines)).means(), indent=1))
    except OSError as error:
        raise LumosXError(
            f"out: {out} cannot be written ({error.strerror}); free some space or give another folder. The files of "
            "earlier cases are kept."
        ) from error


def _videos(folder: Path) -> list[Path]:
    """The files whose names end as those of videos."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise LumosXError(f"video: {folder} cannot be read ({error.strerror}); give another folder.") from error
    found = [path for path in files if path.suffix.lower() in VIDEO_ENDINGS]
    # FFmpeg does not read animated ones, and says so for each.
    found = found or [path for path in files if path.suffix.lower() == ".webp"]
    if not found:
        raise LumosXError(f"video: {folder} contains no video ({', '.join(VIDEO_ENDINGS)}); give the folder that does.")
    return found


def _cases(root: Path) -> dict[str, str | LumosXError]:
    """The sample name of every folder with a caption, by the folder's name; or the sentence that says what is wrong."""
    found: dict[str, str | LumosXError] = {}
    for folder in sorted(root.iterdir()):
        if folder.name.startswith(".") or folder.name.endswith(UNFINISHED):
            continue
        if inside(root, folder) is None:
            found[folder.name] = LumosXError(
                f"case: {shown(folder.name)} is a link that leads out of the folder of cases; put the case itself "
                "there."
            )
            continue
        try:
            if folder.is_dir() and os.path.lexists(folder / CAPTION):
                found[folder.name] = read_caption(folder)[0]
        except LumosXError as error:
            found[folder.name] = error
        except OSError as error:
            found[folder.name] = unreadable(folder, error)
    if not found:
        raise LumosXError(f"case: {root} contains no case, which is a folder with a {CAPTION}; give the folder that "
            "does.")
    return found


def _line(name: str, video: Path, scores: VideoScores) -> dict:
    """A case's line: everything about its people but the rows of single frames, and what the rest comes to."""
    people, identity = {} if scores.people is None else scores.people.as_json(), scores.identity
    people.pop("frames", None)
    second = None if identity is None else identity.second_embedder
    return {
        "case": name, "video": video.name, "people": scores.subjects, **people,
        "score": None if identity is None else identity.score,
        "score_name": None if identity is None else identity.embedder.score,
        "second_score": None if identity is None else identity.second_score,
        "second_score_name": None if second is None else second.score,
        "swap_rate": None if identity is None else identity.order.rate,
        "switches": None if identity is None else len(identity.switches.events),
        "measure": scores.measure, "leakage": scores.leakage, "win_rate": scores.win_rate,
        "dynamic": None if scores.motion is None else scores.motion.dynamic,
        "left_out": [*scores.left_out, *(() if scores.attributes is None else scores.attributes.notes)],
    }


def _annotated(frames: VideoFile, scores: VideoScores, seen: Sequence[Any]) -> Iterator[np.ndarray]:
    watched = {frame.index: frame for frame in seen}
    for index, pixels in enumerate(frames):
        if index in watched and scores.identity is not None:
            yield annotate_frame(pixels, watched[index], scores.identity)
        elif index in watched:
            yield number_faces(pixels, watched[index])


def _json_bytes(values: object, indent: int | None = None) -> bytes:
    """Strict JSON in UTF-8; half characters, as in names of another encoding, as JSON spells them."""
    return strict_json(values, indent).encode(errors="backslashreplace")


def _shown(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value
