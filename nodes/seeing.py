"""Nodes that show what a video takes from its references, and where each person and thing is."""

from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS
from ..lumosx_core.host.media.relation_map import check_relations, show_map
from ..lumosx_core.host.sampling.relation_map import MapPlan, parse_blocks, parse_levels, references_of, relation_map
from ..lumosx_core.host.scores.covered import Linked
from ..lumosx_core.host.scores.who_is_who import WhoPlan, who_is_who
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.scores.identity.models import ModelNames
from .base import Node
from .sockets import SCORES, RelationsSocket, advanced, aliases


class LumosXRelationMap(Node):
    """Where in a finished video each reference is read."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_RelationMap",
            display_name="LumosX Relation Map",
            category=SCORES,
            **aliases("attention map", "heatmap", "attention heat map", "daam", "who wears what", "debug identity"),
            description="Shows where in a finished video each reference is read: the share of the video's "
            "self-attention that goes to its picture, in the colours of the board. It adds noise to the video again "
            "and runs the model once for each noise level; the video does not change.",
            inputs=[
                io.Model.Input("model", tooltip="The model that made the video, with its LoRAs."),
                io.Conditioning.Input("positive", tooltip="The positive of LumosX Relational Encode."),
                RelationsSocket.Input("relations", tooltip="The same relations as at LumosX Relational Encode."),
                io.Latent.Input("latent", tooltip="The finished video, as the sampler returns it."),
                io.Image.Input(
                    "images", optional=True,
                    tooltip="The decoded video (VAE Decode), to draw on. Without it the map is drawn on grey.",
                ),
                io.String.Input(
                    "noise_levels", default="0.7", optional=True,
                    tooltip="How much noise to add, above 0 to 1: one number, or several with commas, which are "
                    "averaged. Each is one run of the model. Early steps of a video have levels close to 1.",
                ),
                advanced(
                    io.String, "blocks", default="deep", optional=True,
                    tooltip="Which blocks of the model to look at: deep (the last two fifths), all, or numbers such "
                    "as 12-17, 20.",
                ),
                advanced(
                    io.Int, "seed", default=0, min=0, max=2**64 - 1, optional=True,
                    tooltip="The seed of the noise that is added.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="overlay", tooltip="The video with the colours of what is read."),
                io.Image.Output(display_name="grid", tooltip="A row for each reference: its picture, and where it is "
                                "read in some frames."),
                io.Mask.Output(display_name="heat", tooltip="0 to 1 for each token: all latent frames of the first "
                               "reference, then of the second, and so on, in the order of the report."),
                io.String.Output(display_name="report", tooltip="How much each reference is read, and where most."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, noise_levels=None, blocks=None):
        return cls.verdict(_check, noise_levels=noise_levels, blocks=blocks)

    @classmethod
    def execute(
        cls, model, positive, relations, latent, images=None, noise_levels="0.7", blocks="deep", seed=0
    ) -> io.NodeOutput:
        plan = MapPlan(parse_levels(noise_levels), parse_blocks(blocks), seed)
        check_relations(relations, references_of(positive))
        shown = show_map(relation_map(model, positive, latent, plan), relations, images)
        return io.NodeOutput(
            shown.overlay, shown.grid, shown.heat, shown.report, ui=ui.PreviewImage(shown.grid, cls=cls)
        )


def _check(noise_levels, blocks):
    """What can be known when a workflow is queued; None for a linked value, which cannot."""
    if noise_levels is not None:
        parse_levels(noise_levels)
    if blocks is not None:
        parse_blocks(blocks)


def _who_inputs():
    yield io.Image.Input("images", tooltip="The video's frames, from VAE Decode or Load Video.")
    yield RelationsSocket.Input(
        "relations", tooltip="The scene that the video was made from. People are found by their face pictures."
    )
    yield io.Boolean.Input(
        "faces", default=True, optional=True,
        tooltip="Look for faces and name them. Off: only masks and heat are drawn, and no face model is needed.",
    )
    yield io.Combo.Input(
        "embedder", options=list(EMBEDDERS), default=AUTOMATIC, optional=True,
        tooltip="What tells whose face it is. automatic: the first of InsightFace, ArcFace and dlib that is installed. "
        "Without any, faces are marked but several people are not named.",
    )
    yield io.Combo.Input(
        "detector", options=list(DETECTORS), default=DETECTORS[0], optional=True, tooltip="What finds the faces."
    )
    yield io.Mask.Input(
        "masks", optional=True,
        tooltip="Where people or things are, e.g. from SAM 3: for each phrase one mask, or one for every frame; all "
        "frames of the first phrase, then of the next. A person with a mask is not looked for by face.",
    )
    yield io.String.Input(
        "mask_phrases", default="", multiline=True, optional=True,
        tooltip="What the masks show, in their order: one phrase of relations in each line. If two people share it, "
        "put the person's number before it: 2 red hat.",
    )
    yield io.Mask.Input(
        "heat", optional=True,
        tooltip="The heat of LumosX Relation Map for this video. Outlines each worn thing and object where it is read "
        "most.",
    )


class LumosXWhoIsWho(Node):
    """The people and things of a scene, named in the frames of a video."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_WhoIsWho",
            display_name="LumosX Who Is Who",
            category=SCORES,
            **aliases("face recognition", "name tags", "draw labels", "bounding boxes", "annotate", "identify people"),
            description="Draws names into every frame of a video: a box and a label for each person in the colour of "
            "the board, found by comparing faces with their pictures, and an outline for things that masks or LumosX "
            "Relation Map show. Faces that are not surely somebody's have a question mark. It measures nothing; "
            "LumosX Identity Score does.",
            inputs=list(_who_inputs()),
            outputs=[
                io.Image.Output(display_name="images", tooltip="Every frame with its names."),
                io.String.Output(
                    display_name="report", tooltip="In how many frames everybody is, and who is not found, for "
                    "Preview Any."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, embedder=AUTOMATIC, detector=DETECTORS[0]):
        return cls.verdict(embedder=embedder, detector=detector)

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return weights_state()

    @classmethod
    def execute(
        cls, images, relations, faces=True, embedder=AUTOMATIC, detector=DETECTORS[0], masks=None, mask_phrases="",
        heat=None,
    ) -> io.NodeOutput:
        plan = WhoPlan(faces, ModelNames(detector, embedder), Linked(masks, mask_phrases, heat))
        drawn, report, best = who_is_who(images, relations, plan)
        return io.NodeOutput(drawn, report, ui=ui.PreviewImage(best, cls=cls))
