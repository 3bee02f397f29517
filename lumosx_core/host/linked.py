"""What is linked behind LumosX Relational Encode in the graph that runs: which model samples, and for how many passes.

Everything is read from the graph as it was queued, which a stranger may have sent: any value can be of any kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import LumosXError
from ..models.wan.config import WanConfig
from ..tiny.trained import TRAINED
from ..weights.opening import open_weights
from ..weights.precision import Stored
from ..weights.transformer import find_transformer
from .graph import encoders_of, running_graph
from .weights.checkpoints import find_file, folder_meant, made_file, state_of

GraphNodes = Mapping[str, Any]
_LATENTS = ("latent_image", "latent")
_TINY = "LumosX_TinyModels"
_FP8 = "fp8"
_PLAIN = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class LinkedModel:
    """The weight file of a model.

    Attributes:
        name: of the file.
        shape: the model's sizes.
        nbytes: of the weights as they are loaded.
    """

    name: str
    shape: WanConfig
    nbytes: int


@dataclass(frozen=True)
class LinkedRun:
    """A sampler behind an encoder.

    Attributes:
        setting: everything in the graph that the speed of a forward depends on, as text.
        forwards: of the model, those of the negative counted by themselves; None if the graph does not tell.
        model: None if it is unknown.
    """

    setting: str
    forwards: int | None
    model: LinkedModel | None


def runs_behind() -> list[LinkedRun]:
    """The samplers that get the conditionings of the encoder that runs; none outside of a server."""
    running = running_graph()
    if running is None:
        return []
    graph, encoder = running
    return [read_run(graph, node) for node in graph if _is_sampler(graph, node) and encoder in encoders_of(graph, node)]


def own_run() -> LinkedRun | None:
    """The sampler that runs; None outside of a server, and for a node that is not known as a sampler."""
    running = running_graph()
    return read_run(*running) if running is not None and _is_sampler(*running) else None


def read_run(graph: GraphNodes, node: str) -> LinkedRun:
    """What the graph says of a sampler."""
    inputs, guider = _inputs(graph, node), _linked(graph, node, "guider")
    source = _source(inputs.get("model") if guider is None else _inputs(graph, guider).get("model"))
    nodes = _model_nodes(graph, source)
    words = {name: value for name, value in inputs.items() if isinstance(value, str)}
    solver = _linked(graph, node, "sampler")
    setting = [
        _class(graph, node), words, guider and _class(graph, guider), solver and [_class(graph, solver), {
            name: value for name, value in _inputs(graph, solver).items() if isinstance(value, str)
        }],
        _nodes_alike(graph, nodes),
    ]
    return LinkedRun(json.dumps(setting, sort_keys=True, default=repr), _forwards(graph, node), _model(graph, nodes))


def _is_sampler(graph: GraphNodes, node: str) -> bool:
    inputs = _inputs(graph, node)
    names = {name for name, value in inputs.items() if _source(value) is not None}
    return bool(names & {"model", "guider"}) and bool(names & set(_LATENTS))


def _forwards(graph: GraphNodes, node: str) -> int | None:
    """Steps, those with guidance counted twice."""
    inputs = _inputs(graph, node)
    schedule = _linked(graph, node, "sigmas")
    guider = _linked(graph, node, "guider")
    timed = inputs if schedule is None else _inputs(graph, schedule)
    guided_by = inputs if guider is None else _inputs(graph, guider)
    steps = _whole(timed.get("steps"))
    start = _whole(inputs.get("start_step", inputs.get("start_at_step", 0)))
    end = _whole(inputs.get("end_step", inputs.get("end_at_step", steps)))
    guidance_end = _whole(timed.get("guidance_end_step", steps))
    # A guider without a strength has one conditioning only.
    cfg = guided_by.get("cfg", 1)
    if steps is None or start is None or end is None or guidance_end is None or not isinstance(cfg, int | float):
        return None
    first, last = max(0, start), min(end, steps)
    guided = 0 if cfg == 1 else max(0, min(last, guidance_end) - first)
    return max(0, last - first) + guided or None


def _model_nodes(graph: GraphNodes, node: str | None) -> list[str]:
    """The node that gives a model, and all that lead to it, in an order that does not depend on their ids."""
    # A dict keeps its order, and is quick to look into.
    found, waiting = {}, [node]
    while waiting:
        node = waiting.pop()
        if node is None or node in found:
            continue
        found[node] = True
        waiting += [_source(value) for _, value in sorted(_inputs(graph, node).items(), reverse=True)]
    return list(found)


def _nodes_alike(graph: GraphNodes, nodes: list[str]) -> list[Any]:
    """Class and inputs of each node, with links to the places of their nodes instead of their ids."""
    place = {node: number for number, node in enumerate(nodes)}
    return [
        [_class(graph, node), {
            name: value if (source := _source(value)) is None else [place[source], value[1]]
            for name, value in _inputs(graph, node).items()
        }]
        for node in nodes
    ]


def _model(graph: GraphNodes, nodes: list[str]) -> LinkedModel | None:
    """The one model that the nodes load, if it is one."""
    found = {}
    for node in nodes:
        inputs = _inputs(graph, node)
        is_fp8 = str(inputs.get("weight_dtype", "")).startswith(_FP8)
        places = [TRAINED] if _class(graph, node) == _TINY else map(_weights_named, inputs.values())
        found |= {path: is_fp8 for path in places if path is not None}
    if len(found) != 1:
        return None
    [(path, is_fp8)] = found.items()
    try:
        return read_model(path, is_fp8)
    except (LumosXError, OSError):
        # The loader says so itself.
        return None


def _weights_named(value: Any) -> Path | None:
    """The weight file that a value names, or the folder that it will be made from."""
    folder = folder_meant(value)
    if folder is not None:
        return made_file(folder)
    place = find_file(value) if isinstance(value, str) else None
    return place if place is not None and place.is_file() else None


def read_model(path: Path, is_fp8: bool = False) -> LinkedModel:
    """What a weight file says of its model.

    Args:
        path: a file, or a checkpoint folder that is loaded in bf16.
        is_fp8: whether the loader casts plain weights to 8 bits.

    Raises:
        LumosXError: it is not a transformer of this kind.
    """
    return _read_model(path, is_fp8, state_of(path))


@lru_cache(maxsize=16)
def _read_model(path: Path, is_fp8: bool, state: str) -> LinkedModel:
    with open_weights(path) as source:
        infos = {name: source.tensors[stored] for name, stored in find_transformer(source).items()}
    kinds = {name: "BF16" if path.is_dir() else info.kind for name, info in infos.items()}
    kinds = {name: "F8_E4M3" if is_fp8 and kind in _PLAIN else kind for name, kind in kinds.items()}
    nbytes = sum(Stored(name, kinds[name], info.shape).nbytes for name, info in infos.items())
    return LinkedModel(path.name, WanConfig.of_shapes({name: info.shape for name, info in infos.items()}), nbytes)


def _whole(value: Any) -> int | None:
    return int(value) if type(value) in (int, float) and value == value and abs(value) < 1e9 else None


def _inputs(graph: GraphNodes, node: str) -> Mapping[str, Any]:
    inputs = graph[node].get("inputs") if isinstance(graph.get(node), dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _class(graph: GraphNodes, node: str) -> str:
    return str(graph.get(node, {}).get("class_type"))


def _linked(graph: GraphNodes, node: str, name: str) -> str | None:
    """The node that is linked to an input."""
    return _source(_inputs(graph, node).get(name))


def _source(value: Any) -> str | None:
    return str(value[0]) if isinstance(value, list) and len(value) == 2 else None
