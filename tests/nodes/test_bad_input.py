"""Every bad input ends in one sentence of ours, by HTTP 400 where the value is known, else before any heavy work."""

import pytest

from tools.client import ExecutionFailed, failure, refusal


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("width", 100, "width: 100 is not a multiple of 8 between 16 and 8192; use 96"),
        ("height", 4, "height: 4 must be from 16 to 8192; use 16"),
        ("frames", 6, "frames: 6 is not 4 n + 1 from 1 to 1025; use 5"),
    ],
)
def test_sizes_are_refused_when_queued(client, graph, name, value, sentence):
    graph["4"]["inputs"][name] = value
    assert sentence in refusal(client, graph)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"start_step": 9}, "start_step: 9 leaves no step before 2"),
        ({"start_step": 1, "end_step": 1}, "start_step: 1 leaves no step before 1"),
        ({"start_step": -1}, "start_step: -1 must be from 0"),
        ({"end_step": 0}, "end_step: 0 must be from 1"),
    ],
)
def test_a_part_of_the_run_without_a_step_is_refused_before_the_texts_are_encoded(client, graph, inputs, sentence):
    graph["5"]["inputs"].update(inputs)
    # The report needs no sampler, and a graph with one sound output runs.
    del graph["9"]
    assert sentence in refusal(client, graph)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("../../etc", "is not inside ComfyUI's input folder"),
        ("gone", 'the input folder has no folder "gone"'),
    ],
)
def test_cases_are_refused_when_queued(client, graph, case, sentence):
    graph["2"]["inputs"]["case"] = case
    assert sentence in refusal(client, graph)


def test_a_folder_that_is_no_case(client, graph, server):
    (server.base / "input" / "empty").mkdir(parents=True, exist_ok=True)
    graph["2"]["inputs"]["case"] = "empty"
    assert "empty has no caption.txt" in str(failure(client, graph))


@pytest.mark.parametrize(
    ("node", "inputs", "sentence"),
    [
        ("30", {"phrase": " "}, "LumosX Subject phrase: the phrase is empty; type the words"),
        ("30", {"attribute_1_phrase": ""}, "LumosX Subject attribute_1_phrase: the phrase is empty"),
        ("30", {"attribute_2_phrase": "scarf"}, 'LumosX Subject attribute_2_phrase: "scarf" is not in the prompt'),
        ("30", {"phrase": "tall man"}, 'LumosX Subject phrase: "tall man" is not in the prompt; the nearest words'),
        ("30", {"occurrence": 2}, 'occurrence 2 of "man on the left"'),
        ("32", {"phrase": "red lamp"}, 'LumosX Object phrase: "red lamp" is not in the prompt'),
        ("33", {"phrase": ""}, "LumosX Background phrase: the phrase is empty"),
        ("4", {"prompt": ""}, "is not in the prompt"),
        ("4", {"prompt": "word " * 600}, "prompt: the text has"),
        ("4", {"negative_prompt": "word " * 600}, "negative_prompt: the text has"),
        ("34", {"subject_1": None, "subject_2": None, "object_1": None, "background": None}, "there is no reference"),
    ],
)
def test_bad_input_ends_in_a_sentence(client, built, node, inputs, sentence):
    for name, value in inputs.items():
        if value is None:
            del built[node]["inputs"][name]
        else:
            built[node]["inputs"][name] = value
    assert sentence in str(failure(client, built))


def test_a_subject_with_nothing_linked(client, built):
    built["30"]["inputs"] = {"phrase": ""}
    assert "face: nothing is linked; link a face image and type its phrase" in str(failure(client, built))


def test_a_picture_that_another_node_sends_to_every_free_input(client, built):
    """As cg-use-everywhere fills them; face and attribute 1 have their own."""
    built["30"]["inputs"] |= {name: ["23", 0] for name in ("attribute_2", "attribute_3", "full_body")}
    said = str(failure(client, built))
    assert "LumosX Subject attribute_2_phrase: the phrase is empty" in said
    assert "attribute_2, attribute_3 and full_body" in said and "Anything Everywhere" in said


def test_a_batch_of_pictures_is_not_cut_to_one_silently(client, built):
    built["43"] = {"class_type": "RepeatImageBatch", "inputs": {"image": ["20", 0], "amount": 3}}
    built["30"]["inputs"]["face"] = ["43", 0]
    assert "LumosX Subject face: 3 pictures came in one batch" in str(failure(client, built))


def test_a_latent_of_another_size(client, graph):
    graph["44"] = {"class_type": "EmptyHunyuanLatentVideo", "inputs": {
        "width": 96, "height": 48, "length": 5, "batch_size": 1,
    }}
    graph["5"]["inputs"]["latent"] = ["44", 0]
    assert "the video is 96x48 pixels but the references were encoded for 64x48" in str(failure(client, graph))


def test_a_bad_phrase_costs_no_heavy_work(client, built):
    """The sampler and the encoder of pictures never start."""
    built["30"]["inputs"]["phrase"] = "nobody at all"
    events = []
    with pytest.raises(ExecutionFailed):
        client.run(built, on_event=lambda kind, data: events.append((kind, data.get("node"))), timeout=300)
    assert ("executing", "4") in events
    assert ("executing", "5") not in events and ("progress", "4") not in events
