"""The template of a video in two chunks: the second clip begins with the end of the first."""

from __future__ import annotations

from tools.templates import notes
from tools.templates.sheet import OCHRE, OLIVE, RED, Band, Column, GraphNode, Route, Template

_UPPER, _LOWER = 602, 616
CHUNK = 250
CONTINUED = (
    "A man on the left and a woman on the right walk slowly along a beach at sunset. They talk and laugh, while the "
    "camera moves along with them."
)


def continued(upper, lower):
    """A template that samples a scene, continues it once, and saves both clips as one video.

    Args:
        upper: groups of pictures, people and the board.
        lower: groups of models, prompt and sampling of the first clip.
    """
    follow = GraphNode("continue", "LumosX_Continue", 126, links={
        "latent": ("encode", 2), "vae": ("vae", 0), "images": ("decode", 0),
    })
    again = GraphNode("again", "LumosX_Sampler", None, "The second clip", {
        "model": ("loader", 0), "positive": ("encode", 0), "negative": ("encode", 1), "latent": ("continue", 0),
    }, {"seed": 2})
    join = GraphNode("join", "LumosX_JoinClips", 100, links={
        "first": ("decode", 0), "second": ("decode_again", 0), "overlap": ("continue", 1),
    })
    return Template("11 Ten seconds in two chunks", "two_chunks", [
        _note("note", "Read me", notes.CHUNKS, 320), *upper,
    ], [
        _note("files", "Read me too", notes.files() + "\n" + notes.CHUNKS_COST, 260), *lower,
        Band("7 Continue", OCHRE, [Column(220, [
            follow, GraphNode("decode", "VAEDecode", 66, links={"samples": ("sampler", 0), "vae": ("vae", 0)}),
        ], down=260)]),
        Band("8 Sampling again", OLIVE, [Column(CHUNK, [again])]),
        Band("9 Video", RED, [
            Column(220, [
                GraphNode("decode_again", "VAEDecode", 66, links={"samples": ("again", 0), "vae": ("vae", 0)}),
                join, GraphNode("video", "CreateVideo", 110, links={"images": ("join", 0)}),
            ], down=60),
            Column(220, [GraphNode("save", "SaveVideo", links={"video": ("video", 0)}, values={
                "filename_prefix": "video/LumosX two chunks",
            })], down=200),
        ]),
    ], _UPPER, _LOWER, [
        Route(("binder", 0), [("encode", "relations")]),
        Route(("loader", 0), [("again", "model")]),
        Route(("encode", 0), [("again", "positive")]),
        Route(("encode", 1), [("again", "negative")]),
        Route(("vae", 0), [("continue", "vae"), ("decode", "vae"), ("decode_again", "vae")]),
    ])


def _note(key, title, text, width):
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])
