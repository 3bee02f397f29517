"""Pictures: from what a graph or a folder holds to what the model was trained on."""

from .pictures import letterbox, one_picture, pil_from_tensor, tensor_from_pil

__all__ = ["pil_from_tensor", "letterbox", "one_picture", "tensor_from_pil"]
