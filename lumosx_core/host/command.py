"""What a command line settles before anything else of ComfyUI is imported."""

from __future__ import annotations


def stay_on_cpu() -> None:
    """Keep ComfyUI off any card; it asks when ``comfy.model_management`` is first imported."""
    from comfy.cli_args import args

    args.cpu = True
