"""References and their video in one picture: above, in the colour of whom they belong to, and frames below."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from lumosx_core.cases import load_case
from lumosx_core.media import pil_from_tensor
from lumosx_core.media.video import VideoFile
from lumosx_core.scores.drawing.plot import colour_of

FRAMES = 4
ANIMATION_WIDTH = 1060
WIDTH, GAP, TILE_HEIGHT, LINE = 1280, 12, 132, 22
GREY = (120, 120, 120)


def make_strip(pictures, video):
    """Return the picture of references, as ``case_pictures`` gives them, and a few frames of a video file."""
    frames = _spread([Image.fromarray(frame) for frame in VideoFile(Path(video))])
    return _below(_tiles(pictures, WIDTH), frames)


def make_animation(pictures, videos):
    """Return the frames of a picture that moves: references above, and below them videos of one length side by side.

    Args:
        pictures: as ``case_pictures`` gives them.
        videos: files by the words that are written under each.
    """
    tiles = _tiles(pictures, ANIMATION_WIDTH)
    clips = [[Image.fromarray(frame) for frame in VideoFile(Path(video))] for video in videos.values()]
    return [_below(tiles, frames, list(videos)) for frames in zip(*clips, strict=True)]


def case_pictures(case_folder):
    """Return (picture, phrase, number of its owner or None) for each reference of a case folder."""
    case = load_case(Path(case_folder))
    owners = [None for one in case.scene.non_human if one.image is not None]
    owners += [number for number, subject in enumerate(case.scene.subjects) for _ in subject.references]
    return [(pil_from_tensor(one.image), one.phrase, owner) for one, owner in zip(case.scene.references, owners)]


def _tiles(shown, width):
    """All references in a row, framed in their owners' colours, with their words below."""
    tile_width = (width - GAP * (len(shown) + 1)) // len(shown)
    row = Image.new("RGB", (width, TILE_HEIGHT + LINE + 2 * GAP), (255, 255, 255))
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(14)
    for number, (picture, words, owner) in enumerate(shown):
        left = GAP + number * (tile_width + GAP)
        colour = GREY if owner is None else colour_of(owner)
        tile = ImageOps.pad(picture, (tile_width - 8, TILE_HEIGHT - 8), color=(255, 255, 255))
        draw.rectangle((left, GAP, left + tile_width - 1, GAP + TILE_HEIGHT - 1), outline=colour, width=3)
        row.paste(tile, (left + 4, GAP + 4))
        draw.text((left + tile_width / 2, GAP + TILE_HEIGHT + LINE / 2), words, colour, font, anchor="mm")
    return row


def _below(tiles, frames, words=None):
    """Frames side by side under the tiles, with a line of words under each if there are some."""
    width = (tiles.width - GAP * (len(frames) + 1)) // len(frames)
    height = width * frames[0].height // frames[0].width
    line = LINE + GAP if words else 0
    whole = Image.new("RGB", (tiles.width, tiles.height + height + 2 * GAP + line), (255, 255, 255))
    whole.paste(tiles)
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(16)
    for number, frame in enumerate(frames):
        left = GAP + number * (width + GAP)
        whole.paste(frame.resize((width, height), Image.Resampling.LANCZOS), (left, tiles.height))
        if words:
            middle = left + width / 2, tiles.height + height + GAP + LINE / 2
            draw.text(middle, words[number], (60, 60, 60), font, anchor="mm")
    return whole


def _spread(frames):
    """A few frames from beginning to end."""
    count = min(FRAMES, len(frames))
    return [frames[round(index * (len(frames) - 1) / max(1, count - 1))] for index in range(count)]
