"""LumosX for ComfyUI: videos of several people, each with their own face, clothes and things."""

from .nodes import comfy_entrypoint

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
