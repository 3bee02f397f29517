"""How similar the colours of two pictures are: a stand-in for CLIP and DINOv2 that needs no weights."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...media.pictures import pil_from_tensor
from ...packages import opencv, scipy
from ...scene.relations import Kind, Reference
from .regions import FACE, HAIR, HEAD, LEGS, NECK, TORSO

# At and above this in all three channels a pixel of a cut-out is taken for its white ground.
_GROUND = 248
# A cut-out with less than this share of anything else is a white thing: taken whole.
_LEAST_THING = 0.02
# Of L, a and b; ordinary clothes fill a small part of the colour plane, so a and b have finer steps.
_BINS = (12, 24, 24)
_SPREAD = 1.0
_MOST_PIXELS = 256 * 256

_WORN = {
    HEAD: "hat cap beanie helmet headscarf headband beret turban crown tiara hood hijab bandana fedora",
    HAIR: "hair hairstyle haircut wig ponytail braid bun curls afro bangs headphone headset veil",
    FACE: "face glasses sunglasses eyeglasses spectacles goggles mask beard moustache mustache makeup lipstick earring "
    "earbud earphone monocle",
    NECK: "necklace scarf scarves shawl tie bowtie necktie choker collar pendant pearls",
    LEGS: "trousers pants jeans skirt shorts shoe boot sneaker sandal sock stocking leggings tights heels",
    # So that a jeans jacket is a jacket.
    TORSO: "jacket coat shirt tshirt blouse sweater sweatshirt jumper hoodie cardigan dress suit top vest blazer gown "
    "robe",
}
_WORDS = {word: part for part, words in _WORN.items() for word in words.split()}
_JOINTS = re.compile(r"\b(?:with|and|in|on|of|from)\b")
_PLACES = {part: f"the {part}" for part in _WORN} | {HEAD: "the head above the eyes", HAIR: "the whole head"}


class ColourLikeness:
    """Compares the colours of clothes, and nothing else: two black jackets are the same to it.

    A picture becomes the square root of its smoothed histogram in CIE L*a*b*, so that the product of two is the
    Bhattacharyya coefficient: 1 for the same colours, 0 for none in common.
    """

    name = "colour"
    models = ()

    def __init__(self) -> None:
        self._attributes: tuple[str, ...] = ()

    @property
    def measures(self) -> dict[str, str]:
        """What it gives; once it knows the references, with the part of the body where each attribute is looked for."""
        places = ", ".join(f"\"{phrase}\" on {_PLACES[self.part(phrase)]}" for phrase in self._attributes)
        return {
            "colour": "colour (a stand-in, needs no weights): Bhattacharyya coefficient of L*a*b* histograms; without "
            f"OWLv2 {places or 'on the part of the body that the phrase tells, else on the torso'}"
        }

    def part(self, phrase: str) -> str:
        """Where a thing of this phrase is worn, since colours of the whole region would be those of its ground.

        The last word that is known decides, but of "shirt with a tie" the shirt; without any it is the torso.
        """
        for piece in _JOINTS.split(phrase.casefold()):
            for word in reversed(re.findall(r"\w+", piece)):
                for form in (word, word.removesuffix("s"), word.removesuffix("es")):
                    if form in _WORDS:
                        return _WORDS[form]
        return TORSO

    def of_references(self, references: Sequence[Reference]) -> dict[str, np.ndarray]:
        """{"colour": [n, d] float32} of the references' pictures without their white ground."""
        things = (reference.phrase for reference in references if reference.kind is Kind.ATTRIBUTE)
        self._attributes = tuple(dict.fromkeys(things))
        return {"colour": np.stack([_histogram(_thing(reference_pixels(reference))) for reference in references])}

    def of_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """[n, d] float32 of RGB pictures [H, W, 3] uint8."""
        return np.stack([_histogram(crop.reshape(-1, 3)) for crop in crops])


def reference_pixels(reference: Reference) -> np.ndarray:
    """The picture of a reference that has one, as RGB [H, W, 3] uint8."""
    if reference.image is None:
        raise ValueError(f"{reference.source} has no picture")
    return np.array(pil_from_tensor(reference.image))


def _thing(pixels: np.ndarray) -> np.ndarray:
    """[n, 3]: what of a cut-out is not its white ground."""
    thing = pixels[pixels.min(axis=2) < _GROUND]
    return thing if len(thing) >= _LEAST_THING * pixels[..., 0].size else pixels.reshape(-1, 3)


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """[bins] float32 of length 1, from RGB values [n, 3] uint8."""
    cv2 = opencv()
    pixels = pixels[::len(pixels) // _MOST_PIXELS + 1]
    lab = cv2.cvtColor(np.ascontiguousarray(pixels[None]), cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    counts = np.histogramdd(lab, _BINS, [(0, 256)] * 3)[0]
    smooth = _smooth(counts)
    return np.sqrt(smooth / smooth.sum()).ravel().astype(np.float32)


def _smooth(counts: np.ndarray) -> np.ndarray:
    """Spread each bin over its neighbours, so that a shift of light by half a bin changes little."""
    return scipy().ndimage.gaussian_filter(counts, _SPREAD, mode="nearest")
