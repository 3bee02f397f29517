"""What pictures for people to look at share: boxes that end at the edge, and words on a coloured ground."""

from __future__ import annotations

from PIL import ImageDraw, ImageFont, __version__

from ..packages import too_old

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def pixel_box(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels of a box inside a picture of this width and height; at least one."""
    left, top, right, bottom = (round(side) for side in box)
    left, top = min(max(left, 0), size[0] - 1), min(max(top, 0), size[1] - 1)
    return left, top, max(left, min(right, size[0] - 1)), max(top, min(bottom, size[1] - 1))


def font_of(size: int) -> Font:
    """Pillow's own font.

    Args:
        size: the height of its letters, in pixels.

    Raises:
        LumosXError: Pillow is older than 10.1, which brought it.
    """
    try:
        return ImageFont.load_default(size=size)
    except TypeError as error:
        raise too_old("PIL", "font of any size", __version__, "10.1") from error


def label(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, ground: Colour, ink: Colour,
    font: Font, above: bool = False,
) -> None:
    """Words on a coloured ground, pushed inside the picture from the right.

    Args:
        place: x and y of the ground's upper left corner.
        above: the ground stands on ``place`` instead, where there is room for it.
    """
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = max(2, (bottom - top) // 4)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(place[0], draw.im.size[0] - width))
    y = place[1] - height if above and place[1] >= height else place[1]
    draw.rectangle((x, y, x + width, y + height), fill=ground)
    draw.text((x + pad - left, y + pad - top), text, fill=ink, font=font)
