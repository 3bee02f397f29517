"""Pictures that the board knows by their file only, read as ComfyUI's Load Image will read them."""

from __future__ import annotations

import functools
import os
import stat
import sys

import folder_paths
from PIL import Image

from ...media.sketch import Sketch

# By content, not by name; nothing else is opened here. Pillow reads MPO as JPEG, and knows no reader of that name.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_MOST_BYTES = 64 << 20
_MOST_PIXELS = 16_000_000
_KEPT = 256


def sketch_of_file(name: str) -> Sketch | None:
    """The thumbnail of Load Image's picture of this name; None if it is not an ordinary picture.

    Args:
        name: as the widget of Load Image has it, e.g. "folder/a.png [output]". Only ComfyUI's own folders are read.
    """
    try:
        path = os.path.realpath(folder_paths.get_annotated_filepath(name))
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES or not _is_inside(path):
        return None
    return _sketch(name, path, state.st_mtime_ns, state.st_size)


def _is_inside(path: str) -> bool:
    roots = folder_paths.get_input_directory(), folder_paths.get_output_directory(), folder_paths.get_temp_directory()
    return any(path.startswith(os.path.realpath(root) + os.sep) for root in roots)


@functools.lru_cache(maxsize=_KEPT)
def _sketch(name: str, path: str, changed: int, size: int) -> Sketch | None:
    """``changed`` and ``size`` belong to the key only: a file that changes is read again."""
    load_image = getattr(sys.modules.get("nodes"), "LoadImage", None)
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            if load_image is None or picture.width * picture.height > _MOST_PIXELS:
                return None
        return Sketch.of(load_image().load_image(name)[0][..., :3])
    except Exception:
        # Load Image will say what is wrong with it when it runs.
        return None
