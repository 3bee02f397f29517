"""What a check of the small model reports."""

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
