"""LoRAs that were loaded onto a MODEL and change nothing, found from what the host's patchers remember."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import comfy.hooks
from comfy.weight_adapter import LoRAAdapter

from ..graph import running_graph

_MOST_NODES = 1000


def lora_warnings(patcher: Any, registered: Any = None, hooked: Container[Any] = ()) -> list[str]:
    """One warning for the LoRAs none of whose keys fit the model; the host only prints those keys.

    Args:
        patcher: the ModelPatcher that is about to sample.
        registered: the host's HookGroup of this run, or None.
        hooked: ModelPatchers that ran with hooks, for which the host drew a new id.
    """
    steps = _patched_steps(patcher, hooked)
    useless = [index for index, effective in enumerate(steps) if not effective]
    warnings = []
    names = _loader_names()
    # A graph without a loader has another reason for new patches that hold nothing.
    if useless and names != []:
        found = names or ["which one is in ComfyUI's log, as \"lora key not loaded\" or \"ERROR lora\""]
        if names and len(names) == len(steps):
            found = [names[index] for index in useless]
        one_of = "one of " if names and len(found) > len(useless) else ""
        warnings.append(_sentence("model", f"{one_of}{', '.join(found)}"))
    for hook in registered.get_type(comfy.hooks.EnumHookType.Weight) if registered is not None else ():
        patches = patcher.hook_patches.get(hook.hook_ref)
        if hook.strength_model != 0 and patches is not None and not _counts(patcher, patches):
            warnings.append(_sentence("positive or negative", "one of the hooks"))
    return list(dict.fromkeys(warnings))


def _sentence(source: str, which: str) -> str:
    return (
        f"{source}: a LoRA has no effect, since none of its keys fit this model ({which}); it was made for another "
        "model, or written in another format, such as that of diffusers. Use one for Wan2.1-1.3B in ComfyUI's format."
    )


def _patched_steps(patcher: Any, hooked: Container[Any]) -> list[bool]:
    """For each time that patches were put onto a MODEL, from the loader on: whether any weight got one.

    A patcher draws a new id when it is patched, even with nothing, and remembers whose clone it is.
    """
    steps = []
    while patcher.parent is not None:
        before = patcher.parent
        if patcher.patches_uuid != before.patches_uuid:
            effective = _counts(patcher, patcher.patches) != _counts(patcher, before.patches)
            if effective or (patcher not in hooked and not _otherwise_changed(patcher, before)):
                steps.append(effective)
        patcher = before
    return steps[::-1]


def _otherwise_changed(patcher: Any, before: Any) -> bool:
    """Whether something else than a patch of weights explains a new id."""
    return (
        patcher.model is not before.model
        or patcher.weight_wrapper_patches != before.weight_wrapper_patches
        or patcher.object_patches.get("manual_cast_dtype") != before.object_patches.get("manual_cast_dtype")
    )


def _counts(patcher: Any, patches: Mapping[str, Sequence[tuple]]) -> dict[str, int]:
    """How many patches of each weight fit it; the host leaves the others out, as those for a larger model."""
    counts = {key: sum(_fits(patcher, key, patch) for patch in listed) for key, listed in patches.items()}
    return {key: count for key, count in counts.items() if count}


def _fits(patcher: Any, key: str, patch: tuple) -> bool:
    """Whether a patch has as many numbers as its weight; True for all kinds but plain LoRAs."""
    _, adapter, _, offset, _ = patch
    if type(adapter) is not LoRAAdapter or offset is not None:
        return True
    up, down, _, mid, _, reshape = adapter.weights
    name, _, part = key.rpartition(".")
    if mid is not None or reshape is not None or part != "weight":
        return True
    layer = patcher.model.get_submodule(name)
    # A weight in GGUF blocks has another number of bytes.
    numbers = layer.in_features * layer.out_features if hasattr(layer, "in_features") else layer.weight.numel()
    (outputs, ranks), (rows, inputs) = up.flatten(1).shape, down.flatten(1).shape
    return ranks == rows and outputs * inputs == numbers


def _loader_names() -> list[str] | None:
    """The LoRAs loaded on the way to the node that runs, in the order of loading; None without a graph."""
    running = running_graph()
    if running is None:
        return None
    found = [_lora_of(node) for node in _model_path(*running)]
    return [name for name in found if name][::-1]


def _model_path(graph: Mapping[str, Any], node_id: str) -> Iterator[Mapping[str, Any]]:
    """The nodes that a MODEL came through, backwards from the node that samples."""
    seen: set[str] = set()
    while node_id in graph and node_id not in seen and len(seen) < _MOST_NODES:
        seen.add(node_id)
        inputs = graph[node_id].get("inputs", {})
        yield graph[node_id]
        links = {name: value for name, value in inputs.items() if isinstance(value, list) and len(value) == 2}
        link = next((links[name] for name in ("model", "guider", "model1") if name in links), None)
        if link is None and len(links) == 1:
            (link,) = links.values()
        if link is None:
            return
        node_id = str(link[0])


def _lora_of(node: Mapping[str, Any]) -> str:
    """The files that a LoRA loader names; empty for any other node, and for one that is switched off."""
    inputs = node.get("inputs", {})
    found = [value for name, value in inputs.items() if "lora" in name.lower()]
    found = [value.get("on", True) and value.get("lora") if isinstance(value, Mapping) else value for value in found]
    names = [name for name in found if isinstance(name, str) and name not in ("", "None")]
    if inputs.get("strength_model") == 0:
        return ""
    if not names and "lora" in str(node.get("class_type", "")).lower():
        return str(node["class_type"])
    return ", ".join(names)
