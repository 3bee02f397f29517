"""A complete test case of the drawn world: two people, their clothes, an object and a place."""

from __future__ import annotations

from pathlib import Path

from .world.cast import DrawnFace, Fill, Surroundings
from .world.clip import Cast, draw_references
from .world.figure import DrawnPerson
from .world.script import Role, Script, Wear

ZOOM = 6.5
"""832 pixels are as wide as the frame."""

SCRIPT = Script(
    roles=(
        Role("man", "on the left", 34.0, (Wear("jacket", "green"), Wear("hat", "red")), "waves"),
        Role("woman", "on the right", 94.0, (Wear("dress", "yellow"),), "waves"),
    ),
    place="park", mood="sunny", thing="guitar", thing_colour="blue", together=True,
)
CAST = Cast(
    people=(
        DrawnPerson(
            DrawnFace((250, 214, 186), (140, 73, 21), (72, 116, 158), "short", "none", (21, 90, 140)),
            {
                "jacket": Fill((21, 140, 61), (21, 140, 61), "plain", 9),
                "hat": Fill((235, 30, 30), (255, 236, 115), "bars", 9),
            },
        ),
        DrawnPerson(
            DrawnFace((150, 98, 66), (38, 36, 44), (98, 66, 44), "long", "cheeks", (235, 110, 120)),
            {"dress": Fill((250, 208, 40), (235, 110, 40), "dots", 10)},
        ),
    ),
    thing=Fill((40, 90, 220), (115, 190, 255), "rows", 9),
    surroundings=Surroundings((115, 185, 255), (110, 190, 90), (50, 140, 70), (90, 70, 40), 0.4),
)
CAPTION = f"demo;{SCRIPT.prompt}"


def write_demo_case(folder: str | Path) -> Path:
    """Draw a case in the folder format of the LumosX release: ``caption.txt`` and one PNG for each phrase.

    Args:
        folder: made when missing; files of the same names are replaced.

    Returns:
        The folder.
    """
    folder = Path(folder)
    names = [f"background/{SCRIPT.place_phrase}", f"objects/{SCRIPT.thing_phrase}"]
    for number, role in enumerate(SCRIPT.roles, 1):
        names.append(f"subjects/{number}/face_{role.phrase}")
        names += [f"subjects/{number}/{wear.phrase}" for wear in role.wears]
    for name, (_, picture) in zip(names, draw_references(None, SCRIPT, CAST, ZOOM)):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    (folder / "caption.txt").write_text(CAPTION, encoding="utf-8")
    return folder
