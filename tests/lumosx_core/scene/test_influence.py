"""Strength and steps as plain numbers: what they say, how they combine, and what is refused."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.scene.influence import FULL, Influence
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scene.report import binder_report
from lumosx_core.scene.view import scene_view

IMAGE = torch.zeros(1, 8, 8, 3)


@pytest.mark.parametrize(("influence", "text"), [
    (FULL, ""), (Influence(0.5), "strength 0.5"), (Influence(end=0.5), "steps 0 to 50 %"),
    (Influence(2, 0.125, 0.333), "strength 2, steps 12.5 to 33.3 %"), (Influence(0), "strength 0"),
])
def test_only_what_differs_is_said(influence, text):
    assert influence.text == text
    person = Subject(Reference(Kind.FACE, "woman", IMAGE, influence=influence))
    scene = Scene(None, (), (person,))
    line = f'face "woman" ({text})' if text else 'face "woman"\n'
    assert line in binder_report(scene)
    (shown,) = scene_view(scene)["people"][0]["references"]
    assert (shown["strength"], shown["start"], shown["end"]) == (influence.strength, influence.start, influence.end)


def test_a_part_has_the_strength_of_both_and_the_steps_that_both_have():
    assert Influence(0.5, 0.2, 0.8).within(Influence(0.5, 0.1, 0.6)) == Influence(0.25, 0.2, 0.6)
    assert Influence(2, 0.2).within(FULL) == Influence(2, 0.2)


@pytest.mark.parametrize(("influence", "words"), [
    (Influence(-0.1), "the strength -0.1 must be from 0 to 10"), (Influence(101), "the strength 101 must be"),
    (Influence(float("nan")), "the strength nan must be"), (Influence(start=-1), "must lie in 0 to 1"),
    (Influence(end=2), "must lie in 0 to 1"), (Influence(1, 0.5, 0.5), "begin at 50 % and end at 50 %"),
    (Influence(end=0.4).within(Influence(start=0.6)), "begin at 60 % and end at 40 %"),
])
def test_what_could_never_act_is_refused(influence, words):
    with pytest.raises(LumosXError, match="^the node's input: ") as caught:
        Reference(Kind.OBJECT, "lamp", IMAGE, source="the node's input", influence=influence)
    assert words in str(caught.value)
