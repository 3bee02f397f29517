"""LumosX Relational Encode on a real server: what it keeps for later runs, and what its panel is told."""

import pytest

TOKENS = {
    "video": 24, "references": 60, "total": 84, "prompt_limit": 512, "width": 64, "height": 48, "frames": 5,
}


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


def shown_of(run):
    """The panel's values, of which a node sends exactly one set."""
    (view,) = run.outputs["4"]["lumosx_encoding"]
    return view


def test_the_panel_gets_what_binds_to_what(client, built):
    inputs = built["4"]["inputs"]
    inputs["prompt"] = "Zwei \U0001f600: " + inputs["prompt"].replace("red hat", "(red  hat:1.2)")
    view = shown_of(client.run(built, timeout=300))
    assert view["prompt"] == inputs["prompt"]
    typed = inputs["prompt"].encode("utf-16-le")
    found = {
        (one["kind"], one["person"], one["phrase"]): [
            typed[2 * start:2 * end].decode("utf-16-le") for start, end in one["ranges"]
        ]
        for one in view["references"]
    }
    assert found == {
        ("background", None, "sunny park"): ["sunny park"],
        ("object", None, "white lamp"): ["white lamp"],
        ("face", 0, "man on the left"): ["man on the left"],
        ("attribute", 0, "red hat"): ["red  hat"],
        ("face", 1, "woman on the right"): ["woman on the right"],
    }
    assert view["people"] == [
        {"name": "man on the left", "own_words": True}, {"name": "woman on the right", "own_words": True},
    ]
    assert {name: view["tokens"][name] for name in TOKENS} == TOKENS
    assert view["prediction"]["time_class"] == "light" and view["findings"] == []
    # The pictures are noise, and the small models were not trained on this size.
    size, noise = view["warnings"]
    assert size.startswith("width, height, frames: ") and "64 x 48" in size and "drawn pictures only" in noise


def test_the_panel_is_updated_when_the_prompt_changes(client, built):
    inputs = built["4"]["inputs"]
    first = client.run(built, timeout=300)
    inputs["prompt"] += " They talk."
    second = client.run(built, timeout=300)
    assert "4" in second.executed and shown_of(second)["prompt"] == inputs["prompt"] != shown_of(first)["prompt"]
