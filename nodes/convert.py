"""The node that rewrites a weight file in another precision."""

from comfy_api.latest import io, ui

from ..lumosx_core.host.weights.converter import check_format, check_name, convert_weights, list_sources, source_path
from ..lumosx_core.weights.precision import FORMATS
from .base import Node
from .sockets import CATEGORY, aliases


def _check(source, format, file_name):
    # What comes by a link is known only when the node runs.
    if format is not None:
        check_format(format)
    if source is not None:
        source_path(source)
    if file_name is not None:
        check_name(file_name)


class LumosXConvertWeights(Node):
    """Any weight file or checkpoint folder to one file of another precision."""

    FILES = frozenset({"source"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_ConvertWeights",
            display_name="LumosX Convert Weights",
            category=CATEGORY,
            **aliases(
                "quantize", "quantise", "gguf", "fp8", "int8", "nvfp4", "convert checkpoint", "save model",
                "merge shards",
            ),
            description="Makes a smaller file, or makes one file from the release's checkpoint folder, from a .pt, "
            "or from several parts. It needs little memory, can be interrupted, never overwrites a file and never "
            "leaves an incomplete one. Press R afterwards, so that the loaders list the new file.",
            inputs=[
                io.Combo.Input(
                    "source", options=list_sources(),
                    tooltip="A weight file in models/diffusion_models or models/unet (the first part of a model in "
                    "several parts), a checkpoint folder there (its name ends in /), or the .index.json of a model "
                    "in parts.",
                ),
                io.Combo.Input(
                    "format", options=list(FORMATS), default="q8_0",
                    tooltip="q8_0 (GGUF) is half the size of bf16 and hardly differs. fp8_scaled is as small and may "
                    "be faster on new cards, but loses more. q5_1 to q4_0 are smaller still, for the smallest cards. "
                    "int8 (RTX 20 or later) and nvfp4 (RTX 50) need a ComfyUI that computes in them, and the package "
                    "comfy-kitchen. bf16 keeps everything in the release.",
                ),
                io.String.Input(
                    "file_name", default="lumosx_q8_0",
                    tooltip="Name of the new file in models/diffusion_models, without its extension, which is "
                    ".safetensors or .gguf depending on the format. An existing file is never touched.",
                ),
            ],
            outputs=[
                # A loader takes it as it takes a choice from its own list.
                io.Custom("COMBO").Output(
                    display_name="model_name", tooltip="The new file, for the model_name of LumosX Model Loader."
                ),
                io.String.Output(display_name="report", tooltip="What was written, and notes about it."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, source=None, format=None, file_name=None):
        return cls.verdict(_check, source=source, format=format, file_name=file_name)

    @classmethod
    def execute(cls, source, format, file_name) -> io.NodeOutput:
        name, report = convert_weights(source, format, file_name)
        return io.NodeOutput(name, report, ui=ui.PreviewText(report))
