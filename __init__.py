"""LumosX for ComfyUI: videos of several people, each with their own face, clothes and things."""

from .nodes import comfy_entrypoint

# Where the page finds the board, the result view and the help pages; it imports every .js file in there.
WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
