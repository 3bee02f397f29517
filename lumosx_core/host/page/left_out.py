"""Pictures that the page leaves out of a prompt, since their nodes are muted or bypassed to compare.

The host refuses a prompt that lacks a required input before any node is asked. An object or a background whose picture
is left out still has its words, so it gets a picture of None, which its node takes for words only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

PICTURES = {"LumosX_Object": "image", "LumosX_Background": "image"}
"""The required picture of each node that can do without."""
_WORDS = "phrase"


def register() -> None:
    """Let the server of this process ask ``with_words_alone`` about every prompt; once, and only where there is one."""
    running = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if running is not None and with_words_alone not in running.on_prompt_handlers:
        running.add_on_prompt_handler(with_words_alone)


def with_words_alone(request: dict[str, Any]) -> dict[str, Any]:
    """A request to queue a prompt, in which nodes with words and without a picture have None for it.

    What is sent is a stranger's: anything that is not a prompt is returned as it is, for the host to refuse.
    """
    graph = request.get("prompt") if isinstance(request, dict) else None
    lacking = {key: node for key, node in graph.items() if _lacks_picture(node)} if isinstance(graph, dict) else {}
    if not lacking:
        return request
    filled = {
        key: {**node, "inputs": {**node["inputs"], PICTURES[node["class_type"]]: None}} for key, node in lacking.items()
    }
    return {**request, "prompt": {**graph, **filled}}


def _lacks_picture(node: Any) -> bool:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    kind = node["class_type"] if isinstance(inputs, Mapping) and isinstance(node.get("class_type"), str) else ""
    if kind not in PICTURES or PICTURES[kind] in inputs:
        return False
    words = inputs.get(_WORDS)
    # Linked words are known only when the node runs.
    return isinstance(words, list) or isinstance(words, str) and bool(words.strip())
