"""ComfyUI's modules in this process, for what needs no server."""

import sys

from tools import stand_ins


def prepare(comfyui, cpu, base=None):
    """Let this process import comfy, folder_paths and ComfyUI's own nodes, without writing into that ComfyUI.

    `cpu` keeps it off any card; `base` (default: ComfyUI's own) is where its models and outputs are.
    """
    # First: this repository has a package `nodes` as well.
    sys.path.insert(0, str(comfyui))
    stand_ins.install()
    from comfy.cli_args import args

    args.cpu = args.cpu or cpu
    if base is not None:
        args.base_directory = str(base)
