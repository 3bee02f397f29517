"""Several references on HunyuanCustom's public weights, which were trained with one: an experiment.

The k-th reference stands at time -k, to the right of the video. ComfyUI puts all frames of its one ``ref_latent`` at
-1, so with several the blocks get another table of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.patcher_extension
import torch
from comfy.ldm.hunyuan_video.model import HunyuanVideo

from ...errors import LumosXError
from ...models.polyvivid.positions import injection_ids
from ..conditioning.polyvivid import SubjectsLayout
from ..model.wrappers import put_wrappers
from .hunyuan import Patch, SubjectsForward, check_hunyuan, with_patches

WRAPPER_KEY = "lumosx_hunyuan_custom"
_KINDS = ("double_block", "single_block")


def hunyuan_custom_model(model: Any) -> Any:
    """A clone of a HunyuanCustom MODEL that takes several references; without subjects it acts as before.

    Raises:
        LumosXError: another kind of model.
    """
    check_hunyuan(model.get_model_object("diffusion_model"))
    clone, kind = model.clone(), comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    put_wrappers(clone, WRAPPER_KEY, {kind: ReferencesWrapper()})
    return clone


class ReferencesWrapper(SubjectsForward):
    """Hands the subjects to ComfyUI's forward as its reference, each at a time of its own."""

    def change(
        self, model: HunyuanVideo, latents: Sequence[torch.Tensor], subjects: SubjectsLayout, values: dict[str, Any]
    ) -> None:
        """The references along time, and in every block the positions that they should have."""
        x, context = values["x"], values["context"]
        if len({tuple(latent.shape) for latent in latents}) > 1:
            raise LumosXError("positive: the subjects' pictures have several sizes; encode them with one size.")
        values["ref_latent"] = torch.cat(list(latents), dim=2).to(x).expand(len(x), -1, -1, -1, -1)
        if len(latents) == 1:
            # It is what ComfyUI does itself.
            return
        _, *patch = model.patch_size
        if any(size % edge for latent in (x, *latents) for size, edge in zip(latent.shape[3:], patch)):
            raise LumosXError("latent: width and height of video and pictures must be multiples of 16 pixels.")
        frames, rows, columns = x.shape[2], x.shape[3] // patch[0], x.shape[4] // patch[1]
        grids = tuple((latent.shape[3] // patch[0], latent.shape[4] // patch[1]) for latent in latents)
        video, references = injection_ids((frames, rows, columns), grids, "full")
        parts = [torch.cat([references, video]), torch.zeros(context.shape[1], 3)]
        tables: dict[bool, torch.Tensor] = {}

        def table_like(hosts: torch.Tensor) -> torch.Tensor:
            first = _text_is_first(hosts)
            if first not in tables:
                ids = torch.cat(parts[::-1] if first else parts).to(x.device)
                tables[first] = model.pe_embedder(ids[None])
            return tables[first]

        def placed(index: int, inner: Patch | None) -> Patch:
            def run(arguments, extra):
                changed = {**arguments, "pe": table_like(arguments["pe"])}
                return extra["original_block"](changed) if inner is None else inner(changed, extra)

            return run

        options = values["transformer_options"]
        for kind in _KINDS:
            options = with_patches(options, kind, range(len(getattr(model, f"{kind}s"))), placed)
        values["transformer_options"] = options


def _text_is_first(table: torch.Tensor) -> bool:
    """Whether a table of positions [..., tokens, pairs, 2, 2] begins with text, as on newer hosts.

    Text is not rotated; a reference, which is the first of the pictures, is.
    """
    row = table.select(-4, 0)
    return torch.equal(row, torch.eye(2).to(row).expand_as(row))
