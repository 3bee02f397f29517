"""The template of four videos in a few steps, of which the best one is finished."""

from __future__ import annotations

from tools.templates import notes
from tools.templates.sheet import OCHRE, OLIVE, RED, Band, Column, GraphNode, Route, Template

_UPPER, _LOWER = 602, 616
FIRST = 250
CHOSEN = (
    "A man on the left, wearing a green jacket, and a woman on the right, wearing a yellow dress, stand in a bright "
    "kitchen and cook together. They look at each other and laugh, while steam rises from a pot."
)
FEW_STEPS = 12


def best_of_four(upper, lower):
    """A template that samples four videos of a scene in a few steps and finishes the best of them.

    Args:
        upper: groups of pictures, people and the board.
        lower: groups of models, prompt and sampling of the four videos.
    """
    best = GraphNode("best", "LumosX_BestOf", 210, links={
        "images": ("decode", 0), "latent": ("sampler", 0), "relations": ("binder", 0),
    })
    again = GraphNode("again", "LumosX_Sampler", None, "All steps, the same seed", {
        "model": ("loader", 0), "positive": ("encode", 0), "negative": ("encode", 1), "latent": ("best", 0),
    }, {"seed": 1})
    return Template("13 Best of four", "best_of_four", [
        _note("note", "Read me", notes.BEST, 320), *upper,
    ], [
        _note("files", "Read me too", notes.files() + "\n" + notes.BEST_COST, 260), *lower,
        Band("7 The best", OCHRE, [Column(260, [
            best, GraphNode("decode", "VAEDecode", 66, links={"samples": ("sampler", 0), "vae": ("vae", 0)}),
        ], down=190)]),
        Band("8 Sampling again", OLIVE, [Column(FIRST, [again])]),
        Band("9 Video", RED, [
            Column(220, [
                GraphNode("decode_again", "VAEDecode", 66, links={"samples": ("again", 0), "vae": ("vae", 0)}),
                GraphNode("video", "CreateVideo", 110, links={"images": ("decode_again", 0)}),
            ], down=60),
            Column(220, [GraphNode("save", "SaveVideo", links={"video": ("video", 0)}, values={
                "filename_prefix": "video/LumosX best of four",
            })], down=200),
        ]),
    ], _UPPER, _LOWER, [
        Route(("binder", 0), [("encode", "relations"), ("best", "relations")]),
        Route(("loader", 0), [("again", "model")]),
        Route(("encode", 0), [("again", "positive")]),
        Route(("encode", 1), [("again", "negative")]),
        Route(("vae", 0), [("decode", "vae"), ("decode_again", "vae")]),
    ])


def _note(key, title, text, width):
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])
