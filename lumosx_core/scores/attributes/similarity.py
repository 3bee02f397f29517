"""Networks that compare a crop with an attribute (CLIP, DINOv2), and one that finds it (OWLv2); local folders only.

As the release's benchmark uses them: CLIP-I and CLIP-T are plain cosines (not times 100) of CLIP ViT-L/14, DINO-I of
DINOv2-base's pooled output, OWLv2 is asked for the bare phrase with threshold 0.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ...errors import LumosXError
from ...faces.face import ModelFolders
from ...packages import transformers
from ...scene.relations import Reference
from .colour import reference_pixels
from .regions import WHOLE, PixelBox

CLIP_FOLDER, DINO_FOLDER, OWL_FOLDER = "clip-vit-large-patch14", "dinov2-base", "owlv2-base-patch16-ensemble"
LEAST_SURE = 0.1

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_TEXT_FILES = (("tokenizer.json", "vocab.json"),)
_BATCH = 8
_MOST_OVERLAP = 0.5
_GREY = 128


class Comparer(Protocol):
    """Compares crops with references by vectors of length 1; their product is the likeness.

    Attributes:
        name: as users choose it.
        measures: what it gives, each with a line for reports.
        models: what has to be on the device while it works.
    """

    name: str

    @property
    def measures(self) -> Mapping[str, str]: ...

    @property
    def models(self) -> Sequence[torch.nn.Module]: ...

    def part(self, phrase: str) -> str:
        """Which part of a person's region to look at for a thing of this phrase: see ``Region.window``."""

    def of_references(self, references: Sequence[Reference]) -> dict[str, np.ndarray]:
        """For each measure [n, d] float32."""

    def of_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """[n, d] float32 of RGB crops [H, W, 3] uint8."""


@dataclass(frozen=True)
class Weights:
    """A folder of transformers' format that a user may have.

    Attributes:
        what: what it is for, in messages.
        folder: its name in ``models/lumosx``.
        origin: where it is published.
        files: what must be in it besides the weights; of a tuple, one.
    """

    what: str
    folder: str
    origin: str
    files: tuple[str | tuple[str, ...], ...]

    def find(self, folders: ModelFolders) -> Path:
        """The folder on this machine.

        Raises:
            LumosXError: no such folder, or a file is missing; the sentence says which and where it belongs.
        """
        places = [place / self.folder for place in folders.lumosx if (place / self.folder).is_dir()]
        if not places:
            raise LumosXError(
                f"{self.what} has no weights; put {self._wanted()} of {self.origin} into "
                f"{Path(folders.lumosx[0] if folders.lumosx else 'models/lumosx', self.folder)}."
            )
        place = places[0]
        if not any((place / name).is_file() for name in _WEIGHTS):
            found = "only pytorch_model.bin" if (place / "pytorch_model.bin").is_file() else "no weights"
            raise LumosXError(
                f"{self.what}: {place} has {found}; put model.safetensors of {self.origin} there "
                "(or convert it with transformers' save_pretrained), since pickled files are not opened."
            )
        for names in self.files:
            if not any((place / name).is_file() for name in ((names,) if isinstance(names, str) else names)):
                name = names if isinstance(names, str) else " or ".join(names)
                raise LumosXError(
                    f"{self.what}: {place} has no {name}; put that file of {self.origin} there."
                )
        return place

    def open(self, folders: ModelFolders, model_class: str) -> tuple[Any, Path]:
        """The model, on the CPU in float32, and its folder.

        Raises:
            LumosXError: as ``find``, or weights that are not those of such a model.
        """
        place = self.find(folders)
        library = transformers()
        try:
            model, loading_info = getattr(library, model_class).from_pretrained(
                place, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
            )
        # Which error a broken file ends in differs between versions of transformers and safetensors.
        except Exception as error:
            raise self._broken(place, str(error).partition("\n")[0]) from error
        if loading_info["missing_keys"]:
            raise self._broken(place, f"{sorted(loading_info['missing_keys'])[0]} is missing")
        return model.float().train(False).requires_grad_(False), place

    def companion(self, kind: str, place: Path) -> Any:
        """The tokenizer ("AutoTokenizer") or the image processor ("AutoImageProcessor") beside the model."""
        library = transformers()
        try:
            return getattr(library, kind).from_pretrained(place, local_files_only=True, trust_remote_code=False)
        except Exception as error:
            raise self._broken(place, str(error).partition("\n")[0]) from error

    def _wanted(self) -> str:
        names = [names if isinstance(names, str) else names[0] for names in self.files]
        return ", ".join([_WEIGHTS[0], *names])

    def _broken(self, place: Path, why: str) -> LumosXError:
        return LumosXError(
            f"{self.what}: {place} cannot be read ({why.rstrip('.')}); get its files again from {self.origin}."
        )


CLIP_WEIGHTS = Weights(
    "CLIP", CLIP_FOLDER, "openai/clip-vit-large-patch14", ("config.json", "preprocessor_config.json", *_TEXT_FILES)
)
DINO_WEIGHTS = Weights("DINOv2", DINO_FOLDER, "facebook/dinov2-base", ("config.json", "preprocessor_config.json"))
OWL_WEIGHTS = Weights(
    "OWLv2", OWL_FOLDER, "google/owlv2-base-patch16-ensemble",
    ("config.json", "preprocessor_config.json", *_TEXT_FILES),
)


class ClipLikeness:
    """CLIP-I compares with the reference's picture, CLIP-T with its phrase."""

    name = "CLIP"
    measures = {
        "CLIP-I": f"CLIP-I: cosine to the reference picture, {CLIP_FOLDER}",
        "CLIP-T": f"CLIP-T: cosine to the phrase, {CLIP_FOLDER}",
    }

    def __init__(self, folders: ModelFolders):
        model, place = CLIP_WEIGHTS.open(folders, "CLIPModel")
        self.models = (model,)
        self._pictures = CLIP_WEIGHTS.companion("AutoImageProcessor", place)
        self._words = CLIP_WEIGHTS.companion("AutoTokenizer", place)

    def part(self, phrase: str) -> str:
        """The whole region."""
        return WHOLE

    def of_references(self, references: Sequence[Reference]) -> dict[str, np.ndarray]:
        """[n, d] float32 for CLIP-I and CLIP-T."""
        phrases = [reference.phrase for reference in references]
        return {"CLIP-I": self.of_crops([reference_pixels(reference) for reference in references]),
                "CLIP-T": self.of_phrases(phrases)}

    @torch.inference_mode()
    def of_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """[n, d] float32 of RGB crops [H, W, 3] uint8."""
        model = self.models[0]
        return _in_batches(crops, lambda batch: _pooled(
            model.get_image_features(pixel_values=_pixel_values(self._pictures, batch, model))
        ))

    @torch.inference_mode()
    def of_phrases(self, phrases: Sequence[str]) -> np.ndarray:
        """[n, d] float32 of phrases; their product with ``of_crops`` is CLIP-T."""
        model = self.models[0]
        return _in_batches(phrases, lambda batch: _pooled(
            model.get_text_features(**_token_ids(self._words, batch, model))
        ))


class DinoLikeness:
    """DINO-I compares with the reference's picture."""

    name = "DINOv2"
    measures = {"DINO-I": f"DINO-I: cosine to the reference picture, {DINO_FOLDER}, pooled output"}

    def __init__(self, folders: ModelFolders):
        model, place = DINO_WEIGHTS.open(folders, "Dinov2Model")
        self.models = (model,)
        self._pictures = DINO_WEIGHTS.companion("AutoImageProcessor", place)

    def part(self, phrase: str) -> str:
        """The whole region."""
        return WHOLE

    def of_references(self, references: Sequence[Reference]) -> dict[str, np.ndarray]:
        """[n, d] float32 for DINO-I."""
        return {"DINO-I": self.of_crops([reference_pixels(reference) for reference in references])}

    @torch.inference_mode()
    def of_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """[n, d] float32 of RGB crops [H, W, 3] uint8."""
        model = self.models[0]
        return _in_batches(crops, lambda batch: model(
            pixel_values=_pixel_values(self._pictures, batch, model)
        ).pooler_output)


@dataclass(frozen=True)
class Located:
    """Where a phrase was found.

    Attributes:
        box: left, top, right, bottom in whole pixels of the picture that was searched.
        score: how sure the locator is, in [0, 1].
    """

    box: PixelBox
    score: float


class OwlLocator:
    """Finds the best box for a phrase, or all of them."""

    name = f"OWLv2 ({OWL_FOLDER}, threshold {LEAST_SURE})"

    def __init__(self, folders: ModelFolders):
        model, place = OWL_WEIGHTS.open(folders, "Owlv2ForObjectDetection")
        self.models = (model,)
        self._pictures = OWL_WEIGHTS.companion("AutoImageProcessor", place)
        self._words = OWL_WEIGHTS.companion("AutoTokenizer", place)

    @torch.inference_mode()
    def locate(self, pixels: np.ndarray, phrases: Sequence[str]) -> list[Located | None]:
        """For each phrase its surest box in an RGB picture [H, W, 3] uint8; None if none is above the threshold.

        Phrases are judged apart, as if each were asked alone.
        """
        model = self.models[0]
        picture = _pixel_values(self._pictures, [_grey_square(pixels)], model)
        answer = model(pixel_values=picture, **_token_ids(self._words, phrases, model))
        sure, best = answer.logits[0].sigmoid().max(dim=0)
        boxes = answer.pred_boxes[0][best].cpu().double().numpy()
        return [
            Located(_owl_box(box, *pixels.shape[:2]), score) if score > LEAST_SURE else None
            for box, score in zip(boxes, sure.tolist())
        ]

    @torch.inference_mode()
    def locate_all(self, pixels: np.ndarray, phrases: Sequence[str], most: int) -> list[list[Located]]:
        """For each phrase its boxes above the threshold, surest first, at most so many.

        Of boxes that share more than half of their joint area, only the surest is kept.
        """
        model = self.models[0]
        picture = _pixel_values(self._pictures, [_grey_square(pixels)], model)
        answer = model(pixel_values=picture, **_token_ids(self._words, phrases, model))
        boxes = answer.pred_boxes[0].cpu().double().numpy()
        return [
            _apart([Located(_owl_box(boxes[index], *pixels.shape[:2]), float(scores[index]))
                    for index in np.argsort(scores)[::-1] if scores[index] > LEAST_SURE], most)
            for scores in answer.logits[0].sigmoid().T.cpu().double().numpy()
        ]


def _apart(located: Sequence[Located], most: int) -> list[Located]:
    kept: list[Located] = []
    for one in located:
        if len(kept) == most:
            break
        if all(_overlap(one.box, other.box) <= _MOST_OVERLAP for other in kept):
            kept.append(one)
    return kept


def _overlap(one: PixelBox, other: PixelBox) -> float:
    """Intersection over union."""
    width, height = (min(one[end], other[end]) - max(one[end - 2], other[end - 2]) for end in (2, 3))
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def _grey_square(pixels: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] uint8 in the upper left of a grey square, as OWLv2 was trained."""
    # transformers 4 pads so itself, but transformers 5 pads with black.
    square = np.full((max(pixels.shape[:2]),) * 2 + (3,), _GREY, np.uint8)
    square[:pixels.shape[0], :pixels.shape[1]] = pixels
    return square


def _owl_box(box: np.ndarray, height: int, width: int) -> PixelBox:
    """From centre and size, as shares of the square that the picture is laid on, to whole pixels of the picture.

    A box with nothing of the picture in it becomes the whole picture, as in the release.
    """
    x, y, wide, high = box * max(height, width)
    left, right = (min(max(int(edge), 0), width) for edge in (x - wide / 2, x + wide / 2))
    top, bottom = (min(max(int(edge), 0), height) for edge in (y - high / 2, y + high / 2))
    return (left, top, right, bottom) if right > left and bottom > top else (0, 0, width, height)


def _pixel_values(processor: Any, crops: Sequence[np.ndarray], model: torch.nn.Module) -> torch.Tensor:
    # Where the colours are is guessed otherwise, wrongly for a crop that is one or three pixels high.
    inputs = processor(images=list(crops), input_data_format="channels_last", return_tensors="pt")
    return inputs["pixel_values"].to(model.device)


def _token_ids(tokenizer: Any, phrases: Sequence[str], model: Any) -> dict[str, torch.Tensor]:
    most = model.config.text_config.max_position_embeddings
    inputs = tokenizer(list(phrases), padding="max_length", truncation=True, max_length=most, return_tensors="pt")
    return {name: inputs[name].to(model.device) for name in ("input_ids", "attention_mask")}


def _pooled(features: Any) -> torch.Tensor:
    """A tensor in transformers 4, an output with a tensor inside in transformers 5."""
    return features if isinstance(features, torch.Tensor) else features.pooler_output


def _in_batches(items: Sequence, embed: Any) -> np.ndarray:
    """[n, d] float32 rows of length 1."""
    rows = torch.cat([embed(items[start:start + _BATCH]).float() for start in range(0, len(items), _BATCH)])
    return torch.nn.functional.normalize(rows, dim=-1).cpu().numpy()
