"""``python -m lumosx_core.runner``: a folder of cases through a running ComfyUI, each exactly once."""
