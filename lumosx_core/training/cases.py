"""Case folders with the video that they should have become, as samples to train on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ..cases import load_case
from ..cases.reading import CAPTION, Case, natural
from ..errors import LumosXError
from ..media import letterbox, pil_from_tensor, tensor_from_pil
from ..media.pictures import MOST_BYTES, PictureError, decode_picture
from ..media.video import VideoFile
from ..models.lumosx.sequence import Binding
from ..models.wan.config import WAN21_LATENT
from ..scene.binding import BoundPrompt, Tokenizer, bind_prompt, letter_tokens
from ..scene.phrases import Span
from ..scene.relations import Reference
from ..untrusted import children, inside, read_inside, shown
from ..whole_folders import UNFINISHED
from .examples import Encode, Tokenise
from .trainer import Sample

EncodePictures = Callable[[torch.Tensor], torch.Tensor]
"""Frames [4 n + 1, H, W, 3] in [0, 1] to their normalised latent [1, 16, n + 1, H / 8, W / 8]."""

FPS = 16
"""What LumosX was trained at."""
VIDEOS = ("video.mp4", "video.mov", "video.webm", "video.mkv")
IMAGES = ("image.png", "image.jpg")
"""What a case should become, the first that is there; an image is a video of one frame."""


@dataclass(frozen=True)
class TargetSize:
    """What targets are brought to: pixels, and the most frames, 4 n + 1."""

    width: int
    height: int
    frames: int


@dataclass(frozen=True)
class TrainingCase:
    """A case that can be trained on, its pictures not kept.

    Attributes:
        folder: of the case.
        target: its video or image.
        notes: what was left out or seems wrong, one sentence each.
    """

    folder: Path
    target: Path
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EncodedReference:
    """A reference that is encoded.

    Attributes:
        spans: its words in the prompt, in tokens.
        latent: [1, 16, 1, h, w]; None for words only.
    """

    spans: tuple[Span, ...]
    latent: torch.Tensor | None


@dataclass(frozen=True)
class CaseText:
    """A case's texts, encoded.

    Attributes:
        context: its prompt, [1, tokens, text_dim].
        spans: where the ``words`` of its scene are, in tokens.
    """

    context: torch.Tensor
    spans: tuple[tuple[Span, ...], ...]


@dataclass(frozen=True)
class EncodedCase:
    """A case that needs no encoders any more.

    Attributes:
        latent: of the target, [1, 16, frames, h, w].
        context, negative: of the prompt and of the negative prompt, [1, tokens, text_dim].
        non_human: background and objects.
        subjects: everything of each person.
    """

    latent: torch.Tensor
    context: torch.Tensor
    negative: torch.Tensor
    non_human: tuple[EncodedReference, ...]
    subjects: tuple[tuple[EncodedReference, ...], ...]

    def sample(self, random: np.random.Generator, drop: float) -> Sample:
        """The case, each picture left out with the chance ``drop``, together with its words; nobody loses them all."""
        people = tuple(_thinned(words, random, drop) for words in self.subjects)
        alone = tuple(word for word in self.non_human if random.random() >= drop)
        if not people and all(word.latent is None for word in alone):
            alone = self.non_human
        kept = (*alone, *itertools.chain.from_iterable(people))
        binding = Binding(
            non_human_spans=tuple(word.spans for word in alone if word.latent is not None),
            subject_spans=tuple(tuple(span for word in words for span in word.spans) for words in people),
            subject_images=tuple(sum(word.latent is not None for word in words) for words in people),
        )
        pictures = [word.latent for word in kept if word.latent is not None]
        return Sample(self.latent, pictures, self.context, self.negative, binding)


def _thinned(
    words: tuple[EncodedReference, ...], random: np.random.Generator, drop: float
) -> tuple[EncodedReference, ...]:
    kept = tuple(word for word in words if word.latent is None or random.random() >= drop)
    return kept if any(word.latent is not None for word in kept) else words


def read_training_cases(folder: Path) -> list[TrainingCase]:
    """Every case of a folder, or the folder itself if it is one; each is read once, and none is skipped.

    Raises:
        LumosXError: there is none, or one that is broken, has no target, or has a phrase that is not in its prompt.
    """
    if not folder.is_dir():
        raise LumosXError(f"cases: there is no folder {folder}; give a case folder, or a folder of them.")
    if (folder / CAPTION).is_file():
        return [_check_case(folder)]
    try:
        names = [path for path in sorted(children(folder), key=natural) if not path.name.endswith(UNFINISHED)]
    except OSError as error:
        raise LumosXError(f"cases: {folder} cannot be read ({error.strerror}); give another folder.") from error
    strange = [path.name for path in names if inside(folder, path) is None]
    if strange:
        raise LumosXError(
            f"case: {shown(strange[0])} is a link that leads out of {folder}; put the case itself there."
        )
    found = [path for path in names if path.is_dir()]
    if not found:
        raise LumosXError(f"cases: {folder} has no {CAPTION} and contains no case folders; give the folder that does.")
    return [_check_case(path) for path in found]


def _check_case(folder: Path) -> TrainingCase:
    case = load_case(folder)
    target = _find_target(folder)
    notes = [note for note in case.notes if not note.startswith(f"{target.name} ")]
    if target.name in VIDEOS:
        VideoFile(target)
    elif _open_image(target)[1]:
        notes.append(f"{target.name} has several frames or pages; the first is used.")
    set_apart = [f"\"{word.phrase}\" ({word.influence.text})" for word in case.scene.words if word.influence.text]
    if set_apart:
        notes.append(
            f"Strength and steps are for sampling only; training uses all of {', '.join(set_apart)} in every step."
        )
    # Nothing that the real tokenizer, which is not loaded yet, would find is missed.
    _bind(letter_tokens, case, folder)
    return TrainingCase(folder, target, (*notes, *case.scene.warnings()))


def _find_target(folder: Path) -> Path:
    for target in (folder / name for name in (*VIDEOS, *IMAGES)):
        if inside(folder, target) is None:
            raise LumosXError(
                f"case: {target.name} of {shown(folder.name)} is a link that leads out of the case; put the file "
                "itself there."
            )
        if target.is_file():
            return target
    raise LumosXError(
        f"case: {shown(folder.name)} has no video to train on; put it beside its {CAPTION} as {VIDEOS[0]}, or a "
        f"picture as {IMAGES[0]}."
    )


def encode_text(case: TrainingCase, tokenise: Tokenise, encode: Encode) -> CaseText:
    """The prompt of a case, once every phrase is found in it.

    Raises:
        LumosXError: a phrase that is not in the prompt, or a prompt that is too long.
    """
    read = load_case(case.folder)
    bound = _bind(tokenise, read, case.folder)
    return CaseText(encode(read.prompt), tuple(map(bound.spans_of, read.scene.words)))


def _bind(tokenizer: Tokenizer, case: Case, folder: Path) -> BoundPrompt:
    try:
        return bind_prompt(tokenizer, case.scene, case.prompt)
    except LumosXError as error:
        raise LumosXError(f"case: {folder.name}: {error}") from error


def encode_case(
    case: TrainingCase, text: CaseText, negative: torch.Tensor, encode: EncodePictures, size: TargetSize
) -> EncodedCase:
    """Target and references of a case in one size: the target cut to it, references on white as in sampling.

    Raises:
        LumosXError: the target cannot be read, or another kind of VAE.
    """
    read = load_case(case.folder)

    def encoded(reference: Reference, spans: tuple[Span, ...]) -> EncodedReference:
        if reference.image is None:
            return EncodedReference(spans, None)
        fitted = letterbox(pil_from_tensor(reference.image), size.width, size.height)
        return EncodedReference(spans, encode(tensor_from_pil(fitted)))

    words = iter([encoded(word, spans) for word, spans in zip(read.scene.words, text.spans)])
    return EncodedCase(
        encode(read_target(case.target, size)), text.context, negative,
        tuple(itertools.islice(words, len(read.scene.non_human))),
        tuple(tuple(itertools.islice(words, len(subject.words))) for subject in read.scene.subjects),
    )


def read_target(path: Path, size: TargetSize, fps: int = FPS) -> torch.Tensor:
    """A video at so many frames a second, or an image, from its start: [frames, H, W, 3] in [0, 1], frames 4 n + 1.

    Each frame is scaled until it covers the size, and its middle is taken.

    Raises:
        LumosXError: it cannot be read, or holds no frames.
    """
    if path.name in VIDEOS:
        pictures = map(Image.fromarray, _at_fps(VideoFile(path), size.frames, fps))
    else:
        pictures = iter([pil_from_tensor(_open_image(path)[0])])
    fitted = [
        np.asarray(ImageOps.fit(picture, (size.width, size.height), Image.Resampling.BICUBIC)) for picture in pictures
    ]
    if not fitted:
        raise LumosXError(f"video: {path} contains no pictures; give a file with a video in it.")
    count = WAN21_LATENT.video_frames(WAN21_LATENT.latent_frames(len(fitted)))
    return torch.from_numpy(np.stack(fitted[:count])).float() / 255


def _at_fps(video: VideoFile, most: int, fps: int) -> Iterator[np.ndarray]:
    """The frames that are shown at each of ``fps`` moments of a second."""
    taken = 0
    for number, frame in enumerate(video):
        while taken < most and round(taken * video.fps / fps) <= number:
            yield frame
            taken += 1
        if taken == most:
            return


def _open_image(path: Path) -> tuple[torch.Tensor, bool]:
    """As ``decode_picture``."""
    try:
        return decode_picture(read_inside(path.parent, path, MOST_BYTES))
    except (OSError, PictureError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LumosXError(f"image: {path} is not a readable picture ({reason}); replace it.") from error


def case_samples(cases: list[EncodedCase], seed: int, drop: float, first: int) -> Iterator[Sample]:
    """Samples without end from number ``first`` on: all cases in an order by chance, then again in another."""
    for index in itertools.count(first):
        turn, place = divmod(index, len(cases))
        order = np.random.default_rng([seed, turn]).permutation(len(cases))
        yield cases[order[place]].sample(np.random.default_rng([seed, turn, place]), drop)
