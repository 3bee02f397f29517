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
            description="Switches the relational forward on. Put it anywhere between the model loader and the sampler; "
            "LoRA loaders work before and after it. Without LumosX conditioning the model acts as before.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="LumosX weights, or any checkpoint with the shape of Wan2.1-T2V-1.3B, from any loader.",
                ),
                advanced(
                    io.Float, "ratio", default=release.ratio, min=0.0, max=10.0, step=0.05, optional=True,
                    tooltip="How strongly references are drawn to their own words (MCAM). 0.5 is the release's value; "
                    "0 switches it off, much more distorts.",
                ),
                advanced(
                    io.Int, "pool", default=release.pool, min=1, max=64, optional=True,
                    tooltip="Side of the cells, in tokens, that share one such pull. 8 is what the model was trained "
                    "with; change it only to experiment.",
                ),
                advanced(
                    io.Boolean, "relational_positions", default=release.r2pe, optional=True,
                    tooltip="R2PE: a person's pictures share one place in time. On in the release; off mixes people, "
                    "to see what it does.",
                ),
                advanced(
                    io.Boolean, "relational_attention", default=release.csam, optional=True,
                    tooltip="CSAM: a person's pictures see each other and nothing else. On in the release; off mixes "
                    "people and is slower, to see what it does.",
                ),
                advanced(
                    io.Boolean, "float32_residual", default=release.float32_residual, optional=True,
                    tooltip="Keeps the sum of all layers in float32, as the release does. Off saves some memory and "
                    "time, at a small loss with bf16 or fp16 weights.",
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
