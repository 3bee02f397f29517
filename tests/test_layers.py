"""Imports of the package only go down, and no two files import each other."""

import graphlib
import re

import grimp

from tools.archive import ROOT

# From the lowest to the highest; the longest name that fits counts. A file imports its own layer and lower ones.
LAYERS = (
    ("errors", "files", "install_line"),
    ("cli", "packages", "untrusted", "validation", "whole_folders"),
    ("attention", "media", "sampling"),
    ("models.attention", "models.containers", "models.latents", "models.rotary", "models.text"),
    ("models.wan", "models.hunyuan"),
    ("scene",),
    ("models.lumosx", "models.polyvivid", "models.lynx.file_names"),
    ("models.families",),
    ("weights",),
    ("faces", "models", "models.polyvivid.checkpoint"),
    ("store", "cases"),
    ("people",),
    ("scores",),
    ("repair",),
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
    ("host.repair",),
    ("host.training",),
    ("training",),
    ("runner", "media.batch"),
    ("data",),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
CORE = "lumosx_core."
# import-linter's contract of layers is not enough: it takes no layer that lies inside another one's folder.
GRAPH = grimp.build_graph("lumosx_core", cache_dir=None)
MODULES = sorted(name.removeprefix(CORE) for name in GRAPH.modules if name.startswith(CORE))


def rank_of(module):
    """The layer of a module, by the longest name that fits."""
    while module not in RANKS:
        module = module.rpartition(".")[0]
    return RANKS[module]


def imports_of(module):
    """The package's modules that a file imports, wherever in the file, those for type checkers too."""
    found = GRAPH.find_modules_directly_imported_by(CORE + module)
    return {name.removeprefix(CORE) for name in found if name.startswith(CORE)}


def test_a_file_imports_its_own_layer_and_lower_ones():
    assert len(MODULES) > 200 and "errors" in imports_of("files") | imports_of("cli")
    assert [
        f"{module} imports {name}" for module in MODULES for name in imports_of(module)
        if rank_of(name) > rank_of(module)
    ] == []


def test_no_two_files_import_each_other():
    graph = {module: imports_of(module) - {module} for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph)


def test_no_two_files_of_the_page_import_each_other():
    graph = {}
    for path in sorted((ROOT / "web").rglob("*.js")):
        names = re.findall(r"from \"(\.[^\"]+)\"", path.read_text(encoding="utf-8"))
        graph[path] = {(path.parent / name).resolve() for name in names}
    assert len(graph) > 30 and any(graph.values())
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_every_file_has_a_layer_and_every_layer_has_files():
    assert all(any(f"{module}.".startswith(f"{name}.") for name in RANKS) for module in MODULES)
    assert all(any(f"{module}.".startswith(f"{name}.") for module in MODULES) for name in RANKS)
