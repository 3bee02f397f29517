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
            tooltip="The kept crops on white, each in its own size: for crops of LumosX Clip Subjects.",
        ),
        io.String.Output(display_name="phrases", tooltip="The phrase of each crop, one per line."),
        io.String.Output(display_name="frames", tooltip="The frame of each crop, counted from 0."),
        io.Image.Output(display_name="preview", tooltip="The crops that are kept, and those that are left out."),
        io.String.Output(display_name="report", tooltip="The result for each box or mask, as text."),
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
            description="Makes crops of a clip's subjects from the masks and boxes of any segmentation nodes, as "
            "PolyVivid prepares its data: the largest object in each box is used, and it is kept if CLIP agrees that "
            "it looks like its phrase.",
            inputs=[
                io.Image.Input("images", tooltip="The frames of a clip, for example every fourth, or one picture."),
                io.Mask.Input(
                    "masks",
                    tooltip="Masks from any node, of the images' size, with the same number for each image: first "
                    "all masks of the first image.",
                ),
                io.String.Input(
                    "phrases", default="", multiline=True,
                    tooltip="What to look for, one phrase per line, e.g. \"a man in a red coat\". With one line, all "
                    "masks belong to it. With several, the n-th mask of an image belongs to the n-th line, unless "
                    "there are boxes. Of labelled boxes, only those whose label is one of the lines are used; if "
                    "empty, all labels are.",
                ),
                io.Combo.Input(
                    "check_by", options=[*CHECKS], default=CLIP,
                    tooltip="CLIP: a crop is kept if it looks like its phrase; it needs the folder "
                    "clip-vit-large-patch14 in models/lumosx. off: every object is kept.",
                ),
                io.AnyType.Input(
                    "boxes", optional=True,
                    tooltip="Boxes from any grounding node, for each image: lists, a tensor, JSON text, or "
                    "Florence-2's data with bboxes and labels. Each box is [left, top, right, bottom] in pixels.",
                ),
                advanced(
                    io.Float, "min_similarity", default=LEAST_SIMILARITY, min=-1.0, max=1.0, step=0.01, optional=True,
                    tooltip="CLIP's cosine must be above this. The paper gives no number; the report shows the "
                        "cosines found.",
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
        tooltip="What compares crops. CLIP: for things and people; it uses the linked clip_vision, else the folder "
        "clip-vit-large-patch14 in models/lumosx. faces: the installed face network, for crops of faces. colours: a "
        "stand-in that needs no weights.",
    )
    yield io.String.Input(
        "phrases", default="", multiline=True, optional=True,
        tooltip="The words by which each crop was found, one line per crop, or one line for all; a subject gets the "
        "words of most of its crops. Link phrases of LumosX Segmentation Gate.",
    )
    yield io.String.Input(
        "frames", default="", optional=True,
        tooltip="The frame of each crop, as numbers separated by spaces; link frames of LumosX Segmentation Gate or "
        "LumosX Face Crop. Two crops of one frame are never one subject. If empty, each crop has a frame of its own.",
    )
    yield io.Float.Input(
        "tau", default=0.0, min=0.0, max=2.0, step=0.01, optional=True,
        tooltip="Two crops may be one subject if they differ by less than this. 0: the usual value for the chosen "
        "comparison, 0.15 for CLIP. Lower it if two people become one, raise it if one person becomes two.",
    )
    yield advanced(
        io.Int, "frame_count", default=0, min=0, max=1000000, optional=True,
        tooltip="How many frames were searched: a subject needs crops in more than a third of them. 0 counts the "
        "frames that have a crop.",
    )
    yield advanced(
        io.Boolean, "same_frame", default=False, optional=True,
        tooltip="Whether two crops of one frame may be one subject. Off keeps twins and mirrored people apart.",
    )
    yield io.ClipVision.Input(
        "clip_vision", optional=True,
        tooltip="A model from Load CLIP Vision, used instead of the CLIP in models/lumosx.",
    )


def _subjects_outputs() -> list[Any]:
    return [
        *(
            io.Image.Output(
                display_name=f"subject_{number}",
                tooltip=f"The crop that represents subject {number}, for LumosX Subject, Object or Views. If there is "
                "none, only the nodes linked here stop.",
            )
            for number in SUBJECT_OUTPUTS
        ),
        io.Image.Output(
            display_name="subjects", is_output_list=True,
            tooltip="One crop for each subject; the subject with the most crops comes first.",
        ),
        io.String.Output(display_name="phrases", tooltip="The words of each subject, one per line."),
        io.Image.Output(
            display_name="groups", tooltip="All crops, ordered by subject; a frame marks the crop that represents "
                "the subject.",
        ),
        io.String.Output(display_name="report", tooltip="Which subjects were found, in how many crops, and warnings, "
            "as text."),
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
            description="Picks one picture for each subject from the crops of a clip: crops that all look alike are "
            "one subject if they come from more than a third of the frames (PolyVivid's clique consolidation). One "
            "bad crop that resembles two people does not merge them.",
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
