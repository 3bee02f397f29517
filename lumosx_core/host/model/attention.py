"""The attention backend of one MODEL: chosen by a node, it replaces the host's in each forward."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import torch
from comfy.ldm.modules.attention import attention_pytorch

from ...attention.backend_calls import run_kernel, unsupported_reason
from ...attention.backend_kernels import Hardware, hardware_of
from ...attention.backends import CHOICES, Chosen, check_choice, resolve_backend
from .memory import computing_dtype
from .wrappers import put_wrappers

__all__ = ["CHOICES", "check_attention", "others_override", "with_attention"]

WRAPPER_KEY = "lumosx_attention"
OVERRIDE = "optimized_attention_override"
_log = logging.getLogger("LumosX")


def check_attention(choice: str) -> None:
    """Refuse a backend that cannot work on this machine, before anything is loaded.

    Raises:
        LumosXError: what is missing, and how to get it.
    """
    check_choice(choice, _places())


def _places() -> list[Hardware]:
    """Every device that a MODEL may be on."""
    device = comfy.model_management.get_torch_device()
    if device.type != "cuda":
        return [hardware_of(device)]
    return [hardware_of(torch.device("cuda", index)) for index in range(torch.cuda.device_count())]


def with_attention(model: Any, choice: str) -> Any:
    """A clone of any MODEL that computes attention with a backend of its own; says in the log with which.

    Args:
        model: a ModelPatcher.
        choice: one of ``CHOICES``.

    Raises:
        LumosXError: the backend is missing, or does not run on the model's device or in its precision.
    """
    chosen = resolve_backend(choice, hardware_of(model.load_device), model.load_device, computing_dtype(model.model))
    clone = model.clone()
    # Not set as an override right here: packs that set one of theirs later would delete it. And around the whole model,
    # not as a wrapper of its forward: not all models have those, and a compiled one would trace it.
    kind = comfy.patcher_extension.WrappersMP.APPLY_MODEL
    put_wrappers(clone, WRAPPER_KEY, {kind: AttentionWrapper(chosen)})
    _log.info("LumosX: attention of this model: %s%s", chosen.title, chosen.note)
    return clone


def others_override(transformer_options: dict) -> bool:
    """Whether another node overrides attention, with or without ours."""
    override = transformer_options.get(OVERRIDE)
    return override is not None and (not isinstance(override, Override) or override.other is not None)


class Override:
    """What the host calls for every attention of one forward: our backend, inside another node's override if any."""

    def __init__(self, chosen: Chosen, other: Callable | None):
        self.chosen = chosen
        self.other = other
        # Only ever set, never counted up: a compiled model traces this, and would be compiled again for each number.
        self.asked = False
        self.answered: str | None = None
        self.handed_on: str | None = None

    def __call__(self, original: Callable, *arguments, **options) -> torch.Tensor:
        self.asked = True
        if self.other is None:
            return self.answer(*arguments, **options)
        return self.other(self.answer, *arguments, **options)

    def answer(
        self, q, k, v, heads, mask=None, attn_precision=None, skip_reshape=False, skip_output_reshape=False, **options
    ) -> torch.Tensor:
        """Attention in the host's form, by our backend or, where it cannot, by the host's PyTorch attention."""
        # Built again, so that a compiled model keeps the title of the backend it was compiled with.
        self.answered = f"{self.chosen.title}"
        reason = unsupported_reason(self.chosen, q, k, v, heads, mask, skip_reshape, options)
        if reason is None:
            scale = options.get("scale")
            return run_kernel(self.chosen.kernel, q, k, v, heads, skip_reshape, skip_output_reshape, scale)
        self.handed_on = reason
        # Marked as inside, or the host would call this override again.
        return attention_pytorch(
            q, k, v, heads, mask=mask, attn_precision=attn_precision, skip_reshape=skip_reshape,
            skip_output_reshape=skip_output_reshape, **{**options, "_inside_attn_wrapper": True},
        )


class ContainerOverride(Override):
    """The same for an override that wants q, k and v in the containers in which newer hosts hand them over."""

    def container_function(self, *arguments, **options) -> torch.Tensor:
        """It computes attention itself, without any of our functions."""
        self.asked = True
        other: Any = self.other
        return other.container_function(*arguments, **options)


class AttentionWrapper:
    """Puts the override into the options of each forward; keeps nothing but what it has said already."""

    def __init__(self, chosen: Chosen):
        self.chosen = chosen
        self._ever_asked = False
        self._said: set[str] = set()

    def __call__(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options={}, **conditions
    ):
        other = transformer_options.get(OVERRIDE)
        override = (ContainerOverride if hasattr(other, "container_function") else Override)(self.chosen, other)
        options = {**transformer_options, OVERRIDE: override}
        answer = executor(x, t, c_concat, c_crossattn, control, options, **conditions)
        self._tell(override)
        return answer

    def _tell(self, override: Override) -> None:
        title = self.chosen.title
        if not override.asked and not self._ever_asked:
            self._warn(
                "LumosX Attention has no effect: this model, or a node that replaced its attention, does not call "
                f"{title}. Remove one of the two nodes."
            )
        elif override.asked and override.answered is None:
            self._warn(
                f"LumosX Attention has no effect: another node computes attention itself ({_origin(override.other)}), "
                f"not with {title}. Remove one of the two nodes."
            )
        elif override.answered not in (None, title):
            # Newer hosts compile without guards on the options, and would keep the earlier choice for ever.
            torch.compiler.reset()
            self._warn(
                f"the compiled model computed one step with {override.answered}, which was chosen before {title}; it "
                "is now compiled again."
            )
        self._ever_asked = self._ever_asked or override.asked
        if override.handed_on is not None and self.chosen.backend is not None and "handed on" not in self._said:
            self._said.add("handed on")
            _log.info("LumosX: %s does not support %s; PyTorch computes those.", title, override.handed_on)

    def _warn(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            _log.warning("LumosX: %s", sentence)


def _origin(other: Callable | None) -> str:
    return f"{getattr(other, '__module__', type(other).__module__)}.{getattr(other, '__name__', type(other).__name__)}"
