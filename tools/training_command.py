"""``dev.py train``: lumosx_core.training on the ComfyUI of the tests, whose folders are gone afterwards."""

import sys

from benchmarks.machine import own_comfyui
from tools.server import needs_cpu_flag


def main(arguments=None):
    """Run the command line and return its exit code."""
    with own_comfyui(needs_cpu_flag()):
        from lumosx_core.training.__main__ import main as train

        return train(arguments)


if __name__ == "__main__":
    sys.exit(main())
