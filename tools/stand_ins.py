"""Stand-ins that let ComfyUI start where no torchvision or torchaudio build matches the installed torch.

On a machine with matching builds nothing is replaced, and torch is not even imported. The opposite is here too: hiding
packages that are installed.
"""

import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import sys
import types

TORCHVISION_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
TORCHAUDIO_MODULES = ("torchaudio", "torchaudio.functional", "torchaudio.transforms")

# torch forgets the operators of a Library object that is no longer referenced.
_libraries = []


def install():
    """Put stand-ins in place of what is missing or cannot be loaded; do nothing where everything works."""
    if _is_installed("torchvision") and not (_was_built_for_this_torch("torchvision") or _loads("torchvision")):
        _declare_torchvision_operators()
    if not _is_installed("torchaudio") or not (_was_built_for_this_torch("torchaudio") or _loads("torchaudio")):
        _replace_torchaudio()


class _Without:
    """Another finder of modules, which does not see some packages, nor that they are installed."""

    def __init__(self, finder, modules, distributions):
        self._finder = finder
        self._modules = modules
        self._distributions = distributions

    def __getattr__(self, name):
        return getattr(self._finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._modules:
            return None
        return self._finder.find_spec(name, path, target)

    def find_distributions(self, *context):
        found = getattr(self._finder, "find_distributions", lambda *_: ())(*context)
        return (one for one in found if one.metadata["Name"].lower() not in self._distributions)


def hide(modules):
    """Let this process find none of some top-level modules and their packages, as if they were not installed."""
    modules = frozenset(modules)
    if not modules:
        return
    distributions = {name for name, own in _installed(tuple(sys.path)) if own & modules}
    sys.meta_path[:] = [_Without(finder, modules, distributions) for finder in sys.meta_path]


@functools.cache
def _installed(path):
    """(name, top-level modules) of the distributions on a path; reading their lists of files takes a second."""
    # By their files: what they say of their modules leaves some out.
    return [
        (one.metadata["Name"].lower(), {file.parts[0].partition(".")[0] for file in one.files or ()})
        for one in importlib.metadata.distributions(path=list(path))
    ]


def hide_for(monkeypatch, modules):
    """``hide`` for one test, of modules too that are imported already."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    hide(modules)
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


def _is_installed(name):
    return name in sys.modules or importlib.util.find_spec(name) is not None


def _was_built_for_this_torch(name):
    """Say from the packages' metadata alone whether `name` belongs to the installed torch.

    Importing torch to find out would come before ComfyUI had a chance to choose the memory allocator.
    """
    try:
        torch_version = importlib.metadata.version("torch")
        own_version = importlib.metadata.version(name)
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return False
    torch_public, _, torch_build = torch_version.partition("+")
    _, _, own_build = own_version.partition("+")
    wanted = [match.group(1) for line in requirements if (match := re.match(r"torch\s*\(?==\s*([\w.]+)", line))]
    return own_build == torch_build and wanted == [torch_public]


def _loads(name):
    try:
        importlib.import_module(name)
    except Exception:
        _forget(name)
        return False
    return True


def _forget(name):
    for module in [module for module in sys.modules if module == name or module.startswith(name + ".")]:
        del sys.modules[module]


def _declare_torchvision_operators():
    """Declare what torchvision's binary would have declared; its Python part then imports without the binary."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in TORCHVISION_OPERATORS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)
    _libraries.append(library)


def _replace_torchaudio():
    """Put empty modules where ComfyUI imports torchaudio; its audio nodes then fail only when they run."""
    for name in TORCHAUDIO_MODULES:
        module = types.ModuleType(name, "Empty stand-in: no torchaudio build matches the installed torch.")
        module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=name == "torchaudio")
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    sys.modules["torchaudio"].__path__ = []
