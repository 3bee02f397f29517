"""The template of repaired faces: what follows the sampling of any scene."""

from __future__ import annotations

from tools.templates import notes
from tools.templates.sheet import RED, Band, Column, GraphNode, Route, Template

_UPPER, _LOWER = 602, 616
REPAIRED = (
    "A man on the left and a woman on the right walk towards the camera along a wide street. They talk and laugh."
)


def repaired(upper, lower):
    """A template that samples a scene, repairs its faces, and saves the video.

    Args:
        upper: groups of pictures, people and the board.
        lower: groups of models, prompt and sampling.
    """
    repair = GraphNode("repair", "LumosX_FaceRepair", links={
        "model": ("loader", 0), "vae": ("vae", 0), "positive": ("encode", 0), "negative": ("encode", 1),
        "images": ("decode", 0), "relations": ("binder", 0),
    })
    save = {"video": ("video", 0)}
    return Template("10 Repair faces", "repair", [_note("note", "Read me", notes.REPAIR, 320), *upper], [
        _note("files", "Read me too", notes.files() + "\n" + notes.REPAIR_COST, 260), *lower,
        Band("7 Face repair", RED, [
            Column(200, [
                GraphNode("decode", "VAEDecode", 70, links={"samples": ("sampler", 0), "vae": ("vae", 0)}),
            ], down=40),
            Column(280, [repair], down=10),
        # Room for the wires that go up between the columns.
        ], 48),
        Band("8 Video", RED, [
            Column(220, [
                GraphNode("video", "CreateVideo", 110, links={"images": ("repair", 0)}),
                GraphNode("report", "PreviewAny", None, "What was repaired", {"source": ("repair", 3)}),
            ], down=60),
            Column(260, [GraphNode("save", "SaveVideo", links=save, values={
                "filename_prefix": "video/LumosX repaired faces",
            })], down=30),
        ]),
    ], _UPPER, _LOWER, [
        Route(("binder", 0), [("repair", "relations"), ("encode", "relations")]),
        Route(("loader", 0), [("repair", "model")]),
        Route(("encode", 0), [("repair", "positive")]),
        Route(("encode", 1), [("repair", "negative")]),
        Route(("vae", 0), [("decode", "vae"), ("repair", "vae")]),
    ])


def _note(key, title, text, width):
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])
