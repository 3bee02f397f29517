"""The node that takes the best of several videos."""

from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS
from ..lumosx_core.host.scores.best_of import ChoosingPlan, best_of
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.scores.attributes.score import MEASURES
from ..lumosx_core.scores.identity.models import ModelNames
from .base import Node
from .sockets import SCORES, RelationsSocket, aliases


class LumosXBestOf(Node):
    """One video of a batch, by who and what is right in it."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_BestOf",
            display_name="LumosX Best Of",
            category=SCORES,
            **aliases(
                "best of n", "choose video", "pick seed", "rank", "select best", "seed search", "rejection sampling",
            ),
            description="Takes the video of a batch in which the fewest people and worn things are wrong, and then the "
            "one whose faces are most alike. Sample several videos in a few steps, link them here, and finish the "
            "chosen one in all steps with a second sampler and the same seed.",
            inputs=[
                io.Image.Input("images", tooltip="The frames of all videos, one after the other, from VAE Decode."),
                io.Latent.Input(
                    "latent", tooltip="The batch that images were decoded from, as the first sampler returns it."
                ),
                RelationsSocket.Input(
                    "relations", tooltip="The scene of the videos; at least one subject needs a face image."
                ),
                io.Combo.Input(
                    "by", options=list(MEASURES), default=MEASURES[0], optional=True,
                    tooltip="What compares worn things with their pictures, as in LumosX Attribute Score. With one "
                    "person only faces are compared.",
                ),
                io.Combo.Input(
                    "embedder", options=list(EMBEDDERS), default=AUTOMATIC, optional=True,
                    tooltip="What tells faces apart. automatic: the first of InsightFace, ArcFace and dlib that is "
                    "installed. Without any, only the number of faces is compared.",
                ),
                io.Combo.Input(
                    "detector", options=list(DETECTORS), default=DETECTORS[0], optional=True,
                    tooltip="What finds the faces.",
                ),
                io.Int.Input(
                    "every_nth_frame", default=4, min=1, max=10000, optional=True,
                    tooltip="1 looks at every frame, 4 at every fourth, in a quarter of the time.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latent",
                    tooltip="The chosen video. A sampler with the same seed starts from the same noise as the first "
                    "one; with denoise below 1 it refines this video instead.",
                ),
                io.Image.Output(display_name="images", tooltip="The frames of the chosen video, as they were linked."),
                io.Int.Output(display_name="index", tooltip="Its number in the batch, counted from 0."),
                io.String.Output(
                    display_name="report", tooltip="What is wrong in each video, as text for Preview Any."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, by=MEASURES[0], embedder=AUTOMATIC, detector=DETECTORS[0]):
        return cls.verdict(by=by, embedder=embedder, detector=detector)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(
        cls, images, latent, relations, by=MEASURES[0], embedder=AUTOMATIC, detector=DETECTORS[0], every_nth_frame=4
    ) -> io.NodeOutput:
        plan = ChoosingPlan(ModelNames(detector, embedder), by, every_nth_frame)
        chosen, frames, index, report = best_of(images, latent, relations, plan)
        return io.NodeOutput(chosen, frames, index, report, ui=ui.PreviewText(report))
