"""LumosX without ComfyUI: plain PyTorch rooms, of which only ``host`` imports ``comfy``."""
