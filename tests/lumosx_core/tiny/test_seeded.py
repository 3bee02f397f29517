import torch

from lumosx_core.tiny.seeded import seeded_normal


def test_depends_on_seed_and_name_only():
    first = seeded_normal(3, "blocks.0", (4, 5))
    seeded_normal(3, "something in between", (7,))
    assert torch.equal(first, seeded_normal(3, "blocks.0", (4, 5)))
    assert not torch.equal(first, seeded_normal(4, "blocks.0", (4, 5)))
    assert not torch.equal(first, seeded_normal(3, "blocks.1", (4, 5)))


def test_is_standard_normal():
    values = seeded_normal(0, "many", (100, 1000))
    assert values.dtype == torch.float32
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
