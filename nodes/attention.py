"""The node that chooses how a MODEL computes attention."""

from comfy_api.latest import io

from ..lumosx_core.host.model.attention import CHOICES, check_attention, with_attention
from .base import Node, when_known
from .sockets import CATEGORY, aliases


class LumosXAttention(Node):
    """A MODEL to the same MODEL with an attention backend of its own."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Attention",
            display_name="LumosX Attention",
            category=CATEGORY,
            **aliases(
                "sage attention", "sageattention 3", "sageattention", "flash attention", "xformers", "sdpa", "speed up",
            ),
            description="Chooses the backend that computes attention, which takes most of the time, for this model "
            "only. It works on any model, anywhere between the loader and the sampler; a second node replaces the "
            "first. Without this node, ComfyUI's own choice applies.",
            inputs=[
                io.Model.Input("model", tooltip="Any model, with or without LumosX Model."),
                io.Combo.Input(
                    "backend", options=list(CHOICES), default="auto",
                    tooltip="auto: the fastest installed backend that keeps full precision: FlashAttention 3 on an "
                    "H100 or H200, else PyTorch. pytorch: its fastest kernels for the card; nothing to install. "
                    "sageattention 1 and 2 and comfy-kitchen int8 compute in 8 bits: faster, but less exact; "
                    "sageattention 3 (RTX 50) in 4 bits, for long videos only. If a backend is "
                    "missing or does not run on your card, the run stops before sampling and says how to get it. "
                    "Calls that a backend does not support, such as those with a mask, go to PyTorch.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The same model with this attention backend.")],
        )

    @classmethod
    async def validate_inputs(cls, backend=None):
        return await cls.verdict_aside(when_known(check_attention), backend=backend)

    @classmethod
    def execute(cls, model, backend) -> io.NodeOutput:
        return io.NodeOutput(with_attention(model, backend))
