"""How often LumosX Who Is Who writes a name on the right person, and whether its labels hide faces.

    python dev.py bench who_is_who [--clips 32] [--zoom 5] [--json FILE]

Clips of the held-out world are drawn, so that it is known who is where: two people, of whom some change places, or
three, and the same with a stranger, whom no reference shows, in the place of one of them. The code of the node names
them. Real face models do not see faces in cartoons, so a stand-in finds heads where they are drawn, unless another head
hides half of them, and a stand-in for the embedder compares colours, cell by cell; its numbers come from the training
world. References are mirrored, turned and scaled views, as in ``bench binding``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.faces.face import Face
from lumosx_core.media.drawing import Box
from lumosx_core.scene.relations import Scene
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import GROUND, draw_cast, draw_frames, draw_references, draw_strangers, positions
from lumosx_core.tiny.world.figure import HEAD_RADIUS, HEAD_X, HEAD_Y
from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.script import Script, draw_script

FRAMES, SEED = 17, 53
_HIDDEN = 0.5
_CELLS = 7
_INSIDE = (0.15, 0.2, 0.85, 0.95)
"""Left, top, right and bottom of the face without hat and hair, as parts of a head."""
_OTHER_PEOPLE = 67.0
"""The mean difference of colour, 0 to 255, between a head and another person's reference in the training world."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip and who is where in it.

    Attributes:
        scene: its relations.
        frames: RGB uint8.
        heads: of each frame, the box of each head that is seen, and whose it is by the number of the subject; None for
            a stranger's.
    """

    scene: Scene
    frames: list[np.ndarray]
    heads: list[list[tuple[Box, int | None]]]


class DrawnFaces:
    """Stands in for the detector and the embedder of face models.

    Args:
        clip: whose heads are known; every other picture is a face in its middle.
    """

    name = "drawn heads"
    measure = "likeness of colours"
    same_person = 0.36
    """Of clips of the training world, 95 % of the heads of other people are less similar to a reference."""

    def __init__(self, clip: Clip):
        self._heads = {
            frame.tobytes(): [box for box, _ in heads] for frame, heads in zip(clip.frames, clip.heads)
        }

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """The heads of a frame, or the middle of a reference."""
        height, width = pixels.shape[:2]
        middle = (0.28 * width, 0.25 * height, 0.72 * width, 0.83 * height)
        boxes = self._heads.get(pixels.tobytes(), [middle])
        return [Face(box, 1.0, np.zeros((5, 2))) for box in boxes]

    def embed_faces(self, pixels: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Mean colours of the cells of each face together with its mirror image, which references may be."""
        picture, crops = Image.fromarray(pixels), []
        for face in faces:
            left, top = face.box[:2]
            inside = [(left, top)[side % 2] + part * (face.width, face.height)[side % 2]
                      for side, part in enumerate(_INSIDE)]
            crop = picture.crop(tuple(map(round, inside))).resize((_CELLS, _CELLS), Image.Resampling.BOX)
            crops.append(np.asarray(crop, np.float32))
        cells = np.stack(crops)
        return ((cells + cells[:, :, ::-1]) / 2).reshape(len(crops), -1)

    def embed_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """The same of whole pictures."""
        return np.concatenate([self.embed_faces(crop, [Face((0, 0, crop.shape[1], crop.shape[0]), 1.0,
                                                            np.zeros((5, 2)))]) for crop in crops])

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """1 for the same colours, 0 on average for two people."""
        return 1 - np.abs(first[:, None] - second[None]).mean(-1) / _OTHER_PEOPLE


def clips(people: int, count: int, zoom: float, stranger: bool) -> Iterator[Clip]:
    """Drawn clips of the held-out world."""
    for number in range(count):
        random = np.random.default_rng([SEED, people, number])
        script = draw_script(random, people, colour_words=False, same_kinds=True, drop=False, chance_of_exchange=0.25)
        cast = draw_cast(random, script, Split.HELD_OUT)
        scene = scene_of(script, [picture for _, picture in draw_references(random, script, cast)])
        away = int(random.integers(people)) if stranger else None
        if away is not None:
            persons = list(cast.people)
            [other] = draw_strangers(random, persons[away].face, 1, Split.HELD_OUT)
            persons[away] = replace(persons[away], face=other)
            cast = replace(cast, people=tuple(persons))
        frames = [np.asarray(frame) for frame in draw_frames(script, cast, FRAMES, zoom)]
        yield Clip(scene, frames, [_heads(script, frame, zoom, away) for frame in range(FRAMES)])


def _heads(script: Script, frame: int, zoom: float, away: int | None) -> list[tuple[Box, int | None]]:
    """The heads that are seen, the first person's in front."""
    seen: list[tuple[Box, int | None]] = []
    for role, (x, pose) in enumerate(positions(script, frame, FRAMES)):
        y = GROUND - pose.lift + HEAD_Y
        box = tuple(zoom * side for side in (x - HEAD_X, y - HEAD_RADIUS, x + HEAD_X, y + HEAD_RADIUS))
        if all(common(box, other) < _HIDDEN * common(box, box) for other, _ in seen):
            seen.append((box, None if role == away else script.subjects.index(role)))
    return seen


def common(first: Sequence[float], second: Sequence[float]) -> float:
    """Pixels that two boxes share."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    return max(0.0, across) * max(0.0, min(first[3], second[3]) - max(first[1], second[1]))


def measure(clip: Clip) -> dict[str, int]:
    """What the code of the node does with a clip, counted over heads and frames."""
    from lumosx_core.host.scores.who_is_who import Seen, marks_of, named_faces
    from lumosx_core.media.marks import MarkPainter
    from lumosx_core.scores.identity.models import ScoreModels
    from lumosx_core.scores.people import people_of

    models = DrawnFaces(clip)
    faces, _ = named_faces(clip.frames, people_of(clip.scene), ScoreModels(models, models))
    height, width = clip.frames[0].shape[:2]
    painter, seen = MarkPainter((width, height)), Seen(faces, [], True)
    counts = dict.fromkeys(
        ("people", "right", "right and sure", "wrong", "wrong and sure", "strangers", "named strangers", "labels",
         "labels on a face", "labels nearest to somebody else"), 0)
    for number, (frame, heads) in enumerate(zip(clip.frames, clip.heads)):
        for named, (_, owner) in zip(faces[number], heads):
            if owner is None:
                counts["strangers"] += 1
                counts["named strangers"] += named.subject is not None and named.sure
                continue
            right = named.subject == owner
            wrong = named.subject is not None and not right
            for key, yes in (("people", True), ("right", right), ("right and sure", right and named.sure),
                             ("wrong", wrong), ("wrong and sure", wrong and named.sure)):
                counts[key] += yes
        painter.paint(frame, list(marks_of(seen, clip.scene, number)))
        boxes = [box for box, _ in heads]
        for own, label in zip(boxes, painter.labels):
            counts["labels"] += 1
            counts["labels on a face"] += any(common(label, box) for box in boxes)
            counts["labels nearest to somebody else"] += min(boxes, key=lambda box: _distance(label, box)) is not own
    return counts


def _distance(label: Box, box: Box) -> float:
    """Between two boxes along both axes, and then between their middles."""
    gap = sum(max(0.0, box[axis] - label[axis + 2], label[axis] - box[axis + 2]) for axis in (0, 1))
    return gap + 1e-3 * sum(abs(box[axis] + box[axis + 2] - label[axis] - label[axis + 2]) for axis in (0, 1))


def table(rows: dict[str, dict[str, int]]) -> str:
    """The rows as Markdown."""
    header = ("clips", "right name", "right and sure", "wrong name", "wrong and sure", "strangers named for sure",
              "labels on a face", "labels nearer to another face")
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for name, one in rows.items():
        people = one["people"]
        parts = [f"{one[key] / people:.1%} of {people}" if key == "right" else f"{one[key] / people:.1%}"
                 for key in ("right", "right and sure", "wrong", "wrong and sure")]
        strangers = f"{one['named strangers'] / one['strangers']:.1%} of {one['strangers']}" if one["strangers"] else ""
        labels = [f"{one[key]} of {one['labels']}" for key in ("labels on a face", "labels nearest to somebody else")]
        lines.append(f"| {' | '.join([name, *parts, strangers, *labels])} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(prog="dev.py bench who_is_who", description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=32, help="of each row (%(default)s)")
    parser.add_argument("--zoom", type=float, default=5, help="pixels of a unit of the world, 128 x 96 (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, int]] = {}
    with torch.inference_mode():
        for people in (2, 3):
            for stranger in (False, True):
                name = f"{people} people" + (", one of them a stranger" if stranger else "")
                counts = [measure(clip) for clip in clips(people, options.clips, options.zoom, stranger)]
                rows[name] = {key: sum(one[key] for one in counts) for key in counts[0]}
                print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
    print(f"{describe_machine()}; {options.clips} clips of {FRAMES} frames a row, zoom {options.zoom}.\n")
    print(table(rows))
    if options.json:
        write_json(options.json, {
            "machine": describe_machine(), "clips": options.clips, "frames": FRAMES, "zoom": options.zoom,
            "same_person": DrawnFaces.same_person, "rows": rows,
        })
    return 0


if __name__ == "__main__":
    with own_comfyui(cpu=True):
        sys.exit(main(sys.argv[1:]))
