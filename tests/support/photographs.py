"""Real photographs that lie where the tests run: two inside installed packages, and the project's own cases."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

CASES = Path(__file__).parents[3] / "shared" / "cases"


def read(path):
    """A picture file as RGB [H, W, 3] uint8."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def astronaut_file():
    """One woman, 512 x 512."""
    return Path(find_spec("skimage").submodule_search_locations[0], "data", "astronaut.png")


def six_people_file():
    """Six people at a table, 1280 x 886; from the left the third looks straight and the fifth far aside."""
    return Path(find_spec("insightface").submodule_search_locations[0], "data", "images", "t1.jpg")


def case_faces():
    """The face crops of the release's cases by name, in order; none without the photographs."""
    return {
        f"{path.parents[2].name}/{path.parent.name}": read(path)
        for path in sorted(CASES.glob("*/subjects/*/face_*.png"))
    }
