"""Pictures that the page leaves out of a prompt, since their nodes are muted or bypassed to compare.

The host refuses a prompt that lacks a required input before any node is asked. An object or a background whose picture
is left out still has its words, so it gets a picture of None, which its node takes for words only.
"""

from __future__ import annotations

import sys
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
    if not isinstance(graph, dict):
        return request
    lacking = {key: picture for key, node in graph.items() if (picture := _lacking_picture(node)) is not None}
    if not lacking:
        return request
    filled = {
        key: {**graph[key], "inputs": {**graph[key]["inputs"], picture: None}} for key, picture in lacking.items()
    }
    return {**request, "prompt": {**graph, **filled}}


def _lacking_picture(node: Any) -> str | None:
    """The input of a picture that a node lacks, although it has words."""
    inputs, kind = (node.get("inputs"), node.get("class_type")) if isinstance(node, dict) else (None, None)
    picture = PICTURES.get(kind) if isinstance(kind, str) else None
    if picture is None or not isinstance(inputs, dict) or picture in inputs:
        return None
    words = inputs.get(_WORDS)
    # Linked words are known only when the node runs.
    return picture if isinstance(words, list) or isinstance(words, str) and words.strip() else None
