"""The node that gives a negative prompt an effect where cfg is 1."""

from comfy_api.latest import io

from ..lumosx_core.host.methods.lumosx_negative import model_away_from
from ..lumosx_core.models.lumosx.negative import NegativeGuidance
from .base import Node
from .sockets import CATEGORY, advanced, aliases


class LumosXNegativeAtCfg1(Node):
    """A MODEL that keeps away from a negative prompt in one pass a step."""

    @classmethod
    def define_schema(cls):
        usual = NegativeGuidance()
        return io.Schema(
            node_id="LumosX_NegativeAtCfg1",
            display_name="LumosX Negative at CFG 1",
            category=CATEGORY,
            **aliases("nag", "normalized attention guidance", "negative prompt", "few steps", "cfg 1"),
            description="Gives the negative prompt an effect at cfg 1, where it otherwise has none, as with LoRAs for "
            "few steps: normalised attention guidance (NAG) in the video's cross-attention. Untrained: LumosX was not "
            "trained with it. References and what binds to what stay as they are.",
            inputs=[
                io.Model.Input("model", tooltip="A model of LumosX Model Loader or LumosX Model, with its LoRAs."),
                io.Conditioning.Input(
                    "negative",
                    tooltip="The negative of LumosX Relational Encode, or a text of CLIP Text Encode; only its text is "
                    "used.",
                ),
                io.Float.Input(
                    "scale", default=usual.scale, min=0.0, max=100.0, step=0.1,
                    tooltip="How far to move away from the negative prompt. 1 is off, below 1 goes towards it.",
                ),
                advanced(
                    io.Float, "tau", default=usual.tau, min=1.0, max=10.0, step=0.01, optional=True,
                    tooltip="How much larger the features of a token may become. Lower is calmer.",
                ),
                advanced(
                    io.Float, "alpha", default=usual.alpha, min=0.0, max=1.0, step=0.01, optional=True,
                    tooltip="How much of the guided features is mixed in. 0 is off.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The same model, away from the negative prompt.")],
        )

    @classmethod
    def execute(cls, model, negative, scale, tau=NegativeGuidance.tau, alpha=NegativeGuidance.alpha) -> io.NodeOutput:
        return io.NodeOutput(model_away_from(model, negative, NegativeGuidance(scale, tau, alpha)))
