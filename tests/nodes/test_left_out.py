"""Pictures that are bypassed to compare, as the page leaves them out of a prompt: the run goes on with a warning."""

import pytest

from tools.client import refusal

FACES, THINGS = ("30", "31"), {"32": "image", "33": "image"}


def findings(run):
    (view,) = run.outputs["4"]["lumosx_encoding"]
    return view, [finding["code"] for finding in view["findings"]]


def test_a_person_who_is_only_a_face(client, built):
    """Template 2 with one Load Image bypassed."""
    for subject in FACES:
        for name in [name for name in built[subject]["inputs"] if name.startswith("attribute")]:
            del built[subject]["inputs"][name]
    built["4"]["inputs"]["prompt"] += " They look on."
    before = findings(client.run(built, timeout=300))[0]
    del built["30"]["inputs"]["face"]
    view, codes = findings(client.run(built, timeout=300))
    assert "person_unseen" in codes and view["tokens"]["references"] == before["tokens"]["references"] - 12
    spans = [[each["token_spans"] for each in one["references"]] for one in (before, view)]
    assert spans[0] == spans[1]


@pytest.mark.parametrize("node", THINGS)
def test_a_thing_and_a_place_without_their_picture(client, built, node):
    phrase = built[node]["inputs"]["phrase"]
    del built[node]["inputs"][THINGS[node]]
    view, codes = findings(client.run(built, timeout=300))
    assert codes == ["no_picture"]
    assert {each["phrase"]: each["shown"] for each in view["references"]}[phrase] is False


def test_every_picture_at_once_runs_the_plain_model(client, built):
    for node, inputs in built.items():
        if node in (*FACES, *THINGS):
            built[node]["inputs"] = {
                name: value for name, value in inputs["inputs"].items() if name not in ("face", "image", "attribute_1")
            }
    run = client.run(built, timeout=300)
    view, codes = findings(run)
    assert codes[0] == "no_pictures" and view["tokens"]["references"] == 0 and "5" in run.executed


def test_without_words_too_the_run_is_refused_before_it_begins(client, built):
    built["32"]["inputs"] = {"phrase": ""}
    assert "image" in refusal(client, built)
