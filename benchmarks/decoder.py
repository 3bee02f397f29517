"""What the small VAE paints: how near its pictures come to the drawings, with the learned decoder and without.

    python dev.py bench decoder [--scenes 200] [--decoder FILE] [--json FILE] [--picture FILE]

Scenes are those of two people of ``bench binding``, which no training saw. Their drawings at 256 x 192 are compared to
what is decoded of their own latents (``true``), and of the latents that the small model makes from noise (``made``);
the block transform's pictures are scaled to that size. A pattern is right if the picture is nearest to the same scene
drawn with it, through the same codec, of the five that there are.
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
import torch.nn.functional as F
from PIL import Image

from benchmarks.binding import CFG, FRAMES, SHIFT, STEPS, Bench, Variant, share
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.tiny.codec import world_codec
from lumosx_core.tiny.decoder import painting_codec
from lumosx_core.tiny.trained import DECODER, TRAINED
from lumosx_core.tiny.world.clip import Cast, draw_frames
from lumosx_core.tiny.world.patterns import patterns_found
from lumosx_core.tiny.world.script import Script
from lumosx_core.training.checking import frames_of
from lumosx_core.training.decoder_trainer import ZOOM
from lumosx_core.training.examples import encode_clips
from lumosx_core.training.painting import painted_figures

PEOPLE = 2
SHEET_ROWS, SHEET_QUALITY = 6, 85
BLOCKS, LEARNED = "block transform", "learned decoder"
TRUE, MADE = "true", "made"
Row = tuple[str, str]


class Figures:
    """Collects what is found, by what was decoded and by which decoder."""

    def __init__(self, decoder: Path) -> None:
        self._codecs = {BLOCKS: world_codec(), LEARNED: painting_codec(decoder)}
        self._figures: dict[Row, list[dict]] = defaultdict(list)
        self._patterns: dict[Row, list[bool]] = defaultdict(list)
        self.sheet: list[np.ndarray] = []

    def add(self, script: Script, cast: Cast, made: torch.Tensor, frame: int) -> None:
        """One picture of a clip whose made latent is [16, FRAMES, h, w]."""
        truth = np.asarray(draw_frames(script, cast, FRAMES, ZOOM)[frame])
        latents = {TRUE: encode_clips([script], [cast], FRAMES)[0], MADE: made}
        shown = [truth]
        for kind, latent in latents.items():
            for name, codec in self._codecs.items():
                picture = frames_of(latent[:, frame:frame + 1], codec)[0]
                self._patterns[kind, name] += [
                    right == found for right, found in patterns_found(script, cast, frame, FRAMES, picture, codec)
                ]
                large = _scaled(picture, truth.shape[:2])
                painted = torch.from_numpy(large).permute(2, 0, 1)[None] / 127.5 - 1
                self._figures[kind, name].append(painted_figures(painted, torch.from_numpy(truth.copy())[None]))
                shown.append(large)
        if len(self.sheet) < SHEET_ROWS:
            self.sheet.append(np.concatenate([shown[0], shown[3], shown[4]], axis=1))

    def rows(self) -> Iterator[dict]:
        """One for each kind of latents and decoder."""
        for (kind, name), found in self._figures.items():
            means = {figure: fmean(one[figure] for one in found) for figure in found[0]}
            yield {
                "latents": kind, "decoder": name, "pictures": len(found), **means,
                "patterns": share(self._patterns[kind, name]),
            }


def _scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return F.interpolate(pixels, size, mode="bicubic").clamp(0, 255)[0].permute(1, 2, 0).numpy()


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    lines = [
        "| latents | decoder | PSNR | sharpness | colour error | patterns |", "|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = row["patterns"]
        lines.append(
            f"| {row['latents']} | {row['decoder']} | {row['PSNR']:.1f} dB | {row['sharpness']:.2f} "
            f"| {row['colour error']:.1f} "
            f"| {found['share']:.0%} ({found['low']:.0%} to {found['high']:.0%} of {found['count']}) |"
        )
    return "\n".join(lines)


def main(arguments: list[str], base: Path) -> int:
    """Print the table; write JSON and the sheet of pictures where asked: drawing, block transform, learned decoder."""
    options = _parse(arguments)
    bench = Bench(TRAINED, base, options.scenes, (PEOPLE,))
    figures = Figures(options.decoder)
    plan = {"steps": STEPS, "cfg": CFG, "shift": SHIFT}
    with torch.inference_mode():
        for number, (job, cast, latent) in enumerate(bench.latents(Variant(), plan, options.scenes)):
            print(f"decoder: scene {number + 1} of {options.scenes}", file=sys.stderr, flush=True)
            figures.add(job.script, cast, latent, number % FRAMES)
    rows = list(figures.rows())
    print(f"{describe_machine()}; {rows[0]['pictures']} scenes, {STEPS} steps, cfg {CFG:g}, shift {SHIFT:g}.\n")
    print(table(rows))
    if options.json:
        write_json(options.json, {"machine": describe_machine(), "decoder": options.decoder.name, **plan, "rows": rows})
    if options.picture:
        sheet = Image.fromarray(np.concatenate(figures.sheet).round().astype(np.uint8))
        sheet.save(options.picture, quality=SHEET_QUALITY)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench decoder", description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=200, help="(%(default)s)")
    parser.add_argument(
        "--decoder", type=Path, default=DECODER, metavar="FILE",
        help="a file of dev.py train decoder (the one that ships)",
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="drawing, block transform and learned decoder of a few scenes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True) as folder:
        sys.exit(main(sys.argv[1:], folder))
