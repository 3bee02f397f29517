"""Crops of drawn clips as a segmenter would cut them out, with what goes wrong: passers-by in front, boxes of two."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import GROUND, draw_cast, draw_frame, positions
from lumosx_core.tiny.world.figure import draw_person
from lumosx_core.tiny.world.pen import Pen
from lumosx_core.tiny.world.scenery import draw_place
from lumosx_core.tiny.world.script import Script, draw_script

FRAMES, ZOOM = 9, 1.0
BRIDGE = -1
_WHITE = 255


@dataclass(frozen=True, eq=False)
class ClipCrops:
    """Crops of one clip, of one frame after the other.

    Attributes:
        pictures: RGB [h, w, 3] uint8, on white.
        frames: the frame of each.
        owners: the person that each shows; BRIDGE for a crop of two.
        script: what the clip is about.
        clip: all frames, RGB [H, W, 3] uint8.
        masks: [frames, people, H, W] bool, where each person is, also behind another.
    """

    pictures: list
    frames: list
    owners: list
    script: Script
    clip: list
    masks: np.ndarray

    @property
    def phrases(self):
        """What each crop was found by; a crop of two by the first one's words."""
        return [self.script.roles[max(owner, 0)].phrase for owner in self.owners]


def draw_clip_crops(seed, twins=False, bridges=2):
    """A clip of two or three people.

    Args:
        twins: the second person has the first one's face.
        bridges: frames with one more crop, which holds two neighbours.
    """
    random = np.random.default_rng(seed)
    script = draw_script(random, people=int(random.integers(2, 4)), drop=False, chance_of_exchange=0.5)
    cast = draw_cast(random, script, Split.TRAIN)
    if twins:
        first, second, *others = cast.people
        cast = replace(cast, people=(first, replace(second, face=first.face), *others))
    backdrop = draw_place(script.place, cast.surroundings, ZOOM)
    with_bridge = set(random.choice(FRAMES, bridges, replace=False).tolist())
    masks_of_all = np.zeros((FRAMES, len(cast.people), backdrop.height, backdrop.width), bool)
    found = ClipCrops([], [], [], script, [], masks_of_all)
    for frame in range(FRAMES):
        pixels = np.asarray(draw_frame(script, cast, backdrop, frame, FRAMES, ZOOM))
        masks = [
            _mask(person, place, backdrop.size) for person, place in zip(cast.people, positions(script, frame, FRAMES))
        ]
        found.clip.append(pixels)
        found.masks[frame] = masks
        shown = [(owner, mask) for owner, mask in enumerate(masks)]
        if frame in with_bridge:
            shown.append((BRIDGE, masks[0] | masks[1]))
        for owner, mask in shown:
            found.pictures.append(_cut(pixels, mask))
            found.frames.append(frame)
            found.owners.append(owner)
    return found


def _mask(person, place, size):
    x, pose = place
    pen = Pen(size, ZOOM)
    draw_person(pen, person, x, GROUND, pose)
    return (np.asarray(pen.finish()) != _WHITE).any(-1)


def _cut(pixels, mask):
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    area = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.where(mask[area][..., None], pixels[area], np.uint8(_WHITE))


def contact(clip):
    """All crops beside each other, to look at."""
    height, width = (max(one.shape[axis] for one in clip.pictures) for axis in (0, 1))
    sheet = Image.new("RGB", (width * len(clip.pictures), height), "white")
    for number, one in enumerate(clip.pictures):
        sheet.paste(Image.fromarray(one), (number * width, 0))
    return sheet
