"""What a check of the small model reports."""

from collections import defaultdict
from types import SimpleNamespace

import pytest

from lumosx_core.training import checking
from lumosx_core.training.checking import WorldCheck


def test_shares_are_means_in_the_order_of_their_names(monkeypatch):
    check = object.__new__(WorldCheck)
    check._scenes = [(None, ["a", "b"], None, None, None), (None, ["c", "d"], None, None, None)]
    monkeypatch.setattr(check, "_sample", lambda *arguments: [1.0, 2.0], raising=False)
    others = []

    def add(shares, script, cast, other, latent):
        others.append((cast, other))
        shares["worn"].append(latent)
        shares["faces"].append(2 * latent)

    monkeypatch.setattr(check, "_add", add, raising=False)
    assert list(check().items()) == [("faces", 3.0), ("worn", 1.5)]
    # The other one's things are those of the clip before.
    assert others == [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]


@pytest.mark.parametrize(("background", "thing", "more"), [
    (None, None, {}), (0.5, None, {"background, colour error": [0.5]}), (None, 0.25, {"thing, colour error": [0.25]}),
    (0.0, 0.0, {"background, colour error": [0.0], "thing, colour error": [0.0]}),
])
def test_a_clip_adds_its_places_and_the_colours_that_it_has(monkeypatch, background, thing, more):
    check, shares = object.__new__(WorldCheck), defaultdict(list)
    check._codec = "codec"
    places = [SimpleNamespace(kind=kind, is_own=own) for kind, own in ((checking.FACE, True), ("hat", False))]
    colours = (None if own is None else SimpleNamespace(own=own) for own in (background, thing))
    found = SimpleNamespace(places=places, **dict(zip(("background", "thing"), colours)))
    monkeypatch.setattr(checking, "measured", lambda *given: found)
    check._add(shares, SimpleNamespace(roles=[1, 2]), None, None, None)
    assert shares == {"faces of 2, own": [1.0], "worn things of 2, own": [0.0], **more}
