"""Nodes for PolyVivid on HunyuanVideo: its text encoder, and its adapter."""

from comfy_api.latest import io

from ..lumosx_core.host.conditioning.polyvivid import NEGATIVE_SUBJECTS, SAME, encode_subjects, picture_size
from ..lumosx_core.host.methods.hunyuan_custom import hunyuan_custom_model
from ..lumosx_core.host.methods.polyvivid import (
    Part,
    adapter_fingerprint,
    check_adapter,
    layers_of,
    list_adapters,
    polyvivid_model,
)
from ..lumosx_core.models.polyvivid.config import RunOptions
from .base import Node
from .sockets import CATEGORY, SCENE, RelationsSocket, advanced, aliases

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
    for side in ("width", "height"):
        yield advanced(
            io.Int, f"picture_{side}", default=0, min=0, max=2048, step=16, optional=True,
            tooltip=f"The {side} of the video, for LumosX HunyuanCustom, whose pictures are as large as the video. 0 "
            "for PolyVivid: a square.",
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
    def validate_inputs(cls, picture_side=None, negative_subjects=None, picture_width=None, picture_height=None):
        return cls.verdict(
            picture_side=picture_side, negative_subjects=negative_subjects, picture_width=picture_width,
            picture_height=picture_height,
        )

    @classmethod
    def execute(
        cls, clip, prompt, negative_prompt, relations=None, clip_vision=None, vae=None, picture_side=384,
        negative_subjects=SAME, picture_width=0, picture_height=0,
    ) -> io.NodeOutput:
        size = picture_size(picture_side, picture_width, picture_height)
        encoded = encode_subjects(clip, clip_vision, vae, relations, prompt, negative_prompt, size, negative_subjects)
        return io.NodeOutput(encoded.positive, encoded.negative, encoded.report)


def _model_inputs():
    yield io.Model.Input("model", tooltip="HunyuanVideo's text-to-video model from any loader, with or without LoRAs.")
    yield io.Combo.Input(
        "adapter", options=list_adapters(),
        tooltip="A PolyVivid adapter in models/model_patches. " + NO_WEIGHTS,
    )
    yield io.Float.Input(
        "strength", default=1.0, min=-10.0, max=10.0, step=0.05,
        tooltip="How much of the subjects is added to the video in each layer. 0 leaves that out; text and pictures "
        "still see each other.",
    )
    yield io.Float.Input(
        "start_percent", default=0.0, min=0.0, max=1.0, step=0.01, optional=True,
        tooltip="The part of the run at which the adapter begins to work.",
    )
    yield io.Float.Input(
        "end_percent", default=1.0, min=0.0, max=1.0, step=0.01, optional=True,
        tooltip="The part of the run after which it no longer works.",
    )
    yield advanced(
        io.String, "layers", default="", optional=True,
        tooltip="The double blocks in which it works, e.g. 0-9, 12. Empty: all that it has weights for.",
    )
    yield advanced(
        io.Boolean, "fractional", default=False, optional=True,
        tooltip="Lays pictures of another size than 384 over the text encoder's 24 rows and columns. Off, each picture "
        "counts its own.",
    )


def _check_model(adapter, layers):
    # A linked value is known only when the node runs.
    if adapter is not None:
        check_adapter(adapter)
    if layers is not None:
        layers_of(layers)


class LumosXPolyVivid(Node):
    """A HunyuanVideo that reads one picture for each subject."""

    FILES = frozenset({"adapter"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_PolyVivid",
            display_name="LumosX PolyVivid",
            category=CATEGORY,
            **aliases("hunyuan", "hunyuancustom", "adapter", "multi subject", "identity", "reference to video"),
            description="Puts a PolyVivid adapter on a HunyuanVideo text-to-video model: several subjects, each bound "
            f"to its word by LumosX PolyVivid Encode. {NO_WEIGHTS} Without subjects in the conditioning the model is "
            "what it was. A second one replaces the first.",
            inputs=[*_model_inputs()],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For any sampler."),
                io.String.Output(display_name="report", tooltip="The adapter's sizes, and where it works."),
            ],
        )

    @classmethod
    async def validate_inputs(
        cls, adapter=None, layers=None, strength=None, start_percent=None, end_percent=None
    ):
        known = cls.verdict(strength=strength, start_percent=start_percent, end_percent=end_percent)
        return known if known is not True else await cls.verdict_aside(_check_model, adapter=adapter, layers=layers)

    @classmethod
    def fingerprint_inputs(cls, adapter=None, **others):
        return "" if adapter is None else adapter_fingerprint(adapter)

    @classmethod
    def execute(
        cls, model, adapter, strength, start_percent=0.0, end_percent=1.0, layers="", fractional=False
    ) -> io.NodeOutput:
        options = RunOptions(strength, layers_of(layers), fractional)
        return io.NodeOutput(*polyvivid_model(model, adapter, options, Part(start_percent, end_percent)))


class LumosXHunyuanCustom(Node):
    """HunyuanCustom's public weights with several subjects."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_HunyuanCustom",
            display_name="LumosX HunyuanCustom",
            category=CATEGORY,
            **aliases("hunyuancustom", "hunyuan", "multi subject", "reference to video"),
            is_experimental=True,
            description="An experiment: several subjects on HunyuanCustom, whose public weights were trained with one. "
            "Each picture of LumosX PolyVivid Encode stands beside the video at a time of its own. With one subject "
            "it is what ComfyUI does itself; without any the model is what it was.",
            inputs=[io.Model.Input("model", tooltip="HunyuanCustom from any loader, for cfg above 1 and shift 13.")],
            outputs=[io.Model.Output(display_name="model", tooltip="For any sampler.")],
        )

    @classmethod
    def execute(cls, model) -> io.NodeOutput:
        return io.NodeOutput(hunyuan_custom_model(model))
