"""LumosX Face Crop and LumosX Views on the running server."""

import io
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from support.photographs import astronaut_file, read, six_people_file
from tools.client import failure, refusal


@pytest.fixture(scope="module")
def photos(server):
    """Photos in the server's input folder: one (upright), lying (turned back by its EXIF tag), six, nobody."""
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    shutil.copy(astronaut_file(), folder / "one.png")
    # Versions of ComfyUI decode JPEG differently.
    Image.fromarray(read(six_people_file())).save(folder / "six.png")
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(astronaut_file()) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save(folder / "lying.png", exif=exif)
    Image.new("RGB", (200, 100), (90, 120, 60)).save(folder / "nobody.png")
    return {"one": "one.png", "lying": "lying.png", "six": "six.png", "nobody": "nobody.png"}


@pytest.fixture
def crop(photos):
    """crop(photo, linked=…, **inputs) is a graph that saves the linked outputs of LumosX Face Crop."""
    def build(photo, linked=(0,), **inputs):
        graph = {
            "1": {"class_type": "LoadImage", "inputs": {"image": photos[photo]}},
            "2": {"class_type": "LumosX_FaceCrop", "inputs": {
                "image": ["1", 0], "order": "left to right", "pick": "", "upright": False, "detector": "CenterFace",
                **inputs,
            }},
        }
        for output in linked:
            kind, name = ("PreviewAny", "source") if output == 6 else ("PreviewImage", "images")
            graph[str(10 + output)] = {"class_type": kind, "inputs": {name: ["2", output]}}
        return graph

    return build


@pytest.fixture
def views(photos):
    """views(*photos, linked=…, **inputs) is a graph with LumosX Views."""
    def build(*names, **inputs):
        graph = {
            "2": {"class_type": "LumosX_Views", "inputs": {
                "shows": "a face", "use": "the best one", "phrase": "", **inputs,
            }},
            "10": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
            "11": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
        }
        for number, name in enumerate(names, 1):
            graph[str(20 + number)] = {"class_type": "LoadImage", "inputs": {"image": photos[name]}}
            graph["2"]["inputs"][f"image_{number}"] = [str(20 + number), 0]
        return graph

    return build


@pytest.fixture
def pictures(client):
    """pictures(run, node) are the pictures that a node shows, as RGB [H, W, 3] uint8."""
    def read_all(run, node):
        return [
            np.asarray(Image.open(io.BytesIO(client.view(file))).convert("RGB")) for file in run.outputs[node]["images"]
        ]

    return read_all


def lies_in(photo, crop):
    height, width = crop.shape[:2]
    corners = np.argwhere((photo == crop[0, 0]).all(-1))
    return any(np.array_equal(photo[top:top + height, left:left + width], crop) for top, left in corners)


def test_a_face_of_a_photo_is_its_own_pixels(client, crop, pictures):
    run = client.run(crop("one", linked=(0, 4, 5, 6)), timeout=300)
    photo = read(astronaut_file())
    face = pictures(run, "10")[0]
    assert lies_in(photo, face) and 100 < face.shape[1] < 200
    assert [np.array_equal(picture, face) for picture in pictures(run, "14")] == [True]
    assert "1 face found by CenterFace; picked: 1." in run.outputs["16"]["text"][0]
    # The node itself shows what its preview output holds.
    np.testing.assert_array_equal(pictures(run, "2")[0], pictures(run, "15")[0])
    assert pictures(run, "2")[0].shape == photo.shape and not np.array_equal(pictures(run, "2")[0], photo)


def test_six_people_give_four_outputs_and_a_list_of_six(client, crop, pictures):
    run = client.run(crop("six", linked=(0, 1, 2, 3, 4)), timeout=300)
    photo = read(six_people_file())
    faces = pictures(run, "14")
    assert len(faces) == 6 and all(lies_in(photo, face) for face in faces)
    for output in range(4):
        np.testing.assert_array_equal(pictures(run, str(10 + output))[0], faces[output])


def test_the_order_of_a_pick_is_the_order_of_the_outputs(client, crop, pictures):
    everybody = pictures(client.run(crop("six", linked=(4,)), timeout=300), "14")
    two = pictures(client.run(crop("six", linked=(4,), pick="4, 2"), timeout=300), "14")
    assert [np.array_equal(face, everybody[number]) for face, number in zip(two, (3, 1))] == [True, True]


def test_a_face_that_is_not_there_stops_only_what_is_linked_to_it(client, crop):
    error = failure(client, crop("one", linked=(0, 1)))
    assert "LumosX Face Crop face_2: the image shows only 1 face " in str(error)
    # The client stops listening at the error; the server went on.
    outputs = client.history(error.run.prompt_id)["outputs"]
    assert error.node_id == "11" and len(outputs["10"]["images"]) == 1 and "11" not in outputs


def test_faces_go_into_a_scene(client, crop):
    graph = crop("six", linked=())
    for number in (1, 2):
        graph[str(30 + number)] = {"class_type": "LumosX_Subject", "inputs": {
            "face": ["2", number - 1], "phrase": f"person {number}",
        }}
    graph["40"] = {"class_type": "LumosX_Binder", "inputs": {"subject_1": ["31", 0], "subject_2": ["32", 0]}}
    graph["41"] = {"class_type": "PreviewAny", "inputs": {"source": ["40", 1]}}
    assert "2 reference pictures, 2 subjects." in client.run(graph, timeout=300).outputs["41"]["text"][0]


def test_likeness_and_its_picture(client, crop, pictures):
    graph = crop("six", linked=(0,), order="likeness", embedder="dlib", like=["3", 0], pick="1")
    graph["3"] = {"class_type": "LumosX_FaceCrop", "inputs": {
        "image": ["1", 0], "order": "left to right", "pick": "3", "upright": True, "detector": "CenterFace",
    }}
    third = pictures(client.run(crop("six", linked=(0,), pick="3"), timeout=300), "10")[0]
    np.testing.assert_array_equal(pictures(client.run(graph, timeout=300), "10")[0], third)


def test_the_node_runs_alone_so_that_its_numbers_can_be_seen(client, crop, pictures):
    assert pictures(client.run(crop("six", linked=()), timeout=300), "2")[0].shape == read(six_people_file()).shape


def test_transparency_comes_back_by_join_image_with_alpha_and_becomes_white(server, client, crop, pictures):
    """Load Image takes it off, and what the file hides is seen again."""
    rgba = np.dstack([read(astronaut_file()), np.full((512, 512), 255, np.uint8)])
    rgba[:, 290:, 3] = 0
    Image.fromarray(rgba).save(server.base / "input" / "half.png")
    graph = crop("one", linked=(5,))
    graph["1"]["inputs"]["image"] = "half.png"
    bare = pictures(client.run(graph, timeout=300), "15")[0]
    assert not (bare[400:, 300:] == 255).all(-1).all()
    graph["3"] = {"class_type": "JoinImageWithAlpha", "inputs": {"image": ["1", 0], "alpha": ["1", 1]}}
    graph["2"]["inputs"]["image"] = ["3", 0]
    joined = pictures(client.run(graph, timeout=300), "15")[0]
    assert (joined[400:, 300:] == 255).all()
    np.testing.assert_array_equal(joined[400:, :280], rgba[400:, :280, :3])


def test_the_board_gets_which_picture_each_output_holds(client, crop):
    run = client.run(crop("six", linked=(0, 1), pick="2, 4"), timeout=300)
    files = run.outputs["2"]["lumosx_pictures"][0]["of_outputs"]
    assert files[2:] == [None, None]
    for number, file in enumerate(files[:2]):
        shown, made = (Image.open(io.BytesIO(client.view(one))).convert("RGB")
                       for one in (file, run.outputs[str(10 + number)]["images"][0]))
        assert shown.size == made.size and np.array_equal(np.asarray(shown), np.asarray(made))


@pytest.mark.parametrize(("node", "name"), [("LumosX_FaceCrop", "image"), ("LumosX_Views", "image_1")])
def test_the_tooltip_says_what_load_image_does(client, node, name):
    inputs = client.object_info()[node]["input"]
    _, options = {**inputs["required"], **inputs["optional"]}[name]
    assert "Load Image removes it" in options["tooltip"]


def fingerprints(pack, tmp_path, monkeypatch, node, cases):
    """For each case whether new weights change the fingerprint of a node."""
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path))
    node = getattr(sys.modules[f"{pack}.nodes.{node[0]}"], node[1])
    before = [node.fingerprint_inputs(**inputs) for inputs in cases]
    (tmp_path / "insightface").mkdir()
    (tmp_path / "insightface" / "net.onnx").write_bytes(b"")
    return [node.fingerprint_inputs(**inputs) != old for inputs, old in zip(cases, before)]


def test_new_weights_make_the_nodes_run_again_that_may_use_them(pack, tmp_path, monkeypatch):
    cases = [{"order": order, "detector": "CenterFace"} for order in ("left to right", "likeness", None)]
    cases += [{"order": "left to right", "detector": detector} for detector in ("InsightFace", None)]
    crop = fingerprints(pack, tmp_path, monkeypatch, ("faces", "LumosXFaceCrop"), cases)
    assert crop == [False, True, True, True, True]


def test_new_weights_make_views_run_again_that_may_use_them(pack, tmp_path, monkeypatch):
    cases = [{"shows": "a face"}, {"shows": "a thing", "detector": "InsightFace"}]
    either = (("a face", "InsightFace"), ("a face", None), (None, "InsightFace"), (None, None))
    cases += [{"shows": shows, "detector": detector} for shows, detector in either]
    views = fingerprints(pack, tmp_path, monkeypatch, ("views", "LumosXViews"), cases)
    assert views == [False, False, True, True, True, True]


def test_a_photo_that_lies_on_its_side_is_turned_by_its_tag(client, crop, pictures):
    upright, lying = (pictures(client.run(crop(name), timeout=300), "10")[0] for name in ("one", "lying"))
    np.testing.assert_array_equal(lying, upright)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"pick": "one"}, "pick: 'one'"),
        ({"pick": "0"}, "pick: there is no face 0"),
        ({"order": "by age"}, "by age"),
        ({"margin_up": -0.1}, "margin_up: -0.1 must be from 0.0 to 2.0; use 0.0"),
        ({"margin_down": 2.1}, "margin_down: 2.1 must be from 0.0 to 2.0"),
        ({"margin_sides": "nan"}, "margin_sides: nan is not a number"),
        ({"min_score": 0.1}, "min_score: 0.1 must be from 0.5 to 1.0"),
        ({"min_score": "nan"}, "min_score: nan is not a number"),
    ],
)
def test_bad_widgets_are_refused_when_queued(client, crop, inputs, sentence):
    assert sentence in refusal(client, crop("one", **inputs))


@pytest.mark.parametrize(
    ("photo", "inputs", "sentence"),
    [
        ("one", {"pick": "2"}, "pick: there is no face 2"),
        ("one", {"order": "likeness"}, "LumosX Face Crop like: nothing is linked"),
        ("one", {"like": ["1", 0]}, "LumosX Face Crop order: "),
        ("nobody", {}, "LumosX Face Crop image: CenterFace finds no face"),
        ("one", {"detector": "InsightFace"}, "detector: InsightFace needs"),
    ],
)
def test_bad_input_ends_in_a_sentence(client, crop, photo, inputs, sentence):
    assert sentence in str(failure(client, crop(photo, **inputs)))


def test_a_pick_may_be_linked(client, crop, pictures):
    graph = crop("six", linked=(4,), pick=["5", 0])
    graph["5"] = {"class_type": "PrimitiveString", "inputs": {"value": "2"}}
    assert len(pictures(client.run(graph, timeout=300), "14")) == 1
    graph["5"]["inputs"]["value"] = "two"
    assert "pick: 'two' is not a list of numbers" in str(failure(client, graph))


def test_the_best_view_comes_through_unchanged(client, views, pictures):
    graph = views("one")
    # The same photo at 60 % of its width.
    graph["30"] = {"class_type": "ImageScaleBy", "inputs": {
        "image": ["21", 0], "upscale_method": "area", "scale_by": 0.6,
    }}
    graph["2"]["inputs"].update(image_1=["30", 0], image_2=["21", 0])
    run = client.run(graph, timeout=300)
    np.testing.assert_array_equal(pictures(run, "10")[0], read(astronaut_file()))
    assert run.outputs["11"]["text"][0].startswith("- Best: image_2, first in size")


def test_other_views_go_into_a_scene(client, views):
    graph = views("one", "lying", use="each as its own reference", phrase="woman", occurrence=1)
    graph["30"] = {"class_type": "LumosX_Subject", "inputs": {
        "face": ["2", 0], "phrase": "woman", "more_attributes": ["2", 1],
    }}
    graph["31"] = {"class_type": "LumosX_Object", "inputs": {"image": ["2", 0], "phrase": "lamp", "previous": ["2", 1]}}
    graph["40"] = {"class_type": "LumosX_Binder", "inputs": {"subject_1": ["30", 0], "object_1": ["31", 0]}}
    graph["41"] = {"class_type": "PreviewAny", "inputs": {"source": ["40", 1]}}
    report = client.run(graph, timeout=300).outputs["41"]["text"][0]
    assert "4 reference pictures, 1 subject." in report and 'attribute "woman" (occurrence 1)' in report


@pytest.mark.parametrize(
    ("names", "inputs", "sentence"),
    [
        (("one", "nobody"), {}, "LumosX Views image_2: CenterFace finds no face"),
        (("six",), {}, "LumosX Views image_1: CenterFace finds 6 faces"),
        ((), {}, "LumosX Views image_1: nothing is linked"),
    ],
)
def test_bad_views_end_in_a_sentence(client, views, names, inputs, sentence):
    assert sentence in str(failure(client, views(*names, **inputs)))


def test_each_needs_its_words_when_queued(client, views):
    sentence = "phrase: it is empty"
    assert sentence in refusal(client, views("one", use="each as its own reference"))
    assert 'use: "both" is not a choice' in refusal(client, views("one", use="both"))
