"""The demo's case: two people with the same hair and the same kinds of clothes, and a prompt that names no colour.

Only the relations say whose face and whose things are whose. The small model was trained on none of these fills.
"""

from dataclasses import replace
from pathlib import Path

from lumosx_core.cases import write_case_folder
from lumosx_core.tiny.demo_case import ZOOM
from lumosx_core.tiny.world.cast import DrawnFace, Fill, Surroundings
from lumosx_core.tiny.world.clip import Cast, draw_references
from lumosx_core.tiny.world.figure import DrawnPerson
from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.script import Role, Script, Wear
from lumosx_core.tiny.world.whole import draw_people, whole_scene_of

_CLOTHES = (Wear("jacket"), Wear("hat"))
_HAIR = (120, 66, 30)
SCRIPT = Script(
    roles=(
        Role("woman", "on the left", 34.0, _CLOTHES, "waves"),
        Role("woman", "on the right", 94.0, _CLOTHES, "waves"),
    ),
    place="park", mood="sunny", thing="guitar", together=True,
)
CAST = Cast(
    people=(
        DrawnPerson(
            DrawnFace((250, 214, 186), _HAIR, (72, 116, 158), "long", "none", (21, 90, 140)),
            {
                "jacket": Fill((40, 96, 216), (236, 244, 250), "bars", 9),
                "hat": Fill((226, 40, 36), (226, 40, 36), "plain", 9),
            },
        ),
        DrawnPerson(
            DrawnFace((200, 140, 98), _HAIR, (98, 66, 44), "long", "cheeks", (235, 110, 120)),
            {
                "jacket": Fill((250, 204, 44), (206, 72, 44), "checks", 10),
                "hat": Fill((32, 142, 74), (240, 246, 236), "rows", 9),
            },
        ),
    ),
    thing=Fill((150, 78, 190), (222, 190, 240), "dots", 10),
    surroundings=Surroundings((115, 185, 255), (110, 190, 90), (50, 140, 70), (90, 70, 40), 0.4),
)


def write_similar_case(folder: Path) -> Path:
    """Write the case to a folder that is to be made; the folder."""
    pictures = [picture for _, picture in draw_references(None, SCRIPT, CAST, ZOOM)]
    return write_case_folder(scene_of(SCRIPT, pictures), SCRIPT.prompt, folder.name, folder)


def write_whole_case(folder: Path) -> Path:
    """Write the same two people as whole figures, without the thing, to a folder that does not exist yet; return it."""
    script = replace(SCRIPT, thing="")
    scene = whole_scene_of(script, draw_people(None, script, CAST, ZOOM))
    return write_case_folder(scene, script.prompt, folder.name, folder)
