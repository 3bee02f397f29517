"""Score one video, or a folder of them against a folder of cases, into files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import LumosXError
from ..files import unfinished_beside
from ..media.case_folder import CAPTION, Case, load_case
from .annotate import annotate_frame
from .identity_report import identity_report
from .models import ScoreModels
from .pairing import VIDEO_ENDINGS, pair_videos
from .people import people_of
from .plot import as_png, plot_identity
from .summary import IdentityPlan, IdentityScores, score_identity
from .table import markdown_table
from .video import VideoFile, write_video
from .watching import Tick

GROUPS = {1: "1 person", 2: "2 people", 3: "3 people"}
_MEANS = ("score", "second_score", "swap_rate", "switches")


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

        As in the release, a group's score is the mean over its videos; cases without a score do not count.
        """
        scored = [line for line in self.lines if "error" not in line]
        groups = {name: [line for line in scored if line["people"] == people] for people, name in GROUPS.items()}
        return {name: {"cases": len(lines), **{key: _mean([line[key] for line in lines]) for key in _MEANS}}
                for name, lines in {**groups, "overall": scored}.items()}

    def report(self) -> str:
        """A table of the cases, one of the means, and what went wrong."""
        cases = [[line["case"], line.get("people"), *(line.get(key) for key in _MEANS)] for line in self.lines]
        means = [[name, group["cases"], *(group[key] for key in _MEANS)] for name, group in self.means().items()]
        heads = ["Score", "Second score", "Order swap rate", "Identity switches"]
        failures = [f"- **Warning:** Case {line['case']} has no score: {line['error']}" for line in self.failed]
        return "\n\n".join([
            markdown_table(["Case", "People", *heads], cases), markdown_table(["Mean over", "Cases", *heads], means),
            *(["\n".join(failures)] if failures else []),
        ])


def score_video(
    video: Path, case: Case, models: ScoreModels, plan: IdentityPlan, out: Path | None, tick: Tick
) -> IdentityScores:
    """Score a video file against a case; with ``out`` write scores.json, plot.png and annotated.mp4 into that folder.

    Raises:
        LumosXError: no readable video, or what ``score_identity`` raises.
    """
    frames = VideoFile(video)
    scores = score_identity(frames, people_of(case.scene), models, replace(plan, fps=frames.fps), tick)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(scores.as_json(), ensure_ascii=False, allow_nan=False, indent=1)
        _write(out / "scores.json", text.encode())
        _write(out / "plot.png", as_png(plot_identity(scores)))
        write_video(_annotated(frames, scores), out / "annotated.mp4", frames.fps / plan.every)
    return scores


def score_folder(
    videos: Path, root: Path, models: ScoreModels, plan: IdentityPlan, out: Path | None, tick_of: Callable[[str], Tick]
) -> BatchResult:
    """Score every case below ``root`` by its video in ``videos``; a case that cannot be scored is named, not skipped.

    With ``out``, each case has its files in a folder of its name, scores.jsonl one line for each case, and means.json
    the means.

    Args:
        tick_of: makes a case's tick from its name.

    Raises:
        LumosXError: no case, or no video at all.
    """
    cases = _cases(root)
    files = sorted(path for path in videos.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
    if not files:
        raise LumosXError(f"video: {videos} holds no video ({', '.join(VIDEO_ENDINGS)}); give the folder that does.")
    samples = {name: case.name for name, case in cases.items() if isinstance(case, Case)}
    paired = pair_videos(samples, files)
    lines = []
    for name, case in cases.items():
        video = paired.get(name, case)
        if isinstance(video, LumosXError):
            lines.append({"case": name, "error": str(video)})
            continue
        own = None if out is None else out / name
        try:
            lines.append(_line(name, video, score_video(video, case, models, plan, own, tick_of(name))))
        except LumosXError as error:
            lines.append({"case": name, "video": video.name, "error": str(error)})
    result = BatchResult(tuple(lines))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
        _write(out / "scores.jsonl", text.encode())
        _write(out / "means.json", json.dumps(result.means(), allow_nan=False, indent=1).encode())
    return result


def describe(scores: IdentityScores, case: Case) -> str:
    """The report of one video, with what was left out of its case."""
    return "\n\n".join([identity_report(scores), *(f"- **Note:** {note}" for note in case.notes)])


def _cases(root: Path) -> dict[str, Case | LumosXError]:
    """Every folder with a caption, by its name; what cannot be read keeps the sentence that says why."""
    found: dict[str, Case | LumosXError] = {}
    for folder in sorted(root.iterdir()):
        if (folder / CAPTION).is_file():
            try:
                found[folder.name] = load_case(folder)
            except LumosXError as error:
                found[folder.name] = error
    if not found:
        raise LumosXError(f"case: {root} holds no case, that is a folder with a {CAPTION}; give the folder that does.")
    return found


def _line(name: str, video: Path, scores: IdentityScores) -> dict:
    """A case's line: everything but the rows of single frames."""
    row = scores.as_json()
    del row["frames"]
    return {
        "case": name, "video": video.name, "people": len(scores.names), **row,
        "score": scores.score, "score_name": scores.judge.score,
        "second_score": scores.second_score,
        "second_score_name": None if scores.second_judge is None else scores.second_judge.score,
        "swap_rate": scores.order.rate, "switches": len(scores.switches.events),
    }


def _annotated(frames: VideoFile, scores: IdentityScores) -> Iterator[np.ndarray]:
    watched = {frame.index: frame for frame in scores.frames}
    return (annotate_frame(pixels, watched[index], scores) for index, pixels in enumerate(frames) if index in watched)


def _write(target: Path, content: bytes) -> None:
    with unfinished_beside(target) as part:
        part.write_bytes(content)
        part.replace(target)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
