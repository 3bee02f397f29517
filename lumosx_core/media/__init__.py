"""Pictures: from what a graph or a folder holds to what the model was trained on."""

from .pictures import from_image, letterbox, one_picture, to_image

__all__ = ["from_image", "letterbox", "one_picture", "to_image"]
