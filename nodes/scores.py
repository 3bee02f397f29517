"""The node that scores how much the people of a video look like their references."""

from typing import Any

from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS
from ..lumosx_core.host.scores.identity import check_save_name, score_image_identity
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.scores.identity.measured import IdentityPlan
from ..lumosx_core.scores.identity.models import NO_SECOND, SECOND_EMBEDDERS, ModelNames
from ..lumosx_core.scores.identity.swaps import AS_IT_STARTS, ORDERS
from ..lumosx_core.scores.watching import MODES, RECOMMENDED
from .base import Node, when_known
from .sockets import SCORES, RelationsSocket, aliases


def _what():
    yield io.Image.Input("images", tooltip="The video's frames, from VAE Decode or Load Video.")
    yield RelationsSocket.Input(
        "relations",
        tooltip="The scene that the video was made from, from LumosX Binder or LumosX Load Case; at least one subject "
        "needs a face image.",
    )


def _model_inputs():
    yield io.Combo.Input(
        "mode", options=list(MODES), default=RECOMMENDED,
        tooltip="recommended: aligns faces by eyes and mouth before comparing them. release: works like the "
        "release's benchmark, with enlarged boxes that are not aligned, for numbers called ArcSim and CurSim.",
    )
    yield io.Combo.Input(
        "embedder", options=list(EMBEDDERS), default=AUTOMATIC,
        tooltip="What tells faces apart. automatic: the first of InsightFace, ArcFace and dlib that is installed; if "
        "there is none, faces are only counted and the report says what to install. ArcSim comes from ArcFace "
        "IR-100. Numbers of different embedders cannot be compared.",
    )
    yield io.Combo.Input(
        "second_embedder", options=list(SECOND_EMBEDDERS), default=NO_SECOND,
        tooltip="Compares the same faces a second time, keeping the first embedder's choice of who is who: CurSim "
        "comes from CurricularFace IR-101, with ArcFace IR-100 as the first. If it is missing, it is left out and "
        "the report says so.",
    )
    yield io.Combo.Input("detector", options=list(DETECTORS), default=DETECTORS[0], tooltip="What finds the faces.")


def _how():
    yield io.Int.Input(
        "every_nth_frame", default=1, min=1, max=10000,
        tooltip="1 uses every frame, like the release; 4 every fourth frame, in a quarter of the time.",
    )
    yield io.Combo.Input(
        "order", options=list(ORDERS), default=AS_IT_STARTS,
        tooltip="The order of people that counts as right. as the video starts: their order in the first second that "
        "shows them all. as listed: subject 1 leftmost, then 2, 3 …",
    )
    yield io.String.Input(
        "save_as", default="", optional=True,
        tooltip="A name in ComfyUI's output folder, e.g. scores/run: writes run_00001_.json and the plot "
        "run_00001_.png there. If empty, nothing is written.",
    )


def _outputs() -> list[Any]:
    return [
        io.String.Output(display_name="report", tooltip="All scores and warnings, as text for Preview Any."),
        io.String.Output(display_name="scores_json", tooltip="The same, with the rows of every frame, as JSON."),
        io.Image.Output(
            display_name="plot",
            tooltip="Everybody's likeness over the frames, or the number of faces if they are only counted.",
        ),
        io.Image.Output(
            display_name="annotated",
            tooltip="The frames that were used, with everybody's box, name and likeness. They take as much memory as "
            "the images; a larger every_nth_frame reduces it.",
        ),
        io.Float.Output(
            display_name="score",
            tooltip="The mean likeness over all frames and references, where a miss counts 0: ArcSim, if the "
            "embedder is ArcFace. Nodes linked here stop if faces are only counted.",
        ),
    ]


class LumosXIdentityScore(Node):
    """Likeness, swaps and steadiness of the people in a video."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_IdentityScore",
            display_name="LumosX Identity Score",
            category=SCORES,
            **aliases("arcface", "face similarity", "identity metric", "evaluate", "benchmark", "face swap check"),
            description="Checks whether a video shows the people of its relations: finds every face in every frame, "
            "assigns each to a person, and reports how similar they look, who is missing, who changed places and who "
            "turned into somebody else. Without an embedder it only counts faces. docs/scores.md explains every "
            "number. Nothing is downloaded.",
            inputs=[*_what(), *_model_inputs(), *_how()],
            outputs=_outputs(),
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls, mode=None, embedder=None, second_embedder=None, detector=None, order=None, save_as=None
    ):
        choices = cls.verdict(
            mode=mode, embedder=embedder, second_embedder=second_embedder, detector=detector, order=order
        )
        return choices if choices is not True else cls.verdict(when_known(check_save_name), save_as=save_as)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(
        cls, images, relations, mode, embedder, second_embedder, detector, every_nth_frame, order, save_as=""
    ) -> io.NodeOutput:
        plan = IdentityPlan(mode, every_nth_frame, order)
        names = ModelNames(detector, embedder, second_embedder)
        outputs, shown = score_image_identity(images, relations, plan, names, save_as)
        return io.NodeOutput(*outputs, ui=ui.PreviewImage(shown, cls=cls))
