"""Rewrites the workflow templates: workflows/*.json, and their API forms in tests/workflows."""

import os
import sys

from tools.client import ComfyClient
from tools.server import ComfyServer
from tools.templates.catalogue import templates
from tools.templates.writing import write_templates


def main():
    """Ask a real server for our nodes' inputs and write the files."""
    with ComfyServer(os.environ["LUMOSX_TEST_COMFYUI"]) as server:
        for path in write_templates(templates(), ComfyClient(server.url).object_info()):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
