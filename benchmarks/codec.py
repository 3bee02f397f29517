"""What the small VAE leaves of the drawn world, and what it paints of the small model's latents.

    python dev.py bench codec [--scenes 200] [--codec FILE] [--model FILE] [--json FILE] [--picture FILE]

Scenes are those of two people of ``bench binding``, which no training saw. Their drawings at 256 x 192 are compared
with what is decoded of their own latents (``true``), and of the latents that the small model makes from noise
(``made``). A pattern is right if the picture is nearest to the same scene drawn with it, of the five that there are.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image

from benchmarks.binding import CFG, FRAMES, SHIFT, STEPS, Bench, Variant, share
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.trained import CODEC, TRAINED
from lumosx_core.tiny.world.clip import Cast, draw_frames
from lumosx_core.tiny.world.patterns import patterns_found
from lumosx_core.tiny.world.script import Script
from lumosx_core.training.checking import decode_frames
from lumosx_core.training.codec_trainer import ZOOM
from lumosx_core.training.examples import encode_clips, length_of
from lumosx_core.training.painting import motion_figures, painted_figures

PEOPLE = 2
SHEET_ROWS, SHEET_QUALITY = 6, 85
TRUE, MADE = "true", "made"


class Figures:
    """Collects what is found, by what was decoded."""

    def __init__(self, codec: Path) -> None:
        self._codec = load_codec(codec)
        self._figures: dict[str, list[dict]] = defaultdict(list)
        self._patterns: dict[str, list[bool]] = defaultdict(list)
        self.sheet: list[np.ndarray] = []

    def add(self, script: Script, cast: Cast, made: torch.Tensor) -> None:
        """A clip whose made latent is [16, FRAMES, h, w]."""
        length = length_of(FRAMES)
        truth = np.stack([np.asarray(one) for one in draw_frames(script, cast, length, ZOOM)]).astype(np.float32)
        shown = [truth[-1]]
        for kind, latent in ((TRUE, encode_clips(self._codec, [script], [cast], FRAMES)[0]), (MADE, made)):
            video = decode_frames(latent, self._codec)
            for frame in (0, length - 1):
                self._patterns[kind] += [
                    right == found for right, found in patterns_found(script, cast, frame, length, video[frame])
                ]
            painted, drawn = (torch.from_numpy(one).permute(0, 3, 1, 2) / 127.5 - 1 for one in (video, truth))
            self._figures[kind].append(painted_figures(painted, drawn) | motion_figures(painted, drawn))
            shown.append(video[-1])
        if len(self.sheet) < SHEET_ROWS:
            self.sheet.append(np.concatenate(shown, axis=1))

    def rows(self) -> Iterator[dict]:
        """One for each kind of latents."""
        for kind, found in self._figures.items():
            means = {figure: fmean(one[figure] for one in found if figure in one) for figure in found[0]}
            yield {"latents": kind, "clips": len(found), **means, "patterns": share(self._patterns[kind])}


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    lines = [
        "| latents | PSNR | sharpness | colour error | motion | flicker | patterns |", "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = row["patterns"]
        lines.append(
            f"| {row['latents']} | {row['PSNR']:.1f} dB | {row['sharpness']:.2f} | {row['colour error']:.1f} "
            f"| {row['motion']:.2f} | {row['flicker']:.2f} "
            f"| {found['share']:.0%} ({found['low']:.0%} to {found['high']:.0%} of {found['count']}) |"
        )
    return "\n".join(lines)


def main(arguments: list[str], base: Path) -> int:
    """Print the table; write JSON and the sheet of pictures where asked: drawing, true latents, made latents."""
    options = _parse(arguments)
    bench = Bench(options.model, base, options.scenes, (PEOPLE,))
    figures = Figures(options.codec)
    plan = {"steps": STEPS, "cfg": CFG, "shift": SHIFT}
    with torch.inference_mode():
        for number, (job, cast, latent) in enumerate(bench.latents(Variant(), plan, options.scenes)):
            print(f"codec: scene {number + 1} of {options.scenes}", file=sys.stderr, flush=True)
            figures.add(job.script, cast, latent)
    rows = list(figures.rows())
    print(f"{describe_machine()}; {rows[0]['clips']} scenes, {STEPS} steps, cfg {CFG:g}, shift {SHIFT:g}.\n")
    print(table(rows))
    if options.json:
        about = {"machine": describe_machine(), "codec": options.codec.name, "model": options.model.name}
        write_json(options.json, {**about, **plan, "rows": rows})
    if options.picture:
        sheet = Image.fromarray(np.concatenate(figures.sheet).round().astype(np.uint8))
        sheet.save(options.picture, quality=SHEET_QUALITY)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench codec", description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=200, help="(%(default)s)")
    parser.add_argument(
        "--codec", type=Path, default=CODEC, metavar="FILE", help="a file of dev.py train codec (the one that ships)"
    )
    parser.add_argument(
        "--model", type=Path, default=TRAINED, metavar="FILE", help="a file of dev.py train tiny (the one that ships)"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="drawing, and what is painted of true and made latents")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True) as folder:
        sys.exit(main(sys.argv[1:], folder))
