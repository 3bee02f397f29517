"""How much nearer LumosX Face Repair brings a damaged face to its reference, on the small model.

    python dev.py bench face_repair [--clips 32] [--steps 6] [--denoise 0.8] [--crop 128] [--padding 4] [--json FILE]

Clips of the held-out world, which no training ever drew from, are drawn with two people. One face of each is damaged
by a known amount: blurred, or drawn as a stranger's, as when a video has lost somebody's identity. The code of the node
repairs it, with a mask of the head. As in ``bench binding``, the distance to the reference is the mean colour
difference to the same figure drawn with the right face, in the pixels in which the faces of both people differ.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image, ImageFilter

from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import (
    GROUND,
    Cast,
    draw_cast,
    draw_frames,
    draw_references,
    draw_strangers,
    positions,
)
from lumosx_core.tiny.world.figure import HEAD_RADIUS, HEAD_X, HEAD_Y
from lumosx_core.tiny.world.measure import FACE, measure_clip
from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.scenery import HEIGHT, WIDTH
from lumosx_core.tiny.world.script import Script, draw_script

FRAMES, ZOOM = 9, 2
"""Of a clip; the small VAE paints a pixel of the world as two."""
BLURRED, STRANGER = "blurred", "a stranger's face"
DAMAGES = (STRANGER, BLURRED)
BLUR = 10
"""Radius of the blur, in pixels of the clip; a head is 52 pixels wide."""
SEED = 31
_AROUND = 1.2


@dataclass(frozen=True)
class Clip:
    """A clip with one damaged face.

    Attributes:
        damaged: number of the person in the script.
        images: [F, H, W, 3] in [0, 1].
        mask: [F, H, W] of the head.
    """

    script: Script
    cast: Cast
    other: Cast
    damage: str
    damaged: int
    images: torch.Tensor
    mask: torch.Tensor

    def distance(self, images: torch.Tensor) -> float:
        """Of the damaged face to its reference, 0..255."""
        found = measure_clip(self.script, self.cast, self.other, images.numpy() * 255, range(FRAMES), FRAMES)
        return next(
            place.distances[place.owner] for place in found.places
            if place.kind == FACE and place.owner == self.damaged
        ) or 0.0


def clips(count: int) -> Iterator[Clip]:
    """The clips, by turns with each damage."""
    for number in range(count):
        random = np.random.default_rng([SEED, number])
        script = draw_script(random, 2, colour_words=False, same_kinds=True, drop=False, chance_of_exchange=0.0)
        cast, other = (draw_cast(random, script, Split.HELD_OUT) for _ in range(2))
        damaged, damage = int(random.integers(2)), DAMAGES[number % len(DAMAGES)]
        shown = cast
        if damage == STRANGER:
            people = list(cast.people)
            [stranger] = draw_strangers(random, people[damaged].face, 1, Split.HELD_OUT)
            people[damaged] = dataclasses.replace(people[damaged], face=stranger)
            shown = dataclasses.replace(cast, people=tuple(people))
        pictures, mask = draw_frames(script, shown, FRAMES, ZOOM), head_masks(script, damaged)
        if damage == BLURRED:
            pictures = [_blurred(picture, one) for picture, one in zip(pictures, mask)]
        images = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).float() / 255
        yield Clip(script, cast, other, damage, damaged, images, mask)


def head_masks(script: Script, person: int) -> torch.Tensor:
    """[F, H, W]: an ellipse around somebody's head in each frame."""
    rows = (torch.arange(HEIGHT * ZOOM)[:, None] + 0.5) / ZOOM
    columns = (torch.arange(WIDTH * ZOOM)[None] + 0.5) / ZOOM
    masks = []
    for frame in range(FRAMES):
        x, pose = positions(script, frame, FRAMES)[person]
        y = GROUND - pose.lift + HEAD_Y
        across, down = (columns - x) / (_AROUND * HEAD_X), (rows - y) / (_AROUND * HEAD_RADIUS)
        masks.append((across**2 + down**2 <= 1).float())
    return torch.stack(masks)


def _blurred(picture: Image.Image, mask: torch.Tensor) -> Image.Image:
    inside = Image.fromarray((mask.numpy() * 255).astype(np.uint8))
    return Image.composite(picture.filter(ImageFilter.GaussianBlur(BLUR)), picture, inside)


class Bench:
    """The small models, and what the nodes make of a clip's scene.

    Args:
        steps, denoise, cfg, shift, crop, padding: of the repair.
        wrong: repair with the other person's reference, to see what the reference does.
    """

    def __init__(
        self, steps: int, denoise: float, cfg: float, shift: float, crop: int, padding: float, wrong: bool = False
    ):
        from lumosx_core.host.repair.resampling import RepairPlan
        from lumosx_core.host.sampling.sampler import SamplingPlan
        from lumosx_core.host.weights.tiny import LEARNED, load_tiny_models

        self._wrong = wrong
        self._model, self._clip, self._vae = load_tiny_models(LEARNED)
        sampling = SamplingPlan(1, steps, cfg, shift, denoise)
        self._plan = RepairPlan(sampling, crop_size=crop, padding=padding, feather=4)

    def repair(self, clip: Clip, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What LumosX Face Repair makes of a clip: its images and mask."""
        from lumosx_core.host.conditioning.encoder import encode_scene
        from lumosx_core.host.conditioning.one_person import WholeScene
        from lumosx_core.host.conditioning.video_size import VideoSize
        from lumosx_core.host.repair.repair import Whose, repair_faces
        from lumosx_core.host.repair.resampling import Tools

        pictures = [picture for _, picture in draw_references(
            np.random.default_rng([SEED, number, 1]), clip.script, clip.cast)]
        scene = scene_of(clip.script, pictures)
        size = VideoSize(WIDTH, HEIGHT, FRAMES)
        encoded = encode_scene(self._clip, self._vae, scene, clip.script.prompt, "", size)
        tools = Tools(self._model, self._vae, WholeScene(scene, encoded.positive, encoded.negative))
        person = 1 - clip.damaged if self._wrong else clip.damaged
        whose = Whose(clip.script.subjects.index(person) + 1, mask=clip.mask)
        images, mask, _, _ = repair_faces(clip.images, scene, whose, tools, self._plan)
        return images, mask


def measure(bench: Bench, count: int) -> list[dict]:
    """A row for each clip."""
    rows = []
    for number, clip in enumerate(clips(count)):
        started = time.monotonic()
        images, mask = bench.repair(clip, number)
        rows.append({
            "damage": clip.damage, "before": clip.distance(clip.images), "after": clip.distance(images),
            "changed_outside": int(((images != clip.images).any(-1) & (mask == 0)).sum()),
            "seconds": time.monotonic() - started,
        })
        print(f"clip {number + 1} of {count}: {rows[-1]['before']:.1f} -> {rows[-1]['after']:.1f}", file=sys.stderr)
    return rows


def summary(rows: list[dict]) -> dict:
    """Mean distances before and after, and how much less that is."""
    before, after = (fmean(row[name] for row in rows) for name in ("before", "after"))
    return {
        "clips": len(rows), "before": before, "after": after, "fell": 1 - after / before,
        "nearer": sum(row["after"] < row["before"] for row in rows),
        "changed_outside": sum(row["changed_outside"] for row in rows),
        "seconds": fmean(row["seconds"] for row in rows),
    }


def table(found: dict[str, dict]) -> str:
    """The rows as Markdown."""
    lines = [
        "| damage | clips | before | after | fell by | nearer | pixels changed outside |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        lines.append(
            f"| {name} | {one['clips']} | {one['before']:.1f} | {one['after']:.1f} | {one['fell']:.0%} "
            f"| {one['nearer']} | {one['changed_outside']} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(prog="dev.py bench face_repair", description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=32)
    for name, default in (("steps", 6), ("crop", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("denoise", 0.8), ("cfg", 2.0), ("shift", 5.0), ("padding", 4.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--wrong", action="store_true", help="use the other person's reference")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    names = ("steps", "denoise", "cfg", "shift", "crop", "padding", "wrong")
    settings = {name: getattr(options, name) for name in names}
    with torch.inference_mode():
        rows = measure(Bench(**settings), options.clips)
    found = {"all": summary(rows)}
    found |= {damage: summary(own) for damage in DAMAGES if (own := [row for row in rows if row["damage"] == damage])}
    print(f"{describe_machine()}; {settings}.\n\n{table(found)}")
    if options.json:
        result = {"machine": describe_machine(), **settings, "blur": BLUR, "summary": found, "rows": rows}
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    with own_comfyui(cpu=True):
        sys.exit(main(sys.argv[1:]))
