"""The node for several photos of one person or thing."""

from comfy_api.latest import io

from ..lumosx_core.faces.catalogue import DETECTORS, INSIGHTFACE
from ..lumosx_core.host.media.views import ViewsPlan, check_views, choose_views
from ..lumosx_core.host.weights.face_models import INSIGHTFACE as PACKS
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.media.views import BEST, FACE, SHOWS, USES
from .base import Node, when_known
from .sockets import PICTURES, ReferencesSocket, advanced, aliases, occurrence_input

SLOTS = (1, 2, 3, 4)


def _inputs():
    return [
        io.Combo.Input(
            "shows", options=[*SHOWS], default=FACE,
            tooltip="What the pictures show. a face: ranked by the face's size, sharpness and frontality; each picture "
            "must show exactly one. a thing: ranked by size and sharpness.",
        ),
        io.Combo.Input(
            "use", options=[*USES], default=BEST,
            tooltip="the best one: the others are left out, as in the model's training, where a group had one "
            "picture of each thing. each as its own reference: the others follow as references with the same words, "
            "each at the cost of one more latent frame.",
        ),
        io.String.Input(
            "phrase", display_name="words", default="",
            tooltip="The words of the prompt that name it, for the other views; only needed with each as its own "
            "reference. The best view gets its words where you link it.",
        ),
        *(
            io.Image.Input(
                f"image_{slot}", optional=True,
                tooltip="A picture of the same person or thing, or a batch of them; each picture is a view. Faces "
                "are not cropped here: use LumosX Face Crop first. Transparency becomes white, but Load Image "
                "removes it: restore it with Join Image with Alpha.",
            )
            for slot in SLOTS
        ),
        ReferencesSocket.Input(
            "previous", optional=True,
            tooltip="References that come before the views in others: LumosX Objects or another LumosX Views.",
        ),
        occurrence_input("occurrence", "the phrase"),
        advanced(
            io.Combo, "detector", options=[*DETECTORS], default=DETECTORS[0], optional=True,
            tooltip="What finds the face, as in LumosX Face Crop.",
        ),
    ]


class LumosXViews(Node):
    """The best of several pictures, and the others."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Views",
            display_name="LumosX Views",
            category=PICTURES,
            **aliases("several photos", "multiple photos", "best photo", "multi view", "more references"),
            description="Several photos of one person or thing: picks the best by size, sharpness and frontality, or "
            "makes each a reference of its own in the same group. The model was trained with one picture of each "
            "thing in a group, so compare before you use more.",
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    display_name="best",
                    tooltip="The best picture, unchanged: for face or an attribute of LumosX Subject, or for LumosX "
                    "Object.",
                ),
                ReferencesSocket.Output(
                    display_name="others",
                    tooltip="The other views, after previous: for more_attributes of LumosX Subject, or for previous "
                    "of LumosX Object. With the best one, only the references that came in at previous.",
                ),
                io.String.Output(
                    display_name="report", tooltip="Size, sharpness, frontality and rank of every view, as text.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, shows=None, use=None, phrase=None, detector=None):
        known = cls.verdict(shows=shows, use=use, detector=detector)
        return known if known is not True else cls.verdict(
            when_known(check_views), shows=shows, use=use, phrase=phrase
        )

    @classmethod
    def fingerprint_inputs(cls, shows=None, detector=DETECTORS[0], **others):
        # None stands for a linked value, which is known only when the node runs.
        return weights_state(PACKS) if shows in (FACE, None) and detector in (INSIGHTFACE, None) else ""

    @classmethod
    def execute(
        cls, shows, use, phrase, previous=None, occurrence=0, detector=DETECTORS[0], **slots
    ) -> io.NodeOutput:
        pictures = {f"image_{slot}": slots.get(f"image_{slot}") for slot in SLOTS}
        plan = ViewsPlan(shows, use, phrase, occurrence, detector)
        return io.NodeOutput(*choose_views(pictures, previous, plan))
