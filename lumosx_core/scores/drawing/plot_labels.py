"""What the legend of a plot says: names short enough for it, in fonts that have their letters."""

from __future__ import annotations

import textwrap

# So that long phrases leave room for the plot.
_LINE, _LONGEST_NAME = 34, 30
# Draws a box with the script's name in place of every letter there is.
_NO_FONT = "Last Resort"


class Labels:
    """The labels of one plot; made once matplotlib is known to be there.

    Attributes:
        families: the fonts that draw them, the first that has a letter for each.
    """

    def __init__(self):
        from matplotlib import font_manager, rcParams

        self.families = list(rcParams["font.family"])
        self._letters = _letters_of(font_manager.findfont(font_manager.FontProperties()))

    def title(self, subject: int, name: str) -> str:
        """A subject, counted from 0, by number and name; by its number alone if no font has the name's letters."""
        name = self.name(name, "")
        return f"{subject + 1} {name}" if name else f"subject {subject + 1}"

    def name(self, name: str, instead: str) -> str:
        """A user's words, shortened if they are long; ``instead`` if no font has their letters."""
        name = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME - 1].rstrip() + "…"
        return name if self._can_draw(name) else instead

    @staticmethod
    def text(label: str) -> str:
        """Wrapped, and without formulas: a dollar sign would begin one."""
        return textwrap.fill(label, _LINE).replace("$", r"\$")

    def _can_draw(self, name: str) -> bool:
        """Whether a font has every letter; one of the installed is taken along if need be."""
        missing = {ord(letter) for letter in name if not letter.isspace()} - self._letters
        if missing:
            self._take_along(missing)
        return missing <= self._letters

    def _take_along(self, missing: set[int]) -> None:
        from matplotlib import font_manager

        for font in font_manager.fontManager.ttflist:
            if font.style == "normal" and not font.name.startswith(_NO_FONT):
                letters = _letters_of(font.fname)
                if missing <= letters:
                    self.families.append(font.name)
                    self._letters |= letters
                    return


def _letters_of(path: str) -> set[int]:
    """Code points that a font file can draw; none if it cannot be read, as one that was removed since."""
    from matplotlib import font_manager

    try:
        return set(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return set()
