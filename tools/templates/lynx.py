"""The template of Lynx: one face on a Wan2.1 14B model, between ComfyUI's own nodes."""

from __future__ import annotations

from lumosx_core.scene.prompt import NEGATIVE_PROMPT
from lumosx_core.tiny import demo_pictures as drawn
from tools.templates import notes
from tools.templates.sheet import BLUE, GREEN, OCHRE, OLIVE, PURPLE, RED, Band, Column, GraphNode, Route, Template

_UPPER, _LOWER = 620, 560
_PROMPT = (
    "A woman walks through a market street in the evening, lit by warm lanterns. She looks around, smiles and tastes a "
    "fruit that a seller hands her, while the camera slowly follows her."
)


def _note(key, title, text, width):
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])


def lynx():
    """One person's face by Lynx full."""
    model, clip, vae = ("unet", 0), ("clip", 0), ("vae", 0)
    return Template("8 Lynx one face", "lynx", [
        _note("note", "Read me", notes.LYNX, 340),
        Band("1 Photo", GREEN, [Column(290, [
            GraphNode("photo", "LoadImage", None, "Photo of the person", values={"image": drawn.PORTRAIT}),
        ])]),
        Band("2 Files of Lynx", BLUE, [Column(360, [
            GraphNode("lynx", "LumosX_LynxLoader", 170, values=dict(zip(
                ("file_1", "file_2", "file_3"), (model["name"] for model in notes.LYNX_MODELS)
            )), models=notes.LYNX_MODELS),
            GraphNode("report", "PreviewAny", None, "What the files hold", {"source": ("lynx", 1)}),
        ])]),
        Band("3 Who it is", PURPLE, [
            Column(300, [GraphNode("identity", "LumosX_LynxIdentity", links={
                "lynx": ("lynx", 0), "image": ("photo", 0), "vae": vae, "clip": clip,
            })], down=30),
            Column(
                270, [GraphNode("card", "LumosX_SaveLynxIdentity", 190, links={"identity": ("identity", 0)})], down=10
            ),
            Column(300, [
                GraphNode("faces", "PreviewAny", None, "Which faces were found", {"source": ("identity", 3)}),
            ], down=240),
        ]),
    ], [
        _note("files", "Read me too", notes.lynx_files(), 340),
        Band("4 Models", BLUE, [Column(290, [
            # What goes back to the upper row has nothing above it, or is far enough below to be led beside it.
            GraphNode("clip", "CLIPLoader", 122, values={"clip_name": notes.ENCODER_FILE}, models=[notes.ENCODER]),
            GraphNode("unet", "UNETLoader", 100, values={"unet_name": notes.WAN_FILE}, models=[notes.WAN]),
            GraphNode("shift", "ModelSamplingSD3", 70, links={"model": model}, values={"shift": 3.0}),
            GraphNode("vae", "VAELoader", 70, values={"vae_name": notes.VAE_FILE}, models=[notes.VAE]),
        ])]),
        Band("5 Person and prompt", OCHRE, [
            Column(240, [
                GraphNode("person", "LumosX_Lynx", 270, links={"model": ("shift", 0), "identity": ("identity", 0)}),
            ], down=222),
            Column(270, [
                GraphNode("positive", "CLIPTextEncode", None, "Prompt", {"clip": clip}, {"text": _PROMPT}),
                GraphNode(
                    "negative", "CLIPTextEncode", None, "Negative prompt", {"clip": clip}, {"text": NEGATIVE_PROMPT}
                ),
            ]),
            Column(240, [GraphNode("guidance", "LumosX_LynxGuidance", 170, links={
                "model": ("person", 0), "positive": ("positive", 0), "negative": ("negative", 0),
            })], down=100),
        ]),
        Band("6 Sampling", OLIVE, [Column(250, [
            GraphNode("latent", "EmptyHunyuanLatentVideo", 150, "Size and length",
                 values={"width": 832, "height": 480, "length": 81, "batch_size": 1}),
            GraphNode("sampler", "KSampler", None, links={
                "model": ("guidance", 0), "positive": ("guidance", 1), "negative": ("guidance", 2),
                "latent_image": ("latent", 0),
            }, values={"seed": 0, "steps": 50, "cfg": 5.0, "sampler_name": "uni_pc", "scheduler": "simple",
                       "denoise": 1.0}),
        ], down=40)]),
        Band("7 Video", RED, [
            Column(225, [
                GraphNode("decode", "VAEDecode", 66, links={"samples": ("sampler", 0), "vae": vae}),
                GraphNode("video", "CreateVideo", 110, links={"images": ("decode", 0)}),
            ], down=60),
            Column(230, [GraphNode("save", "SaveVideo", links={"video": ("video", 0)},
                              values={"filename_prefix": "video/LumosX Lynx"})]),
        ], 48),
    ], _UPPER, _LOWER, [
        Route(("identity", 0), [("person", "identity")]),
        Route(vae, [("decode", "vae"), ("identity", "vae")]),
        Route(clip, [("identity", "clip")]),
    ])
