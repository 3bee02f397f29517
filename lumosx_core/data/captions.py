"""The caption of a clip: what stands beside the video, or what a language model says of its frames."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from ..scene.prompt import read_text
from ..untrusted import read_inside
from ..validation import Strict
from .answers import BadAnswer, ask_twice, parsed, schema_of
from .backends import Backends, Message
from .frames import read_frames
from .settings import Settings
from .work import Rejected, Result, result_of, stage

LONGEST = 4000
"""Letters of a caption."""
_LEAST_WORDS = 4
# What the prompt of ComfyUI reads as weights, choices, comments or the end of a name, and no caption needs.
_SIGNS = re.compile(r"[(){}\[\]|\\<>;*#]|//")
_QUESTION = """\
These are {count} frames of one video clip, in order. The people have numbered boxes, which are not part of the video. \
Describe the clip in one paragraph of 60 to 160 words, in plain sentences: every person, with the words "on the left", \
"in the middle" or "on the right" where that tells them apart, what each of them wears, with colours, and does; the \
things around them, and the place. Say nothing of boxes, numbers, frames, camera or mood, and nothing that is not seen.
Answer with JSON only: {{"caption": "..."}}"""


class CaptionAnswer(Strict):
    """What is asked for."""

    caption: str = Field(max_length=LONGEST)


@stage("caption", "people", ("model",))
def caption(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Take the text beside the video (``NAME.txt``), else ask for a caption.

    The file may be edited by hand; what follows is then done again.
    """
    beside = Path(result_of(folder, "clip")["video"]).with_suffix(".txt")
    if beside.is_file():
        return {"caption": _beside(beside), "by": beside.name}
    frames = list(read_frames(folder).values())
    question = Message("user", _QUESTION.format(count=len(frames)), frames)
    said = ask_twice(backends.model, question, schema_of(CaptionAnswer), _checked)
    return {"caption": said, "by": backends.model.name}


def tidied(text: str) -> str:
    """A text without line breaks and without signs that a prompt gives a meaning of their own."""
    return " ".join(_SIGNS.sub(" ", text).split())


def _beside(path: Path) -> str:
    try:
        text = read_inside(path.parent, path, 4 * LONGEST).decode("utf-8-sig")
        return _usable(tidied(text))
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected("no caption", f"{path.name} cannot be read ({error}).") from error
    except BadAnswer as error:
        raise Rejected("no caption", f"{path.name}: {'; '.join(error.faults)}.") from error


def _checked(answer: str) -> str:
    return _usable(tidied(parsed(answer, "caption", CaptionAnswer).caption))


def _usable(text: str) -> str:
    if len(text) > LONGEST:
        raise BadAnswer([f"the caption has {len(text)} letters, but {LONGEST} is the most"])
    if len(read_text(text).units) < _LEAST_WORDS:
        raise BadAnswer([f"the caption has fewer than {_LEAST_WORDS} words"])
    return text
