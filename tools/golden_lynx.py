"""The golden files of Lynx and of its face recogniser; see ``golden``.

Each function gives its errors in units of what is allowed: a file is met if none is above 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from lumosx_core.models.lynx.alignment import TEMPLATES, similarity_matrix, warp
from lumosx_core.models.lynx.guidance import GuidanceScales, as_two_branches, guide
from lumosx_core.models.lynx.recognise import find_lynx
from lumosx_core.models.lynx.recogniser import FaceRecogniser, recogniser_input
from lumosx_core.models.lynx.resampler import load_resampler
from lumosx_core.models.lynx.window import Window
from lumosx_core.weights.opening import open_weights
from tools.lynx_network import at_scale, build, features, fold_ids, fold_refs, put_in

ABSOLUTE, RELATIVE, SAMPLED = 2e-5, 2e-5, 1e-4
CORNERS, CROP_MEAN, CROP_LARGEST = 1e-3, 0.25, 8
KEYS = "arcface_ir_se50_keys.json"
ROWS = "lynx_full_rows.safetensors"


def relative(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over norm of what is expected, infinite where shapes differ."""
    if measured.shape != expected.shape:
        return math.inf
    return ((measured.double() - expected.double()).norm() / expected.double().norm()).item()


def absolute(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, infinite where shapes differ."""
    if measured.shape != expected.shape:
        return math.inf
    return (measured.double() - expected.double()).abs().max().item()


def resampler(tensors, case, path):
    with open_weights(path) as source:
        found = find_lynx(source).resampler
        network = load_resampler(replace(found, sizes=replace(found.sizes, heads=case["heads"])))
    yield relative(network(tensors["embedding"]), tensors["tokens"]) / RELATIVE
    yield relative(network(tensors["batch_embedding"]), tensors["batch_tokens"]) / RELATIVE
    yield relative(network.null_tokens(), tensors["null_tokens"]) / RELATIVE


def full_rows(tensors, case, path):
    model = build(tensors, case)
    seen, nobody = (features(model, tensors[z], tensors["rtxt"]) for z in ("refz", "refzu"))
    for block in range(case["layers"]):
        yield absolute(seen[block], tensors[f"buf.{block}"]) / ABSOLUTE
        yield absolute(nobody[block], tensors[f"bufu.{block}"]) / ABSOLUTE
    with open_weights(path) as source:
        found = find_lynx(source)
        ids, refs = fold_ids(found.id_layers, tensors["ip"], model), fold_refs(found.ref_layers, seen, model)
    for block in range(case["layers"]):
        for name, folded in (("ip", ids[block]), ("ref", refs[block])):
            yield absolute(folded.keys, tensors[f"kv.{block}.k_{name}"]) / ABSOLUTE
            yield absolute(folded.values, tensors[f"kv.{block}.v_{name}"]) / ABSOLUTE

    def velocity(ip_scale, ref_scale, ip_blocks=None, ref_blocks=None):
        chosen = [{block: folded[block] for block in (folded if blocks is None else blocks)}
                  for folded, blocks in ((ids, ip_blocks), (refs, ref_blocks))]
        put_in(model, at_scale(chosen[0], ip_scale), at_scale(chosen[1], ref_scale))
        return model(tensors["x"], tensors["t"].float().expand(2), context=tensors["txt"])

    ip, ref, blocks = case["ip_scale"], case["ref_scale"], case["out_blocks"]
    yield relative(velocity(ip, ref), tensors["out"]) / RELATIVE
    yield relative(velocity(ip, 0), tensors["out_ip"]) / RELATIVE
    yield relative(velocity(0, ref), tensors["out_ref"]) / RELATIVE
    yield relative(velocity(0, 0), tensors["out_off"]) / RELATIVE
    yield relative(velocity(ip, ref, blocks["ip"], blocks["ref"]), tensors["out_blocks"]) / RELATIVE
    put_in(model, at_scale(ids, ip, [0, 0]), at_scale(refs, ref, [0, 0]))
    pair = model(
        tensors["x"][[0, 0]], tensors["t"].float().expand(2), context=torch.cat([tensors["ntxt"], tensors["txt"][:1]])
    )
    yield relative(pair, tensors["pair_out"]) / RELATIVE


def lite_rows(tensors, case, path):
    model = build(tensors, case)
    seen = features(model, tensors["refz"], tensors["rtxt"])
    for block in range(case["layers"]):
        yield absolute(seen[block], tensors[f"buf.{block}"]) / ABSOLUTE
    with open_weights(path) as source:
        found = find_lynx(source)
        ids, refs = fold_ids(found.id_layers, tensors["tok"], model), fold_refs(found.ref_layers, seen, model)
    for name, ref_scale, ip_scale in (
        ("out", 0, case["ip_scale"]), ("out_mixed", case["ref_scale"], case["ip_scale"]), ("out_off", 0, 0),
    ):
        put_in(model, at_scale(ids, ip_scale), at_scale(refs, ref_scale))
        measured = model(tensors["x"], tensors["t"].float().expand(2), context=tensors["txt"])
        yield relative(measured, tensors[name]) / RELATIVE


def full(tensors, case, path):
    model = build(tensors, case)
    seen = features(model, tensors["refz"], tensors["rtxt"])
    nobody = features(model, torch.zeros_like(tensors["refz"]), tensors["rtxt"])
    for block in range(case["layers"]):
        yield absolute(seen[block], tensors[f"buf.{block}"]) / ABSOLUTE
        yield absolute(nobody[block], tensors[f"bufu.{block}"]) / ABSOLUTE
    branches = {}
    for name, text, tokens, block_features in (
        ("vc", "txt", "ip", seen), ("vi", "ntxt", "ip", seen), ("vu", "ntxt", "ipu", nobody),
    ):
        with open_weights(path) as source:
            found = find_lynx(source)
            ids = fold_ids(found.id_layers, tensors[tokens], model)
            refs = fold_refs(found.ref_layers, block_features, model)
        put_in(model, at_scale(ids, case["ip_scale"]), at_scale(refs, case["ref_scale"]))
        branches[name] = model(tensors["x"], tensors["t"].float(), context=tensors[text])
        yield relative(branches[name], tensors[name]) / RELATIVE
    guided = guide(GuidanceScales(case["cfg_text"], case["cfg_image"]), *branches.values())
    yield relative(guided, tensors["cfg"]) / RELATIVE


def lite(tensors, case, path):
    model = build(tensors, case)
    with open_weights(path) as source:
        ids = fold_ids(find_lynx(source).id_layers, tensors["tok"], model)
    put_in(model, at_scale(ids, case["ip_scale"]))
    text = torch.cat([tensors["ntxt"], tensors["txt"]])
    measured = model(tensors["x"].expand(2, -1, -1, -1, -1), tensors["t"].float().expand(2), context=text)
    yield relative(measured, tensors["out"]) / RELATIVE


def guidance(tensors, case, path):
    v_c, v_i, v_u = (tensors[name] for name in ("v_c", "v_i", "v_u"))
    text, image = case["text_scale"], case["image_scale"]
    pair = as_two_branches(image, v_c, v_i, v_u)
    full = guide(GuidanceScales(text, image), v_c, v_i, v_u)
    without = guide(GuidanceScales(text, None), v_c, None, v_u)
    for name, measured in (
        ("full", full), ("full_without_image_scale", without), ("lite", without),
        ("text_scale_1", guide(GuidanceScales(1, image), v_c)), ("two_branch_cond", pair[0]),
        ("two_branch_uncond", pair[1]), ("full", pair[1] + text * (pair[0] - pair[1])),
        ("denoised", tensors["x"] - case["sigma"] * full),
    ):
        yield absolute(measured, tensors[name]) / ABSOLUTE


def window(tensors, case, path):
    """Its weights, texts and identity are those of the file beside it."""
    latents = sampled(tensors, case, path.with_name(ROWS))
    for step, expected in enumerate(tensors["latents"]):
        yield relative(latents[step], expected) / SAMPLED


def sampled(tensors, case, rows_path, active=None):
    """The latent after each step; ``active`` instead of the window's own rule."""
    from tools.golden import load_golden

    rows, sizes = load_golden(rows_path)
    model = build(rows, sizes)
    with open_weights(rows_path) as source:
        found = find_lynx(source)
        tokens = torch.cat([rows["ip"][:1], rows["ipu"]])
        ids = fold_ids(found.id_layers, tokens, model)
        block_features = [torch.cat([rows[f"buf.{b}"][:1], rows[f"bufu.{b}"]]) for b in range(sizes["layers"])]
        refs = fold_refs(found.ref_layers, block_features, model)
    rule = Window.of_percents(case["start_percent"], case["end_percent"], case["shift"])
    scales = GuidanceScales(case["cfg_text"], case["cfg_image"])
    text = torch.cat([rows["txt"][:1], rows["ntxt"], rows["ntxt"]])
    x, latents = tensors["noise"], []
    for step, timestep in enumerate(case["timesteps"]):
        sigma, following = case["sigmas"][step:step + 2]
        acts = rule.holds(sigma) if active is None else active[step]
        people = [0, 0, 1]
        put_in(model, at_scale(ids, case["ip_scale"] * acts, people), at_scale(refs, case["ref_scale"] * acts, people))
        branches = model(x.expand(3, -1, -1, -1, -1), torch.full((3,), float(timestep)), context=text)
        x = x + (following - sigma) * guide(scales, *branches.split(1))
        latents.append(x[0])
    return latents


def face_crops(tensors, case, path):
    height, width = tensors["picture"].shape[:2]
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
    for size in (112, 256):
        yield _exact(torch.from_numpy(TEMPLATES[size]), tensors[f"template_{size}"])
        for index, landmarks in enumerate(tensors["landmarks"].numpy()):
            expected = tensors[f"matrix_{size}"][index].numpy()
            yield np.abs((similarity_matrix(landmarks, size) - expected) @ corners.T).max() / CORNERS
        sets = range(len(tensors["landmarks"])) if size == 112 else case["crop_256_sets"]
        for index, expected in zip(sets, tensors[f"crop_{size}"]):
            matrix = similarity_matrix(tensors["landmarks"][index].numpy(), size)
            difference = (warp(tensors["picture"], matrix, size).int() - expected.int()).abs().float()
            yield difference.mean().item() / CROP_MEAN
            yield difference.max().item() / CROP_LARGEST


def recogniser(tensors, case, path):
    """Its weights follow from the list of keys beside it."""
    weights = recogniser_weights(path.with_name(KEYS), case["seed"])
    for name in (name for name in tensors if name.startswith("first.")):
        yield _exact(weights[name.removeprefix("first.")].flatten()[:8], tensors[name])
    network = FaceRecogniser()
    network.load_state_dict(weights, assign=True)
    network.eval().requires_grad_(False)
    given = recogniser_input(tensors["crops"])
    yield _exact(given, tensors["input"])
    ends, means = (2, 6, 20, 23), []
    for unit, layer in enumerate(network.body):
        if unit in ends:
            layer.register_forward_hook(lambda module, inputs, output: means.append(output.mean(dim=(2, 3))))
    yield absolute(network(given), tensors["embedding"]) / ABSOLUTE
    for stage, mean in enumerate(means):
        yield absolute(mean, tensors[f"stage_mean.{stage}"]) / ABSOLUTE


def _exact(measured: torch.Tensor, expected: torch.Tensor) -> float:
    return 0.0 if torch.equal(measured, expected) else math.inf


@lru_cache(maxsize=1)
def recogniser_weights(path: Path, seed: int) -> dict[str, torch.Tensor]:
    """The weights that a list of keys stands for, by the formula of the golden files' notes."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {entry["key"]: _drawn(entry, index, seed) for index, entry in enumerate(entries)}


def _drawn(entry: dict, index: int, seed: int) -> torch.Tensor:
    shape, kind = entry["shape"], entry["kind"]
    if kind == "zero":
        return torch.zeros(shape, dtype=torch.int64)
    numbers = []
    for start in range(0, math.prod(shape), 1 << 20):
        z = np.arange(start, min(start + (1 << 20), math.prod(shape)), dtype=np.uint64)
        z += np.uint64(((seed * 1000 + index) << 26) % 2**64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z ^= z >> np.uint64(shift)
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
        u = (z >> np.uint64(11)).astype(np.float64) / 2**53
        numbers.append(_of_kind(kind, u, shape).astype(np.float32))
    return torch.from_numpy(np.concatenate(numbers)).reshape(shape)


def _of_kind(kind: str, u: np.ndarray, shape: list[int]) -> np.ndarray:
    return {
        "matrix": lambda: (2 * u - 1) * math.sqrt(3 / math.prod(shape[1:])), "norm": lambda: 0.75 + 0.5 * u,
        "prelu": lambda: 0.1 + 0.3 * u, "bias": lambda: 0.2 * (u - 0.5), "running_mean": lambda: 0.2 * (u - 0.5),
        "running_var": lambda: 0.5 + u,
    }[kind]()


def window_rule(cases):
    """How many edges and steps differ from the list's."""
    for case in cases:
        rule = Window.of_percents(case["start_percent"], case["end_percent"], case["shift"])
        active = [rule.holds(sigma) for sigma in case["sigmas"]]
        if [rule.sigma_start, rule.sigma_end, active] != [case["sigma_start"], case["sigma_end"], case["active"]]:
            yield math.inf
        yield 0.0


def recogniser_keys(entries):
    """Whether the network has just these tensors."""
    with torch.device("meta"):
        state = FaceRecogniser().state_dict()
    ours = {(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for name, tensor in state.items()}
    yield 0.0 if ours == {(entry["key"], tuple(entry["shape"]), entry["dtype"]) for entry in entries} else math.inf


# The first mark that a file holds says what it is.
KINDS = {
    "resampler.latents": resampler, "kv.0.k_ip": full_rows, "out_mixed": lite_rows, "vc": full, "tok": lite,
    "full_without_image_scale": guidance, "latents": window, "matrix_112": face_crops, "crops": recogniser,
}
JSON_KINDS = {"start_percent": window_rule, "kind": recogniser_keys}


@torch.no_grad()
def worst(path: Path, tensors: dict[str, torch.Tensor], case: dict) -> float | None:
    """The largest error in units of what is allowed; None for a file of another kind."""
    check = next((KINDS[mark] for mark in KINDS if mark in tensors), None)
    return None if check is None else _largest(check(tensors, case, path))


def worst_of_cases(cases: list[dict]) -> float | None:
    """As ``worst``, for a JSON file."""
    check = next((JSON_KINDS[mark] for mark in JSON_KINDS if mark in cases[0]), None)
    return None if check is None else _largest(check(cases))


def _largest(errors: Iterable[float]) -> float:
    errors = list(errors)
    # max() passes over a NaN.
    return math.inf if any(map(math.isnan, errors)) else max(errors)
