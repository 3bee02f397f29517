"""A question about a scene and answers to it on a real server, up to the encoding."""

import json

import pytest
from PIL import Image

from tools.client import ExecutionFailed

ASKED = "A man on the left with a red hat and a\nWoman on the right, near a white lamp in a sunny park"
RIGHT = {
    "pictures": [
        {"number": 1, "person": None, "words": "the sunny park"}, {"number": 2, "words": "white lamps"},
        {"number": 3, "person": 1, "words": "man on the left"}, {"number": 4, "person": 1, "words": "Red  hat"},
        {"number": 5, "person": 2, "words": "woman on the right"},
    ],
}


@pytest.fixture
def asking(built):
    """ask(answer, **inputs): the demo with an unnamed scene, "40" that asks, and "41" that reads the answer."""
    def ask(answer, **inputs):
        graph = json.loads(json.dumps(built))
        for node in ("30", "31", "32", "33") if "task" not in inputs else ():
            graph[node]["inputs"] |= {name: "?" for name in graph[node]["inputs"] if name.endswith("phrase")}
        graph["40"] = {"class_type": "LumosX_Ask", "inputs": {
            "relations": ["34", 0], "prompt": ASKED, "task": "find the phrases in the prompt", **inputs,
        }}
        graph["41"] = {"class_type": "LumosX_ReadAnswer", "inputs": {"answer": answer, "asked": ["40", 2]}}
        graph["42"] = {"class_type": "PreviewAny", "inputs": {"source": ["41", 2]}}
        graph["43"] = {"class_type": "PreviewAny", "inputs": {"source": ["40", 1]}}
        graph["44"] = {"class_type": "PreviewAny", "inputs": {"source": ["4", 3]}}
        graph["4"]["inputs"].update(relations=["41", 0], prompt=["41", 1])
        # The encoder's report needs no sampler.
        return {number: graph[number] for number in graph if number not in ("5", "6", "7", "8", "9")}

    return ask


def shown(result, node):
    return result.outputs[node]["text"][0]


def test_an_answer_names_the_pictures_up_to_the_encoder(client, asking, server):
    result = client.run(asking("Sure:\n```json\n" + json.dumps(RIGHT) + "\n```"), timeout=300)
    assert "1: background" in shown(result, "43") and " ".join(ASKED.split()) in shown(result, "43")
    assert '4, clothes or thing of person 1: "red hat", from "Red hat"' in shown(result, "42")
    for words in ("sunny park", "white lamp", "man on the left", "red hat", "Woman on the right"):
        assert f'"{words}"' in shown(result, "44")
    [sheet] = result.outputs["40"]["images"]
    with Image.open(server.base / "temp" / sheet["subfolder"] / sheet["filename"]) as picture:
        assert picture.width > 3 * 384
    result = client.run(asking(json.dumps(RIGHT), layout="a batch"), timeout=300)
    assert len(result.outputs["40"]["images"]) == 5


def test_a_written_prompt_is_checked_for_every_phrase(client, asking):
    written = "In a sunny park a man on the left with a red hat waves to a woman on the right behind a white lamp."
    task = {"task": "write a prompt with all phrases", "prompt": "they wave"}
    result = client.run(asking(json.dumps({"prompt": written}), **task), timeout=300)
    assert 'phrase "red hat"' in shown(result, "43") and '"red hat"' in shown(result, "44")
    with pytest.raises(ExecutionFailed, match="white lamp") as caught:
        client.run(asking(json.dumps({"prompt": written.replace("white lamp", "lamp")}), **task), timeout=300)
    assert caught.value.node_id == "41" and "red hat" not in caught.value.message


def changed(number, **values):
    return json.dumps({"pictures": [one | values if one["number"] == number else one for one in RIGHT["pictures"]]})


def test_wrong_answers_are_refused_by_name_before_anything_is_encoded(client, asking):
    for answer, part in [
        ("I see a park.", "no JSON"), ("x" * 1_000_000, "letters"), ('{"pictures": ' * 5000, "deep"),
        ('{"pictures": [{"number": NaN, "words": "hat"}]}', "NaN"), ('{"pictures": [], "pictures": []}', "twice"),
        ('{"pictures": "hat"}', "pictures"), (changed(4, words="fedora"), "picture 4"),
        (changed(4, person=2), "person 2"), (changed(3, words="red hat"), "3 and 4"), (changed(2, words=2), "words"),
        (json.dumps({"pictures": RIGHT["pictures"][:2]}), "picture 3"), (json.dumps(RIGHT)[:-1], "last brace"),
    ]:
        with pytest.raises(ExecutionFailed) as caught:
            client.run(asking(answer), timeout=300)
        assert caught.value.node_id == "41" and caught.value.message.startswith("answer: "), answer[:80]
        assert part in caught.value.message and len(caught.value.message) < 1500, caught.value.message
