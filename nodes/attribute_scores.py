"""Nodes that score what the people of a video wear, and how much moves."""

from typing import Any

from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS
from ..lumosx_core.host.scores.attributes import score_image_attributes, score_image_motion
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.scores.attributes.score import LOCATE, MEASURES, AttributePlan
from .base import Node
from .sockets import SCORES, RelationsSocket, aliases


def _what():
    yield io.Image.Input("images", tooltip="The video's frames, from VAE Decode or Load Video.")
    yield RelationsSocket.Input(
        "relations",
        tooltip="The scene that the video was made from, from LumosX Binder or LumosX Load Case. People are found by "
        "their face pictures.",
    )


def _how():
    yield io.Combo.Input(
        "by", options=list(MEASURES), default=MEASURES[0],
        tooltip="What compares pictures. colour: needs no weights, but sees only colours; a stand-in. CLIP gives "
        "CLIP-I (picture) and CLIP-T (phrase), DINOv2 gives DINO-I. everything there is: all networks whose weights "
        "are found; the report names missing files and where to put them.",
    )
    yield io.Combo.Input(
        "locate", options=list(LOCATE), default=LOCATE[0],
        tooltip="Where to look. person region: the body below each face. OWLv2 inside the person: the best box for the "
        "phrase inside that region, as the release does; no box counts 0. It needs OWLv2.",
    )
    yield io.Combo.Input(
        "embedder", options=list(EMBEDDERS), default=AUTOMATIC,
        tooltip="What tells faces apart. automatic: the first of InsightFace, ArcFace and dlib that is installed.",
    )
    yield io.Combo.Input("detector", options=list(DETECTORS), default=DETECTORS[0], tooltip="What finds the faces.")
    yield io.Int.Input(
        "every_nth_frame", default=4, min=1, max=10000,
        tooltip="1 uses every frame, 4 every fourth frame, in a quarter of the time.",
    )


def _outputs() -> list[Any]:
    return [
        io.String.Output(display_name="report", tooltip="Who wears what, as text for Preview Any."),
        io.String.Output(display_name="scores_json", tooltip="The same, with the numbers of every frame, as JSON."),
        io.Image.Output(
            display_name="annotated",
            tooltip="The frames that were used, with each person's region and what was located in it.",
        ),
        io.Image.Output(
            display_name="plot",
            tooltip="How far each attribute's owner is ahead of the best other person, over the frames; with one "
            "person, the likeness.",
        ),
    ]


class LumosXAttributeScore(Node):
    """Whether each thing is on the person it belongs to."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_AttributeScore",
            display_name="LumosX Attribute Score",
            category=SCORES,
            **aliases("who wears what", "clip score", "dino score", "leakage", "evaluate", "benchmark"),
            description="Checks whether each attribute is on the right person: finds the people by their faces, "
            "compares every attribute's picture with every person, and says which attributes leaked to somebody "
            "else. Objects are searched for in the whole picture. CLIP, DINOv2 and OWLv2 are used if their folders "
            "are in models/lumosx; nothing is downloaded.",
            inputs=[*_what(), *_how()],
            outputs=_outputs(),
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, by=None, locate=None, embedder=None, detector=None):
        return cls.verdict(by=by, locate=locate, embedder=embedder, detector=detector)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(cls, images, relations, by, locate, embedder, detector, every_nth_frame) -> io.NodeOutput:
        plan = AttributePlan(by, locate, every_nth_frame)
        report, text, annotated, plot = score_image_attributes(images, relations, plan, embedder, detector)
        return io.NodeOutput(report, text, annotated, plot, ui=ui.PreviewImage(plot, cls=cls))


class LumosXMotionScore(Node):
    """Whether a video moves."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_MotionScore",
            display_name="LumosX Motion Score",
            category=SCORES,
            **aliases("dynamic degree", "optical flow", "evaluate", "benchmark", "motion amount"),
            description="Dynamic degree, with the frames and thresholds of the release's benchmark. The flow comes "
            "from OpenCV DIS, a stand-in for RAFT that needs no weights, so the numbers cannot be compared with "
            "published ones.",
            inputs=[
                io.Image.Input("images", tooltip="The video's frames; at least 10 at 16 frames per second."),
                io.Float.Input(
                    "fps", default=16.0, min=1.0, max=240.0, step=1.0,
                    tooltip="Frames per second of the video; LumosX makes 16. About 8 frames per second are used.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="How much the video moves, as text for Preview Any."),
                io.String.Output(display_name="scores_json", tooltip="The same, with the number of every pair of "
                    "frames, as JSON."),
                io.Boolean.Output(display_name="dynamic", tooltip="True if enough of the video moves."),
                io.Image.Output(display_name="plot", tooltip="How much each pair of frames moves, and the threshold."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, fps) -> io.NodeOutput:
        report, text, dynamic, plot = score_image_motion(images, fps)
        shown = {**ui.PreviewText(report).as_dict(), **ui.PreviewImage(plot, cls=cls).as_dict()}
        return io.NodeOutput(report, text, dynamic, plot, ui=shown)
