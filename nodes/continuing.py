"""Nodes that begin a clip where another one ends."""

from comfy_api.latest import io

from ..lumosx_core.host.media.continuing import check_overlap, continue_clip, join_clips
from .base import Node, when_known
from .sockets import CATEGORY, aliases


class LumosXContinue(Node):
    """The last frames of a clip, or a picture, as the first frames of the next clip."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Continue",
            display_name="LumosX Continue",
            category=CATEGORY,
            **aliases(
                "extend video", "long video", "first frame", "start image", "image to video", "i2v", "last frame",
                "chunks", "continue video",
            ),
            description="Begins a clip with the last frames of another one, or with a picture as its first frame. The "
            "people and things stay those of the relations. The model was not trained for this: look for drift with "
            "LumosX Identity Score.",
            inputs=[
                io.Latent.Input("latent", tooltip="The latent of LumosX Relational Encode, for the clip to make."),
                io.Vae.Input("vae", tooltip="The VAE of Wan2.1: wan_2.1_vae.safetensors."),
                io.Image.Input(
                    "images",
                    tooltip="The frames of the clip to continue, from VAE Decode, of which the last ones are used; or "
                    "one picture, which becomes the first frame. They need the proportions of the clip to make.",
                ),
                io.Int.Input(
                    "overlap_frames", default=5, min=1, max=1021, step=4,
                    tooltip="How many of the last frames the new clip begins with, 4 n + 1. 1 continues only the "
                    "picture, more also the motion, and leave fewer new frames. Of one picture it is always 1.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latent",
                    tooltip="For LumosX Sampler or any sampler: its noise mask keeps the frames that are given.",
                ),
                io.Int.Output(
                    display_name="overlap",
                    tooltip="How many frames of the new clip the earlier one has already, for LumosX Join Clips.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, overlap_frames=None):
        return cls.verdict(when_known(check_overlap), overlap_frames=overlap_frames)

    @classmethod
    def execute(cls, latent, vae, images, overlap_frames) -> io.NodeOutput:
        return io.NodeOutput(*continue_clip(latent, vae, images, overlap_frames))


class LumosXJoinClips(Node):
    """Two clips as one, without the frames that both have."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_JoinClips",
            display_name="LumosX Join Clips",
            category=CATEGORY,
            **aliases("concatenate videos", "append video", "merge clips", "image batch", "extend video", "long video"),
            description="Puts a clip behind another one, and leaves out the frames with which it repeats the end of "
            "the first.",
            inputs=[
                io.Image.Input("first", tooltip="The frames of the earlier clip; or of clips that are joined already."),
                io.Image.Input("second", tooltip="The frames of the clip that continues it, from VAE Decode."),
                io.Int.Input(
                    "overlap", default=5, min=0, max=1021,
                    tooltip="How many frames at the beginning of second are left out. Link the overlap of LumosX "
                    "Continue; 0 keeps all.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="All frames, for Create Video or a score.")],
        )

    @classmethod
    def execute(cls, first, second, overlap) -> io.NodeOutput:
        return io.NodeOutput(join_clips(first, second, overlap))
