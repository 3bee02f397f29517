"""``python -m lumosx_core.media.batch``: a folder of cases through a running ComfyUI, each exactly once."""
