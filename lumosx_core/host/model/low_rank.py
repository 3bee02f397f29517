"""LoRAs computed beside layers of 8 bits and less, W·x + B(A·x), instead of being merged into their weights.

Merged, such a weight would have to be unpacked at every use, or rounded to 8 bits a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from comfy.model_patcher import ModelPatcher
from comfy.weight_adapter import LoRAAdapter

from .memory import computing_dtype

if TYPE_CHECKING:
    from typing_extensions import Self

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_QUANTISED = (*_FLOAT8, torch.uint8)
"""What the host's quantised tensors hold: fp8, and pairs of nvfp4. Not int8: the host computes the second layer of
Wan's feed-forward without calling the layer then, so that a hook on it would be skipped."""


class LowRank:
    """All LoRAs of one layer as a single product of two thin matrices.

    Attributes:
        down: [ranks, inputs], with the strengths in it.
        up: [outputs, ranks].
    """

    def __init__(self, down: torch.Tensor, up: torch.Tensor):
        self.down, self.up = down, up

    @classmethod
    def of(cls, patches: Iterable[tuple], device: torch.device, dtype: torch.dtype) -> LowRank:
        """From the host's patches of one weight, each of which is ``plain_lora``; there must be one at least."""
        downs, ups = [], []
        for strength, adapter, *_ in patches:
            up, down, alpha = adapter.weights[:3]
            scale = strength if alpha is None else strength * alpha / down.shape[0]
            # Into A, which training starts from noise: B starts from zero, and might leave the range of float16.
            downs.append(down.flatten(1).float() * scale)
            ups.append(up.flatten(1).float())
        return cls(torch.cat(downs).to(device, dtype), torch.cat(ups, dim=1).to(device, dtype))

    @property
    def nbytes(self) -> int:
        """Of both matrices."""
        return self.down.nbytes + self.up.nbytes

    def add_to(self, output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The layer's output [..., outputs] for x [..., inputs] with the product added, in the output's dtype."""
        down, up = (factor.to(x.device, output.dtype) for factor in (self.down, self.up))
        hidden = F.linear(x.to(output.dtype), down).reshape(-1, down.shape[0])
        rows = output.reshape(-1, output.shape[-1])
        # A layer's output is new and nobody else's, so without gradients it need not be held twice.
        return torch.addmm(rows, hidden, up.t(), out=None if torch.is_grad_enabled() else rows).reshape(output.shape)


def beside_patcher(patcher: ModelPatcher) -> ModelPatcher:
    """A patcher of the same model that computes LoRAs beside fp8 layers; the given one if there is nothing to gain.

    ComfyUI's dynamic VRAM has a patcher of its own, which merges LoRAs while it brings weights to the card.
    """
    dynamic = getattr(patcher, "is_dynamic", bool)()
    if dynamic or not any(_is_quantised(layer) for layer in patcher.model.modules()):
        return patcher
    return BesidePatcher.around(patcher)


def plain_lora(patch: tuple, layer: torch.nn.Module) -> bool:
    """Whether one of the host's patches of a layer's weight adds s·B·A and does nothing else."""
    _, adapter, strength_model, offset, function = patch
    if type(adapter) is not LoRAAdapter or strength_model != 1.0 or offset is not None or function is not None:
        return False
    up, down, _, mid, dora_scale, reshape = adapter.weights
    if not (mid is dora_scale is reshape is None):
        return False
    (outputs, ranks), (rows, inputs) = up.flatten(1).shape, down.flatten(1).shape
    return ranks == rows and (outputs, inputs) == (layer.out_features, layer.in_features)


class _Sorted(NamedTuple):
    """Patches of one layer.

    Attributes:
        beside: to be computed beside it.
        base: the model's own, to be put into the weight.
        hooked: the active hook's, to be put into the weight.
    """

    beside: tuple
    base: tuple
    hooked: tuple


class BesidePatcher(ModelPatcher):
    """A ModelPatcher that computes plain LoRAs beside quantised layers; all other patches go the host's way.

    The host does not see these LoRAs while it loads, so it neither merges them nor unpacks anything for them. Their
    matrices lie where their layer's weight lies, and count in the model's size.
    """

    @classmethod
    def around(cls, patcher: ModelPatcher) -> Self:
        """The same model under this class.

        Args:
            patcher: as ComfyUI made it, and not dynamic.
        """
        beside = cls(patcher.model, patcher.load_device, patcher.offload_device)
        for layer in patcher.model.modules():
            if _is_quantised(layer):
                layer.low_rank, layer.hooked = None, ()
                # Stays for good: compiled code does not notice hooks that come and go, but does notice `low_rank`.
                layer.register_forward_hook(_add_low_rank)
        return beside

    def clone(self, *arguments, **options):
        """A clone; the size that it copies does not include the LoRAs."""
        clone = super().clone(*arguments, **options)
        clone.size = self.size
        return clone

    def model_size(self):
        """Bytes of the weights, and of the LoRAs beside them."""
        return super().model_size() + self._beside_bytes()

    def load(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False):
        """Load as ever, with room left for the LoRAs that then come beside their layers.

        With ``force_patch_weights``, as for saving, everything is merged.
        """
        if force_patch_weights:
            self._take_off()
            super().load(device_to, lowvram_model_memory, force_patch_weights, full_load)
            return
        for_weights = lowvram_model_memory - self._beside_bytes()
        with self._held_back():
            super().load(device_to, for_weights, force_patch_weights, full_load)
        self._place_all()
        self.model.model_loaded_weight_memory += self._loaded_beside_bytes()

    # pyrefly: ignore[bad-override] On newer hosts it is taken to return 0 alone.
    def partially_unload(self, device_to, memory_to_free=0, force_patch_weights=False):
        """Unload some layers, and with each its LoRAs."""
        before = self._loaded_beside_bytes()
        with self._held_back():
            freed = super().partially_unload(device_to, memory_to_free, force_patch_weights)
        self._place_all()
        freed_beside = before - self._loaded_beside_bytes()
        self.model.model_loaded_weight_memory -= freed_beside
        return freed + freed_beside

    def unpatch_model(self, device_to=None, unpatch_weights=True):
        """Remove patches, and release them."""
        super().unpatch_model(device_to, unpatch_weights)
        if unpatch_weights:
            self._take_off()

    def model_state_dict(self, filter_prefix=None):
        """The model's tensors.

        Newer hosts also list the scales of quantised weights, which no layer has under that name, and fail at them when
        a hook is switched.
        """
        tensors = super().model_state_dict(filter_prefix)
        return {name: tensor for name, tensor in tensors.items() if _has_tensor(self.model, name)}

    def patch_hooks(self, hooks):
        """Switch patches by hook; merged weights are never kept, since layers with LoRAs beside them have none."""
        self.cached_hook_patches.clear()
        super().patch_hooks(hooks)
        self.cached_hook_patches.clear()

    def patch_hook_weight_to_device(self, hooks, combined_patches, key, original_weights, memory_counter):
        """Switch one weight's hook patches on."""
        layer = _layer_of(self.model, key)
        if layer is None or key not in combined_patches:
            super().patch_hook_weight_to_device(hooks, combined_patches, key, original_weights, memory_counter)
            return
        layer.hooked = tuple(combined_patches[key])
        self._place(key, layer)
        merged = self._sorted(key, layer).hooked
        if merged:
            # What a hook merges comes on top of the model's own patches, which the host has not merged if it held back.
            own = self.patches[key] if key in self._beside_keys() else ()
            super().patch_hook_weight_to_device(
                hooks, {key: [*own, *merged]}, key, original_weights, memory_counter
            )

    def unpatch_hooks(self, whitelist_keys_set=None):
        """Switch hook patches off, all or those named."""
        for key, layer in self._layers():
            if layer.hooked and (not whitelist_keys_set or key in whitelist_keys_set):
                layer.hooked = ()
                self._place(key, layer)
        super().unpatch_hooks(whitelist_keys_set)  # pyrefly: ignore[bad-argument-type] The host's default is None too.

    def state_dict_for_saving(self, *arguments, **options):
        """The weights with all patches merged."""
        if self._beside_keys():
            # Newer hosts merge what is not loaded while they write, and take what is loaded for merged.
            self.unpatch_model(self.offload_device)
        # pyrefly: ignore[missing-attribute] Hosts that do not have it do not call it.
        return super().state_dict_for_saving(*arguments, **options)

    def _place(self, key: str, layer: Any) -> None:
        """Put beside a layer what belongs there: of the model and of the active hook."""
        beside = self._sorted(key, layer).beside
        layer.low_rank = LowRank.of(beside, layer.weight.device, computing_dtype(self.model)) if beside else None

    def _sorted(self, key: str, layer: Any) -> _Sorted:
        """Where a layer's patches belong. What a hook changes in the weight comes after the model's own."""
        base, hooked = tuple(self.patches.get(key, ())), layer.hooked
        if not self._all_plain(key, layer, hooked):
            return _Sorted((), base, hooked)
        if not self._all_plain(key, layer, base):
            return _Sorted(hooked, base, ())
        return _Sorted((*base, *hooked), (), ())

    def _all_plain(self, key: str, layer: Any, patches: Sequence[tuple]) -> bool:
        # Another node's function of the whole weight comes after its patches, so they must be in the weight.
        return not patches or key not in self.weight_wrapper_patches and all(
            plain_lora(patch, layer) for patch in patches
        )

    def _place_all(self) -> None:
        for key, layer in self._layers():
            self._place(key, layer)

    def _take_off(self) -> None:
        for _, layer in self._layers():
            layer.low_rank, layer.hooked = None, ()

    @contextmanager
    def _held_back(self) -> Iterator[None]:
        """Let the host see only those patches that it is to merge."""
        patches, beside = self.patches, self._beside_keys()
        self.patches = {key: value for key, value in patches.items() if key not in beside}
        try:
            yield
        finally:
            self.patches = patches

    def _beside_keys(self) -> dict[str, Any]:
        """The weights whose own patches are computed beside their layer, with that layer."""
        return {
            key: layer for key, layer in self._layers()
            if self.patches.get(key) and self._all_plain(key, layer, self.patches[key])
        }

    def _beside_bytes(self) -> int:
        """Of all LoRAs that are computed beside a layer, on whatever device."""
        numbers = sum(
            factor.numel() for key in self._beside_keys() for patch in self.patches[key]
            for factor in patch[1].weights[:2]
        )
        return numbers * computing_dtype(self.model).itemsize

    def _loaded_beside_bytes(self) -> int:
        """Of those whose layer is loaded."""
        return sum(
            layer.low_rank.nbytes for _, layer in self._layers()
            if layer.low_rank is not None and getattr(layer, "comfy_patched_weights", False)
        )

    def _layers(self) -> Iterator[tuple[str, Any]]:
        """(name of the weight, layer) of all layers that can have a LoRA beside them."""
        for name, module in self.model.named_modules():
            if hasattr(module, "low_rank"):
                yield f"{name}.weight", module


def _has_tensor(model: Any, name: str) -> bool:
    layer, _, part = name.rpartition(".")
    return hasattr(model.get_submodule(layer), part)


def _add_low_rank(layer: Any, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
    return output if layer.low_rank is None else layer.low_rank.add_to(output, inputs[0])


def _layer_of(model: torch.nn.Module, key: str) -> Any | None:
    """The layer whose weight has this name, if LoRAs can be computed beside it."""
    name, _, part = key.rpartition(".")
    layer = model.get_submodule(name) if part == "weight" else None
    return layer if hasattr(layer, "low_rank") else None


def _is_quantised(layer: Any) -> bool:
    """Whether it is one of ComfyUI's or our Linears, with a weight in fp8, nvfp4 or GGUF blocks."""
    weight = getattr(layer, "weight", None)
    if weight is None or not (hasattr(layer, "weight_function") and hasattr(layer, "out_features")):
        return False
    if getattr(layer, "kind", None) is not None or weight.dtype in _FLOAT8:
        return True
    # The host's quantised tensors answer with the dtype that they stand for.
    return hasattr(weight, "_qdata") and weight._qdata.dtype in _QUANTISED
