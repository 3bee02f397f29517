"""A font that has the letters of a text: Pillow's own, or one of the system's, for Chinese, Japanese and Korean."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from .drawing import Font, font_of

# Names under which Linux, Windows and macOS keep fonts with many letters; Pillow looks in the system's folders.
_SYSTEM = (
    "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "NotoSansSC-Regular.ttf", "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc", "simhei.ttf", "simsun.ttc",
    "malgun.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "STHeiti Medium.ttc", "AppleSDGothicNeo.ttc",
    "Arial Unicode.ttf", "DejaVuSans.ttf",
)
# No font has a letter for it, so what is drawn instead is what is drawn for every missing letter.
_NO_LETTER = "\U0010ffff"


class Fonts:
    """Fonts of one size, looked for once.

    Args:
        size: the height of letters, in pixels.

    Raises:
        LumosXError: Pillow is older than 10.1.
    """

    def __init__(self, size: int):
        self._size = size
        self._opened: list[Font] = [font_of(size)]
        self._names = iter(_SYSTEM)

    def with_letters_of(self, text: str) -> Font | None:
        """The first font that has every letter of a text; None if there is none."""
        for font in self._opened:
            if _has(font, text):
                return font
        for name in self._names:
            try:
                font = ImageFont.truetype(name, self._size)
            except OSError:
                continue
            self._opened.append(font)
            if _has(font, text):
                return font
        return None


def _has(font: Font, text: str) -> bool:
    missing = _drawn(font, _NO_LETTER)
    return all(_drawn(font, letter) != missing for letter in set(text) if not letter.isspace())


def _drawn(font: Font, letter: str) -> bytes:
    """How a font draws a letter, to compare."""
    left, top, right, bottom = font.getbbox(letter)
    picture = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(picture).text((-left, -top), letter, fill=255, font=font)
    return b"%d " % picture.width + picture.tobytes()
