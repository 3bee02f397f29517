"""What one step of training looks at, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..media import letterbox
from ..models.lumosx.sequence import Binding
from ..models.wan.config import WAN21_LATENT
from ..scene.binding import Tokenizer, bind_prompt
from ..scene.relations import Scene
from ..tiny.codec import Codec, normalised, video_of
from ..tiny.world.cast import Split
from ..tiny.world.clip import (
    GROUND,
    Cast,
    Viewpoint,
    draw_cast,
    draw_frames,
    draw_photographed_view,
    draw_references,
    draw_view,
    positions,
)
from ..tiny.world.relations import scene_of
from ..tiny.world.scenery import HEIGHT, WIDTH
from ..tiny.world.script import Script, draw_lesson, draw_script, reworded

Tokenise = Tokenizer
Encode = Callable[[str], torch.Tensor]

LENGTHS = (1, 3, 5, 9)
"""Latent frames of a clip of the drawn world, and how often each length comes."""
CHANCES = (0.25, 0.35, 0.25, 0.15)
CHANCE_OF_EXCHANGE = 0.25
"""How often two people change places: more than in the world, since it is the hardest to learn."""

CHANCE_BARE = 0.3
"""How often clips have no references at all: Wan's own forward, on which other methods than LumosX build."""
NO_REFERENCES = Binding((), (), ())

CHANCE_ALIKE = 0.25
"""How often people have the same hair."""


@dataclass(frozen=True)
class Example:
    """Clips that share a binding.

    Attributes:
        latent: [batch, 16, frames, height, width], normalised.
        references: in token order, each [batch, 16, 1, height, width], normalised; none where clips are bare.
        prompts: the text of each clip; their tokens are equally many.
        scenes: whose words bind in each; the pictures do not matter. None where clips are bare.
    """

    latent: torch.Tensor
    references: list[torch.Tensor]
    prompts: list[str]
    scenes: list[Scene]


def bind(scene: Scene, prompt: str, tokenise: Tokenise) -> Binding:
    """The binding that LumosX Relational Encode would make.

    Raises:
        LumosXError: a phrase that is not in the prompt.
    """
    return Binding.of(bind_prompt(tokenise, scene, prompt))


def encode_clips(codec: Codec, scripts: list[Script], casts: list[Cast], frames: int) -> torch.Tensor:
    """The latent of ``frames`` latent frames, as ``Example`` has it, of scripts and who plays each."""
    length = length_of(frames)
    videos = [video_of(draw_frames(script, cast, length)) for script, cast in zip(scripts, casts)]
    return encode_videos(codec, torch.stack(videos))


def encode_references(
    codec: Codec, random: np.random.Generator, scripts: list[Script], casts: list[Cast],
    views: Callable[[np.random.Generator], Viewpoint] = draw_view,
) -> list[torch.Tensor]:
    """The references, as ``Example`` has them, of scripts that show the same kinds, in views by chance."""
    pictures = [
        [letterbox(picture, WIDTH, HEIGHT) for _, picture in draw_references(random, script, cast, views=views)]
        for script, cast in zip(scripts, casts)
    ]
    return [encode_videos(codec, torch.stack([video_of([one]) for one in alike])) for alike in zip(*pictures)]


def encode_videos(codec: Codec, videos: torch.Tensor) -> torch.Tensor:
    """Latents of videos [n, 3, F, H, W] in -1..1, encoded in the codec's own precision and normalised in float32."""
    dtype = next((part.dtype for part in (*codec.parameters(), *codec.buffers())), torch.float32)
    with torch.no_grad():
        return normalised(codec.encode(videos.to(dtype)).float())


def weights_of(script: Script, frames: int, box: tuple[float, float, float, float], weight: float) -> torch.Tensor:
    """Weights of the loss [1, frames, height, width]: ``weight`` near people, 1 elsewhere.

    Args:
        script: of the clip.
        frames: its latent frames.
        box: left, top, right and bottom of what is near a person, from where they stand, in units of the world.
        weight: of what is in a box in any frame of a latent frame.
    """
    stride = WAN21_LATENT.pixel_stride
    rows, columns = HEIGHT // stride, WIDTH // stride
    weights = torch.ones(1, frames, rows, columns)
    length = length_of(frames)
    for frame in range(length):
        for x, pose in positions(script, frame, length):
            y = GROUND - pose.lift
            left, right = (int(np.clip((x + side) / stride, 0, columns - 1)) for side in (box[0], box[2]))
            top, bottom = (int(np.clip((y + side) / stride, 0, rows - 1)) for side in (box[1], box[3]))
            weights[0, -(-frame // WAN21_LATENT.frame_stride), top:bottom + 1, left:right + 1] = weight
    return weights


def length_of(frames: int) -> int:
    """Frames of the video of ``frames`` latent frames."""
    return WAN21_LATENT.video_frames(frames)


class WorldExamples(torch.utils.data.Dataset):
    """An endless set of drawn clips: number ``index`` is always the same one.

    Args:
        codec: encodes them.
        seed: of everything.
        batch: clips of each example.
        split: which world.
        lessons: how many of the first examples are stills of easy scripts.
        bare: how often an example has no references.
    """

    def __init__(self, codec: Codec, seed: int, batch: int, split: Split, lessons: int = 0, bare: float = 0.0):
        self._codec, self._seed, self._batch, self._split, self._lessons = codec, seed, batch, split, lessons
        self._bare = bare

    def __getitem__(self, index: int) -> Example:
        random = np.random.default_rng([self._seed, index])
        scripts, frames = self._scripts(index, random)
        alike = random.random(len(scripts)) < CHANCE_ALIKE
        casts = [draw_cast(random, *one) for one in zip(scripts, [self._split] * len(scripts), alike)]
        prompts = [script.prompt for script in scripts]
        latent, bare = encode_clips(self._codec, scripts, casts, frames), random.random() < self._bare
        if bare:
            return Example(latent, [], prompts, [])
        references = encode_references(self._codec, random, scripts, casts, draw_photographed_view)
        return Example(latent, references, prompts, [scene_of(script) for script in scripts])

    def _scripts(self, index: int, random: np.random.Generator) -> tuple[list[Script], int]:
        """One for each clip, and their latent frames."""
        if index < self._lessons:
            script, frames = draw_lesson(random), 1
        else:
            script = draw_script(random, chance_of_exchange=CHANCE_OF_EXCHANGE)
            # Nobody can change places in a still.
            lengths, chances = (LENGTHS[1:], None) if script.exchange else (LENGTHS, CHANCES)
            frames = int(random.choice(lengths, p=chances))
        return [script, *(reworded(random, script) for _ in range(self._batch - 1))], frames

