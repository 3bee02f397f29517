"""What a run costs, predicted from its layout."""

from __future__ import annotations

from ...scene.summary import Prediction
from ..wan.config import WAN21_1_3B, WAN21_LATENT, WanConfig
from .cost import GIGABYTE, GUIDANCE_PASSES, Chunks, forward_work, peak_bytes, plan_forward
from .sequence import Binding, SequenceLayout

RELEASE_BYTES = 2_840_000_000
"""Of the 1.3B model's weights in bf16."""

_NOTHING = Binding((), (), ())
_TRAINED = SequenceLayout(*WAN21_LATENT.token_grid(WAN21_LATENT.shape(832, 480, 81)), _NOTHING)


def predict(layout: SequenceLayout, shape: WanConfig = WAN21_1_3B) -> Prediction:
    """What a run costs a model of these sizes, the released one unless given."""
    work = forward_work(layout, shape).total
    alone = SequenceLayout(layout.frames, layout.height, layout.width, _NOTHING)
    peak = peak_bytes(layout, shape, chunks=Chunks(plan_forward(layout, shape).chunk_tokens))
    return Prediction(
        step_tflop=GUIDANCE_PASSES * work / 10**12,
        activation_gigabytes=peak / GIGABYTE,
        work_ratio=work / forward_work(alone, shape).total,
        class_ratio=work / forward_work(_TRAINED).total,
    )
