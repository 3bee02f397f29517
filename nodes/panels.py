"""What nodes with a panel on them have in common."""

import inspect
from typing import Any

from comfy_api.latest import io


def with_panel() -> dict[str, Any]:
    """For io.Schema: the host sends what a panel shows once more when nothing had to run, where it knows how."""
    known = inspect.signature(io.Schema.__init__).parameters
    return {"has_intermediate_output": True} if "has_intermediate_output" in known else {}
