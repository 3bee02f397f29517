"""Find Lynx's parts in any weight file, by the names and shapes of its tensors and never by the name of the file.

Known layouts: the release's three files (``0.to_k_ip.weight``, where layer n of lite belongs to block 2n), single files
whose names carry the block (``blocks.0.cross_attn.ip_adapter.to_k_ip.weight``, ``blocks.0.self_attn.to_k_ref.weight``),
and GGUF files with such names. One file may hold several parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...errors import LumosXError
from ...weights.recognise import describe_contents, without_wrappers
from ...weights.source import WeightSource
from .file_names import ROLES, resampler_prefix
from .sizes import HEAD_CHANNELS, AdapterKind, AdapterSizes, ResamplerSizes

EXPECTED = "the files resampler, ip_layers and ref_layers of ByteDance/lynx, or a repack of them"
QUANTO_DATA = "._data"
"""Ends the name of a tensor that optimum-quanto stores as integers; see ``layers``."""
_MOST_BLOCKS = 512


@dataclass(frozen=True)
class FoundResampler:
    """A resampler in an open file.

    Attributes:
        names: the release's name of each tensor to its name in the file.
    """

    source: WeightSource
    sizes: ResamplerSizes
    names: Mapping[str, str]


@dataclass(frozen=True)
class FoundLayers:
    """ID layers or reference layers in an open file.

    Attributes:
        names: block to the name in the file of ``k.weight``, ``v.weight`` and, where there are any, ``k.bias``,
            ``v.bias`` and ``registers``.
    """

    source: WeightSource
    sizes: AdapterSizes
    names: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True)
class FoundLynx:
    """What an open file holds; None for what it does not hold."""

    resampler: FoundResampler | None
    id_layers: FoundLayers | None
    ref_layers: FoundLayers | None


def find_lynx(source: WeightSource) -> FoundLynx:
    """Find every part of Lynx in an open file.

    Raises:
        LumosXError: there is none, one is not whole, or its shapes do not fit each other.
    """
    found = FoundLynx(_find_resampler(source), _find_layers(source, "ip"), _find_layers(source, "ref"))
    if found == FoundLynx(None, None, None):
        contents = describe_contents(source)
        raise LumosXError(f"{source.path}: it seems to be {contents}, not a part of Lynx; take {EXPECTED}.")
    return found


def _find_resampler(source: WeightSource) -> FoundResampler | None:
    plain = {without_wrappers(name): name for name in source.tensors}
    prefix = resampler_prefix(plain)
    if prefix is None:
        return None
    sizes = _resampler_sizes(source, {name.removeprefix(prefix): stored for name, stored in plain.items()
                                      if name.startswith(prefix)})
    names = {name: plain.get(f"{prefix}{name}", "") for name in resampler_shapes(sizes)}
    for name, shape in resampler_shapes(sizes).items():
        if not names[name]:
            raise LumosXError(f"{source.path}: the resampler's {name} is missing; the file is not whole, get it again.")
        _check_shape(source, names[name], shape)
    return FoundResampler(source, sizes, names)


def _resampler_sizes(source: WeightSource, names: Mapping[str, str]) -> ResamplerSizes:
    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        found = source.tensors[names[name]].shape if name in names else ()
        if len(found) != dimensions or 0 in found:
            raise LumosXError(
                f"{source.path}: it looks like a resampler of Lynx, but {name} is missing or has the shape "
                f"{list(found)}; get the file again."
            )
        return found

    width, face_width = shape("proj_in.weight", 2)
    inner_width, hidden_width = shape("layers.0.0.to_q.weight", 2)[0], shape("layers.0.1.1.weight", 2)[0]
    layers = {int(found[1]) for name in names if (found := re.match(r"layers\.(\d{1,4})\.", name))}
    depth = len(layers)
    if layers != set(range(depth)):
        raise LumosXError(f"{source.path}: layers of the resampler are missing; the file is incomplete, get it again.")
    return ResamplerSizes(
        face_width=face_width, width=width, inner_width=inner_width, hidden_width=hidden_width,
        heads=max(1, inner_width // HEAD_CHANNELS), depth=depth, queries=shape("latents", 3)[1],
        token_width=shape("proj_out.weight", 2)[0],
    )


def resampler_shapes(sizes: ResamplerSizes) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a resampler, as the release names them."""
    width, inner, hidden, out = sizes.width, sizes.inner_width, sizes.hidden_width, sizes.token_width
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, sizes.queries, width), "proj_in.weight": (width, sizes.face_width), "proj_in.bias": (width,),
        "proj_out.weight": (out, width), "proj_out.bias": (out,), "norm_out.weight": (out,), "norm_out.bias": (out,),
    }
    for layer in range(sizes.depth):
        norms = {f"layers.{layer}.{norm}.{part}": (width,) for norm in ("0.norm1", "0.norm2", "1.0")
                 for part in ("weight", "bias")}
        shapes |= norms | {
            f"layers.{layer}.0.to_q.weight": (inner, width), f"layers.{layer}.0.to_kv.weight": (2 * inner, width),
            f"layers.{layer}.0.to_out.weight": (width, inner), f"layers.{layer}.1.1.weight": (hidden, width),
            f"layers.{layer}.1.3.weight": (width, hidden),
        }
    return shapes


def _find_layers(source: WeightSource, adapter: str) -> FoundLayers | None:
    names: dict[int, dict[str, str]] = {}
    on_blocks = False
    for stored, of_adapter, index, part, after_blocks in _parsed(source):
        if of_adapter == adapter:
            on_blocks |= after_blocks
            if part in names.setdefault(index, {}):
                raise LumosXError(
                    f"{source.path}: {names[index][part][:80]!r} and {stored[:80]!r} are the same tensor; get a file "
                    "that holds one adapter."
                )
            names[index][part] = stored
    if not names:
        return None
    kind = _kind(source, adapter, names)
    # The release numbers lite's layers one after the other, although they belong to every second block.
    doubled = kind == "lite" and not on_blocks and sorted(names) == list(range(len(names)))
    names = {index * (2 if doubled else 1): names[index] for index in sorted(names)}
    return FoundLayers(source, _layer_sizes(source, kind, names), names)


def _parsed(source: WeightSource) -> Iterator[tuple[str, str, int, str, bool]]:
    """Of every tensor of a layer: its name in the file, adapter, number, part, and whether that numbers blocks."""
    for stored in source.tensors:
        words = without_wrappers(stored).removesuffix(QUANTO_DATA).split(".")
        ending = f".{words.pop()}" if words[-1] in ("weight", "bias") else ""
        role = ROLES.get(words.pop()) if words else None
        place = next((place for place in reversed(range(len(words))) if words[place].isdecimal()), None)
        if role is None or place is None or (role[1] == "registers") == bool(ending):
            continue
        if len(words[place]) > 3 or int(words[place]) >= _MOST_BLOCKS:
            raise LumosXError(f"{source.path}: {stored[:80]!r} numbers a block beyond any model's; get the file again.")
        yield stored, role[0], int(words[place]), f"{role[1]}{ending}", words[place - 1:place] == ["blocks"]


def _kind(source: WeightSource, adapter: str, names: Mapping[int, Mapping[str, str]]) -> AdapterKind:
    """By what the layers have: registers and biases are full's alone."""
    weights, biases = {"k.weight", "v.weight"}, {"k.bias", "v.bias"}
    kinds: dict[frozenset[str], AdapterKind] = {frozenset(weights | biases): "ref"} if adapter == "ref" else {
        frozenset(weights | biases | {"registers"}): "full", frozenset(weights): "lite",
    }
    held = {frozenset(parts) for parts in names.values()}
    if len(held) == 1 and (kind := kinds.get(next(iter(held)))):
        return kind
    whole = set().union(*held)
    index, lacking = next(((index, whole - set(parts)) for index, parts in names.items() if whole - set(parts)),
                          (min(names), (weights | biases) - whole or {"registers"}))
    raise LumosXError(
        f"{source.path}: its {adapter} layer {index} lacks {', '.join(sorted(lacking))}; the file is not whole, get it "
        "again."
    )


def _layer_sizes(source: WeightSource, kind: AdapterKind, names: Mapping[int, Mapping[str, str]]) -> AdapterSizes:
    first = next(iter(names.values()))
    shape = source.tensors[first["k.weight"]].shape
    if len(shape) != 2 or 0 in shape:
        raise LumosXError(f"{source.path}: {first['k.weight'][:80]!r} has the shape {list(shape)}; get the file again.")
    width, input_width = shape
    registers = 0
    if "registers" in first:
        of_first = source.tensors[first["registers"]].shape
        registers = of_first[-2] if len(of_first) > 1 else 0
    for parts in names.values():
        for part, stored in parts.items():
            expected = shape if part.endswith("weight") else (width,)
            # GGUF files may leave out the first side, which is 1.
            _check_shape(source, stored, expected if part != "registers" else (
                (1, registers, input_width)[-len(source.tensors[stored].shape):]
            ))
    return AdapterSizes(kind, input_width, width, registers, tuple(names))


def _check_shape(source: WeightSource, stored: str, shape: tuple[int, ...]) -> None:
    found = source.tensors[stored].shape
    if found != shape:
        raise LumosXError(
            f"{source.path}: {stored[:80]!r} has the shape {list(found)} where the rest of the file asks for "
            f"{list(shape)}; the file is damaged or mixed from two models, get it again."
        )
