"""Say what a weight file seems to be, from the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import LumosXError
from ..models.families import FAMILIES, Family, adapter_kind
from .quantised import is_sidecar
from .source import WeightSource

_LORA = (re.compile(r"lora_(up|down|A|B|unet)\b|\.lora_|lokr_|hada_w|\.diff(_b)?$|\.dora_scale$"), "a LoRA")
# The first that matches any name decides, so the more telling ones come first.
_MARKS = (_LORA, *(variant for family in FAMILIES for variant in family.variants), *(
    (re.compile(pattern), what) for pattern, what in (
        (r"^model\.diffusion_model\.", "a diffusion model of another family"),
        (r"\b(text_model|SelfAttention|token_embd|token_embedding)\.|\.layers\.0\.self_attn\.q_proj\.",
         "a text encoder"),
        (r"\b(vision_model|visual)\.", "an image encoder (CLIP vision)"),
        (r"^(first_stage_model\.|vae\.)?(decoder|encoder)\.(conv1|conv_in|middle|mid|upsamples|downsamples|up)\b",
         "a VAE"),
        (r"\bcontrol_(model|blocks)\b|\bcontrolnet_", "a ControlNet"),
        (r"\b(double_blocks|single_blocks|joint_blocks|input_blocks|transformer_blocks|down_blocks|layers)\.\d",
         "a diffusion model of another family"),
        (r"^(optim|optimizer|state)\b", "the state of a training run"),
    )
))
_WRAPPERS = re.compile(
    r"(?:(?<=\.)|^)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.(?=.)"
)
"""What torch.compile, data parallelism, FSDP and checkpointing put into the names of what they wrap, at any depth."""

_BESIDE = re.compile(
    r"(optim\w*|opt|lr_scheduler|scheduler|sched|rng\w*|random\w*|(global_)?(step|epoch)|args|config|vae"
    r"|first_stage_model|cond_stage_model|text_encoders)(\.|$)"
)
_ARCHITECTURES = {"t5": "a text encoder", "t5encoder": "a text encoder", "clip-vision": "an image encoder"}


def describe_contents(source: WeightSource) -> str:
    """What an open file seems to be, as words that fit after "it seems to be"."""
    for family in FAMILIES:
        if prefixes := find_prefixes(source.tensors, family):
            return describe_transformer(source, tensors_under(source, prefixes[0]), family)
    names = [without_wrappers(name) for name in source.tensors]
    adapter = adapter_kind(names)
    marked = describe_marks(names) if adapter is None else adapter.what
    if marked is not None:
        return marked
    architecture = source.metadata.get("general.architecture")
    if architecture and architecture != "wan":
        return _ARCHITECTURES.get(architecture, f"a model of the family {architecture[:40]!r}")
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


def describe_transformer(source: WeightSource, held: Mapping[str, str], family: Family) -> str:
    """What a family's transformer seems to be.

    Args:
        held: from ``tensors_under``.
    """
    shapes = {name: source.tensors[stored].shape for name, stored in held.items()}
    return _first_mark((_LORA, *family.variants), held) or family.recognise(shapes)


def describe_marks(names: Iterable[str]) -> str | None:
    """What tensor names alone give away; None when they say nothing against a text-to-video transformer."""
    return _first_mark(_MARKS, names)


def _first_mark(marks: Iterable[tuple[re.Pattern[str], str]], names: Iterable[str]) -> str | None:
    names = list(names)
    return next((what for mark, what in marks if any(mark.search(name) for name in names)), None)


def find_prefixes(names: Iterable[str], family: Family) -> list[str]:
    """What stands before the names of each of a family's transformers in a file, the one to prefer first.

    Wrappers apart. Averaged weights (``ema.``), which the release samples with, come before the others; then the
    shortest.
    """
    plain = map(without_wrappers, names)
    found = {name.removesuffix(family.mark) for name in plain if name.endswith(family.mark)}
    return sorted(found, key=lambda prefix: (not _is_average(prefix), len(prefix), prefix))


def _is_average(prefix: str) -> bool:
    return any(part == "ema" or part.startswith("ema_") or part.endswith("_ema") for part in prefix.split("."))
