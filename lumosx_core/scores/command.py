"""Score one video, or a folder of them against a folder of cases, into files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import LumosXError
from ..files import unfinished_beside
from ..media.case_folder import CAPTION, Case, load_case
from ..packages import matplotlib
from .annotate import annotate_frame
from .figures import mean_of_known, strict_json
from .pairing import VIDEO_ENDINGS, pair_videos
from .plot import as_png, plot_attributes, plot_identity, plot_motion
from .presence import number_faces
from .summary import IdentityPlan
from .table import markdown_table
from .video import VideoFile, write_video
from .video_scores import Equipment, TickOf, VideoScores, score_all
from .watching import Tick

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
        told = [f"- **Warning:** Case {line['case']} has no score: {line['error']}" for line in self.failed]
        told += self._notes()
        return "\n\n".join([
            markdown_table(["Case", "People", *_MEANS.values()], cases),
            markdown_table(["Mean over", "Cases", *_MEANS.values()], means),
            *(["\n".join(told)] if told else []),
        ])

    def _notes(self) -> list[str]:
        """What was left out, each sentence once with the cases it is about, the commonest first."""
        cases: dict[str, list[str]] = {}
        for line in self.lines:
            for note in line.get("left_out", ()):
                cases.setdefault(note, []).append(line["case"])
        told = []
        for note, names in sorted(cases.items(), key=lambda entry: -len(entry[1])):
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            told.append(f"- **Note:** Case {names[0]}{others}: {note}")
        more = len(told) - _SHOWN_NOTES
        return [*told[:_SHOWN_NOTES], *([f"- And {more} more, all in scores.jsonl."] if more > 0 else [])]


def score_video(
    video: Path, case: Case, equipment: Equipment, plan: IdentityPlan, out: Path | None, tick_of: TickOf
) -> VideoScores:
    """Score a video file against a case, and note what was left out of either.

    With ``out`` write scores.json into that folder, and of what there is: plot.png of people who are told apart,
    attributes.png, motion.png, and annotated.mp4.

    Raises:
        LumosXError: no readable video, no matplotlib for the plots, or what ``score_all`` raises.
    """
    frames = VideoFile(video)
    if out is not None:
        matplotlib()
    scores = score_all(frames, case.scene, equipment, plan, tick_of)
    scores = replace(scores, notes=(*case.notes, *scores.notes))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = strict_json(scores.as_json(), indent=1)
        _write(out / "scores.json", text.encode())
        for name, part, plot in (
            ("plot", scores.identity, plot_identity), ("attributes", scores.attributes, plot_attributes),
            ("motion", scores.motion, plot_motion),
        ):
            if part is not None:
                _write(out / f"{name}.png", as_png(plot(part)))
        if scores.people is not None:
            write_video(_annotated(frames, scores), out / "annotated.mp4", frames.fps / plan.every)
    return scores


def score_folder(
    videos: Path, root: Path, equipment: Equipment, plan: IdentityPlan, out: Path | None,
    tick_of: Callable[[str, str], Tick],
) -> BatchResult:
    """Score every case below ``root`` by its video in ``videos``; a case that cannot be scored is named, not skipped.

    With ``out``, each case has its files in a folder of its name, scores.jsonl one line for each case, and means.json
    the means.

    Args:
        tick_of: makes the tick of one pass over a video from the names of the case and the pass.

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
            lines.append(_line(name, video, score_video(video, case, equipment, plan, own, partial(tick_of, name))))
        except LumosXError as error:
            lines.append({"case": name, "video": video.name, "error": str(error)})
    result = BatchResult(tuple(lines))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = "".join(strict_json(line) + "\n" for line in lines)
        _write(out / "scores.jsonl", text.encode())
        _write(out / "means.json", strict_json(result.means(), indent=1).encode())
    return result


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


def _line(name: str, video: Path, scores: VideoScores) -> dict:
    """A case's line: everything about its people but the rows of single frames, and what the rest comes to."""
    people, identity = {} if scores.people is None else scores.people.as_json(), scores.identity
    people.pop("frames", None)
    second = None if identity is None else identity.second_judge
    return {
        "case": name, "video": video.name, "people": scores.subjects, **people,
        "score": None if identity is None else identity.score,
        "score_name": None if identity is None else identity.judge.score,
        "second_score": None if identity is None else identity.second_score,
        "second_score_name": None if second is None else second.score,
        "swap_rate": None if identity is None else identity.order.rate,
        "switches": None if identity is None else len(identity.switches.events),
        "measure": scores.measure, "leakage": scores.leakage, "win_rate": scores.win_rate,
        "dynamic": None if scores.motion is None else scores.motion.dynamic,
        "left_out": [*scores.left_out, *(() if scores.attributes is None else scores.attributes.notes)],
    }


def _annotated(frames: VideoFile, scores: VideoScores) -> Iterator[np.ndarray]:
    watched = {frame.index: frame for frame in scores.people.frames}
    for index, pixels in enumerate(frames):
        if index in watched and scores.identity is not None:
            yield annotate_frame(pixels, watched[index], scores.identity)
        elif index in watched:
            yield number_faces(pixels, watched[index])


def _write(target: Path, content: bytes) -> None:
    with unfinished_beside(target) as part:
        part.write_bytes(content)
        part.replace(target)


def _shown(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value
