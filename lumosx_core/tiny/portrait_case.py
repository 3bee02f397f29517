"""The drawn case with faces that detectors made for photographs find, so that its videos can be scored."""

from __future__ import annotations

from pathlib import Path

from .demo_case import SCRIPT, write_demo_case
from .demo_pictures import draw_portraits

CAPTION = f"portraits;{SCRIPT.prompt}"


def write_portrait_case(folder: str | Path) -> Path:
    """Draw the case in the folder format of the LumosX release; its names are those of ``write_demo_case``.

    Args:
        folder: made when missing; files of the same names are replaced.

    Returns:
        The folder.
    """
    folder = write_demo_case(folder)
    for number, (role, portrait) in enumerate(zip(SCRIPT.roles, draw_portraits(), strict=True), 1):
        portrait.save(folder / "subjects" / str(number) / f"face_{role.phrase}.png")
    (folder / "caption.txt").write_text(CAPTION, encoding="utf-8")
    return folder
