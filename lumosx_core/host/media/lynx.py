"""A person for Lynx from photos, and identity cards in ComfyUI's output and input folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.utils
import numpy as np
import torch

from ...errors import LumosXError
from ...faces.catalogue import open_detector
from ...faces.picking import largest
from ...models.lynx.adapters import ID_LAYERS, PARTS, REF_LAYERS, RESAMPLER, Adapters, LynxPerson
from ...models.lynx.alignment import ID_SIZE, REF_SIZE, aligned_crop
from ...models.lynx.attention import KeysValues
from ...models.lynx.identity import Identity, ReferenceInputs, identity_tokens, project_identities
from ...models.lynx.recogniser import (
    FaceRecogniser,
    RecogniserSizes,
    load_recogniser,
    mean_embedding,
    recogniser_input,
)
from ...models.lynx.reference import PROMPT
from ...models.lynx.sizes import AdapterKind, AdapterSizes, ResamplerSizes
from ...models.wan.config import WAN21_LATENT
from ...tiny.lynx_faces import EMBEDDING as WORLD_EMBEDDING
from ...tiny.lynx_faces import world_embedding
from ..conditioning.scene import log_warnings
from ..weights.checkpoints import state_of
from ..weights.face_models import model_folders
from ..weights.lynx import part_checksum, recogniser_path
from .frames import as_batch, as_pixels, frame_ticks, split_batch

NODE = "LumosX Lynx Identity"
_SMALL_FACE = 64
"""Pixels; a smaller face is enlarged so much for the crops that little of a likeness is left."""


@dataclass(frozen=True)
class FacePlan:
    """Where a person's face comes from.

    Attributes:
        detector: name of ``faces.catalogue``.
        average: take the mean of several photos' embeddings; untrained.
        name: of the person, for reports and cards.
    """

    detector: str
    average: bool = False
    name: str = ""


@dataclass(frozen=True)
class _Crops:
    """Faces on the templates, [112, 112, 3] and [256, 256, 3] uint8."""

    of_ids: list[torch.Tensor]
    of_reference: torch.Tensor
    report: list[str]


def make_person(
    adapters: Adapters, image: torch.Tensor | None, id_crop: torch.Tensor | None, ref_crop: torch.Tensor | None,
    vae: Any, clip: Any, plan: FacePlan,
) -> tuple[LynxPerson, torch.Tensor, torch.Tensor, str]:
    """A person from photos, or from crops that somebody made by hand.

    Args:
        adapters: with a resampler, and with ID layers or reference layers.
        image: photos [n, H, W, 3 or 4] of one person; None where both crops are given.
        id_crop, ref_crop: faces as on the templates; they stand in for those of the photo.
        vae, clip: of the Wan model; None is right without reference layers.
        plan: how.

    Returns:
        The person; the crops for the recogniser [n, 112, 112, 3] and for the reference pass [1, 256, 256, 3]; a report.

    Raises:
        LumosXError: an input is missing or holds no face, there are several photos and they are not to be averaged, or
            a file is missing or damaged.
    """
    _check_inputs(adapters, image, id_crop, ref_crop, vae, clip)
    unused = _without_effect(adapters, image, id_crop, ref_crop, vae, clip)
    log_warnings(f"{NODE} {sentence}" for sentence in unused)
    crops = _crops(image, id_crop, ref_crop, plan)
    with torch.no_grad():
        embeddings = _embeddings(adapters, torch.stack(crops.of_ids))
        embedding = embeddings[0] if len(embeddings) == 1 else mean_embedding([*embeddings])
        tokens = identity_tokens(adapters.resampler(), embedding)
    identity = Identity(
        _kind(adapters), tokens, crops.of_reference, plan.name,
        _reference(vae, clip, crops.of_reference) if REF_LAYERS in adapters else None,
    )
    report = "\n".join([*crops.report, *_likeness(embeddings), *unused])
    pictures = as_batch((crop.numpy() for crop in crops.of_ids), len(crops.of_ids))
    return LynxPerson(identity, adapters), pictures, as_batch([crops.of_reference.numpy()], 1), report


def for_card(person: LynxPerson, self_contained: bool = True) -> Identity:
    """The identity as a card has it: with the checksums of its adapters, all of whose numbers are read.

    Args:
        self_contained: also with what the ID layers make of it, so that nobody needs them later.
    """
    identity, adapters = person.identity, person.adapters
    found = {part: part_checksum(adapters, part) for part in PARTS if part in adapters}
    identity = replace(identity, made_with={**identity.made_with, **found})
    if ID_LAYERS not in adapters:
        return identity
    if not self_contained:
        return replace(identity, projected=None)
    return identity if identity.projected is not None else replace(identity, projected=_projected(person))


def _check_inputs(
    adapters: Adapters, image: torch.Tensor | None, id_crop: torch.Tensor | None, ref_crop: torch.Tensor | None,
    vae: Any, clip: Any,
) -> None:
    if RESAMPLER not in adapters:
        raise LumosXError(
            "lynx: no resampler is among the files, and without it a face does not become an identity; choose its file "
            "in LumosX Lynx Loader, or load an identity card."
        )
    if image is None and (id_crop is None or ref_crop is None):
        missing = "id_crop and ref_crop" if id_crop is ref_crop else "id_crop" if id_crop is None else "ref_crop"
        raise LumosXError(f"image: nothing is linked here nor at {missing}; link a photo of the person.")
    if REF_LAYERS in adapters:
        for name, given in (("vae", vae), ("clip", clip)):
            if given is None:
                raise LumosXError(
                    f"{name}: nothing is linked, but the reference layers need the {name.upper()} of the Wan model; "
                    "link it, or choose no file with reference layers in LumosX Lynx Loader."
                )


def _without_effect(
    adapters: Adapters, image: torch.Tensor | None, id_crop: torch.Tensor | None, ref_crop: torch.Tensor | None,
    vae: Any, clip: Any,
) -> list[str]:
    """A sentence for each input that is linked for nothing."""
    sentences = []
    if image is not None and id_crop is not None and ref_crop is not None:
        sentences.append("image: it has no effect, since both crops are linked; unlink it, or one of them.")
    if REF_LAYERS not in adapters:
        sentences += [
            f"{name}: it has no effect, since no file holds reference layers; choose one in LumosX Lynx Loader, or "
            "unlink it."
            for name, given in (("ref_crop", ref_crop), ("vae", vae), ("clip", clip)) if given is not None
        ]
    return sentences


def _crops(
    image: torch.Tensor | None, id_crop: torch.Tensor | None, ref_crop: torch.Tensor | None, plan: FacePlan
) -> _Crops:
    report: list[str] = []
    faces: list[tuple[torch.Tensor, np.ndarray]] = []
    if image is not None and (id_crop is None or ref_crop is None):
        faces = _faces(image, plan, report)
    of_ids = _manual(id_crop, "id_crop", ID_SIZE, report) if id_crop is not None else [
        aligned_crop(*face, ID_SIZE) for face in faces
    ]
    of_reference = _manual(ref_crop, "ref_crop", REF_SIZE, report) if ref_crop is not None else [
        aligned_crop(*face, REF_SIZE) for face in faces[:1]
    ]
    if len(of_ids) > 1 and not plan.average:
        raise LumosXError(
            f"{'image' if id_crop is None else 'id_crop'}: {len(of_ids)} pictures are linked, but Lynx was trained "
            "with one; link one, or switch average on."
        )
    if len(of_reference) > 1:
        raise LumosXError(f"ref_crop: {len(of_reference)} pictures are linked, but one is taken; link one.")
    if len(of_ids) > 1:
        report.append(f"The mean of {len(of_ids)} photos, which is untrained.")
    return _Crops(of_ids, of_reference[0], report)


def _faces(image: torch.Tensor, plan: FacePlan, report: list[str]) -> list[tuple[torch.Tensor, np.ndarray]]:
    """(RGB pixels [H, W, 3] uint8, landmarks [5, 2]) of the largest face of each photo."""
    detector, tick, found = open_detector(plan.detector, model_folders()), frame_ticks(), []
    photos = split_batch(image, "image")
    for number, photo in enumerate(photos, 1):
        tick(number - 1, len(photos))
        pixels = as_pixels(photo)
        faces = detector.detect(pixels)
        if not faces:
            raise LumosXError(
                f"image: {detector.name} finds no face in photo {number}; link a photo that shows one face upright, or "
                "link id_crop and ref_crop."
            )
        face = largest(faces)
        report.append(f"Photo {number}: a face {face.width:.0f} px wide" + (
            f", the largest of {len(faces)}." if len(faces) > 1 else "."
        ))
        if face.width < _SMALL_FACE:
            log_warnings([
                f"{NODE} image: the face in photo {number} is only {face.width:.0f} px wide; a larger photo gives a "
                "better likeness."
            ])
        found.append((torch.from_numpy(pixels), face.landmarks))
    return found


def _manual(crop: torch.Tensor, source: str, size: int, report: list[str]) -> list[torch.Tensor]:
    """Crops that are given, brought to the size of the template."""
    pictures = []
    for picture in split_batch(crop, source):
        if picture.shape[1:3] != (size, size):
            resized = torch.nn.functional.interpolate(
                picture.movedim(-1, 1), (size, size), mode="bilinear", antialias=True, align_corners=False
            )
            picture = resized.movedim(1, -1).clamp(0, 1)
        pictures.append(torch.from_numpy(as_pixels(picture)))
    report.append(f"{source}: as it is given.")
    return pictures


def _kind(adapters: Adapters) -> AdapterKind:
    if (sizes := adapters.layers(ID_LAYERS)) is not None:
        return sizes.kind
    # Without ID layers only the reference adapter acts; the width of tokens tells the two kinds apart.
    reference, resampler = adapters.layers(REF_LAYERS), adapters.sizes[RESAMPLER]
    if reference is None or isinstance(resampler, AdapterSizes) or resampler.token_width == reference.width:
        return "full"
    return "lite"


def _reference(vae: Any, clip: Any, crop: torch.Tensor) -> ReferenceInputs:
    """The person's crop and a grey picture as normalised latents, and the prompt of the reference pass."""
    pixels = torch.stack([crop.float() / 255, torch.full_like(crop, 0.5, dtype=torch.float32)])
    latents = torch.cat([vae.encode(picture[None]) for picture in pixels])
    if latents.ndim != 5 or latents.shape[1] != WAN21_LATENT.channels or latents.shape[2] != 1:
        raise LumosXError(
            f"vae: it makes latents of the shape {list(latents.shape)}, not those of Wan2.1; link Wan2.1's VAE."
        )
    latents = comfy.latent_formats.Wan21().process_in(latents.float().cpu())
    text = clip.encode_from_tokens_scheduled(clip.tokenize(PROMPT))[0][0]
    return ReferenceInputs.of(latents, text)


def _projected(person: LynxPerson) -> dict[int, KeysValues]:
    """What the ID layers make of a person, block by block; the folds read the layers instead, to hold less."""
    device = comfy.model_management.get_torch_device()
    with person.adapters.reader(ID_LAYERS) as reader, torch.no_grad():
        projected, bar = {}, comfy.utils.ProgressBar(len(reader.sizes.blocks))
        for block, pair in project_identities(reader, person.identity.tokens, device):
            comfy.model_management.throw_exception_if_processing_interrupted()
            projected[block] = pair.to("cpu")
            bar.update(1)
    return projected


def _embeddings(adapters: Adapters, crops: torch.Tensor) -> torch.Tensor:
    """[n, numbers] of crops [n, 112, 112, 3] uint8, by the recogniser whose embeddings the resampler was trained on.

    Raises:
        LumosXError: no recogniser has embeddings of that length, or its file is missing or damaged.
    """
    sizes = adapters.sizes[RESAMPLER]
    numbers = sizes.face_width if isinstance(sizes, ResamplerSizes) else 0
    if numbers == WORLD_EMBEDDING:
        return world_embedding(crops)
    if numbers != RecogniserSizes.embedding:
        raise LumosXError(
            f"lynx: its resampler takes face embeddings of {numbers} numbers, but ArcFace IR-SE50 gives "
            f"{RecogniserSizes.embedding}; choose the resampler of ByteDance/lynx."
        )
    return _recogniser(recogniser_path())(recogniser_input(crops))


def _likeness(embeddings: torch.Tensor) -> Sequence[str]:
    """How like the first photo the others are."""
    return [
        f"Photo {number} is {float(embeddings[0] @ other):.2f} like photo 1."
        for number, other in enumerate(embeddings[1:], 2)
    ]


def _recogniser(path: Path) -> FaceRecogniser:
    return _loaded_recogniser(path, state_of(path))


@lru_cache(maxsize=1)
def _loaded_recogniser(path: Path, state: str) -> FaceRecogniser:
    return load_recogniser(path)
