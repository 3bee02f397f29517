"""Videos of photographed people, pasted together: still, swapped halfway, leaving, or walking past each other."""

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from lumosx_core.cases.reading import load_case
from lumosx_core.faces.centerface import CenterFace
from lumosx_core.faces.crop import Margins, crop_box
from lumosx_core.scores.people import Person, people_of

CASES = Path(__file__).parents[3] / "shared" / "cases"
WIDTH, HEIGHT, FACE_HEIGHT = 480, 240, 170
LEFT, RIGHT = 130, 350
BACKDROP = (96, 104, 112)


def people_of_case(name):
    """The people of a folder in shared/cases."""
    return people_of(load_case(CASES / name).scene)


@cache
def people_of_photograph():
    """The six people of InsightFace's t1.jpg, from left to right."""
    path = Path(find_spec("insightface").submodule_search_locations[0], "data", "images", "t1.jpg")
    pixels = np.array(Image.open(path).convert("RGB"))
    faces = sorted(CenterFace().detect(pixels), key=lambda face: face.centre[0])
    boxes = [crop_box(face, Margins(), pixels.shape[1], pixels.shape[0]) for face in faces]
    return [Person(f"person {number}", pixels[top:bottom, left:right])
            for number, (left, top, right, bottom) in enumerate(boxes, 1)]


def altered(picture, scale=1.0, brightness=1.0, mirror=False, quality=95):
    """A copy of a picture, FACE_HEIGHT * scale high, as another photograph might show it."""
    image = Image.fromarray(picture)
    height = round(FACE_HEIGHT * scale)
    image = image.resize((max(1, round(image.width * height / image.height)), height), Image.Resampling.BICUBIC)
    image = ImageEnhance.Brightness(ImageOps.mirror(image) if mirror else image).enhance(brightness)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content)


def frame_of(*placed):
    """A frame with pictures, given as (PIL picture, x of its middle); a later one covers an earlier one."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), BACKDROP)
    for picture, middle in placed:
        canvas.paste(picture, (round(middle - picture.width / 2), HEIGHT - picture.height - 10))
    return np.array(canvas)


def still_video(first, second, frames=12, swap_at=None, leaves_at=None, **changes):
    """Two people side by side with slight movement; ``leaves_at`` takes the second one away."""
    video = []
    for index in range(frames):
        people = [altered(person.picture, **{"scale": 0.9 + 0.01 * (index % 4), "brightness": 1 + 0.02 * (index % 5),
                                             "quality": 80 + index % 10, **changes}) for person in (first, second)]
        swapped = swap_at is not None and index >= swap_at
        places = [(people[swapped], LEFT + index % 3), (people[1 - swapped], RIGHT - index % 3)]
        gone = leaves_at is not None and index >= leaves_at
        video.append(frame_of(*(place for place in places if not (gone and place[0] is people[1]))))
    return video


def walking_video(first, second, frames=21):
    """Two people who walk past each other, the first one in front."""
    video = []
    for index in range(frames):
        share = index / (frames - 1)
        places = (altered(second.picture, 0.9), RIGHT + share * (LEFT - RIGHT)), \
            (altered(first.picture, 1.0), LEFT + share * (RIGHT - LEFT))
        video.append(frame_of(*places))
    return video
