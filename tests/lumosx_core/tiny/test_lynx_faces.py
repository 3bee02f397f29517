"""Drawn faces as Lynx is given them."""

import numpy as np
import pytest
import torch

from lumosx_core.models.lynx.recogniser import RecogniserSizes
from lumosx_core.tiny.lynx_faces import EMBEDDING, face_crops, world_embedding
from lumosx_core.tiny.world.cast import DrawnFace, Split, random_face
from lumosx_core.tiny.world.clip import draw_strangers

FACE = DrawnFace((250, 214, 186), (0, 0, 255), (0, 200, 0), "short", "none", (0, 0, 0))


@pytest.mark.parametrize("turn", [-1.0, 0.0, 1.0])
def test_the_eyes_lie_where_the_templates_have_them(turn):
    for crop, eyes in zip(face_crops(FACE, turn), [((38.3, 51.7), (73.5, 51.5)), ((99.7, 121.1), (156.1, 120.8))]):
        assert crop.dtype == torch.uint8 and crop.shape == (len(crop), len(crop), 3)
        for x, y in eyes:
            # An iris looks to the side by a unit; its colour is around the template's point all the same.
            near = crop[int(y) - 4:int(y) + 5, int(x) - 8:int(x) + 9].reshape(-1, 3).float()
            assert ((near - torch.tensor([0.0, 200.0, 0.0])).abs().amax(1) < 40).any()


@pytest.mark.slow
def test_an_embedding_is_of_unit_length_and_tells_one_face_from_others():
    random = np.random.default_rng(0)
    nearer = []
    for _ in range(20):
        face = random_face(random, Split.TRAIN)
        others = draw_strangers(random, face, 8, Split.TRAIN)
        crops = torch.stack([face_crops(one, turn)[0] for one, turn in [(face, 1.0), (face, -0.5)]
                             + [(other, -0.5) for other in others]])
        seen, *others = world_embedding(crops)
        assert seen.shape == (EMBEDDING,) and seen.norm().item() == pytest.approx(1, abs=1e-5)
        likeness = [float(seen @ other) for other in others]
        nearer.append(likeness[0] == max(likeness))
    assert np.mean(nearer) > 0.9


def test_no_other_recogniser_has_embeddings_as_wide():
    assert RecogniserSizes.embedding != EMBEDDING


def test_an_embedding_is_around_a_middle_grey():
    """So that dark and light faces lie apart as far as they can."""
    dark, light = (world_embedding(torch.full((1, 112, 112, 3), value, dtype=torch.uint8)) for value in (0, 255))
    assert torch.equal(dark, -light) and (light > 0).all() and float(light.norm()) == pytest.approx(1, abs=1e-6)
