"""Say what a weight file seems to be, from the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import LumosXError
from ..models.wan.config import MODULATION
from .quantised import is_sidecar
from .source import TensorInfo, WeightSource

# The first that matches any name decides, so the more telling ones come first.
_MARKS = tuple((re.compile(pattern), what) for pattern, what in (
    (r"lora_(up|down|A|B|unet)\b|\.lora_|lokr_|hada_w|\.diff(_b)?$|\.dora_scale$", "a LoRA"),
    (r"\bvace_(blocks|patch_embedding)\.", "a VACE (control) variant of Wan"),
    (r"\bcasual_audio_encoder\.", "Wan2.2-S2V (sound to video)"),
    (r"\baudio_proj\.", "an audio-driven variant of Wan, such as HuMo"),
    (r"\bface_adapter\.", "Wan2.2-Animate"),
    (r"\bcontrol_adapter\.", "a camera-control variant of Wan"),
    (r"\bpatch_embedding_(mask|pose|global)\.", "a pose or dance variant of Wan"),
    (r"\bref_conv\.", "a Wan Fun variant with a reference image"),
    (r"\bimg_emb\.|\.cross_attn\.k_img\.", "a Wan I2V (image-to-video) model"),
    (r"\bcondition_embedder\.|blocks\.0\.attn1\.to_q\.", "Wan in the naming of diffusers"),
    (r"^model\.diffusion_model\.", "a diffusion model of another family"),
    (r"\b(text_model|SelfAttention|token_embd|token_embedding)\.|\.layers\.0\.self_attn\.q_proj\.", "a text encoder"),
    (r"\b(vision_model|visual)\.", "an image encoder (CLIP vision)"),
    (r"^(first_stage_model\.|vae\.)?(decoder|encoder)\.(conv1|conv_in|middle|mid|upsamples|downsamples|up)\b", "a VAE"),
    (r"\bcontrol_(model|blocks)\b|\bcontrolnet_", "a ControlNet"),
    (r"\b(double_blocks|single_blocks|joint_blocks|input_blocks|transformer_blocks|down_blocks|layers)\.\d",
     "a diffusion model of another family"),
    (r"^(optim|optimizer|state)\b", "the state of a training run"),
))
_WRAPPERS = re.compile(
    r"(?:(?<=\.)|^)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.(?=.)"
)
"""What torch.compile, data parallelism, FSDP and checkpointing put into the names of what they wrap, at any depth."""

_BESIDE = re.compile(
    r"(optim\w*|opt|lr_scheduler|scheduler|sched|rng\w*|random\w*|(global_)?(step|epoch)|args|config|vae"
    r"|first_stage_model|cond_stage_model|text_encoders)(\.|$)"
)
_SIZES = {1536: "Wan2.1-T2V-1.3B", 5120: "Wan-T2V-14B", 3072: "Wan2.2-TI2V-5B"}
_FAMILIES = {"t5": "a text encoder", "t5encoder": "a text encoder", "clip-vision": "an image encoder"}


def describe(source: WeightSource) -> str:
    """What an open file seems to be, as words that fit after "it seems to be"."""
    prefixes = find_prefixes(source.tensors)
    if prefixes:
        tensors = {name: source.tensors[stored] for name, stored in tensors_under(source, prefixes[0]).items()}
        return describe_marks(tensors) or describe_shape(tensors)
    marked = describe_marks(source.tensors)
    if marked is not None:
        return marked
    architecture = source.metadata.get("general.architecture")
    if architecture and architecture != "wan":
        return _FAMILIES.get(architecture, f"a model of the family {architecture[:40]!r}")
    if not source.tensors:
        return "a file without tensors"
    return f"no model that LumosX knows (its first tensor is {next(iter(source.tensors))[:60]!r})"


def without_wrappers(name: str) -> str:
    """A tensor's name without what torch's wrappers of modules add to it."""
    return _WRAPPERS.sub("", name)


def tensors_under(source: WeightSource, prefix: str) -> dict[str, str]:
    """What stands under a transformer's prefix, without it and without wrappers, to its name in the file.

    What a training run or an all-in-one checkpoint keeps beside its model is left out, and so are scales.

    Raises:
        LumosXError: two tensors have the same name once wrappers are taken off.
    """
    found: dict[str, str] = {}
    for stored in source.tensors:
        plain = without_wrappers(stored)
        name = plain.removeprefix(prefix)
        if not plain.startswith(prefix) or is_sidecar(name) or _BESIDE.match(name):
            continue
        if name in found:
            raise LumosXError(
                f"{source.path}: {found[name][:80]!r} and {stored[:80]!r} are the same tensor of a model; save one of "
                "the two models."
            )
        found[name] = stored
    return found


def describe_marks(names: Iterable[str]) -> str | None:
    """What tensor names alone give away; None when they say nothing against a text-to-video transformer."""
    names = list(names)
    return next((what for mark, what in _MARKS if any(mark.search(name) for name in names)), None)


def describe_shape(tensors: Mapping[str, TensorInfo]) -> str:
    """Which Wan transformer has these shapes, under Wan's own names."""
    dim = last_size(tensors, MODULATION)
    embedding = tensors.get("patch_embedding.weight")
    channels = embedding.shape[1] if embedding is not None and len(embedding.shape) > 1 else None
    if channels is None:
        return "part of a Wan transformer"
    size = _SIZES.get(dim, f"a Wan text-to-video transformer of {dim} channels")
    if channels == 16 or dim == 3072:
        return size
    return f"an image or control variant of Wan ({channels} input channels, {dim} wide)"


def find_prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the names of each Wan transformer in a file, wrappers apart, the one to prefer first.

    Averaged weights (``ema.``), which the release samples with, come before the others; then the shortest.
    """
    plain = map(without_wrappers, names)
    found = {name.removesuffix(MODULATION) for name in plain if name.endswith(MODULATION)}
    return sorted(found, key=lambda prefix: (not _is_average(prefix), len(prefix), prefix))


def last_size(tensors: Mapping[str, TensorInfo], name: str) -> int:
    """The innermost size of a tensor; 0 when it has none."""
    return tensors[name].shape[-1] if tensors[name].shape else 0


def _is_average(prefix: str) -> bool:
    return any(part == "ema" or part.startswith("ema_") or part.endswith("_ema") for part in prefix.split("."))
