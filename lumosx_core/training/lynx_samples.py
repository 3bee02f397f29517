"""Samples for training Lynx: clips of one person, with the inputs that Lynx needs of their face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from ..models.lynx.identity import ReferenceInputs
from ..models.lynx.reference import PROMPT, reference_features
from ..models.wan.config import UMT5, WAN21_LATENT
from ..models.wan.network import Network
from ..models.wan.rotary import rotate_heads, wan_rotary_table
from ..tiny.codec import Codec
from ..tiny.lynx_faces import face_crops, world_embedding
from ..tiny.world.cast import DrawnFace, Split
from ..tiny.world.clip import Cast, draw_cast, draw_strangers
from ..tiny.world.figure import HEAD_Y
from ..tiny.world.measure import differing_pixels, draw_pixels
from ..tiny.world.scenery import WIDTH
from ..tiny.world.script import Script, draw_script
from .examples import Encode, encode_clips, encode_videos, length_of, weights_of
from .flow import training_attention

LENGTHS, CHANCES = (1, 3, 5), (0.25, 0.5, 0.25)
"""Latent frames of a clip, and the probability of each length."""
TURNS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_HEAD = (-22.0, HEAD_Y - 22.0, 22.0, HEAD_Y + 22.0)
"""A square around the middle of a head that contains all its hair, see ``weights_of``."""
HEAD_WEIGHT = 4.0
"""Weight of the loss where the head is, which fills a tenth of the picture; elsewhere it is 1."""
FACE_SUM, MOST_WEIGHT = 240.0, 40.0
"""Sum of what is added to the weights of a latent frame where the face itself is seen, and the most in one place. Every
face counts alike: of some, a hat and glasses leave little."""
STRANGERS = 3
"""Faces with which a clip is drawn again, to find where its own face is seen."""


@dataclass(frozen=True)
class FaceExample:
    """Drawn and encoded clips of equal length.

    Attributes:
        latent: [clips, 16, frames, height, width], normalised.
        weights: [clips, 1, frames, height, width], weights of the loss.
        embeddings: [clips, numbers], the faces' ``world_embedding``.
        references: [clips, 16, 1, 32, 32], normalised latents of the faces' crops.
        prompts: one for each clip.
    """

    latent: torch.Tensor
    weights: torch.Tensor
    embeddings: torch.Tensor
    references: torch.Tensor
    prompts: list[str]


@dataclass(frozen=True)
class FaceSample:
    """An example after the text encoder and the reference pass.

    Attributes:
        latent, weights, embeddings: as in ``FaceExample``.
        features: [clips, blocks, tokens, width], from the reference pass.
        context: [clips, tokens, text width], padded with zeros.
    """

    latent: torch.Tensor
    weights: torch.Tensor
    embeddings: torch.Tensor
    features: torch.Tensor
    context: torch.Tensor


class FaceExamples(torch.utils.data.Dataset):
    """An endless set of examples: number ``index`` is always the same one.

    Args:
        codec: encodes the clips and crops.
        seed: decides everything that is drawn.
        clips: number of clips in each example.
        split: part of the drawn world to draw from.
        stills: number of examples at the start that have one latent frame; they take a third of the time.
    """

    def __init__(self, codec: Codec, seed: int, clips: int, split: Split, stills: int = 0) -> None:
        self._codec, self._seed, self._clips, self._split, self._stills = codec, seed, clips, split, stills

    def __getitem__(self, index: int) -> FaceExample:
        random = np.random.default_rng([self._seed, index])
        frames = 1 if index < self._stills else int(random.choice(LENGTHS, p=CHANCES))
        scripts = [draw_script(random, 1, drop=False) for _ in range(self._clips)]
        casts = [draw_cast(random, script, self._split) for script in scripts]
        faces = [cast.people[0].face for cast in casts]
        return FaceExample(
            encode_clips(self._codec, scripts, casts, frames),
            torch.stack([
                weights_of(script, frames, _HEAD, HEAD_WEIGHT) + face_weights(
                    script, cast, draw_strangers(random, cast.people[0].face, STRANGERS, self._split), frames
                ) for script, cast in zip(scripts, casts)
            ]),
            *encode_faces(self._codec, faces, random.choice(TURNS, len(faces)).tolist()),
            [script.prompt for script in scripts],
        )


def face_weights(script: Script, cast: Cast, strangers: Sequence[DrawnFace], frames: int) -> torch.Tensor:
    """What is added to the weights of the loss [1, frames, height, width] where the face of somebody alone is seen.

    Args:
        script, cast: the clip.
        strangers: other faces; the face is where the clip looks different with them.
        frames: latent frames of the clip.
    """
    stride, (person,) = WAN21_LATENT.pixel_stride, cast.people
    length = length_of(frames)
    shown = range(0, length, WAN21_LATENT.frame_stride)
    casts = [cast, *(replace(cast, people=(replace(person, face=face),)) for face in strangers)]
    differs = differing_pixels([draw_pixels(script, one, shown, length, WIDTH) for one in casts])
    seen = F.avg_pool2d(torch.from_numpy(differs).float()[None], stride)
    return (FACE_SUM * seen / seen.sum((-2, -1), keepdim=True).clamp(min=1e-6)).clamp(max=MOST_WEIGHT)


def encode_faces(codec: Codec, faces: list[DrawnFace], turns: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``embeddings`` and ``references`` of faces, see ``FaceExample``.

    Args:
        codec: encodes the crops.
        faces: the drawn faces.
        turns: where each face looks, -1 (left) to 1 (right).
    """
    of_ids, of_references = zip(*(face_crops(face, turn) for face, turn in zip(faces, turns)))
    return world_embedding(torch.stack(of_ids)), _latents(codec, torch.stack(of_references).float() / 127.5 - 1)


def nobody(codec: Codec) -> torch.Tensor:
    """The latent of a grey crop [1, 16, 1, 32, 32], the same that LumosX Lynx Identity encodes."""
    return _latents(codec, torch.zeros(1, 256, 256, 3))


def _latents(codec: Codec, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised latents of pictures [n, H, W, 3] in -1..1, each encoded as a still."""
    return encode_videos(codec, pixels.permute(0, 3, 1, 2)[:, :, None])


class ReferencePass:
    """The features of crops in a frozen base, which the nodes compute once per run.

    Args:
        base: a Wan network in the dtype to compute in.
        encode: the text encoder.
    """

    def __init__(self, base: Network, encode: Encode) -> None:
        self._base = base
        text = encode(PROMPT)
        self._text = ReferenceInputs.of(torch.zeros(1), F.pad(
            text, (0, 0, 0, UMT5.length - text.shape[1])
        )).padded_text()

    @torch.no_grad()
    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Features [crops, blocks, tokens, width] of normalised latents [crops, 16, 1, height, width]."""
        base = self._base
        parameter = next(base.blocks.parameters())
        heads, (_, rows, columns) = base.num_heads, WAN21_LATENT.token_grid(latents.shape)
        grid = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), torch.arange(rows), torch.arange(columns))
        table = wan_rotary_table(grid, parameter.shape[-1] // heads, parameter.device)

        def rotate(x: torch.Tensor) -> torch.Tensor:
            return rotate_heads(x, heads, table)

        passed = reference_features(base, latents.to(parameter), self._text.to(parameter), rotate, training_attention)
        return torch.stack(list(passed), dim=1)


def sample_of(example: FaceExample, encode: Encode, references: ReferencePass) -> FaceSample:
    """Encode the prompts of an example and compute its reference features."""
    context = pad_sequence([encode(prompt)[0] for prompt in example.prompts], batch_first=True)
    return FaceSample(
        example.latent, example.weights, example.embeddings, references(example.references), context
    )
