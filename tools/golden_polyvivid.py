"""PolyVivid's golden files, on our own HunyuanVideo and on ComfyUI's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from lumosx_core.models.attention import dense_attention
from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.hunyuan.network import HunyuanNetwork
from lumosx_core.models.polyvivid.adapter import PolyVividAdapter, adapter_of
from lumosx_core.models.polyvivid.cliques import consolidate
from lumosx_core.models.polyvivid.config import AdapterConfig, RunOptions
from lumosx_core.models.polyvivid.forward import polyvivid_forward, subject_tokens
from lumosx_core.models.polyvivid.positions import TextLayout, injection_ids, interaction_ids
from lumosx_core.models.polyvivid.template import tokenize_template
from lumosx_core.models.rotary import rotary_table
from tools.hunyuan import adapted_velocity, hunyuan_model, velocity

WEIGHTS = Path(__file__).parents[1] / "tests" / "golden" / "polyvivid_weights.safetensors"
FORWARD = WEIGHTS.with_name("polyvivid_forward.safetensors")
RELATIVE_BOUND, ABSOLUTE_BOUND, EXACT_BOUND = 2e-5, 1e-6, 0.0


@dataclass(frozen=True)
class World:
    """The golden base model and its adapter."""

    config: HunyuanConfig
    base: dict[str, torch.Tensor]
    parts: dict[str, dict[str, torch.Tensor]]
    settings: dict[str, Any]

    @classmethod
    def read(cls, path: Path = WEIGHTS) -> World:
        tensors, case = load(path)
        parts: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor.float()
        base = parts.pop("base")
        shapes = {name: tuple(tensor.shape) for name, tensor in base.items()}
        return cls(HunyuanConfig.of_shapes(shapes, tuple(case["axes"])), base, parts, case)

    def adapter(self, tensors: dict[str, torch.Tensor] | None = None, **settings: Any) -> PolyVividAdapter:
        """An adapter with these tensors (default: the plain ones), and settings that differ from the file's."""
        case = {"rank": self.settings["rank"], "alpha": self.settings["alpha"], **settings}
        layers = tuple(range(self.config.depth))
        config = AdapterConfig(self.config.hidden_size, self.config.mlp_size, layers, **case)
        return adapter_of(config, self.parts["adapter"] if tensors is None else tensors).requires_grad_(False)

    def network(self, guidance: bool = True) -> HunyuanNetwork:
        """Our base model."""
        network = HunyuanNetwork(self._config(guidance))
        network.load_state_dict(self._base(guidance))
        return network.requires_grad_(False)

    def host_model(self, guidance: bool = True) -> torch.nn.Module:
        """ComfyUI's base model."""
        return hunyuan_model(self._config(guidance), self._base(guidance))

    def _config(self, guidance: bool) -> HunyuanConfig:
        return replace(self.config, guidance_embed=guidance)

    def _base(self, guidance: bool) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self.base.items() if guidance or not name.startswith("guidance_in")}


@cache
def world() -> World:
    """The one that the golden files were computed with."""
    return World.read()


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a golden file and its case."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["case"])  # noqa: SIM118


def check(path: Path) -> tuple[float, float]:
    """The largest difference in a golden file, and the bound for it.

    Raises:
        ValueError: no such kind.
    """
    kind = path.stem.removeprefix("polyvivid_")
    if kind.startswith("weights"):
        return _weights(path), RELATIVE_BOUND
    if path.suffix == ".json":
        checks = {"template": _template, "cliques": _cliques}
        differing = checks[kind](json.loads(path.read_text(encoding="utf-8")))
        return float(differing), EXACT_BOUND
    tensors, case = load(path)
    if kind == "positions":
        return worst(absolute(*pair) for pair in _positions(tensors, case)), ABSOLUTE_BOUND
    kinds = {"module_a": _module_a, "module_b": _module_b, "forward": _forward, "forward_cases": _forward_cases}
    if kind not in kinds:
        raise ValueError(f"no PolyVivid golden file is called {path.stem}")
    return worst(relative(*pair) for pair in kinds[kind](tensors, case)), RELATIVE_BOUND


Pairs = Iterator[tuple[torch.Tensor, torch.Tensor]]
"""What was measured, and what is expected."""


def worst(differences: Iterator[float]) -> float:
    """The largest of them; infinite if there is none, or one is no number."""
    found = list(differences)
    return max(found) if found and all(map(math.isfinite, found)) else math.inf


def relative(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """RMS of the difference over RMS of what is expected."""
    return ((measured.double() - expected.double()).norm() / expected.double().norm()).item()


def absolute(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference; infinite between tensors of different shapes."""
    return (measured - expected).abs().max().item() if measured.shape == expected.shape else math.inf


def layout_of(case: dict[str, Any]) -> TextLayout:
    """The text layout of a case."""
    grids = tuple(tuple(grid) if grid else None for grid in case["image_grids"])
    return TextLayout(tuple(case["text"]), grids, case["tail"])


def latents_of(tensors: dict[str, torch.Tensor], prefix: str = "") -> list[torch.Tensor]:
    """The subjects' latents, in order."""
    names = [name for name in tensors if name.startswith(f"{prefix}latent.")]
    return [tensors[f"{prefix}latent.{index}"] for index in range(len(names))]


def inputs_of(tensors: dict[str, torch.Tensor], prefix: str = "") -> tuple[torch.Tensor, ...]:
    """x, timesteps, context, pooled text and guidance."""
    return tuple(tensors[f"{prefix}{name}"] for name in ("x", "t", "context", "y", "guidance"))


def _positions(tensors: dict[str, torch.Tensor], case: dict[str, Any]) -> Pairs:
    for name, one in case.items():
        grids = tuple(tuple(grid) for grid in one["latent_grids"])
        text_ids, image_ids = interaction_ids(layout_of(one), grids, one.get("fractional", False))
        yield text_ids, tensors[f"{name}.text_ids"]
        yield image_ids, tensors[f"{name}.image_ids"]


def tables(*ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Rotations of the golden base model."""
    return tuple(rotary_table(one, world().config.axes_dim, world().config.theta) for one in ids)


def blocks(layer: int) -> Iterator[torch.nn.Module]:
    """The same double block, ours and ComfyUI's."""
    for model in (world().network(), world().host_model()):
        yield model.double_blocks[layer]


def _module_a(tensors: dict[str, torch.Tensor], case: dict[str, Any]) -> Pairs:
    rotary = tables(tensors["image_ids"], tensors["text_ids"])
    plain = {
        name: torch.zeros_like(value) if "lora_up" in name else value
        for name, value in world().parts["adapter"].items()
    }
    for block in blocks(case["layer"]):
        for parts, ending in ((None, ""), (plain, "_no_lora")):
            interact = world().adapter(parts).layer(case["layer"]).interact
            z_i, z_t = interact(
                block, tensors["z_i"], tensors["z_t"], tensors["vec"], tensors["vec"], *rotary, dense_attention
            )
            yield z_i, tensors[f"z_i_out{ending}"]
            yield z_t, tensors[f"z_t_out{ending}"]


def _module_b(tensors: dict[str, torch.Tensor], case: dict[str, Any]) -> Pairs:
    grids = tuple(tuple(grid) for grid in case["latent_grids"])
    variants = {
        "delta": {}, "delta_gated": {"inject_norm": "gated"}, "delta_rope_spatial": {"inject_rope": "spatial"},
        "delta_rope_full": {"inject_rope": "full"},
    }
    z, vec = tensors["z"], tensors["vec"]
    for block in blocks(case["layer"]):
        for name, settings in variants.items():
            inject = world().adapter(**settings).layer(case["layer"]).inject
            rope = settings.get("inject_rope")
            rotary = None if rope is None else tables(*injection_ids(tuple(case["video_grid"]), grids, rope))
            for chunk_tokens in (0, 7):
                delta = inject(block, z, tensors["z_i"], vec, vec, dense_attention, rotary, chunk_tokens)
                yield delta, tensors[name]
            if not settings:
                yield z + inject.added(delta, 1.0), tensors["z_out"]
                yield z + inject.added(delta, 0.5), tensors["z_out_strength_half"]


def _forward(tensors: dict[str, torch.Tensor], case: dict[str, Any]) -> Pairs:
    plain = world().parts["adapter"]

    def zeroed(*marks):
        return {
            name: torch.zeros_like(value) if any(mark in name for mark in marks) else value
            for name, value in plain.items()
        }

    runs = {
        "out": {}, "out_fc0": {"weights": zeroed(".fc.")}, "out_untrained": {"weights": zeroed(".fc.", "lora_up")},
        "out_strength_half": {"options": RunOptions(strength=0.5)},
        "out_layers": {"options": RunOptions(layers=frozenset(case["layers_subset"]), chunk_tokens=7)},
        "out_no_guidance": {"guided": False}, "out_alpha_missing": {"alpha": None},
        "out_inject_alpha": {"weights": {**plain, **world().parts["alpha"]}},
        "out_proj": {"weights": {**plain, **world().parts["proj"]}}, "out_fused_peft": {"weights": fused()},
        "out_gated": {"inject_norm": "gated"}, "out_rope_spatial": {"inject_rope": "spatial"},
        "out_rope_full": {"inject_rope": "full"}, "out_vec_zero": {"vec_mode": "zero"},
    }
    for name, settings in runs.items():
        yield from ((out, tensors[name]) for out in outputs(tensors, layout_of(case["layout"]), **settings))
    yield from _trace(tensors, case)
    for name, guided in (("out_base", True), ("out_base_no_guidance", False)):
        yield world().network(guided)(*inputs_of(tensors)), tensors[name]
        yield velocity(world().host_model(guided), *inputs_of(tensors)), tensors[name]


def _trace(tensors: dict[str, torch.Tensor], case: dict[str, Any]) -> Pairs:
    """What the layers pass on to each other."""
    network, adapter, seen = world().network(), world().adapter(), {}
    x, timesteps, context, pooled, guidance = inputs_of(tensors)
    for index in adapter.config.layers:
        layer = adapter.layer(index)
        layer.interact.register_forward_hook(
            lambda _, __, out, index=index: seen.update({f"{index}.z_i": out[0], f"{index}.z_t": out[1]})
        )
        layer.inject.register_forward_hook(lambda _, __, out, index=index: seen.update({f"{index}.delta": out}))
    polyvivid_forward(
        network, adapter, x, timesteps, context, pooled, guidance, latents_of(tensors), layout_of(case["layout"])
    )
    seen["start.z_i"] = subject_tokens(network, latents_of(tensors), x.shape[0])
    seen["start.z_t"] = network.txt_in(context, timesteps, dense_attention)
    seen["start.vec"] = network.modulation_vec(timesteps, pooled, guidance, x.dtype)
    yield from ((seen[name.removeprefix("trace.")], value) for name, value in tensors.items() if "trace." in name)


def outputs(
    tensors: dict[str, torch.Tensor],
    layout: TextLayout,
    prefix: str = "",
    golden: World | None = None,
    weights: dict[str, torch.Tensor] | None = None,
    guided: bool = True,
    options: RunOptions = RunOptions(),  # noqa: B008
    **settings: Any,
) -> Iterator[torch.Tensor]:
    """The adapted model's output for a case: over our network, then over ComfyUI's model."""
    golden = world() if golden is None else golden
    given = *inputs_of(tensors, prefix), latents_of(tensors, prefix), layout, options
    adapter = golden.adapter(weights, **settings)
    yield polyvivid_forward(golden.network(guided), adapter, *given)
    yield adapted_velocity(golden.host_model(guided), adapter, *given)


def fused() -> dict[str, torch.Tensor]:
    """The adapter's tensors with fused LoRAs in PEFT's names, as a file is read."""
    from tools.stored_adapters import read_tensors

    separate = (".q.lora", ".k.lora", ".v.lora")
    kept = {
        name: value for name, value in world().parts["adapter"].items() if not any(one in name for one in separate)
    }
    return dict(read_tensors({**kept, **world().parts["fused"]}).tensors)


def _forward_cases(tensors: dict[str, torch.Tensor], case: dict[str, Any]) -> Pairs:
    for name, one in case["cases"].items():
        options = RunOptions(fractional=one.get("fractional", False))
        found = outputs(tensors, layout_of(one["layout"]), f"{name}.", options=options)
        yield from ((out, tensors[f"{name}.out"]) for out in found)


def _weights(path: Path) -> float:
    """The weights are the others' companion: they are right if the first forward comes out."""
    tensors, case = load(FORWARD)
    found = outputs(tensors, layout_of(case["layout"]), golden=World.read(path))
    return worst(relative(out, tensors["out"]) for out in found)


def _template(file: dict[str, Any]) -> int:
    from tools.llama_tokens import llama_tokenizer

    tokenize, differing = llama_tokenizer(), 0
    for case in file["cases"]:
        tokens = tokenize_template(tokenize, case["prompt"], case["subjects"])
        measured = {
            "string": tokens.string, "ids": list(tokens.ids), "crop_start": tokens.crop_start,
            "cropped_ids": list(tokens.cropped_ids), "text_spans": [list(span) for span in tokens.text_spans],
            "image_spans": [list(span) for span in tokens.image_spans], "separator": tokens.separator,
            "length": tokens.length, "tail_span": None,
        }
        differing += sum(case[name] != value for name, value in measured.items())
    return differing if file["cases"] else 1


def _cliques(cases: list[dict[str, Any]]) -> int:
    differing = 0
    for case in cases:
        options = {
            name: case[name] for name in ("frame_count", "same_frame_edges", "area", "sharpness", "phrases")
            if name in case
        }
        similarity = torch.tensor(case["similarity"], dtype=torch.float64).reshape((len(case["frames"]),) * 2)
        found = consolidate(similarity, case["frames"], case["tau"], **options)
        subjects = [
            {"members": list(one.members), "representative": one.representative, "phrase": one.phrase}
            for one in found.subjects
        ]
        differing += subjects != case["expected"]["subjects"]
        differing += list(found.left_over) != case["expected"]["left_over"]
    return differing if cases else 1
