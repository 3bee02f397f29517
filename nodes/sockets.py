"""The pack's own socket types, and what differs between versions of the node API."""

import inspect
from typing import Any

from comfy_api.latest import io

from ..lumosx_core.scene.influence import MOST_STRENGTH

SCENE, PICTURES, SCORES = "LumosX/scene", "LumosX/pictures", "LumosX/scores"
CATEGORY = "LumosX/model"
LYNX = "LumosX/Lynx"

SubjectSocket = io.Custom("LUMOSX_SUBJECT")
ReferencesSocket = io.Custom("LUMOSX_REFERENCES")
BackgroundSocket = io.Custom("LUMOSX_BACKGROUND")
RelationsSocket = io.Custom("LUMOSX_RELATIONS")
QuestionSocket = io.Custom("LUMOSX_QUESTION")
LynxSocket = io.Custom("LUMOSX_LYNX")
LynxIdentitySocket = io.Custom("LUMOSX_LYNX_IDENTITY")


def advanced(kind, *arguments, **options):
    """An input that is folded away among the advanced ones, where the host knows such."""
    known = inspect.signature(kind.Input.__init__).parameters
    return kind.Input(*arguments, **options, **({"advanced": True} if "advanced" in known else {}))


def aliases(*words: str) -> dict[str, Any]:
    """The words under which the page's search finds a node too, for io.Schema, where the host knows such."""
    known = inspect.signature(io.Schema.__init__).parameters
    return {"search_aliases": list(words)} if "search_aliases" in known else {}


def occurrence_input(name: str, phrase: str):
    """The n-th-occurrence input that belongs to a phrase input."""
    number = name.removeprefix("attribute_").removesuffix("occurrence").rstrip("_")
    return advanced(
        io.Int, name, display_name=f"which one for {number}" if number else "which one", default=0, min=0, max=100,
        optional=True,
        tooltip=f"Which occurrence of {phrase} in the prompt this picture stands for: 0 binds all of them (like the "
        "release), 1 only the first, 2 only the second … Use it if two people share a word.",
    )


def influence_inputs(of: str, prefix: str = ""):
    """How strongly a picture acts, and in which steps: three inputs that are folded away while they are not used.

    Args:
        of: what they belong to, e.g. "this picture".
        prefix: of their ids, e.g. "face_".
    """
    whose = prefix.replace("_", " ").rstrip() + ": " if prefix else ""
    yield advanced(
        io.Float, f"{prefix}strength", display_name=f"{whose}strength", default=1.0, min=0.0, max=MOST_STRENGTH,
        step=0.05, optional=True,
        tooltip=f"How much the video looks at {of}: its share of the attention is multiplied by this. 1: as trained; "
        "0: the video does not see it. The model was not trained with other values; try 0.5 to 2. Other values than 0 "
        "and 1 make a step slower.",
    )
    yield advanced(
        io.Float, f"{prefix}start_percent", display_name=f"{whose}start", default=0.0, min=0.0, max=1.0, step=0.01,
        optional=True,
        tooltip=f"From which part of the sampling on {of} is used, 0 to 1; before that, steps run as without it. This "
        "is about steps, not about seconds of the clip: for a person who comes later, say so in the prompt.",
    )
    yield advanced(
        io.Float, f"{prefix}end_percent", display_name=f"{whose}end", default=1.0, min=0.0, max=1.0, step=0.01,
        optional=True,
        tooltip=f"Up to which part of the sampling {of} is used, 0 to 1; after that, steps run as without it, and are "
        "faster.",
    )


def vram_budget_input():
    """The number of gigabytes that a model may take of the card."""
    return io.Float.Input(
        "vram_budget", default=0.0, min=0.0, max=1024.0, step=0.1, optional=True,
        tooltip="GB of the card that this model may use, for weights and activations together. 0: automatic, as "
        "ComfyUI decides, or as an earlier LumosX node on the model says. Less is slower but not worse: weights wait "
        "in RAM, and passes and tokens are computed one after the other. Leave room for other models and programs on "
        "the card. If it is too little for the video, the run stops before sampling and says how much would be "
        "enough.",
    )
