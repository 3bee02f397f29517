"""The prompt for LLaVA: HunyuanVideo's usual text, then a line for each subject (paper, equation 1).

The paper's separator is the end-of-turn token that closes the user's turn. Behind it, each subject has a line ``The
{word} looks like<image>``, as in HunyuanCustom's code. Everything is kept: nothing is stripped, padded or cut, and
braces and weights such as ``(hat:1.2)`` are plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import LumosXError
from ...scene.phrases import Span
from ..hunyuan.config import LLAVA
from .positions import IMAGE_GRID, Grid, TextLayout

SYSTEM = (
    "<|start_header_id|>system<|end_header_id|>\n\nDescribe the video by detailing the following aspects: "
    "1. The main content and theme of the video."
    "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects."
    "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects."
    "4. background environment, light, style and atmosphere."
    "5. camera angles, movements, and transitions used in the video:<|eot_id|>"
)
"""HunyuanVideo's own system turn, which its text encoder was used with in training."""
USER = "<|start_header_id|>user<|end_header_id|>\n\n"
SEPARATOR = "<|eot_id|>"
IMAGE = "<image>"

FIRST_SPECIAL = 128000
"""Ids from here on are control tokens."""
HEADER_START, USER_ID, HEADER_END, LINE_BREAKS, IMAGE_ID = 128006, 882, 128007, 271, 128257
SEPARATOR_ID = LLAVA.end

TRAINED_POSITIONS = 8192
"""The longest text that LLaMA 3 was trained with (its model card); a picture takes 576 of them."""
MOST_POSITIONS = 2**16
"""ComfyUI's LLaMA makes a mask of this number squared, 8.6 GB in 16 bits. Positions in float32 are exact to 2^24."""

Tokenize = Callable[[str], Sequence[int]]
"""LLaVA's tokenizer: a text with control tokens -> ids, with the begin-of-text token in front."""


@dataclass(frozen=True)
class TemplateTokens:
    """A prompt with its subjects as the text encoder reads it.

    Attributes:
        string: the whole text.
        ids: its token ids, one for each picture.
        crop_start: the ids before it, system turn and user header, are cut off behind the text encoder.
        separator: where the separator is, counted from ``crop_start``.
        text_spans, image_spans: text_k and ``<image k>`` in the cropped stream, with pictures at their full length;
            without subjects there is one text and no picture.
        image_grids: rows and columns of each picture's tokens.
    """

    string: str
    ids: tuple[int, ...]
    crop_start: int
    separator: int
    text_spans: tuple[Span, ...]
    image_spans: tuple[Span, ...]
    image_grids: tuple[Grid, ...]

    @property
    def cropped_ids(self) -> tuple[int, ...]:
        """The ids behind the user header."""
        return self.ids[self.crop_start:]

    @property
    def length(self) -> int:
        """Tokens of the cropped stream, with pictures at their full length."""
        return (self.image_spans or self.text_spans)[-1][1]

    @property
    def positions(self) -> int:
        """Of the text encoder: the stream, and what is cut off in front of it."""
        return self.crop_start + self.length

    @property
    def layout(self) -> TextLayout:
        """The same for the interaction. Without subjects it is empty; see ``TextLayout.without_images``."""
        lengths = tuple(end - start for start, end in self.text_spans) if self.image_spans else ()
        return TextLayout(lengths, self.image_grids)


def template_string(prompt: str, words: Sequence[str]) -> str:
    """The text for a prompt and its subjects' words."""
    lines = "".join(f"\nThe {word} looks like{IMAGE}" for word in words)
    return f"{SYSTEM}{USER}{prompt}{SEPARATOR}{lines}"


def tokenize_template(
    tokenize: Tokenize, prompt: str, words: Sequence[str], image_grids: Sequence[Grid] | None = None
) -> TemplateTokens:
    """Tokenise a prompt with its subjects, and record where everything lies.

    Args:
        words: the word or words that describe each subject, in the order of their pictures.
        image_grids: rows and columns of the tokens that each ``<image>`` becomes; None for 24x24 each.

    Raises:
        LumosXError: the prompt or a word spells a control token, a word is empty, the tokenizer is not LLaVA's, or all
            together is longer than the text encoder can take.
    """
    grids = (IMAGE_GRID,) * len(words) if image_grids is None else tuple(image_grids)
    if len(grids) != len(words):
        raise LumosXError(f"subjects: {len(words)} words but {len(grids)} pictures; each subject needs one of each.")
    _check_texts(tokenize, prompt, words)
    string = template_string(prompt, words)
    ids = tuple(int(one) for one in tokenize(string))
    start = _crop_start(ids)
    cropped = ids[start:]
    ends = [index for index, one in enumerate(cropped) if one == IMAGE_ID]
    if SEPARATOR_ID not in cropped or len(ends) != len(words):
        raise _wrong_tokenizer()

    text_spans, image_spans, read, position = [], [], 0, 0
    for end, (rows, columns) in zip(ends, grids):
        text_spans.append((position, position + end - read))
        position = text_spans[-1][1] + rows * columns
        image_spans.append((text_spans[-1][1], position))
        read = end + 1
    if not words:
        text_spans.append((0, len(cropped)))
    elif read != len(cropped):
        raise _wrong_tokenizer()
    tokens = TemplateTokens(
        string, ids, start, cropped.index(SEPARATOR_ID), tuple(text_spans), tuple(image_spans), grids
    )
    _check_positions(tokens)
    return tokens


def _check_positions(tokens: TemplateTokens) -> None:
    subjects = len(tokens.image_spans)
    if subjects and tokens.positions > MOST_POSITIONS:
        raise LumosXError(
            f"relations: the prompt and its {subjects} pictures take {tokens.positions} positions of the text encoder; "
            f"at most {MOST_POSITIONS} are possible, about {subjects * MOST_POSITIONS // tokens.positions} pictures. "
            "Remove some, or shorten the prompt."
        )


def _check_texts(tokenize: Tokenize, prompt: str, words: Sequence[str]) -> None:
    """Refuse texts that would end the user's turn, add a picture, or change the template in another way."""
    for source, text in (("prompt", prompt), *((f"subject {n}", word) for n, word in enumerate(words, start=1))):
        if any(one >= FIRST_SPECIAL for one in tokenize(text)[1:]):
            raise LumosXError(
                f"{source}: it contains a control token of the text encoder, such as {IMAGE} or {SEPARATOR}; "
                "write it differently."
            )
    for number, word in enumerate(words, start=1):
        if not word.strip():
            raise LumosXError(f"subject {number}: its word is empty; write the word of the prompt that it belongs to.")


def _crop_start(ids: Sequence[int]) -> int:
    """Where the user's text begins, as ComfyUI finds it, so that a prompt without subjects gives its own tokens.

    The line breaks of the header are one token, unless the prompt begins with more of them; ComfyUI then keeps the
    header's last token too.
    """
    for index in range(len(ids) - 3):
        if ids[index:index + 3] == (HEADER_START, USER_ID, HEADER_END):
            return index + (4 if ids[index + 3] == LINE_BREAKS else 2)
    raise _wrong_tokenizer()


def _wrong_tokenizer() -> LumosXError:
    return LumosXError(
        "clip: its tokenizer cannot read HunyuanVideo's prompt template; load llava_llama3 with the type "
        "hunyuan_video."
    )
