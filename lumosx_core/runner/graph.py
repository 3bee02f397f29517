"""The workflow of a batch: a graph in ComfyUI's API form, filled in for one case after the other."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import LumosXError

DEMO = Path(__file__).with_name("demo_graph.json")
LOAD_CASE = "LumosX_LoadCase"
_PREFIX = "filename_prefix"
_SEEDS = ("seed", "noise_seed")
_LEAVE_OUT = "leave out"
_MP4_FORMATS = ("auto", "mp4")
_EXPORT = "export it from ComfyUI with Workflow > Export (API)"


@dataclass(frozen=True)
class Graph:
    """A graph with one LumosX Load Case and something that saves.

    Attributes:
        nodes: id -> ``class_type`` and ``inputs``.
        sha256: of the file, as 64 hexadecimal digits.
    """

    nodes: dict[str, dict]
    sha256: str

    @property
    def class_types(self) -> list[str]:
        """What a server must know, each name once."""
        return sorted({node["class_type"] for node in self.nodes.values()})

    @property
    def seed(self) -> int | None:
        """The seed of all its nodes; None when there is none or more than one."""
        seeds = {inputs[name] for inputs, name in _seed_inputs(self.nodes)}
        return seeds.pop() if len(seeds) == 1 else None

    @property
    def full_bodies(self) -> bool:
        """Whether its LumosX Load Case takes pictures of whole persons, or may; a link decides at the server."""
        loader = next(node for node in self.nodes.values() if node["class_type"] == LOAD_CASE)
        return loader["inputs"].get("full_body", _LEAVE_OUT) != _LEAVE_OUT

    def with_seed(self, seed: int) -> Graph:
        """The same graph with every seed that is typed, not linked, set to one number."""
        nodes = copy.deepcopy(self.nodes)
        for inputs, name in _seed_inputs(nodes):
            inputs[name] = seed
        return Graph(nodes, self.sha256)

    def filled(self, case: str, prefix: str) -> dict[str, dict]:
        """A graph for one case.

        Args:
            case: its name at the server, as LumosX Load Case takes it.
            prefix: what the names of its outputs begin with, under the server's output folder, with ``/``.
        """
        nodes = copy.deepcopy(self.nodes)
        for node in nodes.values():
            if node["class_type"] == LOAD_CASE:
                node["inputs"]["case"] = case
        for node_id, name in self._prefixes(prefix).items():
            nodes[node_id]["inputs"][_PREFIX] = name
        return nodes

    def video_prefixes(self, prefix: str) -> list[str] | None:
        """The prefixes of its MP4 files; None when it saves anything else too, whose names are not known."""
        prefixes = self._prefixes(prefix)
        for node_id in prefixes:
            node = self.nodes[node_id]
            if node["class_type"] != "SaveVideo" or node["inputs"].get("format") not in _MP4_FORMATS:
                return None
        return list(prefixes.values())

    def _prefixes(self, prefix: str) -> dict[str, str]:
        savers = [node_id for node_id, node in self.nodes.items() if _PREFIX in node["inputs"]]
        if len(savers) == 1:
            return {savers[0]: prefix}
        return {node_id: f"{prefix}-{plain(node_id)}" for node_id in savers}


def read_graph(path: Path) -> Graph:
    """Read a workflow in API form.

    Raises:
        LumosXError: no such file, a workflow in the page's own form, not one LumosX Load Case, or nothing that saves.
    """
    try:
        data = path.read_bytes()
        nodes = json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise LumosXError(f"workflow: {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise LumosXError(f"workflow: {path} is not JSON ({error}); {_EXPORT}.") from error
    if isinstance(nodes, dict) and isinstance(nodes.get("nodes"), list):
        raise LumosXError(f"workflow: {path} is in the format of ComfyUI's page; {_EXPORT}.")
    if not isinstance(nodes, dict) or not all(map(_is_node, nodes.values())):
        raise LumosXError(f"workflow: {path} is not a graph in API format; {_EXPORT}.")
    cases = sum(node["class_type"] == LOAD_CASE for node in nodes.values())
    if cases != 1:
        raise LumosXError(f"workflow: {path} has {cases} LumosX Load Case nodes; a batch needs exactly one to fill in.")
    if not any(_PREFIX in node["inputs"] for node in nodes.values()):
        raise LumosXError(f"workflow: {path} saves nothing; add a node with a {_PREFIX}, such as Save Video.")
    return Graph(nodes, hashlib.sha256(data).hexdigest())


def plain(name: str) -> str:
    """At most 60 letters, digits, ``-`` and ``_`` of a name, for a file on any system."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]


def _is_node(node: object) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _seed_inputs(nodes: dict[str, dict]) -> Iterator[tuple[dict, str]]:
    for node in nodes.values():
        for name in _SEEDS:
            # A link is a list.
            if isinstance(node["inputs"].get(name), int):
                yield node["inputs"], name
