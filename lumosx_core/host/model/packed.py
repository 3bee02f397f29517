"""Layers whose weights stay in GGUF blocks, in RAM as on the card, and are unpacked each time they are used."""

from __future__ import annotations

from typing import Any

import comfy.ops
import comfy.utils
import torch
import torch.nn.functional as F
from comfy.model_patcher import LowVramPatch, ModelPatcher

from ...errors import LumosXError
from ...weights.blocks import dequantize
from .low_rank import BesidePatcher

_MAPPED = "lumosx_mapped"
KIND = "block_kind"
"""Name of the entry that travels beside a packed weight in a state dict: its block type in ASCII."""


def kind_entry(kind: str) -> torch.Tensor:
    """The state dict entry that says which block type a weight has."""
    return torch.tensor(list(kind.encode("ascii")), dtype=torch.uint8)


class PackedOperations(comfy.ops.manual_cast):
    """ComfyUI's layers that cast on use, with a Linear that also takes packed weights."""

    class Linear(comfy.ops.manual_cast.Linear):
        """A Linear whose weight is uint8 blocks [outputs, bytes of a row], or plain as ever.

        ComfyUI moves it between devices by itself, as any weight; nothing here allocates or copies on loading.
        """

        weight: torch.Tensor
        kind: str | None
        hooked: tuple

        def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
            # Room for plain weights would double the peak, since the file's own weights replace them unchanged.
            torch.nn.Module.__init__(self)
            self.in_features, self.out_features = in_features, out_features
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
            self.kind = None

        def _load_from_state_dict(
            self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        ):
            kind = state_dict.get(prefix + KIND)
            self.kind = None if kind is None else bytes(kind.tolist()).decode("ascii")
            for part in ("weight", "bias"):
                tensor = state_dict.get(prefix + part)
                if tensor is None:
                    missing_keys.append(prefix + part)
                else:
                    setattr(self, part, torch.nn.Parameter(tensor, requires_grad=False))

        def forward_comfy_cast_weights(self, input):
            kind = self.kind
            if kind is None:
                return super().forward_comfy_cast_weights(input)
            stored = _Stored(self.weight, self.bias, self.bias_function)
            # pyrefly: ignore[bad-unpacking] They are three when offloadable.
            blocks, bias, stream = comfy.ops.cast_bias_weight(
                stored, dtype=torch.uint8, device=input.device, bias_dtype=input.dtype, offloadable=True
            )
            output = F.linear(input, self._unpack(blocks, kind, input.dtype), bias)
            comfy.ops.uncast_bias_weight(stored, blocks, bias, stream)
            return output

        def _unpack(self, blocks: torch.Tensor, kind: str, dtype: torch.dtype) -> torch.Tensor:
            if not self.weight_function:
                return dequantize(blocks, kind, dtype)
            # In float32, so that what patches add is rounded once, as if it had been merged.
            weight = dequantize(blocks, kind)
            for change in self.weight_function:
                weight = change(weight)
            return weight.to(dtype)

        def convert_weight(self, weight: torch.Tensor, inplace: bool = False, **_) -> torch.Tensor:
            """What ComfyUI calls before it patches or merges: plain float weights, from blocks or as they came.

            ComfyUI casts a weight to a float type first; every byte value survives that.
            """
            if self.kind is None or weight.shape == (self.out_features, self.in_features):
                return weight
            return dequantize(weight.to(torch.uint8), self.kind)


class _Stored:
    """A packed layer as ComfyUI's cast sees it: bytes to be moved, with no function to be applied to bytes."""

    weight_function = ()

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, bias_function: list):
        self.weight, self.bias, self.bias_function = weight, bias, bias_function


class PackedPatcher(BesidePatcher):
    """A ModelPatcher that never merges into packed weights.

    Merged, a patched layer would have to be kept unpacked, or packed again with a loss. Plain LoRAs are computed beside
    the layer; every other patch is applied to what comes out of the blocks, as ComfyUI does with layers that it keeps
    off the card.
    """

    @classmethod
    def around(cls, patcher: ModelPatcher, mapped: frozenset[int] = frozenset()) -> PackedPatcher:
        """The same model under this class.

        Args:
            patcher: as ComfyUI made it.
            mapped: addresses of the tensors that it was made from, in the pages of a file.
        """
        packed = super().around(patcher)
        # On the model and not on the patcher, since ComfyUI puts other copies of the model into clones of a patcher.
        setattr(packed.model, _MAPPED, mapped)
        return packed

    def patch_weight_to_device(self, key, *arguments, **options):
        """Merge a patch, except into packed weights."""
        if _packed_layer(self.model, key) is None:
            return super().patch_weight_to_device(key, *arguments, **options)
        return None

    def pin_weight_to_device(self, key):
        """Pin a weight's memory, unless it is still in the mapped pages of the file, which cannot be pinned."""
        weight = comfy.utils.get_attr(self.model, key)
        if weight.data_ptr() not in getattr(self.model, _MAPPED):
            super().pin_weight_to_device(key)

    def load(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False):
        """Load as ever, then put the patches in place.

        Raises:
            LumosXError: the weights were to be merged for good, as for saving them.
        """
        if force_patch_weights:
            raise _cannot_save()
        super().load(device_to, lowvram_model_memory, force_patch_weights, full_load)

    def unpatch_model(self, device_to=None, unpatch_weights=True):
        """Remove patches, and release them."""
        super().unpatch_model(device_to, unpatch_weights)
        if unpatch_weights:
            for _, layer in _packed_layers(self.model):
                layer.weight_function = _without_patches(layer.weight_function)

    def patch_hook_weight_to_device(self, hooks, combined_patches, key, original_weights, memory_counter):
        """Switch one weight's hook patches on."""
        layer = _packed_layer(self.model, key)
        if layer is None:
            super().patch_hook_weight_to_device(hooks, combined_patches, key, original_weights, memory_counter)
        elif any(_is_whole_model(patch) for patch in combined_patches.get(key, ())):
            raise LumosXError(
                "model: a hook that uses a whole model as LoRA does not work on GGUF weights; load the bf16 file "
                "instead."
            )
        elif key in combined_patches:
            layer.hooked = tuple(combined_patches[key])
            self._place(key, layer)

    def state_dict_for_saving(self, *arguments, **options):
        """Refuse what cannot be done.

        Raises:
            LumosXError: always.
        """
        raise _cannot_save()

    def _place(self, key: str, layer: Any) -> None:
        """Give a layer its patches once, beside it or as functions; loading and unloading add or forget functions."""
        super()._place(key, layer)
        if layer.kind is not None:
            _, base, hooked = self._sorted(key, layer)
            functions = _without_patches(layer.weight_function)
            layer.weight_function = [*_as_function(key, base), *functions, *_as_function(key, hooked)]


def _packed_layers(model: torch.nn.Module):
    for name, module in model.named_modules():
        if getattr(module, "kind", None) is not None and isinstance(module, PackedOperations.Linear):
            yield name, module


def _packed_layer(model: Any, key: str) -> PackedOperations.Linear | None:
    """The layer whose packed weight has this name; None for every other weight."""
    name, _, part = key.rpartition(".")
    if part != "weight":
        return None
    layer = model.get_submodule(name)
    return layer if isinstance(layer, PackedOperations.Linear) and layer.kind is not None else None


def _is_whole_model(patch: tuple) -> bool:
    return isinstance(patch[1], tuple) and patch[1][0] == "model_as_lora"


def _as_function(key: str, patches: tuple) -> list[LowVramPatch]:
    return [LowVramPatch(key, {key: list(patches)})] if patches else []


def _without_patches(functions: list) -> list:
    return [function for function in functions if not isinstance(function, LowVramPatch)]


def _cannot_save() -> LumosXError:
    return LumosXError(
        "model: its weights are packed in GGUF blocks, which ComfyUI cannot save; load the bf16 file instead, "
        "or make one with LumosX Convert Weights."
    )
