"""LumosX Relational Encode on a real server: what it keeps for later runs."""

import pytest


@pytest.fixture
def kept(server):
    """Names of the files of encodings in the server's user folder."""
    folder = server.base / "user" / "__lumosx" / "encodings"
    return lambda: {path.name for path in folder.glob("*")}


def test_encodings_are_kept_once_and_only_when_asked_for(client, built, kept):
    inputs = built["4"]["inputs"]
    inputs["prompt"] = prompt = inputs["prompt"] + " They wave."
    inputs["reuse_encodings"] = False
    before = kept()
    client.run(built, timeout=300)
    assert kept() == before
    # A saved workflow knows nothing of the input: it is on.
    del inputs["reuse_encodings"]
    assert "4" in client.run(built, timeout=300).executed
    after = kept()
    assert len(after) > len(before)
    inputs["unconditional_references"] = "zero latents"
    assert "4" in client.run(built, timeout=300).executed and kept() == after
    inputs["prompt"] = prompt + " They laugh."
    client.run(built, timeout=300)
    assert len(kept()) == len(after) + 1
