"""Nodes for PolyVivid on HunyuanVideo: its text encoder, and its adapter."""

from comfy_api.latest import io

from ..lumosx_core.host.conditioning.polyvivid import NEGATIVE_SUBJECTS, SAME, encode_subjects
from .base import Node
from .sockets import SCENE, RelationsSocket, advanced, aliases

NO_WEIGHTS = "No public weights of PolyVivid are known: you need an adapter that you or others have trained."


def _encode_inputs():
    yield io.Clip.Input(
        "clip",
        tooltip="DualCLIPLoader with type \"hunyuan_video\": clip_l.safetensors and "
        "llava_llama3_fp8_scaled.safetensors.",
    )
    yield io.String.Input(
        "prompt", multiline=True, default="",
        tooltip="What happens in the video. It must contain the words of every picture. Braces and weights such as "
        "(hat:1.2) are plain text, and nothing is cut off.",
    )
    yield io.String.Input(
        "negative_prompt", multiline=True, default="",
        tooltip="What the video should not be. It is used only where cfg is above 1.",
    )
    yield RelationsSocket.Input(
        "relations", optional=True,
        tooltip="The scene, from LumosX Binder or LumosX Load Case: each picture becomes a subject. Without it the "
        "prompts are encoded exactly as ComfyUI does.",
    )
    yield io.ClipVision.Input(
        "clip_vision", optional=True,
        tooltip="Load CLIP Vision with llava_llama3_vision.safetensors; needed for subjects.",
    )
    yield io.Vae.Input(
        "vae", optional=True, tooltip="HunyuanVideo's VAE, hunyuan_video_vae_bf16.safetensors; needed for subjects.",
    )
    yield advanced(
        io.Int, "picture_side", default=384, min=16, max=2048, step=16, optional=True,
        tooltip="Pixels of the white square that each picture is fitted into for the VAE. With 384 its tokens lie on "
        "those of the text encoder one by one.",
    )
    yield advanced(
        io.Combo, "negative_subjects", options=[*NEGATIVE_SUBJECTS], default=SAME, optional=True,
        tooltip="What the negative pass sees in place of the subjects. The same pictures let guidance act on the text; "
        "white pictures let it act on the subjects too. An adapter says what it was trained with (cfg_mode).",
    )


class LumosXPolyVividEncode(Node):
    """Prompt and RELATIONS to positive and negative for HunyuanVideo with PolyVivid."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_PolyVividEncode",
            display_name="LumosX PolyVivid Encode",
            category=SCENE,
            **aliases("hunyuan text encode", "llava", "hunyuancustom", "multi subject", "reference to video"),
            description="Encodes a prompt with one picture for each subject through HunyuanVideo's llava_llama3, for "
            f"LumosX PolyVivid. {NO_WEIGHTS} Attributes of a person become subjects of their own.",
            inputs=[*_encode_inputs()],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For a sampler, after FluxGuidance."),
                io.Conditioning.Output(display_name="negative", tooltip="For a sampler with cfg above 1."),
                io.String.Output(
                    display_name="report", tooltip="Each subject's line, and where its picture lies in the text.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, picture_side=None, negative_subjects=None):
        return cls.verdict(picture_side=picture_side, negative_subjects=negative_subjects)

    @classmethod
    def execute(
        cls, clip, prompt, negative_prompt, relations=None, clip_vision=None, vae=None, picture_side=384,
        negative_subjects=SAME,
    ) -> io.NodeOutput:
        encoded = encode_subjects(
            clip, clip_vision, vae, relations, prompt, negative_prompt, picture_side, negative_subjects
        )
        return io.NodeOutput(encoded.positive, encoded.negative, encoded.report)
