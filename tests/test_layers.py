"""Imports of the package only go down, and no two files import each other."""

import ast
import graphlib
import re

import pytest

from tools.archive import ROOT

# From the lowest to the highest; the longest name that fits counts. A file imports its own layer and lower ones.
LAYERS = (
    ("errors", "files", "install_line"),
    ("cli", "packages", "untrusted", "validation"),
    ("attention", "media", "sampling"),
    ("models.attention", "models.latents", "models.rotary", "models.text"),
    ("models.wan", "models.hunyuan"),
    ("scene",),
    ("models.lumosx", "models.polyvivid", "models.lynx.file_names"),
    ("models.families",),
    ("weights",),
    ("faces", "models", "models.polyvivid.checkpoint"),
    ("store", "cases"),
    ("scores",),
    ("tiny",),
    ("host",),
    ("host.weights.checkpoints", "host.weights.face_models"),
    ("host.linked",),
    ("host.model",),
    ("host.pace",),
    ("host.conditioning",),
    ("host.sampling",),
    ("host.methods",),
    ("host.weights",),
    ("host.media",),
    ("host.scores", "host.page"),
    ("host.training",),
    ("training",),
    ("runner", "media.batch"),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
CORE = ROOT / "lumosx_core"
FILES = {
    ".".join(path.relative_to(CORE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(CORE.rglob("*.py"))
}


def rank_of(module):
    """The layer of a module, by the longest name that fits."""
    while module not in RANKS:
        module = module.rpartition(".")[0]
    return RANKS[module]


def imports_of(module):
    """The package's modules that a file imports, wherever in the file, those for type checkers too."""
    path = FILES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[:len(package) - node.level + 1], *(node.module or "").split(".")]
            base = ".".join(part for part in base if part)
            for name in node.names:
                full = f"{base}.{name.name}".lstrip(".")
                yield full if full in FILES else base


@pytest.mark.parametrize("module", [module for module in FILES if module])
def test_a_file_imports_its_own_layer_and_lower_ones(module):
    assert [name for name in imports_of(module) if rank_of(name) > rank_of(module)] == []


def test_no_two_files_import_each_other():
    graph = {module: set(imports_of(module)) - {module} for module in FILES if module}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph)


def test_no_two_files_of_the_page_import_each_other():
    graph = {}
    for path in sorted((ROOT / "web").rglob("*.js")):
        names = re.findall(r"from \"(\.[^\"]+)\"", path.read_text(encoding="utf-8"))
        graph[path] = {(path.parent / name).resolve() for name in names}
    assert len(graph) > 30 and any(graph.values())
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_every_file_has_a_layer_and_every_layer_has_files():
    assert all(any(f"{module}.".startswith(f"{name}.") for name in RANKS) for module in FILES if module)
    assert all(any(f"{module}.".startswith(f"{name}.") for module in FILES) for name in RANKS)
