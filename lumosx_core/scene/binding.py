"""A scene bound to a prompt: which words of it stand for each reference, by the tokens of any tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .phrases import PhraseMatch, PhrasePlaces, Span, Tokens, find_phrases, token_units
from .prompt import read_text
from .relations import Reference, Scene
from .verdict import Finding

Tokenizer = Callable[[str, str], Tokens]
"""From a text, and the input that messages name for it, to its tokens without end and padding."""


@dataclass(frozen=True, eq=False)
class BoundPrompt:
    """A prompt in which every phrase of a scene was found.

    Attributes:
        scene: the references.
        tokens: the prompt's.
        matches: where the phrase of each of ``scene.words`` is.
    """

    scene: Scene
    tokens: Tokens
    matches: Mapping[Reference, PhraseMatch]

    def spans_of(self, word: Reference) -> tuple[Span, ...]:
        """The token ranges that a reference binds, in prompt order."""
        return self.matches[word].spans

    @property
    def non_human_spans(self) -> tuple[tuple[Span, ...], ...]:
        """The token ranges of each picture of the background or of an object; without one, words bind nothing."""
        return tuple(self.spans_of(word) for word in self.scene.non_human if word.image is not None)

    @property
    def subject_spans(self) -> tuple[tuple[Span, ...], ...]:
        """The token ranges of each subject, all its phrases together."""
        return tuple(
            tuple(span for word in subject.words for span in self.spans_of(word)) for subject in self.scene.subjects
        )

    def findings(self, frame: tuple[int, int] | None = None) -> list[Finding]:
        """What is probably not meant, see ``Scene.findings``."""
        return self.scene.findings(self.spans_of, frame)


def bind_prompt(tokenizer: Tokenizer, scene: Scene, prompt: str) -> BoundPrompt:
    """Find the words of every reference in a prompt.

    Raises:
        LumosXError: a phrase that is not in the prompt, or not that often; or what the tokenizer refuses.
    """
    tokens = tokenizer(prompt, "prompt")
    phrases = [(tokenizer(word.phrase, word.source), word.occurrence, word.source) for word in scene.words]
    return BoundPrompt(scene, tokens, dict(zip(scene.words, find_phrases(tokens, phrases))))


def letter_tokens(text: str, source: str) -> Tokens:
    """A tokenizer that cuts a text into its letters, case aside, for when the text encoder's is not loaded.

    It finds every phrase that a real one would find, and some more: "hat" in "that".

    Raises:
        LumosXError: as ``read_text``.
    """
    letters = tuple(read_text(text, source).spelling)
    return Tokens(tuple(map(_number, letters)), letters)


def missing_phrases(scene: Scene, prompt: str) -> list[str]:
    """The phrases that no tokenizer would find in a prompt, each once.

    Raises:
        LumosXError: as ``read_text``.
    """
    tokens = letter_tokens(prompt, "prompt")
    text = token_units(tokens)
    missing = [
        word.phrase for word in scene.words
        if not PhrasePlaces.of(tokens, text, letter_tokens(word.phrase, word.source), word.occurrence).bound
    ]
    return list(dict.fromkeys(missing))


def _number(letter: str) -> int:
    """The same for both cases of a letter."""
    return int.from_bytes(letter.casefold().encode("utf-32-le", "surrogatepass"), "little")
