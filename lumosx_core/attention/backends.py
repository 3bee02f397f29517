"""The attention backends that a user may choose, and whether one of them can work here.

Nothing is imported before it is chosen. What each one takes is what its own code or documentation says: SageAttention
1.0.6, 2.2.0 and 3 (January 2026), flash-attn 2.8, FlashAttention 3, xformers 0.0.35, comfy-kitchen 0.2.31.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import LumosXError
from ..install_line import pip_command
from . import backend_kernels as kernels
from .backend_kernels import Hardware, Kernel, kernel_order, probe

AUTO, PYTORCH = "auto", "pytorch"
_HALF = (torch.float16, torch.bfloat16)
_ALL = (torch.float32, *_HALF)
LONG_CALL = 1 << 13
"""Tokens from which on fp4 is used: the video of a long run, which takes most of the time. A person's pictures, at most
five of 1,560 tokens at 832 x 480, keep full precision."""
_KINDS = {"cuda": "NVIDIA", "rocm": "AMD"}


@dataclass(frozen=True)
class Backend:
    """A package that computes attention, and what it takes.

    Attributes:
        choice: what the user chooses.
        title: its name in messages.
        module: what is imported.
        load: imports it and returns its kernel.
        advice: how to get it, as part of a sentence; ``{pip}`` becomes the call of pip, and ``{torch}`` the
            requirement that keeps torch as it is.
        distribution: the name under which pip knows its version; None where builds have several.
        major: the first number of the version it must have; None for any.
        places: where it runs, "cuda" (NVIDIA) and "rocm" (AMD).
        capability: the least that an NVIDIA card must have.
        below: the capability from which on it does not run; None if there is no such.
        dtypes: of its tensors.
        head_dims: channels that a head may have.
        shared_heads: whether several heads of q may share one of k and v.
        eight_bit: whether it computes in 8 bits or fewer, which costs some accuracy.
        fewest_tokens: of q; shorter calls go to PyTorch.
        least_cosine: what ``probe`` must give.
    """

    choice: str
    title: str
    module: str
    load: Callable[[], Kernel]
    advice: str
    distribution: str | None = None
    major: int | None = None
    places: tuple[str, ...] = ("cuda", "rocm")
    capability: tuple[int, int] = (8, 0)
    below: tuple[int, int] | None = None
    dtypes: tuple[torch.dtype, ...] = _HALF
    head_dims: Container[int] = range(8, 257, 8)
    shared_heads: bool = True
    eight_bit: bool = False
    fewest_tokens: int = 0
    least_cosine: float = kernels.LEAST_COSINE


_LISTED = (
    Backend(
        "sageattention 1", "SageAttention 1", "sageattention", kernels.load_sage_1,
        f"run {{pip}} sageattention==1.0.6{' triton-windows' if os.name == 'nt' else ''} and restart ComfyUI",
        distribution="sageattention", major=1, dtypes=_ALL, head_dims=(64, 96, 128), shared_heads=False, eight_bit=True,
    ),
    Backend(
        "sageattention 2", "SageAttention 2", "sageattention", kernels.load_sage_2,
        "run {pip} --no-build-isolation git+https://github.com/thu-ml/SageAttention and restart ComfyUI (this builds "
        "it, which needs nvcc; on Windows use a wheel from github.com/woct0rdho/SageAttention)",
        distribution="sageattention", major=2, head_dims=range(1, 129), eight_bit=True,
    ),
    Backend(
        "flash attention 2", "FlashAttention 2", "flash_attn", kernels.load_flash_2,
        "run {pip} --no-build-isolation flash-attn {torch} and restart ComfyUI (it has no official build for Windows; "
        "choose pytorch there)",
        distribution="flash-attn", major=2,
    ),
    Backend(
        "flash attention 3", "FlashAttention 3", "flash_attn_interface", kernels.load_flash_3,
        "build the folder hopper of github.com/Dao-AILab/flash-attention with python setup.py install (Linux only)",
        places=("cuda",), capability=(9, 0), below=(10, 0),
    ),
    Backend(
        "xformers", "xformers", "xformers", kernels.load_xformers,
        "run {pip} xformers {torch}, which selects the version for your torch, and restart ComfyUI",
        capability=(5, 0), dtypes=_ALL, shared_heads=False,
    ),
    Backend(
        "comfy-kitchen int8", "comfy-kitchen int8", "comfy_kitchen", kernels.load_kitchen,
        "run {pip} --upgrade comfy-kitchen {torch} and restart ComfyUI (it needs a driver for CUDA 13)",
        capability=(7, 5), dtypes=_ALL, head_dims=range(1, 257), eight_bit=True,
    ),
    Backend(
        "sageattention 3", "SageAttention 3", "sageattn3", kernels.load_sage_3,
        "build the folder sageattention3_blackwell of github.com/thu-ml/SageAttention with python setup.py install (it "
        "needs Python 3.13, torch 2.8 and nvcc of CUDA 12.8)",
        places=("cuda",), capability=(12, 0), head_dims=(64, 128), shared_heads=False, eight_bit=True,
        fewest_tokens=LONG_CALL, least_cosine=kernels.LEAST_COSINE_FP4,
    ),
)
BACKENDS = {backend.choice: backend for backend in _LISTED}
CHOICES = (AUTO, PYTORCH, *BACKENDS)
"""What a user may choose. Saved workflows hold these: only append."""


@dataclass(frozen=True)
class Chosen:
    """A backend that works here.

    Attributes:
        title: its name, in messages and in the log.
        kernel: computes attention.
        backend: what it takes; None for PyTorch, which takes everything.
        note: what the log should say behind the title.
    """

    title: str
    kernel: Kernel
    backend: Backend | None = None
    note: str = ""


def check_choice(choice: str, places: Sequence[Hardware]) -> None:
    """Refuse a choice that none of this hardware supports, as far as can be checked without a model or an import.

    Raises:
        LumosXError: what is missing, and how to get it.
    """
    if choice in (AUTO, PYTORCH):
        return
    if choice not in BACKENDS:
        raise LumosXError(f"backend: {choice} is not a choice; choose one of {', '.join(CHOICES)}.")
    backend = BACKENDS[choice]
    refusals = [_unsuited_hardware(backend, hardware) for hardware in places]
    if all(refusals):
        raise LumosXError(str(refusals[0]))
    missing = _missing_package(backend)
    if missing:
        raise LumosXError(missing)


def resolve_backend(choice: str, hardware: Hardware, device: torch.device, dtype: torch.dtype) -> Chosen:
    """The backend for a choice, imported and tried out on the device.

    Args:
        choice: one of ``CHOICES``. "auto" is the fastest that keeps full precision.
        hardware: what ``device`` is.
        device: where attention will be computed.
        dtype: what in.

    Raises:
        LumosXError: it is missing, or does not run here.
    """
    check_choice(choice, [hardware])
    if choice == PYTORCH:
        return _pytorch(hardware)
    if choice == AUTO:
        return _fastest(hardware, device, dtype)
    backend = BACKENDS[choice]
    if dtype not in backend.dtypes:
        raise LumosXError(
            f"backend: {choice} takes {' and '.join(str(one).removeprefix('torch.') for one in backend.dtypes)}, but "
            f"this model computes in {str(dtype).removeprefix('torch.')}; load it in another precision, or choose auto."
        )
    return Chosen(backend.title, _tried_out(backend, device, dtype), backend)


def _fastest(hardware: Hardware, device: torch.device, dtype: torch.dtype) -> Chosen:
    # On Hopper nothing is faster at full precision; elsewhere PyTorch includes the fastest kernels.
    best = BACKENDS["flash attention 3"]
    if dtype not in best.dtypes or _unsuited_hardware(best, hardware) or _missing_package(best):
        return _pytorch(hardware)
    try:
        return resolve_backend(best.choice, hardware, device, dtype)
    except LumosXError as error:
        pytorch = _pytorch(hardware)
        return replace(pytorch, note=f"{pytorch.note}, since {str(error).removeprefix('backend: ')}")


def _pytorch(hardware: Hardware) -> Chosen:
    order = kernel_order(hardware)
    names = ", ".join(name.partition("_")[0].lower() for name in order)
    return Chosen("PyTorch", kernels.load_pytorch(order), note=f" (kernels in the order {names})" if order else "")


def _unsuited_hardware(backend: Backend, hardware: Hardware) -> str | None:
    needed = f"backend: {backend.choice} needs an {' or '.join(_KINDS[kind] for kind in backend.places)} card"
    if hardware.kind not in backend.places:
        return f"{needed}, but models run on {hardware.name} here; choose auto or pytorch."
    if hardware.capability is None:
        return None
    if hardware.capability < backend.capability or (backend.below and hardware.capability >= backend.below):
        least, most = (f"{major}.{minor}" for major, minor in (backend.capability, backend.below or (0, 0)))
        wanted = f"from {least} and below {most}" if backend.below else f"{least} or more"
        has = "{}.{}".format(*hardware.capability)
        return f"{needed} of compute capability {wanted}, but {hardware.name} has {has}; choose auto or pytorch."
    return None


def _missing_package(backend: Backend) -> str | None:
    """Looks for files only; imports nothing."""
    ending = f"{_advice(backend)}, or choose auto."
    if importlib.util.find_spec(backend.module) is None:
        return f"backend: {backend.choice} is not installed; {ending}"
    if backend.distribution is None or backend.major is None:
        return None
    try:
        version = importlib.metadata.version(backend.distribution)
    except importlib.metadata.PackageNotFoundError:
        return f"backend: {backend.choice} is not installed ({backend.module} comes from another package); {ending}"
    if version.partition(".")[0] != str(backend.major):
        return f"backend: {backend.choice} was chosen, but {backend.distribution} {version} is installed; {ending}"
    return None


def _advice(backend: Backend) -> str:
    """How to get it here: for the Python that runs, and without moving its torch."""
    return backend.advice.format(pip=pip_command(), torch=f"torch=={torch.__version__}")


def _tried_out(backend: Backend, device: torch.device, dtype: torch.dtype) -> Kernel:
    """Packages built for another torch, CUDA or card fail only when they are called, so they are called here."""
    try:
        kernel = backend.load()
        cosine = probe(kernel, device, dtype)
    except Exception as error:
        # Whatever it is, it would have stopped the run in the middle.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LumosXError(
            f"backend: {backend.choice} is installed but does not run on this machine ({reason}); {_advice(backend)}, "
            "or choose auto."
        ) from error
    # Compared this way round, so that NaN is refused too.
    if not cosine >= backend.least_cosine:
        raise LumosXError(
            f"backend: {backend.choice} is installed but does not compute attention correctly on this card (cosine "
            f"{cosine:.3f} with PyTorch); {_advice(backend)}, or choose auto."
        )
    return kernel
