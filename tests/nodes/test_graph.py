"""The whole graph on a real server: made, cached, changed, interrupted."""

import io
import json
import shutil

import av
import pytest

from lumosx_core.tiny.trained import TRAINED
from tools.client import Interrupted


def video(client, run, node="8"):
    return av.open(io.BytesIO(client.view(run.outputs[node]["images"][0])))


def test_the_graph_makes_a_video_and_then_only_what_changed_runs(client, graph):
    graph["5"]["inputs"]["seed"] = 11
    first = client.run(graph, timeout=300)
    assert set(first.executed) | set(first.cached) == set(graph)
    assert {"5", "6", "7", "8", "11"} <= set(first.executed)
    with video(client, first) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 16)
        frames = list(container.decode(video=0))
    assert len(frames) == 5 and (frames[0].width, frames[0].height) == (768, 576)
    assert frames[0].to_ndarray(format="rgb24").std() > 1

    again = client.run(graph, timeout=300)
    assert again.executed == [] and set(again.cached) == set(graph)

    graph["5"]["inputs"]["seed"] = 12
    other = client.run(graph, timeout=300)
    assert set(other.executed) == {"5", "6", "7", "8", "11"}


def test_progress_and_previews_reach_the_user(client, graph):
    graph["5"]["inputs"].update(seed=21, steps=4)
    seen = []

    def note(kind, data):
        if kind == "progress" and data["node"] == "5":
            seen.append((data["value"], data["max"]))

    run = client.run(graph, on_event=note, timeout=300)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert run.previews > 0


def test_an_interrupt_in_mid_sampling_stops_soon_and_the_next_run_is_good(client, graph):
    graph["5"]["inputs"].update(seed=31, steps=400)
    steps = []

    def stop(kind, data):
        if kind == "progress" and data["node"] == "5":
            steps.append(data["value"])
            if len(steps) == 2:
                client.interrupt()

    with pytest.raises(Interrupted):
        client.run(graph, on_event=stop, timeout=300)
    assert max(steps) < 200
    graph["5"]["inputs"].update(steps=2)
    assert client.run(graph, timeout=300).outputs["8"]


def test_a_scene_built_by_hand_runs_and_reports(client, built):
    built["9"]["inputs"]["source"] = ["4", 3]
    report = client.run(built, timeout=300).outputs["9"]["text"][0]
    for words in ("man on the left", "red hat", "woman on the right", "white lamp", "sunny park"):
        assert f'-> "{words}" at token' in report
    warnings = [line for line in report.splitlines() if "Warning" in line]
    # Of the size and the pictures, which are noise.
    assert len(warnings) == 2 and all("the small models were trained" in warning.lower() for warning in warnings)


def test_the_binder_tells_its_panel_who_is_who(client, built):
    built["31"]["inputs"]["occurrence"] = 1
    (view,) = client.run(built, timeout=300).outputs["34"]["lumosx_binding"]
    people = [[(one["kind"], one["phrase"], one["occurrence"], one["shown"]) for one in person["references"]]
              for person in view["people"]]
    assert people == [
        [("face", "man on the left", 0, True), ("attribute", "red hat", 0, True)],
        [("face", "woman on the right", 1, True)],
    ]
    assert [one["phrase"] for one in (*view["objects"], view["background"])] == ["white lamp", "sunny park"]
    assert view["warnings"] == [] and "5 reference pictures, 2 subjects." in view["report"]


def test_panels_are_sent_again_when_nothing_ran_where_the_host_can(client, built):
    built["4"]["inputs"]["prompt"] += " They nod."
    first = client.run(built, timeout=300)
    again = client.run(built, timeout=300)
    assert again.executed == [] and {"4", "34"} <= set(first.outputs)
    if client.object_info("LumosX_Binder").get("has_intermediate_output"):
        assert again.outputs["4"] == first.outputs["4"] and again.outputs["34"] == first.outputs["34"]
    else:
        assert not {"4", "34"} & set(again.outputs)


def test_attributes_objects_and_people_can_be_chained(client, built):
    built["40"] = {"class_type": "LumosX_Object", "inputs": {
        "image": ["22", 0], "phrase": "park", "previous": ["32", 0], "occurrence": 1,
    }}
    built["30"]["inputs"]["more_attributes"] = ["40", 0]
    built["41"] = {"class_type": "LumosX_Binder", "inputs": {"relations": ["34", 0], "subject_1": ["31", 0]}}
    built["9"]["inputs"]["source"] = ["41", 1]
    report = client.run(built, timeout=300).outputs["9"]["text"][0]
    lines = [line.strip() for line in report.splitlines()]
    assert lines[lines.index("- Subject 1") + 1:lines.index("- Subject 2")] == [
        '- face "man on the left"', '- attribute "red hat"', '- attribute "white lamp"',
        '- attribute "park" (occurrence 1)',
    ]
    assert "- Subject 3" in lines and "**Warning:** Subject 2" in report


def test_a_transparent_picture_is_laid_on_white(client, built, uploaded):
    """LoadImage parts colour and mask; JoinImageWithAlpha gives the RGBA that many cut-out nodes give."""
    built["22"]["inputs"]["image"] = uploaded["clear"]
    built["42"] = {"class_type": "JoinImageWithAlpha", "inputs": {"image": ["22", 0], "alpha": ["22", 1]}}
    built["30"]["inputs"]["attribute_1"] = ["42", 0]
    assert client.run(built, timeout=300).outputs["8"]


def test_stock_sampling_nodes_take_our_outputs(client, graph):
    graph["5"] = {"class_type": "KSampler", "inputs": {
        "model": ["3", 0], "positive": ["4", 0], "negative": ["4", 1], "latent_image": ["4", 2], "seed": 1, "steps": 2,
        "cfg": 6.0, "sampler_name": "dpmpp_2m", "scheduler": "simple", "denoise": 1.0,
    }}
    assert client.run(graph, timeout=300).outputs["8"]
    graph["50"] = {"class_type": "LumosX_Schedule", "inputs": {"steps": 3, "shift": 8.0, "denoise": 1.0}}
    graph["51"] = {"class_type": "RandomNoise", "inputs": {"noise_seed": 4}}
    graph["52"] = {"class_type": "CFGGuider", "inputs": {
        "model": ["3", 0], "positive": ["4", 0], "negative": ["4", 1], "cfg": 6.0,
    }}
    graph["5"] = {"class_type": "SamplerCustomAdvanced", "inputs": {
        "noise": ["51", 0], "guider": ["52", 0], "sampler": ["50", 0], "sigmas": ["50", 1], "latent_image": ["4", 2],
    }}
    assert client.run(graph, timeout=300).outputs["8"]


def test_the_small_model_is_one_for_every_loader_but_among_none_of_theirs(client, graph, server):
    """It needs no LumosX Model node, and Load Diffusion Model reads its file."""
    del graph["3"]
    graph["5"]["inputs"].update(model=["1", 0], seed=61)
    assert client.run(graph, timeout=300).outputs["8"]
    info = client.object_info()
    for loader in ("UNETLoader", "LumosX_ModelLoader", "CLIPLoader", "LumosX_TextEncoderLoader"):
        assert "lumosx_tiny" not in str(info[loader]["input"])
    folder = server.models / "diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TRAINED, folder / "copied_small.safetensors")
    graph["60"] = {"class_type": "UNETLoader", "inputs": {
        "unet_name": "copied_small.safetensors", "weight_dtype": "default",
    }}
    graph["61"] = {"class_type": "LumosX_Model", "inputs": {"model": ["60", 0]}}
    graph["5"]["inputs"]["model"] = ["61", 0]
    assert "60" in client.run(graph, timeout=300).executed


def test_a_changed_case_is_read_again(client, graph, server):
    from lumosx_core.tiny.demo_case import write_demo_case

    folder = write_demo_case(server.base / "input" / "cases" / "mine")
    graph["2"]["inputs"]["case"] = "cases/mine"
    client.run(graph, timeout=300)
    assert client.run(graph, timeout=300).executed == []
    caption = folder / "caption.txt"
    caption.write_text(caption.read_text(encoding="utf-8") + " They laugh.", encoding="utf-8")
    assert "4" in client.run(graph, timeout=300).executed


def test_the_saved_file_holds_the_graph(client, graph):
    graph["5"]["inputs"]["seed"] = 71
    run = client.run(graph, timeout=300)
    with video(client, run) as container:
        assert json.loads(container.metadata["prompt"])["5"]["class_type"] == "LumosX_Sampler"
