"""Core's cache nodes on a MODEL."""

from __future__ import annotations


def with_cache(model, node: str):
    """The MODEL behind a node of ``comfy_extras.nodes_easycache``, with the node's defaults."""
    import comfy_extras.nodes_easycache as nodes

    kind = getattr(nodes, node)
    defaults = {entry.id: entry.default for entry in kind.define_schema().inputs if entry.id != "model"}
    return kind.execute(model, **defaults)[0]
