"""What fits on an identity card: every size exactly at its limit and one past it, and each thing it says of itself."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx import card
from lumosx_core.weights.source import TensorInfo

FACTS = card._Facts("full", "Ada", (0, 2), 5, {"resampler": "a" * 64})
LEAST = {
    "tokens": (2, 1, 1), "preview": (1, 1, 3), "latents": (2, 16, 1, 1, 1), "text": (0, 1), "keys": (1, 1, 1),
    "values": (1, 1, 1),
}


def infos(**changed):
    """A card of the smallest sizes."""
    kinds = {name: limits[0][0] for name, limits in card._LIMITS.items()}
    return {name: TensorInfo(kinds[name], shape) for name, shape in LEAST.items()} | changed


SIDES = [(name, side) for name, (_, most) in card._LIMITS.items() for side in range(len(most))]


@pytest.mark.parametrize(("name", "side"), SIDES)
def test_each_side_has_its_least_and_its_most(name, side):
    kinds, most = card._LIMITS[name]

    def problem(number):
        shape = tuple(number if place == side else one for place, one in enumerate(LEAST[name]))
        return card._misfit_of_shapes(infos(**{name: TensorInfo(kinds[0], shape)}))

    least = LEAST[name][side]
    assert problem(least) is None is problem(most[side])
    assert problem(most[side] + 1).startswith(f"{name} is ") and problem(least - 1).startswith(f"{name} is ")


@pytest.mark.parametrize("name", LEAST)
def test_each_tensor_has_its_kinds_and_its_number_of_sides(name):
    for kind in ("F32", "U8", "F16", "BF16", "I64"):
        problem = card._misfit_of_shapes(infos(**{name: TensorInfo(kind, LEAST[name])}))
        assert (problem is None) == (kind in card._LIMITS[name][0])
    for shape in (LEAST[name][1:], (*LEAST[name], 1)):
        problem = card._misfit_of_shapes(infos(**{name: TensorInfo(card._LIMITS[name][0][0], shape)}))
        assert problem.startswith(f"{name} is ")


@pytest.mark.parametrize(("without", "fits"), [
    ((), True), (("latents", "text"), True), (("keys", "values"), True), (("latents", "text", "keys", "values"), True),
    (("tokens",), False), (("preview",), False), (("latents",), False), (("text",), False), (("keys",), False),
    (("values",), False),
])
def test_what_belongs_together_is_there_together(without, fits):
    held = {name: info for name, info in infos().items() if name not in without}
    assert (card._misfit_of_shapes(held) is None) == fits
    assert card._misfit_of_shapes({**held, "more": TensorInfo("F32", (1,))}).startswith("it holds ")


@pytest.mark.parametrize(("change", "fits"), [
    ({}, True), ({"kind": "lite"}, True), ({"kind": "ref"}, False), ({"name": ""}, True), ({"name": "x" * 200}, True),
    ({"name": "x" * 201}, False), ({"name": 3}, False), ({"blocks": ()}, True), ({"blocks": (0, 512)}, True),
    ({"blocks": (0, 513)}, False), ({"blocks": (-1, 0)}, False), ({"blocks": (2, 0)}, False),
    ({"blocks": (1, 1)}, False), ({"blocks": (True,)}, False), ({"blocks": (1.0,)}, False), ({"text_tokens": 0}, True),
    ({"text_tokens": 512}, True), ({"text_tokens": 513}, False), ({"text_tokens": -1}, False),
    ({"text_tokens": 1.5}, False), ({"made_with": {}}, True), ({"made_with": {"ref_layers": "a" * 65}}, False),
    ({"made_with": {"ref_layers": 3}}, False), ({"made_with": {"id_layers": ""}}, True),
    ({"made_with": {"hat": ""}}, False),
])
def test_what_a_card_says_of_itself_has_its_bounds(change, fits):
    assert (card._misfit_of_facts(replace(FACTS, **change)) is None) == fits


def test_a_card_says_exactly_so_much_of_itself(monkeypatch):
    text = FACTS.as_json()
    monkeypatch.setattr(card, "_MOST_FACTS", len(text))
    assert card._parse_facts(Path("a"), text) == FACTS
    monkeypatch.setattr(card, "_MOST_FACTS", len(text) - 1)
    for said in (text, "[]", "{}", "{", '{"kind": "full", "name": "", "blocks": 3, "text_tokens": 0, "made_with": {}}'):
        with pytest.raises(LumosXError, match="^a: the identity card is damaged"):
            card._parse_facts(Path("a"), said)


@pytest.mark.parametrize(("rows", "text", "values", "blocks", "fits"), [
    (6, 5, 6, 2, True), (7, 5, 7, 2, True), (5, 5, 5, 2, False), (6, 6, 6, 2, False), (6, 4, 6, 2, True),
    (6, 5, 7, 2, False), (6, 5, 6, 3, False), (6, 5, 6, 1, False),
])
def test_keys_values_and_text_fit_what_the_card_says(rows, text, values, blocks, fits):
    """Three tokens of a person and of nobody, and five of the text."""
    tensors = {
        "tokens": torch.zeros(2, 3, 4), "preview": torch.zeros(1, 1, 3), "latents": torch.zeros(2, 16, 1, 1, 1),
        "text": torch.zeros(text, 4), "keys": torch.zeros(2, rows, 4), "values": torch.zeros(2, values, 4),
    }
    facts = replace(FACTS, blocks=tuple(range(blocks)))
    if fits:
        identity = card._identity(Path("a"), facts, tensors)
        assert identity.projected[1].keys.shape == (2, 3 + rows - 6, 4) and len(identity.reference.text) == text
    else:
        with pytest.raises(LumosXError, match="^a: the identity card is damaged"):
            card._identity(Path("a"), facts, tensors)


def test_numbers_that_are_not_finite_are_on_no_card():
    tensors = {"tokens": torch.zeros(2, 1, 1), "preview": torch.zeros(1, 1, 3, dtype=torch.uint8)}
    assert card._misfit(tensors, FACTS) is None
    assert card._misfit({**tensors, "tokens": torch.full((2, 1, 1), torch.nan)}, FACTS).endswith("not finite")
    assert card._misfit({**tensors, "tokens": torch.zeros(2, 65, 1)}, FACTS).startswith("tokens is ")
    assert "fit a card" in card._misfit(tensors, replace(FACTS, kind="ref"))
