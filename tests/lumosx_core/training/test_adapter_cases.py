"""How a case is shown in one step of a training: with one subject or all, without lines or without pictures."""

import pytest
import torch

from lumosx_core.models.polyvivid.positions import TextLayout
from lumosx_core.training.adapter_cases import EncodedAdapterCase, EncodedText


class Chance:
    """Draws what it is given."""

    def __init__(self, one, fate):
        self.one, self.fate = one, fate

    def integers(self, count):
        assert count == 3
        return self.one

    def random(self):
        return self.fate


def text(number):
    return EncodedText(torch.full((1, 4, 2), float(number)), torch.zeros(1, 2), TextLayout.without_images(4, 1))


CASE = EncodedAdapterCase(
    torch.zeros(1), tuple(torch.full((1,), float(number)) for number in (1, 2, 3)), torch.full((1,), 9.0), text(10),
    (text(11), text(12), text(13)), text(0), text(-1),
)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("fate", "lines", "pictures"), [
    (0.0, False, True), (0.124, False, True), (0.125, True, False), (0.249, True, False), (0.25, False, False),
    (0.374, False, False), (0.375, True, True), (0.999, True, True),
])
def test_lines_pictures_or_both_are_left_out_equally_often(single, fate, lines, pictures):
    sample = CASE.sample(Chance(1, fate), single, 0.125)
    shown = [2.0] if single else [1.0, 2.0, 3.0]
    assert [float(one) for one in sample.subjects] == (shown if pictures else [9.0] * len(shown))
    assert float(sample.text.context[0, 0, 0]) == ((12 if single else 10) if lines else 0)


def test_nothing_is_left_out_without_a_chance_to():
    sample = CASE.sample(Chance(0, 0.0), False, 0.0)
    assert len(sample.subjects) == 3 and float(sample.text.context[0, 0, 0]) == 10
