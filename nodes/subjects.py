"""Nodes that find the subjects of a clip: a gate for segments, and one reference for each subject."""

from typing import Any

from comfy_api.latest import io, ui

from ..lumosx_core.host.scores.segmentation_gate import CHECKS, CLIP, gate_segments
from ..lumosx_core.host.scores.subjects import (
    SUBJECT_OUTPUTS,
    SubjectsPlan,
    consolidate_crops,
)
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.models.polyvivid.segmentation import LEAST_SIMILARITY
from ..lumosx_core.scores.crop_likeness import MEASURES
from .base import Node
from .sockets import PICTURES, advanced, aliases


def _crops_outputs() -> list[Any]:
    return [
        io.Image.Output(
            display_name="crops", is_output_list=True,
            tooltip="What is kept, on white, each crop in its own size: for crops of LumosX Clip Subjects.",
        ),
        io.String.Output(display_name="phrases", tooltip="The phrase of each crop, a line each."),
        io.String.Output(display_name="frames", tooltip="The frame of each crop, counted from 0."),
        io.Image.Output(display_name="preview", tooltip="The crops that are kept, and those that are left out."),
        io.String.Output(display_name="report", tooltip="What became of each box or mask, as text."),
    ]


class LumosXSegmentationGate(Node):
    """The largest object of each box, if it looks like its phrase."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_SegmentationGate",
            display_name="LumosX Segmentation Gate",
            category=PICTURES,
            **aliases("sam2", "grounding", "florence", "segment people", "filter masks", "clip filter", "polyvivid"),
            description="From the masks and boxes of any segmentation nodes to the crops of a clip's subjects, as "
            "PolyVivid prepares its data: of each box the largest object counts, and it is kept if CLIP agrees that it "
            "looks like its phrase.",
            inputs=[
                io.Image.Input("images", tooltip="The frames of a clip, for example every fourth, or one picture."),
                io.Mask.Input(
                    "masks",
                    tooltip="Masks of any node, of the images' size and the same number for each image: all of the "
                    "first image first.",
                ),
                io.String.Input(
                    "phrases", default="", multiline=True,
                    tooltip="What is looked for, a line each, e.g. \"a man in a red coat\". With one line all masks "
                    "are of it. With several, the n-th mask of an image is of the n-th line, unless there are boxes. "
                    "With labelled boxes, only boxes whose label is one of the lines count; empty takes every label.",
                ),
                io.Combo.Input(
                    "check_by", options=[*CHECKS], default=CLIP,
                    tooltip="CLIP: a crop is kept if it looks like its phrase; it needs the folder "
                    "clip-vit-large-patch14 in models/lumosx. off: every object is kept.",
                ),
                io.AnyType.Input(
                    "boxes", optional=True,
                    tooltip="Boxes of any grounding node, for each image: lists, a tensor, JSON text, or Florence-2's "
                    "data with bboxes and labels. Each box is [left, top, right, bottom] in pixels.",
                ),
                advanced(
                    io.Float, "min_similarity", default=LEAST_SIMILARITY, min=-1.0, max=1.0, step=0.01, optional=True,
                    tooltip="CLIP's cosine must be above it. The paper gives no number; the report shows those found.",
                ),
            ],
            outputs=_crops_outputs(),
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, phrases=None, check_by=None, min_similarity=None):
        return cls.verdict(phrases=phrases, check_by=check_by, min_similarity=min_similarity)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(
        cls, images, masks, phrases, check_by, boxes=None, min_similarity=LEAST_SIMILARITY
    ) -> io.NodeOutput:
        crops, names, frames, preview, report = gate_segments(images, masks, boxes, phrases, check_by, min_similarity)
        return io.NodeOutput(crops, names, frames, preview, report, ui=ui.PreviewImage(preview, cls=cls))


def _subjects_inputs():
    yield io.Image.Input(
        "crops",
        tooltip="Crops of one clip, as a list or in batches: crops of LumosX Segmentation Gate, faces of LumosX Face "
        "Crop, or any other. A white background is best.",
    )
    yield io.Combo.Input(
        "by", options=[*MEASURES], default=MEASURES[0],
        tooltip="What tells crops apart. CLIP: things and people; it takes the linked clip_vision, else the folder "
        "clip-vit-large-patch14 in models/lumosx. faces: the face network that is there, for crops of faces. colours: "
        "a stand-in that needs no weights.",
    )
    yield io.String.Input(
        "phrases", default="", multiline=True, optional=True,
        tooltip="The words that each crop was found by, a line each, or one line for all; the subject gets those of "
        "most of its crops. Link phrases of LumosX Segmentation Gate.",
    )
    yield io.String.Input(
        "frames", default="", optional=True,
        tooltip="The frame that each crop is of, numbers between blanks; link frames of LumosX Segmentation Gate or "
        "LumosX Face Crop. Two crops of one frame are never one subject. Empty: each crop has a frame of its own.",
    )
    yield io.Float.Input(
        "tau", default=0.0, min=0.0, max=2.0, step=0.01, optional=True,
        tooltip="Two crops may be one subject if they differ by less. 0: the usual of what compares, 0.15 for CLIP. "
        "Lower it when two people become one, raise it when one person becomes two.",
    )
    yield advanced(
        io.Int, "frame_count", default=0, min=0, max=1000000, optional=True,
        tooltip="Frames that were looked at: a subject needs crops in more than a third of them. 0 counts the frames "
        "that have a crop.",
    )
    yield advanced(
        io.Boolean, "same_frame", default=False, optional=True,
        tooltip="Whether two crops of one frame may be one subject. Off keeps twins and mirrored people apart.",
    )
    yield io.ClipVision.Input(
        "clip_vision", optional=True,
        tooltip="A model of Load CLIP Vision that takes the place of the CLIP in models/lumosx.",
    )


def _subjects_outputs() -> list[Any]:
    return [
        *(
            io.Image.Output(
                display_name=f"subject_{number}",
                tooltip=f"The crop that stands for subject {number}, for LumosX Subject, Object or Views. When there "
                "is none, only what is linked here stops.",
            )
            for number in SUBJECT_OUTPUTS
        ),
        io.Image.Output(
            display_name="subjects", is_output_list=True,
            tooltip="One crop for each subject, the subject with most crops first.",
        ),
        io.String.Output(display_name="phrases", tooltip="The words of each subject, a line each."),
        io.Image.Output(
            display_name="groups", tooltip="All crops by subject; a frame marks the one that stands for it.",
        ),
        io.String.Output(display_name="report", tooltip="Who was found in how many crops, and warnings, as text."),
    ]


class LumosXClipSubjects(Node):
    """One reference for each subject of a clip."""

    LISTS = frozenset({"crops"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_ClipSubjects",
            display_name="LumosX Clip Subjects",
            category=PICTURES,
            **aliases(
                "consolidation", "clique", "group crops", "cluster faces", "who is in the clip", "same person",
                "polyvivid",
            ),
            description="From the crops of a clip to one picture for each subject: crops that all look alike are one "
            "subject if there are some in more than a third of the frames (PolyVivid's clique consolidation). One bad "
            "crop that resembles two people does not merge them.",
            inputs=[*_subjects_inputs()],
            outputs=_subjects_outputs(),
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, by=None, phrases=None, frames=None, tau=None, frame_count=None):
        return cls.verdict(by=by, phrases=phrases, frames=frames, tau=tau, frame_count=frame_count)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(
        cls, crops, by, phrases="", frames="", tau=0.0, frame_count=0, same_frame=False, clip_vision=None
    ) -> io.NodeOutput:
        plan = SubjectsPlan(by, tau, frame_count, same_frame)
        outputs, subjects, names, groups, report = consolidate_crops(crops, phrases, frames, plan, clip_vision)
        return io.NodeOutput(*outputs, subjects, names, groups, report, ui=ui.PreviewImage(groups, cls=cls))
