"""The node that makes a CLIP from any file of UMT5-XXL."""

from comfy_api.latest import io

from ..lumosx_core.host.weights.text_encoder import (
    check_text_encoder,
    list_text_encoders,
    load_text_encoder,
    text_encoder_fingerprint,
)
from .base import Node, when_known
from .sockets import CATEGORY, aliases


class LumosXTextEncoderLoader(Node):
    """A text encoder's file to a CLIP, under whatever names."""

    FILES = frozenset({"text_encoder"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_TextEncoderLoader",
            display_name="LumosX Text Encoder Loader",
            category=CATEGORY,
            **aliases("load clip", "clip loader", "umt5", "t5", "text encoder", "models_t5_umt5-xxl-enc-bf16"),
            description="Loads UMT5-XXL, whatever its tensors are called: the release's "
            "models_t5_umt5-xxl-enc-bf16.pth and Kijai's umt5-xxl-enc-*.safetensors, which Load CLIP mistakes for "
            "another encoder, and the umt5_xxl_*.safetensors that Load CLIP also reads.",
            inputs=[
                io.Combo.Input(
                    "text_encoder", options=list_text_encoders(),
                    tooltip="A file in models/text_encoders. If it contains no tokenizer, put "
                    "google/umt5-xxl/spiece.model of the release into models/text_encoders. Anything other than "
                    "UMT5-XXL is refused, with a message that says what it seems to be.",
                ),
            ],
            outputs=[
                io.Clip.Output(display_name="clip", tooltip="For LumosX Relational Encode or CLIP Text Encode."),
            ],
        )

    @classmethod
    async def validate_inputs(cls, text_encoder=None):
        return await cls.verdict_aside(when_known(check_text_encoder), text_encoder=text_encoder)

    @classmethod
    def fingerprint_inputs(cls, text_encoder=None):
        return "" if text_encoder is None else text_encoder_fingerprint(text_encoder)

    @classmethod
    def execute(cls, text_encoder) -> io.NodeOutput:
        return io.NodeOutput(load_text_encoder(text_encoder))
