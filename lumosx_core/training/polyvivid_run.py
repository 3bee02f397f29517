"""A PolyVivid adapter for HunyuanVideo, trained on a user's own cases."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import torch

from ..errors import LumosXError
from ..models.polyvivid.adapter import PolyVividAdapter
from ..models.polyvivid.checkpoint import write_adapter
from ..models.polyvivid.config import MOST_RANK, AdapterConfig
from ..packages import matplotlib
from ..weights.opening import open_weights
from .adapter_cases import CaseEncoder, EncodedAdapterCase, adapter_samples, encode_adapter_case
from .adapter_trainer import AdapterTrainer
from .cases import TargetSize, TrainingCase, read_training_cases
from .hunyuan_base import check_hunyuan_file, read_hunyuan
from .options import (
    DTYPES,
    add_plan_options,
    alpha_of,
    check_files,
    check_numbers,
    check_out,
    dtype_name,
    plan_of,
)
from .processes import note
from .running import machine_of, train_to_file, write_record
from .trainer import TrainingPlan, read_checkpoint

_ENCODERS = {
    "clip_l": ("text_model.encoder.layers.1.mlp.fc1.weight", "clip_l.safetensors"),
    "llava": ("model.layers.0.self_attn.k_proj.weight", "llava_llama3_fp16.safetensors"),
    "vision": ("multi_modal_projector.linear_1.bias", "llava_llama3_vision.safetensors"),
    "vae": ("decoder.conv_in.conv.weight", "hunyuan_video_vae_bf16.safetensors"),
}
"""A tensor that each file has, and its usual name. ComfyUI loads others too, and leaves their weights to chance."""
_MOST_DROPPED = 0.3
LEFT_OUT = (
    "Train a PolyVivid adapter for HunyuanVideo on your own cases, in the paper's two stages: one subject, then "
    "several. Left out of its recipe (section A.2): the first 1,000 steps of each stage at reduced size, and the batch "
    "of 256 over 256 GPUs; here each step is one case at full size. The paper does not state its optimizer, learning "
    "rate, rank, resolution, noise schedule and drop-out, so those are our choices, and it does not say whether it "
    "trains the base or LLaVA, which stay frozen here."
)


def add_command(commands: Any) -> None:
    """Add ``polyvivid`` to the command line."""
    parser = commands.add_parser(
        "polyvivid", help="train a PolyVivid adapter for HunyuanVideo on your own cases", description=LEFT_OUT
    )
    parser.add_argument("cases", type=Path, help="a case folder with a video.mp4 in it, or a folder of them")
    parser.add_argument("--base", type=Path, required=True, metavar="FILE", help="HunyuanVideo text-to-video, bf16")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new adapter, .safetensors")
    parser.add_argument("--clip-l", type=Path, required=True, metavar="FILE", help="clip_l.safetensors")
    parser.add_argument("--llava", type=Path, required=True, metavar="FILE", help="a file of llava_llama3")
    parser.add_argument("--vision", type=Path, required=True, metavar="FILE", help="llava_llama3_vision.safetensors")
    parser.add_argument("--vae", type=Path, required=True, metavar="FILE", help="HunyuanVideo's VAE")
    parser.add_argument("--size", type=int, nargs=2, default=(848, 480), metavar=("WIDTH", "HEIGHT"),
                        help="848 480 unless said otherwise")
    parser.add_argument("--frames", type=int, default=49, help="most frames of a video, 4 n + 1 (%(default)s)")
    parser.add_argument("--picture-side", type=int, default=384, help="pixels of a subject's square (%(default)s)")
    parser.add_argument("--rank", type=int, default=64, help="%(default)s")
    parser.add_argument("--steps", type=int, default=10000, help="%(default)s, of --accumulate cases each")
    parser.add_argument("--single-steps", type=int, metavar="STEPS",
                        help="the first so many show one subject alone; half of all unless said otherwise")
    parser.add_argument("--drop-references", type=float, default=0.1, metavar="CHANCE",
                        help="how often the subjects' lines are left out, their pictures, or both (%(default)s each)")
    parser.add_argument("--guidance", type=float, default=1.0, help="embedded guidance of the base (%(default)s)")
    add_plan_options(parser)
    parser.set_defaults(run=train_adapter)


def train_adapter(options: argparse.Namespace) -> str:
    """Train, write adapter, record and plot, and say where they are; ComfyUI must be importable.

    Raises:
        LumosXError: what is wrong with an option, the base, a case, an encoder or the checkpoint to go on from.
    """
    _check(options)
    matplotlib()
    for name, (tensor, usual) in _ENCODERS.items():
        _check_encoder(f"--{name.replace('_', '-')}", getattr(options, name), tensor, usual)
    base = check_hunyuan_file(options.base)
    config = AdapterConfig.for_base(base, options.rank, float(alpha_of(options)), ref_size=options.picture_side)
    cases = read_training_cases(options.cases)
    plan, about = plan_of(options), _about(options, cases)
    if options.resume is not None:
        read_checkpoint(options.resume, plan, about)
    encoded = _encode(options, cases)
    trainer = _trainer(options, config, plan, about)
    if options.resume is not None:
        trainer.resume(options.resume)
    return train_to_file(
        trainer,
        lambda step: adapter_samples(
            encoded, options.seed, options.drop_references, _single_steps(options) * plan.accumulate,
            step * plan.accumulate,
        ),
        options.out, lambda: _write(options.out, trainer, config),
    )


def _check(options: argparse.Namespace) -> None:
    """Everything that is wrong with the options alone."""
    check_out(options)
    check_numbers(options)
    check_files({f"--{name.replace('_', '-')}": getattr(options, name) for name in (*_ENCODERS, "resume")})
    if options.picture_side < 16 or options.picture_side % 16:
        raise LumosXError(f"--picture-side: {options.picture_side} is not a multiple of 16; use 384.")
    if options.rank > MOST_RANK:
        raise LumosXError(f"--rank: {options.rank} is above {MOST_RANK}; use less.")
    if options.drop_references > _MOST_DROPPED:
        raise LumosXError(f"--drop-references: {options.drop_references} is above {_MOST_DROPPED}; use less.")
    if not 0 <= options.guidance < math.inf:
        raise LumosXError(f"--guidance: {options.guidance} is not a strength; use 0 or more.")
    if not 0 <= _single_steps(options) <= options.steps:
        raise LumosXError(f"--single-steps: {options.single_steps} is not from 0 to {options.steps}; use half of it.")


def _check_encoder(option: str, path: Path, tensor: str, usual: str) -> None:
    with open_weights(path) as source:
        if not any(name.endswith(tensor) for name in source.tensors):
            raise LumosXError(f"{option}: {path} has no {tensor}; give {usual}.")


def _single_steps(options: argparse.Namespace) -> int:
    return options.steps // 2 if options.single_steps is None else options.single_steps


def _about(options: argparse.Namespace, cases: list[TrainingCase]) -> dict[str, Any]:
    """What makes this training another one than the next, as it is written down."""
    return {
        "base": options.base.name, "cases": [case.folder.name for case in cases], "rank": options.rank,
        "alpha": float(alpha_of(options)), "size": [*options.size], "frames": options.frames,
        "picture_side": options.picture_side, "single_steps": _single_steps(options),
        "drop_references": options.drop_references, "guidance": options.guidance,
        "dtype": dtype_name(options),
    }


def _load(options: argparse.Namespace) -> CaseEncoder:
    from ..host.conditioning.polyvivid_training import load_subjects_side

    return load_subjects_side(options.clip_l, options.llava, options.vision, options.vae)


def _encode(options: argparse.Namespace, cases: list[TrainingCase]) -> list[EncodedAdapterCase]:
    """All cases; then the encoders make room."""
    from ..host.training import unload_models

    for case in cases:
        for remark in case.notes:
            note(f"{case.folder.name}: {remark}")
    width, height = options.size
    encoder, size, encoded = _load(options), TargetSize(width, height, options.frames), []
    for case in cases:
        encoded.append(encode_adapter_case(case, encoder, size, options.picture_side))
        count = len(encoded[-1].subjects)
        note(f"{case.folder.name}: {count} subject{'' if count == 1 else 's'}")
    del encoder
    unload_models()
    return encoded


def _trainer(
    options: argparse.Namespace, config: AdapterConfig, plan: TrainingPlan, about: dict[str, Any]
) -> AdapterTrainer:
    dtype = DTYPES[about["dtype"]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        adapter = PolyVividAdapter(config)
    return AdapterTrainer(
        read_hunyuan(options.base, dtype), adapter, plan, dtype, torch.device(options.device), about, options.guidance,
        options.save_memory,
    )


def _write(out: Path, trainer: AdapterTrainer, config: AdapterConfig) -> None:
    adapter = PolyVividAdapter(config)
    adapter.load_state_dict(trainer.state_dict())
    write_adapter(out, adapter, trainer.dtype)
    about = {"what": "a PolyVivid adapter for HunyuanVideo", **trainer.about, "machine": machine_of(trainer)}
    write_record(out.with_suffix(".json"), trainer, about)
