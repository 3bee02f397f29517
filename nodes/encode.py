"""The node that binds a scene to a prompt."""

from comfy_api.latest import io

from ..lumosx_core.host.conditioning.encoder import encode_scene
from ..lumosx_core.host.conditioning.pictures import SAME, UNCONDITIONAL
from ..lumosx_core.host.conditioning.video_size import VideoSize
from ..lumosx_core.scene.prompt import NEGATIVE_PROMPT
from .base import Node
from .panels import with_panel
from .sockets import SCENE, RelationsSocket, advanced, aliases


def _check_size(
    width: int | None, height: int | None, frames: int | None, unconditional_references: str | None
) -> None:
    # A linked value is known only when the node runs; until then any good one stands for it.
    VideoSize(16 if width is None else width, 16 if height is None else height, 1 if frames is None else frames)


class LumosXRelationalEncode(Node):
    """Prompt and RELATIONS to positive, negative and latent."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_RelationalEncode",
            display_name="LumosX Relational Encode",
            category=SCENE,
            **with_panel(),
            **aliases(
                "wan subject to video", "wan phantom subject to video", "reference to video", "r2v", "s2v",
                "text encode", "prompt", "conditioning", "consistency", "multi person",
            ),
            description="Finds every phrase in the prompt, encodes the prompts and the reference pictures, and "
            "reports which words each picture binds to. A phrase that is not in the prompt stops the run.",
            inputs=[
                io.Clip.Input("clip", tooltip="UMT5-XXL: Load CLIP with type \"wan\" and a umt5_xxl file."),
                io.Vae.Input("vae", tooltip="The VAE of Wan2.1: wan_2.1_vae.safetensors."),
                io.String.Input(
                    "prompt", multiline=True, dynamic_prompts=True, default="",
                    tooltip="What happens in the video. It must contain the phrase of every reference, word for word; "
                    "case and punctuation may differ. At most 512 tokens.",
                ),
                io.String.Input(
                    "negative_prompt", multiline=True, dynamic_prompts=True, default="",
                    placeholder=f"Negative prompt. Empty: the release's, {NEGATIVE_PROMPT}",
                    tooltip="What the video should not show. If empty, it is the negative prompt that Wan2.1 and "
                    "LumosX were sampled with. For no negative prompt at all, type () or set cfg to 1.",
                ),
                RelationsSocket.Input("relations", tooltip="The scene, from LumosX Binder or LumosX Load Case."),
                io.Int.Input(
                    "width", default=832, min=16, max=8192, step=16,
                    tooltip="Width of the video in pixels, a multiple of 8 (multiples of 16 waste nothing). The "
                        "model was trained at 832.",
                ),
                io.Int.Input(
                    "height", default=480, min=16, max=8192, step=16,
                    tooltip="Height of the video in pixels, a multiple of 8 (multiples of 16 waste nothing). The "
                        "model was trained at 480.",
                ),
                io.Int.Input(
                    "frames", default=81, min=1, max=1025, step=4,
                    tooltip="Frames of the video, 4 n + 1. 81 frames are 5 seconds at 16 frames per second; 1 is a "
                    "picture. Fewer frames need less memory and time.",
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=64,
                    tooltip="How many videos to make at once, each from different noise. More videos need more "
                        "memory.",
                ),
                advanced(
                    io.Combo, "unconditional_references", options=list(UNCONDITIONAL), default=SAME, optional=True,
                    tooltip="Which references the negative pass gets. In the release it gets the same ones, so that "
                    "guidance acts only on the text. With the other two, guidance also acts on the pictures; they "
                    "are experiments.",
                ),
                advanced(
                    io.Boolean, "reuse_encodings", default=True, optional=True,
                    tooltip="Texts and pictures that were encoded before are read from ComfyUI's folder "
                    "user/__lumosx/encodings, bit for bit the same. If all of them are there, this node loads "
                    "neither UMT5 nor the VAE onto the card. The folder grows to 512 MB at most and is safe to "
                    "delete. When this is off, or with a LoRA on the CLIP, nothing is read or written there.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For LumosX Sampler or any sampler."),
                io.Conditioning.Output(display_name="negative", tooltip="For LumosX Sampler or any sampler."),
                io.Latent.Output(display_name="latent", tooltip="An empty latent, of the size that the references "
                    "were encoded for."),
                io.String.Output(display_name="report", tooltip="Which words each reference binds to, and its cost."),
            ],
        )

    @classmethod
    def validate_inputs(cls, width=None, height=None, frames=None, unconditional_references=None):
        return cls.verdict(
            _check_size, width=width, height=height, frames=frames, unconditional_references=unconditional_references
        )

    @classmethod
    def execute(
        cls, clip, vae, prompt, negative_prompt, relations, width, height, frames, batch_size,
        unconditional_references=SAME, reuse_encodings=True,
    ) -> io.NodeOutput:
        size = VideoSize(width, height, frames, batch_size)
        encoded = encode_scene(
            clip, vae, relations, prompt, negative_prompt, size, unconditional_references, reuse_encodings
        )
        return io.NodeOutput(
            encoded.positive, encoded.negative, encoded.latent, encoded.report, ui={"lumosx_encoding": [encoded.view]}
        )
