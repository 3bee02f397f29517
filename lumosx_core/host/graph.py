"""The graph that ComfyUI runs right now, as far as a node may want to know what leads to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from comfy_execution.utils import get_executing_context

_ENCODER = "LumosX_RelationalEncode"
_CONDITIONINGS = ("positive", "negative", "cond", "guider")
"""What inputs are called by which conditionings come. A latent can come from an earlier run with references."""


def running_graph() -> tuple[Mapping[str, Any], str] | None:
    """The graph and the id of the node that runs in it; None outside of a server."""
    context = get_executing_context()
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if context is None or server is None:
        return None
    running, _ = server.prompt_queue.get_current_queue_volatile()
    graph = next((item[2] for item in running if item[1] == context.prompt_id), None)
    if graph is None or context.node_id not in graph:
        return None
    return graph, context.node_id


def from_encoder() -> bool:
    """Whether an input of the node that runs comes from LumosX Relational Encode by way of its conditionings."""
    running = running_graph()
    return running is not None and bool(encoders_of(*running))


def encoders_of(graph: Mapping[str, Any], node: str) -> set[str]:
    """The ids of the LumosX Relational Encode nodes that a node gets its conditionings from."""
    waiting, seen, found = [node], set(), set()
    while waiting:
        inputs = graph.get(waiting.pop(), {}).get("inputs", {})
        for name, value in inputs.items():
            if not any(word in name for word in _CONDITIONINGS) or not isinstance(value, list) or len(value) != 2:
                continue
            if (link := (str(value[0]), str(value[1]))) in seen:
                continue
            seen.add(link)
            if graph.get(link[0], {}).get("class_type") != _ENCODER:
                waiting.append(link[0])
            elif link[1] in ("0", "1"):
                found.add(link[0])
    return found
