"""The node that gives a model the relational forward."""

from comfy_api.latest import io

from ..lumosx_core.host.methods.lumosx import relational_model
from ..lumosx_core.models.lumosx import RelationalOptions
from .base import Node
from .sockets import CATEGORY, advanced, aliases, vram_budget_input


class LumosXModel(Node):
    """A MODEL from any loader to a MODEL that understands relations."""

    @classmethod
    def define_schema(cls):
        release = RelationalOptions()
        return io.Schema(
            node_id="LumosX_Model",
            display_name="LumosX Model",
            category=CATEGORY,
            **aliases("wan model patch", "relational attention", "apply lumosx", "phantom", "vram"),
            description="Switches on the relational forward. Put it anywhere between the model loader and the "
            "sampler; LoRA loaders work before and after it. Without LumosX conditioning, the model works as before.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="LumosX weights, or any checkpoint with the shape of Wan2.1-T2V-1.3B, from any loader.",
                ),
                advanced(
                    io.Float, "ratio", default=release.ratio, min=0.0, max=10.0, step=0.05, optional=True,
                    tooltip="How strongly references are bound to their own words (MCAM). The release uses 0.5; 0 "
                    "switches it off, and much larger values distort the video.",
                ),
                advanced(
                    io.Int, "pool", default=release.pool, min=1, max=64, optional=True,
                    tooltip="Side of the cells, in tokens, that share one bias. The model was trained with 8; change "
                    "it only to experiment.",
                ),
                advanced(
                    io.Boolean, "relational_positions", default=release.r2pe, optional=True,
                    tooltip="R2PE: a person's pictures share one place in time. On in the release. Off mixes people; "
                    "use it only to see the effect.",
                ),
                advanced(
                    io.Boolean, "relational_attention", default=release.csam, optional=True,
                    tooltip="CSAM: a person's pictures attend to each other and to nothing else. On in the release. "
                    "Off mixes people and is slower; use it only to see the effect.",
                ),
                advanced(
                    io.Boolean, "float32_residual", default=release.float32_residual, optional=True,
                    tooltip="Keeps the residual stream in float32, as in the release. Off saves some memory and "
                    "time, with a small loss for bf16 or fp16 weights.",
                ),
                vram_budget_input(),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The same model with the relational forward.")],
        )

    @classmethod
    def execute(
        cls, model, ratio=0.5, pool=8, relational_positions=True, relational_attention=True, float32_residual=True,
        vram_budget=0.0,
    ) -> io.NodeOutput:
        options = RelationalOptions(ratio, pool, relational_positions, relational_attention, float32_residual)
        return io.NodeOutput(relational_model(model, options, vram_budget))
