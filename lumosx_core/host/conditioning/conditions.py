"""What the conditionings of a run may hold beside LumosX's references, checked once before a model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import LumosXError
from ...models.wan.config import WAN21_LATENT
from ..socket import BINDING, OWN, REFERENCES, MissingModelNode
from .scene import log_warnings

Entries = Sequence[Mapping[str, Any]]

# Values that the host's samplers use for any model, and values that every Wan text has anyway.
_HARMLESS = frozenset({
    "cross_attn", "model_conds", "uuid", "pooled_output", "attention_mask", "prompt_type",
    "start_percent", "end_percent", "clip_start_percent", "clip_end_percent", "timestep_start", "timestep_end",
    "area", "strength", "mask", "mask_strength", "set_area_to_bounds", "hooks", "default",
})
# Which node such a value comes from, where that is known; it is refused in any case.
_IMAGE_TO_VIDEO = "WanImageToVideo and other image-to-video or control nodes"
_ORIGINS = {
    "concat_latent_image": _IMAGE_TO_VIDEO,
    "concat_mask": _IMAGE_TO_VIDEO,
    "concat_mask_index": _IMAGE_TO_VIDEO,
    "clip_vision_output": "a CLIP vision image",
    "time_dim_concat": "WanPhantomSubjectToVideo",
    "vace_frames": "WanVaceToVideo",
    "vace_mask": "WanVaceToVideo",
    "camera_conditions": "WanCameraImageToVideo",
    "reference_latents": "ReferenceLatent, WanFunControlToVideo and similar nodes",
    "audio_embed": "WanSoundImageToVideo and other audio nodes",
    "reference_motion": "WanSoundImageToVideo",
    "control_video": "WanSoundImageToVideo",
    "pose_video_latent": "WanAnimateToVideo and other pose nodes",
    "face_video_pixels": "WanAnimateToVideo",
    "context_latents": "an in-context node such as Bernini's",
    "control": "Apply ControlNet",
    "gligen": "GLIGENTextBoxApply",
    "guidance": "FluxGuidance",
    "unclip_conditioning": "unCLIPConditioning",
}
SET_CFG = ", or set cfg to 1, which leaves it out"
_PARTS = "since references belong to the whole picture"


def has_references(entry: Mapping[str, Any]) -> bool:
    """Whether a sampler's conditioning entry comes from LumosX Relational Encode."""
    return BINDING in entry.get("model_conds", {})


def check_conditionings(
    conditionings: Mapping[str, Entries], shape: Sequence[int], unused: frozenset[str], window: Any = None,
    advice: str = SET_CFG,
) -> None:
    """Refuse what would have no effect on a model with references, or would take their effect away.

    Args:
        conditionings: a guider's entries by the name of its input, before the host adds its own.
        shape: of the whole latent, [batch, channels, frames, height, width].
        unused: names of the conditionings that are not computed, such as the negative when cfg is 1.
        window: the host's context handler, or None.
        advice: as in ``check_mixture``.

    Raises:
        LumosXError: the first thing found, with the input that it came by.
    """
    ours = [(name, entry) for name, entries in conditionings.items() for entry in entries if has_references(entry)]
    for name, entry in ours:
        _check_values(name, entry)
    if not ours:
        return
    # A scene of words only has none, and suits any size.
    for _, entry in [pair for pair in ours if pair[1]["model_conds"][REFERENCES].cond][:1]:
        _check_size(entry, shape)
    for name, entry in ours:
        _check_area(name, entry, shape)
        _check_mask(name, entry, shape)
    _check_window(window, shape)
    computed = {name: entries for name, entries in conditionings.items() if name not in unused}
    check_mixture(computed, advice)
    log_warnings(dict.fromkeys([*_without_effect(ours), *_bound_otherwise(computed), *_gaps(computed)]))


def check_parts(references: Sequence[Any], shape: Sequence[int]) -> None:
    """Refuse a part of the latent that ``check_conditionings`` saw whole.

    Args:
        references: each [batch, 16, 1, height, width].
        shape: what the model receives, [batch, 16, frames, height, width].

    Raises:
        LumosXError: height or width is another one.
    """
    if references and tuple(references[0].shape[3:]) != tuple(shape[3:]):
        raise LumosXError(
            "model: another node cuts the picture into parts (tiles, areas or windows along a side) and passes on a "
            f"part of {_pixels(shape)} pixels, which cannot work with references, {_PARTS} of "
            f"{_pixels(references[0].shape)}; remove that node (windows along the frames are fine)."
        )


def _check_values(name: str, entry: Mapping[str, Any]) -> None:
    held = entry["model_conds"]
    found = [key for key in entry if key not in _HARMLESS and entry[key] is not None]
    found += [key for key in held if key not in OWN]
    # The host replaces our value with a value of this name.
    guard = getattr(held.get(MissingModelNode.NAME), "cond", None)
    if guard is not None and not isinstance(guard, MissingModelNode):
        found.append(MissingModelNode.NAME)
    if found:
        origin = f" (from {_ORIGINS[found[0]]})" if found[0] in _ORIGINS else ""
        raise LumosXError(
            f"{name}: it carries {found[0]} of another method{origin}, which would have no effect on a model with "
            "references; remove the node that adds it, and link LumosX Relational Encode without it."
        )


def _check_size(entry: Mapping[str, Any], shape: Sequence[int]) -> None:
    reference = entry["model_conds"][REFERENCES].cond[0].shape
    if len(shape) != len(reference):
        raise LumosXError(
            f"latent: it has {len(shape)} dimensions, not the {len(reference)} of a video; link the latent output of "
            "LumosX Relational Encode."
        )
    if reference[1] != shape[1]:
        raise LumosXError(
            f"latent: it has {shape[1]} channels, but the references have {reference[1]}; link the latent output of "
            "LumosX Relational Encode, or a video encoded by Wan2.1's VAE."
        )
    if tuple(reference[3:]) != tuple(shape[3:]):
        tiles = " (a sampler that works in tiles cannot be used)" if _fits_inside(shape, reference) else ""
        raise LumosXError(
            f"latent: the video is {_pixels(shape)} pixels but the references were encoded for {_pixels(reference)}; "
            f"link the latent output of LumosX Relational Encode, or encode for that{tiles}."
        )


def _fits_inside(shape: Sequence[int], reference: Sequence[int]) -> bool:
    return all(part <= whole for part, whole in zip(shape[3:], reference[3:]))


def _check_area(name: str, entry: Mapping[str, Any], shape: Sequence[int]) -> None:
    if entry.get("set_area_to_bounds") or not _covers(entry.get("area"), shape):
        raise LumosXError(
            f"{name}: it is limited to an area of the picture, which cannot work with references, {_PARTS}; remove "
            "ConditioningSetArea, or use ConditioningSetMask with set_cond_area \"default\"."
        )


def _check_mask(name: str, entry: Mapping[str, Any], shape: Sequence[int]) -> None:
    mask = entry.get("mask")
    # The host takes the pictures of a mask for the latent's frames.
    if mask is not None and mask.ndim > 2 and mask.shape[-3] not in (1, shape[2]):
        raise LumosXError(
            f"{name}: its mask has {mask.shape[-3]} pictures, but the latent has {shape[2]} frames; use one picture, "
            "or one for each frame of the latent."
        )


def _without_effect(ours: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    for name, entry in ours:
        start, end = _range(entry)
        mask = entry.get("mask")
        # From 0 to 0 still holds the first step.
        if start > end or start == end > 0:
            reason = f"its timestep range, from {start:g} to {end:g}, is empty"
        elif entry.get("strength", 1.0) == 0 or mask is not None and entry.get("mask_strength", 1.0) == 0:
            reason = "its strength is 0"
        elif mask is not None and not mask.any():
            reason = "its mask is empty"
        else:
            continue
        yield f"{name}: {reason}, so its text and references have no effect; remove the node that set that."


def _bound_otherwise(conditionings: Mapping[str, Entries]) -> Iterator[str]:
    """Branches whose references come from another encoding than the first branch's."""
    bindings = {
        name: [entry["model_conds"][BINDING].cond for entry in entries if has_references(entry)]
        for name, entries in conditionings.items()
    }
    named = [name for name, bound in bindings.items() if bound]
    for first, name in ((named[0], name) for name in named[1:]):
        if not any(bound in bindings[first] for bound in bindings[name]):
            yield (
                f"{name}: its references are bound to other words or groups than those of {first}, so guidance would "
                "change what they do; link both outputs of the same LumosX Relational Encode."
            )


def _gaps(conditionings: Mapping[str, Entries]) -> Iterator[str]:
    """Branches that hold nothing in a stretch in which another one holds references."""
    for (start, end), active in _active(conditionings):
        if any(has_references(entry) for entries in active.values() for entry in entries):
            for name in (name for name, entries in active.items() if not entries):
                yield (
                    f"{name}: it has no text from {start:g} to {end:g} of the run, so guidance is undefined there; "
                    "give it a text for the whole run."
                )


def _covers(area: Sequence[Any] | None, shape: Sequence[int]) -> bool:
    """Whether an area leaves height and width whole: sizes, then offsets, in latent pixels or as shares of all."""
    if area is None:
        return True
    numbers, whole = area, shape[3:]
    if area[0] == "percentage":
        numbers, whole = area[1:], (1.0, 1.0)
        # The host reads frames, height and width here, and stops at the areas of pictures.
        if len(numbers) != 6:
            return False
    sizes, offsets = numbers[:len(numbers) // 2], numbers[len(numbers) // 2:]
    return not any(offsets[-2:]) and all(size >= side for size, side in zip(sizes[-2:], whole))


def _check_window(window: Any, shape: Sequence[int]) -> None:
    side = getattr(window, "dim", 2)
    # A handler of another pack may not say how long its windows are.
    if side in (3, 4) and shape[side] > getattr(window, "context_length", 0):
        raise LumosXError(
            f"model: its context windows go along the {('height', 'width')[side - 3]}, which cannot work with "
            f"references, {_PARTS}; set dim to 2, for windows along the frames."
        )


def check_mixture(conditionings: Mapping[str, Entries], advice: str = SET_CFG) -> None:
    """Refuse texts without references beside texts with them, at the same time.

    Args:
        conditionings: entries of everything that is computed.
        advice: another way out for a negative without references.

    Raises:
        LumosXError: which one holds none.
    """
    warnings: list[str] = []
    for _, active in _active(conditionings):
        with_references = {name for name, entries in active.items() if any(map(has_references, entries))}
        for name, entries in active.items():
            bare = [entry for entry in entries if not has_references(entry)]
            if not bare or not with_references:
                continue
            if name not in with_references:
                _bare_conditioning(name, conditionings, advice, warnings)
            # A text with a region of its own is there for that region.
            elif not all("mask" in entry or "default" in entry for entry in bare):
                raise LumosXError(
                    f"{name}: a text without references was combined with LumosX's, which would weaken every "
                    "reference; encode both with LumosX Relational Encode, or give the text a mask or a timestep "
                    "range of its own."
                )
    log_warnings(dict.fromkeys(warnings))


def _bare_conditioning(
    name: str, conditionings: Mapping[str, Entries], advice: str, warnings: list[str]
) -> None:
    if not conditionings.keys() <= {"positive", "negative"}:
        # Guiders with further branches measure what references add by leaving them out of one.
        warnings.append(f"{name}: it has no LumosX references, so this branch of the guider runs without them.")
        return
    other = "negative" if name == "positive" else "positive"
    raise LumosXError(
        f"{name}: it has no LumosX references but {other} has, so guidance would change what the references do; link "
        f"the {name} output of LumosX Relational Encode{advice if name == 'negative' else ''}."
    )


def _active(
    conditionings: Mapping[str, Entries]
) -> Iterator[tuple[tuple[float, float], dict[str, list[Mapping[str, Any]]]]]:
    """Each stretch of the run during which nothing begins or ends, and what is active in it."""
    ranges = [_range(entry) for entries in conditionings.values() for entry in entries]
    moments = sorted({0.0, 1.0, *(moment for pair in ranges for moment in pair)})
    for begin, end in zip(moments, moments[1:]):
        yield (begin, end), {
            name: [entry for entry in entries if _range(entry)[0] <= begin and end <= _range(entry)[1]]
            for name, entries in conditionings.items()
        }


def _range(entry: Mapping[str, Any]) -> tuple[float, float]:
    """Part of the run in which an entry is used."""
    return (
        max(entry.get("clip_start_percent", 0.0), entry.get("start_percent", 0.0)),
        min(entry.get("clip_end_percent", 1.0), entry.get("end_percent", 1.0)),
    )


def _pixels(shape: Sequence[int]) -> str:
    width, height = WAN21_LATENT.pixels(shape)
    return f"{width}x{height}"
