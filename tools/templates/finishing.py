"""The template that enlarges a finished video, with ComfyUI's own nodes."""

from __future__ import annotations

from tools.templates import notes
from tools.templates.sheet import GREEN, OLIVE, RED, Band, Column, GraphNode, Route, Template

_UPPER, _LOWER = 470, 470
WIDTH, HEIGHT = 1664, 960
"""Twice the size of the release's videos."""


def finished():
    """A template that loads a video, enlarges its frames, and saves them with the same speed and sound."""
    parts = GraphNode("parts", "GetVideoComponents", 110, links={"video": ("load", 0)})
    # Some pages write below it that the file is missing.
    upscaler = GraphNode(
        "upscaler", "UpscaleModelLoader", 130, values={"model_name": notes.UPSCALER_FILE}, models=[notes.UPSCALER],
    )
    enlarge = GraphNode("enlarge", "ImageUpscaleWithModel", 66, links={
        "upscale_model": ("upscaler", 0), "image": ("parts", 0),
    })
    size = GraphNode("size", "ImageScale", 178, links={"image": ("enlarge", 0)}, values={
        "upscale_method": "lanczos", "width": WIDTH, "height": HEIGHT, "crop": "disabled",
    })
    video = GraphNode("video", "CreateVideo", 110, links={
        "images": ("size", 0), "audio": ("parts", 1), "fps": ("parts", 2),
    })
    return Template("12 Finish upscale and interpolate", "finish", [
        _note("note", "Read me", notes.FINISH, 320),
        Band("1 Your video", GREEN, [
            Column(300, [GraphNode("load", "LoadVideo", values={"file": notes.FINISH_VIDEO})]),
            Column(240, [parts], down=40),
        ]),
        Band("2 Enlarge", OLIVE, [Column(300, [upscaler, enlarge], down=80)]),
    ], [
        _note("files", "Read me too", notes.FINISH_FILES, 320),
        Band("3 Size", OLIVE, [Column(240, [size], down=40)]),
        Band("4 Video", RED, [
            Column(220, [video], down=70),
            Column(300, [GraphNode("save", "SaveVideo", links={"video": ("video", 0)}, values={
                "filename_prefix": "video/LumosX finished",
            })], down=20),
        ]),
    ], _UPPER, _LOWER, [
        Route(("enlarge", 0), [("size", "image")]),
        Route(("parts", 1), [("video", "audio")]),
        Route(("parts", 2), [("video", "fps")]),
    ])


def _note(key, title, text, width):
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])
