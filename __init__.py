"""LumosX for ComfyUI: videos of several people, each with their own face, clothes and things."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
