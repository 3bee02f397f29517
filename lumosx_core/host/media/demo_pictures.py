"""The pictures of the workflow templates, as files in ComfyUI's input folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import folder_paths

from ...files import replacing
from ...tiny.demo_pictures import demo_pictures

_log = logging.getLogger("LumosX")


def place_demo_pictures() -> None:
    """Draw those that the input folder lacks; called once, when ComfyUI starts.

    They lie directly in that folder, because Load Image lists no others. A file that is there already is left as it
    is. A folder that cannot be written costs the templates their pictures, and is a warning in the log.
    """
    folder = Path(folder_paths.get_input_directory())
    try:
        for name, draw in demo_pictures().items():
            # A link that leads nowhere counts too.
            if not os.path.lexists(folder / name):
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(folder / name) as part:
                    draw().save(part, "JPEG" if name.endswith(".jpg") else "PNG", quality=90)
    except OSError as error:
        _log.warning("LumosX: the templates' pictures cannot be put into %s (%s); make it writable.", folder, error)
