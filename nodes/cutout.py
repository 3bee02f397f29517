"""The node that cuts a thing or a person out of a picture."""

from typing import Any

from comfy_api.latest import io, ui

from ..lumosx_core.host.media.cutouts import make_cut_out
from ..lumosx_core.media.cutouts import EDGES, SOFT, Box
from .base import Node
from .sockets import PICTURES, aliases


def _box_input(name, tooltip):
    return io.Int.Input(name, default=0, min=0, max=65536, optional=True, tooltip=tooltip)


def _inputs():
    return [
        io.Image.Input("image", tooltip="One picture. If it has transparency, that is used when no mask is linked "
                       "and no box is set."),
        io.Mask.Input(
            "mask", optional=True,
            tooltip="1 where the picture is kept. One mask; it may have another size only if its proportions are "
            "those of the picture.",
        ),
        _box_input("box_x", "Without a mask: the left edge of a box around the thing, in pixels of the picture. "
                   "Leave some background around the thing, inside and outside the box."),
        _box_input("box_y", "The upper edge of the box, in pixels."),
        _box_input("box_width", "The width of the box, in pixels; 0 means no box."),
        _box_input("box_height", "The height of the box, in pixels; 0 means no box."),
        io.Boolean.Input(
            "invert_mask", default=False, optional=True,
            tooltip="Exchanges kept and removed. Load Image's mask is 1 where the picture is transparent or was "
            "painted over in the mask editor: leave this off to keep what you painted, switch it on to keep what is "
            "not transparent.",
        ),
        io.Combo.Input(
            "edges", options=list(EDGES), default=SOFT, optional=True,
            tooltip="soft: pixels that the mask keeps in part are blended with white. as in training: they keep "
            "their colour, and only pixels that the mask removes become white, so some background stays at the edge.",
        ),
        io.Int.Input(
            "padding", default=0, min=0, max=4096, optional=True,
            tooltip="White pixels to add on every side. Training had none.",
        ),
    ]


def _outputs() -> list[Any]:
    return [
        io.Image.Output(
            display_name="cut_out",
            tooltip="The thing on white, for an attribute, a full body or a LumosX Object.",
        ),
        io.Mask.Output(display_name="cut_out_mask", tooltip="Its mask, of the same size: 1 where it is kept."),
        io.String.Output(display_name="report", tooltip="Sizes, and warnings if it is too small or odd."),
    ]


class LumosXCutOut(Node):
    """What a mask or a box marks, on white."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_CutOut",
            display_name="LumosX Cut-Out",
            category=PICTURES,
            **aliases(
                "remove background", "cut out", "cutout", "background removal", "mask to white", "matting",
                "crop clothes", "segment",
            ),
            description="Cuts clothes, a thing or a whole person out of a picture and puts it on white, tightly "
            "cropped, as in the model's training. Link a mask from any segmentation node, or set a box: then "
            "OpenCV's GrabCut estimates the background, which works if its colours differ from those of the thing.",
            inputs=_inputs(),
            outputs=_outputs(),
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, edges=None):
        return cls.verdict(edges=edges)

    @classmethod
    def execute(
        cls, image, mask=None, box_x=0, box_y=0, box_width=0, box_height=0, invert_mask=False, edges=SOFT, padding=0,
    ) -> io.NodeOutput:
        box = Box(box_x, box_y, box_width, box_height)
        cut_out, cut_out_mask, report = make_cut_out(image, mask, box, invert_mask, edges, padding)
        return io.NodeOutput(cut_out, cut_out_mask, report, ui=ui.PreviewImage(cut_out, cls=cls))
