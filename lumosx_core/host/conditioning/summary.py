"""The one summary of an encoding: warnings and cost, worked out once for report, panel and log."""

from __future__ import annotations

from typing import Any

from ...models.lumosx.sequence import SequenceLayout
from ...models.wan.config import UMT5
from ...scene.binding import BoundPrompt
from ...scene.summary import EncodingSummary, TokenCounts
from ..pace import outlook_of
from .doubts import doubts
from .video_size import VideoSize


def summarise(
    prompt: str, bound: BoundPrompt, negative_prompt: str, size: VideoSize, layout: SequenceLayout, vae: Any
) -> EncodingSummary:
    """What there is to say about an encoding before it is made.

    Args:
        prompt: as the node received it.
        bound: the scene in it.
        negative_prompt: the text of the unconditional pass.
        size: of the video.
        layout: the sequence that the model will see.
        vae: which the small models are known by.
    """
    return EncodingSummary(
        prompt=prompt,
        bound=bound,
        size=(size.width, size.height, size.frames),
        tokens=TokenCounts(
            layout.frames, layout.height, layout.width, layout.binding.references, len(bound.tokens.ids) + 1,
            UMT5.length,
        ),
        findings=tuple(bound.findings((size.width, size.height))),
        outlook=outlook_of(layout, size.batch),
        negative_prompt=negative_prompt,
        notes=tuple(doubts(vae, bound.scene.references, size.width, size.height, size.frames)),
    )
