"""The person of the Lynx demo: a drawn face that was never used in training, as two crops for the workflow to load."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from lumosx_core.tiny.lynx_faces import face_crops
from lumosx_core.tiny.world.cast import DrawnFace

FACE = DrawnFace(
    skin=(206, 148, 106), hair=(0, 235, 235), eyes=(255, 115, 162), hair_style="bun", mark="chin",
    mark_colour=(115, 115, 255),
)
ID_CROP, REF_CROP = "lumosx_lynx_id.png", "lumosx_lynx_ref.png"
WORDS = {ID_CROP: "for the ID layers", REF_CROP: "for the reference layers"}


def write_face(folder: Path) -> dict[str, str]:
    """Write both crops, in which the face looks to one side; returns the words for each file name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, crop in zip((ID_CROP, REF_CROP), face_crops(FACE, 0.5)):
        Image.fromarray(crop.numpy()).save(folder / name)
    return WORDS
