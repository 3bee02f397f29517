"""Everything that there is to say about the encoding of a scene, as plain values: reports and panels only render it."""

from __future__ import annotations

from dataclasses import dataclass

from .binding import BoundPrompt
from .duration import Expected, PacedRun
from .verdict import Finding

GIGABYTE = 10**9
TIME_CLASSES = ((0.5, "light"), (1.6, "usual"), (4.0, "heavy"))
"""Up to which work of a step, in units of 832 x 480 with 81 frames and no references, a class goes; above is the next.

The size that the model was trained on is usual with up to ten references; 1280 x 720 with 81 frames is very heavy.
"""
HEAVIEST = "very heavy"


@dataclass(frozen=True)
class Prediction:
    """What one video costs.

    Attributes:
        step_tflop: 10^12 operations of one step with guidance.
        activation_gigabytes: what a run holds at most beside the weights, in bf16.
        work_ratio: work of a step, divided by that of the same video without references.
        class_ratio: the same, divided by that of 832 x 480 with 81 frames and no references.
    """

    step_tflop: float
    activation_gigabytes: float
    work_ratio: float
    class_ratio: float

    @property
    def time_class(self) -> str:
        """How long a step takes compared with others. Cards differ a hundredfold, so it is not in seconds."""
        return next((name for most, name in TIME_CLASSES if self.class_ratio <= most), HEAVIEST)


@dataclass(frozen=True)
class Outlook:
    """What is known of the run that follows.

    Attributes:
        prediction: what one video costs.
        weights_bytes: of the model's weights, as they are loaded.
        model: name of the weight file that is linked; None where nobody knows, and the released model stands for it.
        planned_bytes: what ComfyUI itself plans for the activations of one video, if that is known.
        expected: how long sampling takes on this machine, if a run has shown it.
        runs: the samplers that follow, to look their pace up again later; none unless all of them are known.
    """

    prediction: Prediction
    weights_bytes: int
    model: str | None = None
    planned_bytes: int | None = None
    expected: Expected | None = None
    runs: tuple[PacedRun, ...] = ()


@dataclass(frozen=True)
class TokenCounts:
    """The sequence that the model will see, in tokens.

    Attributes:
        frames: latent frames of the video.
        height: token rows of a frame.
        width: token columns of a frame.
        pictures: references, of one frame each.
        prompt: of the text, with the end token.
        prompt_limit: how many of the text the model reads.
    """

    frames: int
    height: int
    width: int
    pictures: int
    prompt: int
    prompt_limit: int

    @property
    def frame(self) -> int:
        """Of one frame or reference."""
        return self.height * self.width

    @property
    def video(self) -> int:
        """Of all frames."""
        return self.frames * self.frame

    @property
    def references(self) -> int:
        """Of all references."""
        return self.pictures * self.frame

    @property
    def total(self) -> int:
        """Of video and references."""
        return self.video + self.references


@dataclass(frozen=True)
class EncodingSummary:
    """One encoding.

    Attributes:
        prompt: as the node received it.
        bound: the scene and where its words are.
        size: width and height of the video in pixels, and frames.
        tokens: of the sequence and of the text.
        findings: what is probably not meant; the indices of words are those of the scene's ``words``.
        outlook: what is known of the run that follows.
        negative_prompt: the text of the unconditional pass, if that is known.
        notes: sentences about other things than the scene.
    """

    prompt: str
    bound: BoundPrompt
    size: tuple[int, int, int]
    tokens: TokenCounts
    findings: tuple[Finding, ...]
    outlook: Outlook
    negative_prompt: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that is worth a warning, one sentence each."""
        return (*(finding.text for finding in self.findings), *self.notes)
