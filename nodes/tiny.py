"""The node with the small models that come with the pack."""

from comfy_api.latest import io

from ..lumosx_core.host.tiny import load_tiny_models
from .sockets import CATEGORY, aliases


class LumosXTinyModels(io.ComfyNode):
    """MODEL, CLIP and VAE without a download."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_TinyModels",
            display_name="LumosX Tiny Models",
            category=CATEGORY,
            **aliases("demo", "test models", "dummy", "no download"),
            description="Small stand-ins for the three model files, made from a seed on first use, to see that a graph "
            "runs. They are untrained: the pictures shine through each other, and the video shows nobody. For real "
            "videos replace this node by LumosX Model Loader, Load CLIP (type wan) and Load VAE.",
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="A small Wan2.1-shaped model; link it to LumosX Model."),
                io.Clip.Output(display_name="clip", tooltip="A small UMT5-type text encoder with a real tokenizer."),
                io.Vae.Output(display_name="vae", tooltip="A small VAE with the strides and channels of Wan2.1's."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*load_tiny_models())
