"""A case and its video in one picture: references above, in the colour of whom they belong to, and frames below."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from lumosx_core.cases import load_case
from lumosx_core.media import pil_from_tensor
from lumosx_core.media.video import VideoFile
from lumosx_core.scores.drawing.plot import colour_of

FRAMES = 4
WIDTH, GAP, TILE_HEIGHT, LINE = 1280, 12, 132, 22
GREY = (120, 120, 120)


def make_strip(case_folder, video):
    """Return the picture of a case folder and a video file."""
    case = load_case(Path(case_folder))
    owners = [None] * len(case.scene.non_human)
    owners += [number for number, subject in enumerate(case.scene.subjects) for _ in subject.references]
    tiles = list(zip(case.scene.references, owners))
    tile_width = (WIDTH - GAP * (len(tiles) + 1)) // len(tiles)
    frames = _spread([Image.fromarray(frame) for frame in VideoFile(Path(video))])
    frame_width = (WIDTH - GAP * (len(frames) + 1)) // len(frames)
    frame_height = frame_width * frames[0].height // frames[0].width
    strip = Image.new("RGB", (WIDTH, TILE_HEIGHT + LINE + frame_height + 4 * GAP), (255, 255, 255))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(14)
    for number, (reference, owner) in enumerate(tiles):
        left = GAP + number * (tile_width + GAP)
        colour = GREY if owner is None else colour_of(owner)
        tile = ImageOps.pad(pil_from_tensor(reference.image), (tile_width - 8, TILE_HEIGHT - 8), color=(255, 255, 255))
        draw.rectangle((left, GAP, left + tile_width - 1, GAP + TILE_HEIGHT - 1), outline=colour, width=3)
        strip.paste(tile, (left + 4, GAP + 4))
        draw.text((left + tile_width / 2, GAP + TILE_HEIGHT + LINE / 2), reference.phrase, colour, font, anchor="mm")
    for number, frame in enumerate(frames):
        place = GAP + number * (frame_width + GAP), TILE_HEIGHT + LINE + 2 * GAP
        strip.paste(frame.resize((frame_width, frame_height), Image.Resampling.LANCZOS), place)
    return strip


def _spread(frames):
    """A few frames from beginning to end."""
    count = min(FRAMES, len(frames))
    return [frames[round(index * (len(frames) - 1) / max(1, count - 1))] for index in range(count)]
