"""A LoRA of a LumosX model, trained on a user's own cases."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch.utils.checkpoint import checkpoint as recomputed

from ..errors import LumosXError
from ..files import write_aside
from ..models.wan.config import WAN21_LATENT
from ..models.wan.forward import run_plainly
from ..packages import matplotlib
from ..scene.prompt import NEGATIVE_PROMPT
from .base import check_base_file, read_base
from .cases import EncodedCase, TargetSize, TrainingCase, case_samples, encode_case, encode_text, read_training_cases
from .lora import LAYERS, add_lora, lora_file
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
from .trainer import RelationalTrainer, TrainingPlan, read_checkpoint


def add_command(commands: Any) -> None:
    """Add ``lora`` to the command line."""
    parser = commands.add_parser("lora", help="train a LoRA on your own cases")
    parser.add_argument("cases", type=Path, help="a case folder with a video.mp4 in it, or a folder of them")
    parser.add_argument("--base", type=Path, required=True, metavar="FILE", help="the LumosX weights, of any kind")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new LoRA, .safetensors")
    parser.add_argument("--text-encoder", type=Path, metavar="FILE", help="a file of UMT5-XXL")
    parser.add_argument("--vae", type=Path, metavar="FILE", help="wan_2.1_vae.safetensors")
    parser.add_argument("--tiny", action="store_true", help="the pack's own small text encoder and VAE instead")
    parser.add_argument("--size", type=int, nargs=2, default=(832, 480), metavar=("WIDTH", "HEIGHT"),
                        help="default: 832 480")
    parser.add_argument("--frames", type=int, default=81, help="most frames of a video, 4 n + 1 (%(default)s)")
    parser.add_argument("--rank", type=int, default=16, help="%(default)s")
    parser.add_argument("--layers", choices=LAYERS, default="all", help="which get a pair (%(default)s)")
    parser.add_argument("--steps", type=int, default=1000, help="%(default)s, of --accumulate cases each")
    parser.add_argument("--drop-references", type=float, default=0.1, metavar="CHANCE",
                        help="how often a picture is left out (%(default)s)")
    add_plan_options(parser)
    parser.set_defaults(run=train_lora)


def train_lora(options: argparse.Namespace) -> str:
    """Train, write LoRA, record and plot, and say where they are; ComfyUI must be importable.

    Raises:
        LumosXError: what is wrong with an option, the base, a case, an encoder or the checkpoint to go on from.
    """
    _check(options)
    matplotlib()
    check_base_file(options.base)
    cases = read_training_cases(options.cases)
    plan = plan_of(options)
    about = _about(options, cases)
    if options.resume is not None:
        read_checkpoint(options.resume, plan, about)
    encoded = _encode(options, cases)
    trainer = _trainer(options, plan, about)
    if options.resume is not None:
        trainer.resume(options.resume)
    return train_to_file(
        trainer, lambda step: case_samples(encoded, options.seed, options.drop_references, step * plan.accumulate),
        options.out, lambda: _write(options.out, trainer),
    )


def _check(options: argparse.Namespace) -> None:
    """Everything that is wrong with the options alone."""
    check_out(options)
    _check_encoders(options)
    check_numbers(options)


def _check_encoders(options: argparse.Namespace) -> None:
    files = {"--text-encoder": options.text_encoder, "--vae": options.vae}
    if options.tiny == any(files.values()) or not options.tiny and not all(files.values()):
        raise LumosXError("--text-encoder, --vae: give both files, or --tiny for the pack's own small ones.")
    check_files({**files, "--resume": options.resume})


def _about(options: argparse.Namespace, cases: list[TrainingCase]) -> dict[str, Any]:
    """The settings that identify this training, as they are saved."""
    return {
        "base": options.base.name, "cases": [case.folder.name for case in cases],
        "rank": options.rank, "alpha": float(alpha_of(options)), "layers": options.layers,
        "size": [*options.size], "frames": options.frames, "drop_references": options.drop_references,
        "dtype": dtype_name(options),
    }


def _encode(options: argparse.Namespace, cases: list[TrainingCase]) -> list[EncodedCase]:
    """All cases through one encoder, then through the other, so that never both are held."""
    from ..host.training import PictureSide, TextSide, load_picture_side, load_text_side, unload_models
    from ..host.weights.tiny import load_tiny_clip, load_tiny_vae

    for case in cases:
        for remark in case.notes:
            note(f"{case.folder.name}: {remark}")
    width, height = options.size
    size = TargetSize(width, height, options.frames)
    text = TextSide(load_tiny_clip()) if options.tiny else load_text_side(options.text_encoder)
    texts = [encode_text(case, text.tokenise, text.encode) for case in cases]
    negative = text.encode(NEGATIVE_PROMPT)
    del text
    unload_models()
    pictures = PictureSide(load_tiny_vae()) if options.tiny else load_picture_side(options.vae)
    encoded = []
    for case, said in zip(cases, texts):
        encoded.append(encode_case(case, said, negative, pictures.encode, size))
        frames = WAN21_LATENT.video_frames(encoded[-1].latent.shape[2])
        note(f"{case.folder.name}: {frames} {'frame' if frames == 1 else 'frames'} of {case.target.name}")
    del pictures
    unload_models()
    return encoded


def _trainer(options: argparse.Namespace, plan: TrainingPlan, about: dict[str, Any]) -> RelationalTrainer:
    dtype = DTYPES[about["dtype"]]
    network = read_base(options.base, dtype)
    add_lora(network, options.rank, alpha_of(options), options.layers, options.seed)
    run_block = _run_block_twice if options.save_memory else run_plainly
    return RelationalTrainer(network, plan, dtype, torch.device(options.device), about, run_block)


def _run_block_twice(index: int, x: torch.Tensor, original: Any) -> torch.Tensor:
    """Keep a block's input alone, and compute the rest again on the way back."""
    return recomputed(original, x, use_reentrant=False, preserve_rng_state=False)


def _write(out: Path, trainer: RelationalTrainer) -> None:
    about = trainer.about
    metadata = {
        "format": "pt", "lumosx.base": about["base"], "lumosx.rank": str(about["rank"]),
        "lumosx.alpha": f"{about['alpha']:g}", "lumosx.steps": str(trainer.step),
        "lumosx.cases": json.dumps(about["cases"], ensure_ascii=False),
    }
    write_aside(out, save(lora_file(trainer.state_dict(), about["rank"], about["alpha"]), metadata=metadata))
    about = {"what": "a LoRA of LumosX", **about, "machine": machine_of(trainer)}
    write_record(out.with_suffix(".json"), trainer, about)
