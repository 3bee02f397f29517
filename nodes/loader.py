"""The node that makes a MODEL from whatever weight file the user has."""

from comfy_api.latest import io

from ..lumosx_core.host.weights.loader import (
    WEIGHT_DTYPES,
    check_model,
    list_models,
    load_model,
    model_file_fingerprint,
)
from .base import Node
from .sockets import CATEGORY, aliases, vram_budget_input


def _check_file(model_name, weight_dtype):
    # A linked name is known only when the node runs.
    if model_name is not None:
        check_model(model_name)


class LumosXModelLoader(Node):
    """A weight file or the release's folder to a MODEL that understands relations."""

    FILES = frozenset({"model_name"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_ModelLoader",
            display_name="LumosX Model Loader",
            category=CATEGORY,
            **aliases(
                "load diffusion model", "unet loader", "wan loader", "wan loader gguf", "gguf", "fp8", "checkpoint",
                "low vram",
            ),
            description="Loads LumosX weights of any kind: the release's folder LumosX_models as downloaded, "
            "safetensors (bf16, fp16, fp32, fp8, scaled fp8), GGUF, or .pt. The relational forward is on, so you "
            "need no LumosX Model node, except to change its constants. LoRA loaders and other model nodes come "
            "after this one.",
            inputs=[
                io.Combo.Input(
                    "model_name", options=list_models(),
                    tooltip="A file in models/diffusion_models or models/unet (the first part of a model in several "
                    "parts): LumosX weights, or any checkpoint with the shape of Wan2.1-T2V-1.3B. Or the release's "
                    "folder there, LumosX_models/: the first run converts it to LumosX_models_bf16.safetensors (2.8 "
                    "GB, beside it), a name that you may choose before the file exists. Anything else is refused, "
                    "with a message that says what it seems to be.",
                ),
                io.Combo.Input(
                    "weight_dtype", options=list(WEIGHT_DTYPES), default="default", optional=True,
                    tooltip="The type in which the weights are kept. default: as in the file. fp8 halves the memory "
                    "of a bf16 file, but loses some precision; a scaled fp8 or Q8_0 file loses less. GGUF files stay "
                    "as they are.",
                ),
                vram_budget_input(),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Ready for LumosX Sampler or any other sampler.")],
        )

    @classmethod
    async def validate_inputs(cls, model_name=None, weight_dtype=None):
        return await cls.verdict_aside(_check_file, model_name=model_name, weight_dtype=weight_dtype)

    @classmethod
    def fingerprint_inputs(cls, model_name=None, weight_dtype="default", vram_budget=0.0):
        return "" if model_name is None else model_file_fingerprint(model_name)

    @classmethod
    def execute(cls, model_name, weight_dtype="default", vram_budget=0.0) -> io.NodeOutput:
        return io.NodeOutput(load_model(model_name, weight_dtype, vram_budget))
