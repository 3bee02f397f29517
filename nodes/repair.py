"""The node that samples the faces of a finished video again."""

from typing import Any

from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS
from ..lumosx_core.host.conditioning.one_person import WholeScene
from ..lumosx_core.host.repair.repair import Whose, repair_faces
from ..lumosx_core.host.repair.resampling import RepairPlan, Tools
from ..lumosx_core.host.sampling.sampler import SamplingPlan
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.sampling.solvers import DISTILLED, RELEASE_SCHEDULE
from ..lumosx_core.scores.identity.models import ModelNames
from .base import Node
from .sampler import check_steps
from .sockets import CATEGORY, RelationsSocket, advanced, aliases


def _links():
    yield io.Model.Input("model", tooltip="A model from LumosX Model Loader or LumosX Model.")
    yield io.Vae.Input("vae", tooltip="The VAE of the video: that of Wan2.1.")
    yield io.Conditioning.Input("positive", tooltip="From LumosX Relational Encode. For each face only the words of "
                                "its person and of the scene are kept, and only that person's face reference.")
    yield io.Conditioning.Input("negative", tooltip="From LumosX Relational Encode. Not used if cfg is 1.")
    yield io.Image.Input("images", tooltip="The finished video's frames, from VAE Decode.")
    yield RelationsSocket.Input("relations", tooltip="The scene that positive was made from: it has the face pictures.")


def _sampling():
    yield io.Int.Input(
        "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
        tooltip="The seed of the noise.",
    )
    yield io.Int.Input(
        "steps", default=20, min=1, max=10000,
        tooltip="Steps for each face. They all lie in the part of the schedule that denoise leaves.",
    )
    yield io.Float.Input(
        "cfg", default=6.0, min=0.0, max=100.0, step=0.1, tooltip="As in LumosX Sampler; 1 halves the time."
    )
    yield io.Float.Input("shift", default=8.0, min=0.01, max=100.0, step=0.1, tooltip="As in LumosX Sampler.")
    yield io.Float.Input(
        "denoise", default=0.5, min=0.01, max=1.0, step=0.01,
        tooltip="How much of a face is made anew. Low values keep expression and lighting; high ones follow the "
        "reference more, and may no longer fit the rest of the picture.",
    )


def _crop():
    yield io.Int.Input(
        "crop_size", default=480, min=32, max=2048, step=16,
        tooltip="The longer side in pixels in which a face is sampled. Small faces are enlarged to it, so the model "
        "has room for details. The time grows with its square.",
    )
    yield io.Float.Input(
        "padding", default=0.5, min=0.0, max=4.0, step=0.05,
        tooltip="How much around a face is sampled with it, on each side, as a share of the face: the model needs to "
        "see where the face is.",
    )
    yield io.Int.Input(
        "feather", default=12, min=0, max=256,
        tooltip="Over how many pixels of the video the new face fades out. Beyond them not a bit changes.",
    )
    yield io.Int.Input(
        "person", default=0, min=0, max=100,
        tooltip="Whose face: the number of a subject in relations, from 1. 0: everybody who has a face reference.",
    )


def _optional():
    yield io.Mask.Input(
        "mask", optional=True,
        tooltip="The face of one person, for every frame or one for all, e.g. from SAM 3. In its place nothing is "
        "searched. Choose the person too, unless there is only one. For several, use one node after the other.",
    )
    yield io.Combo.Input(
        "detector", options=list(DETECTORS), default=DETECTORS[0], optional=True, tooltip="What finds the faces."
    )
    yield io.Combo.Input(
        "embedder", options=list(EMBEDDERS), default=AUTOMATIC, optional=True,
        tooltip="What tells whose face it is. automatic: the first of InsightFace, ArcFace and dlib that is installed. "
        "Without any, several people need masks.",
    )
    yield advanced(
        io.Float, "grow", default=0.2, min=0.0, max=2.0, step=0.05, optional=True,
        tooltip="How much larger than the found face what is pasted is. A linked mask is taken as it is.",
    )
    yield advanced(
        io.Int, "frames_at_once", default=81, min=17, max=1025, step=4, optional=True,
        tooltip="Longer videos are sampled in parts of this many frames, which fade into each other over 8 frames.",
    )
    yield advanced(
        io.Combo, "schedule", options=[RELEASE_SCHEDULE, *DISTILLED], default=RELEASE_SCHEDULE, optional=True,
        tooltip="As in LumosX Sampler. CausVid and FastWan start from noise, so they need denoise 1.",
    )


def _outputs() -> list[Any]:
    return [
        io.Image.Output(display_name="images", tooltip="The video with repaired faces, as large and long as before."),
        io.Mask.Output(display_name="mask", tooltip="How much of each pixel is new; where it is 0, not a bit changed."),
        io.Image.Output(display_name="preview", tooltip="Each person's face before and after, in up to three frames."),
        io.String.Output(
            display_name="report", tooltip="What was repaired, and what was left as it is and why, for Preview Any."
        ),
    ]


class LumosXFaceRepair(Node):
    """Each person's face again, in a window of its own and with its own reference only."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_FaceRepair",
            display_name="LumosX Face Repair",
            category=CATEGORY,
            **aliases("face detailer", "facedetailer", "adetailer", "fix faces", "restore faces", "inpaint face"),
            description="Samples the faces of a finished video again: follows each person's face, cuts out a window "
            "around it, samples it at low denoise with that person's reference only, and pastes it back with a soft "
            "edge. The model was not trained for this.",
            inputs=[*_links(), *_sampling(), *_crop(), *_optional()],
            outputs=_outputs(),
        )

    @classmethod
    def validate_inputs(
        cls, steps=None, denoise=None, schedule=RELEASE_SCHEDULE, detector=DETECTORS[0], embedder=AUTOMATIC
    ):
        choices = cls.verdict(detector=detector, embedder=embedder)
        if choices is not True:
            return choices
        return cls.verdict(check_steps, steps=steps, denoise=denoise, schedule=schedule)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(
        cls, model, vae, positive, negative, images, relations, seed, steps, cfg, shift, denoise, crop_size, padding,
        feather, person, mask=None, detector=DETECTORS[0], embedder=AUTOMATIC, grow=0.2, frames_at_once=81,
        schedule=RELEASE_SCHEDULE,
    ) -> io.NodeOutput:
        sampling = SamplingPlan(seed, steps, cfg, shift, denoise, schedule=schedule)
        plan = RepairPlan(sampling, crop_size, padding, grow, feather, frames_at_once)
        whose = Whose(person, ModelNames(detector, embedder), mask)
        tools = Tools(model, vae, WholeScene(relations, positive, negative))
        repaired, changed, preview, report = repair_faces(images, relations, whose, tools, plan)
        return io.NodeOutput(repaired, changed, preview, report, ui=ui.PreviewImage(preview, cls=cls))
