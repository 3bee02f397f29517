"""The nodes with the small models that come with the pack."""

from comfy_api.latest import io

from ..lumosx_core.host.weights.tiny import DECODERS, LEARNED, load_tiny_lynx, load_tiny_models
from ..lumosx_core.host.weights.tiny_hunyuan import load_tiny_hunyuan
from .base import Node
from .sockets import CATEGORY, LynxSocket, aliases


class LumosXTinyModels(Node):
    """MODEL, CLIP and VAE without a download."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_TinyModels",
            display_name="LumosX Tiny Models",
            category=CATEGORY,
            **aliases("demo", "test models", "dummy", "no download"),
            description="A small LumosX with its text encoder and VAE, trained on drawn people. At 128 x 96, with "
            "prompts like the demo's, most people keep their own face and clothes. It knows nothing of the real "
            "world. The relational forward is on, so you need no LumosX Model node. For real videos, replace this "
            "node with LumosX Model Loader, Load CLIP (type wan) and Load VAE.",
            inputs=[
                io.Combo.Input(
                    "decoder", options=list(DECODERS), default=LEARNED, optional=True,
                    tooltip="Which VAE to use. learned 2x: the one that the small model was trained with; it decodes "
                    "to twice the encoded width and height, so 128 x 96 becomes 256 x 192. block transform: "
                    "reproduces any picture, including photographs, coarsely and at its own size, but turns the "
                    "small model's videos into smears.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="A small LumosX in Wan2.1's shape, ready for LumosX Sampler."
                ),
                io.Clip.Output(display_name="clip", tooltip="A small UMT5-type text encoder with a real tokenizer."),
                io.Vae.Output(
                    display_name="vae",
                    tooltip="A small VAE that encodes with the strides and channels of Wan2.1's; learned 2x makes "
                    "frames twice as large.",
                ),
                LynxSocket.Output(
                    display_name="lynx",
                    tooltip="A small Lynx for this model, to try LumosX Lynx Identity with crops of drawn faces. Use "
                    "cfg and image_cfg from 3 to 6: at lower values, the video often does not keep the face.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, decoder=None):
        return cls.verdict(decoder=decoder)

    @classmethod
    def execute(cls, decoder: str = LEARNED) -> io.NodeOutput:
        return io.NodeOutput(*load_tiny_models(decoder), load_tiny_lynx())


class LumosXTinyHunyuan(Node):
    """A small HunyuanVideo with its text encoder, vision model and VAE, without a download."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_TinyHunyuan",
            display_name="LumosX Tiny HunyuanVideo",
            category=CATEGORY,
            **aliases("demo", "test models", "dummy", "no download", "hunyuan", "polyvivid"),
            description="A small HunyuanVideo with its text encoder, vision model and VAE, trained on drawn people. "
            "Use it at 128 x 96 with LumosX PolyVivid and the adapter lumosx_tiny_polyvivid.safetensors, which also "
            "comes with the pack. It knows nothing of the real world. For real videos, replace this node with Load "
            "Diffusion Model, DualCLIPLoader, Load CLIP Vision and Load VAE.",
            inputs=[],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="A small HunyuanVideo, for LumosX PolyVivid or a sampler."
                ),
                io.Clip.Output(
                    display_name="clip", tooltip="A small CLIP-L and llava_llama3, with ComfyUI's own tokenizers."
                ),
                io.ClipVision.Output(
                    display_name="clip_vision",
                    tooltip="A small vision model, which turns each picture into 6 x 6 tokens.",
                ),
                io.Vae.Output(
                    display_name="vae",
                    tooltip="A small VAE that encodes with the strides and channels of HunyuanVideo's, and makes "
                    "frames twice as large.",
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*load_tiny_hunyuan())
