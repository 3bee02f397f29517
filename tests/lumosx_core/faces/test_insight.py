"""InsightFace's own code over small packs in exactly the format of buffalo_l and antelopev2."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper

from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import Face
from lumosx_core.faces.insight import (
    DETECTION,
    RECOGNITION,
    InsightFaceDetector,
    InsightFaceEmbedder,
    find_model,
)
from support.face_networks import BOX, POINTS, projection, write_detector, write_onnx, write_recogniser

RED, GREEN, BLUE = np.eye(3, dtype=np.uint8) * 255
LANDMARKS = np.array([[40, 60], [80, 52], [66, 84], [52, 108], [86, 100]], dtype=np.float32)


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """models/insightface with a whole buffalo_l."""
    root = tmp_path_factory.mktemp("insightface")
    pack = root / "models" / "buffalo_l"
    write_recogniser(pack / "2d106det.onnx", size=192)
    write_recogniser(pack / "genderage.onnx", size=96)
    write_detector(pack / "det_10g.onnx")
    write_recogniser(pack / "w600k_r50.onnx")
    write_onnx(root / "inswapper_128.onnx", [helper.make_node("Add", ["target", "source"], ["out"])],
          {"target": [1, 3, 112, 112], "source": [1, 3, 112, 112]}, {"out": [1, 3, 112, 112]})
    return root


def blob(pixels, x, y, colour, half=3):
    pixels[y - half:y + half + 1, x - half:x + half + 1] = colour


@pytest.mark.usefixtures("no_network")
def test_boxes_and_landmarks_come_back_in_the_pictures_pixels(packs):
    pixels = np.zeros((640, 640, 3), np.uint8)
    blob(pixels, 104, 216, RED)
    blob(pixels, 320, 432, GREEN)
    blob(pixels, 544, 288, BLUE)
    detector = InsightFaceDetector(find_model([packs], DETECTION))
    assert detector.name == "InsightFace buffalo_l/det_10g.onnx"
    found = {round(face.centre[0]): face for face in detector.detect(pixels)}
    assert len(found) == 3
    for stride, x, y in ((8, 104, 216), (16, 320, 432), (32, 544, 288)):
        left, top, right, bottom = BOX
        expected = x - left * stride, y - top * stride, x + right * stride, y + bottom * stride
        face = found[round((expected[0] + expected[2]) / 2)]
        np.testing.assert_allclose(face.box, expected, atol=0.01)
        np.testing.assert_allclose(face.landmarks, POINTS * stride + (x, y), atol=0.01)
        assert 0.9 < face.score <= 1


def test_a_large_picture_is_scaled_and_its_boxes_are_scaled_back(packs):
    pixels = np.zeros((960, 1280, 3), np.uint8)
    blob(pixels, 336, 624, RED, half=6)
    (face,) = InsightFaceDetector(find_model([packs], DETECTION)).detect(pixels)
    np.testing.assert_allclose(face.box, (336 - 32, 624 - 48, 336 + 16, 624 + 64), atol=0.01)
    np.testing.assert_allclose(face.landmarks, POINTS * 16 + (336, 624), atol=0.01)


def test_the_surest_face_comes_first(packs):
    pixels = np.zeros((640, 640, 3), np.uint8)
    blob(pixels, 104, 216, (240, 10, 10))
    blob(pixels, 424, 216, RED)
    faces = InsightFaceDetector(find_model([packs], DETECTION)).detect(pixels)
    assert [round(face.box[0]) for face in faces] == [424 - 16, 104 - 16]
    assert faces[0].score > faces[1].score


@pytest.mark.parametrize("shape", [(640, 640, 3), (8, 4000, 3), (4000, 8, 3), (1, 1, 3)])
def test_a_picture_without_a_face(packs, shape):
    assert InsightFaceDetector(find_model([packs], DETECTION)).detect(np.zeros(shape, np.uint8)) == []


def photograph(height=150, width=120):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def expected_vector(crop):
    """What the linear map gives for an RGB crop of 112 x 112."""
    return projection() @ ((crop / 255 - 0.5) / 0.5).transpose(2, 0, 1).reshape(-1)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("scales_itself", [False, True], ids=["torch", "mxnet"])
@pytest.mark.parametrize("batch", [None, 1], ids=["any batch", "batch of one"])
def test_crops_are_taken_whole_and_in_rgb(tmp_path, batch, scales_itself):
    embedder = InsightFaceEmbedder(write_recogniser(tmp_path / "mine" / "w.onnx", batch, scales_itself))
    assert (embedder.name, embedder.measure) == ("InsightFace mine/w.onnx", "cosine")
    crops = [photograph(), photograph(90, 200), photograph(112, 112)]
    vectors = embedder.embed_crops(crops)
    assert vectors.dtype == np.float32 and vectors.shape == (3, 4)
    for vector, crop in zip(vectors, crops):
        np.testing.assert_allclose(vector, expected_vector(cv2.resize(crop, (112, 112))), rtol=1e-3, atol=0.05)
    assert embedder.embed_crops([]).shape == (0, 4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_faces_are_laid_on_insightfaces_template(packs):
    from insightface.utils.face_align import norm_crop

    pixels = cv2.GaussianBlur(photograph(), (0, 0), 4)
    face = Face((20, 20, 100, 130), 0.9, LANDMARKS)
    embedder = InsightFaceEmbedder(find_model([packs], RECOGNITION))
    (vector,) = embedder.embed_faces(pixels, [face])
    # The two transforms agree to the last bits only, which may turn a value of the warp by one step in 255.
    expected = expected_vector(norm_crop(pixels, LANDMARKS))
    np.testing.assert_allclose(vector, expected, atol=1)
    assert np.abs(vector - expected_vector(cv2.resize(pixels, (112, 112)))).max() > 10


def test_packs_are_found_wherever_comfyui_has_them(tmp_path):
    for place in ("zeta", "alpha", "models/buffalo_l", "models/antelopev2/antelopev2"):
        write_recogniser(tmp_path / place / "net.onnx")
        found = find_model([tmp_path / "not there", tmp_path], RECOGNITION)
        assert found == tmp_path / place / "net.onnx"
    assert find_model([tmp_path], DETECTION) is None


def test_a_network_is_recognised_by_its_inputs_and_outputs_not_by_its_name(packs, tmp_path):
    assert find_model([packs], RECOGNITION).name == "w600k_r50.onnx"
    write_detector(tmp_path / "odd" / "a w600k_r50.onnx")
    write_recogniser(tmp_path / "odd" / "det_10g.onnx")
    assert find_model([tmp_path], DETECTION).name == "a w600k_r50.onnx"
    assert find_model([tmp_path], RECOGNITION).name == "det_10g.onnx"


def test_what_is_called_as_usual_is_read_first(packs, monkeypatch):
    """So that landmarks and age of a real pack, 143 MB and more, are not."""
    real, opened = onnx.load, []
    monkeypatch.setattr(onnx, "load", lambda path, **options: (opened.append(path.name), real(path, **options))[1])
    assert find_model([packs], DETECTION).name == "det_10g.onnx"
    assert find_model([packs], RECOGNITION).name == "w600k_r50.onnx"
    assert opened == ["det_10g.onnx", "w600k_r50.onnx"]


def test_other_networks_of_a_face_swapper_are_passed_over(tmp_path):
    picture = [1, 3, 112, 112]
    same = [helper.make_node("Identity", ["input"], [name]) for name in "abcdef"]
    write_onnx(tmp_path / "a" / "painter.onnx", same[:1], {"input": picture}, {"a": picture})
    write_onnx(tmp_path / "a" / "swapper.onnx", [helper.make_node("MatMul", ["input", "face"], ["a"])],
               {"input": picture, "face": [112, 1]}, {"a": [1, 4]})
    write_onnx(tmp_path / "a" / "no landmarks.onnx", same, {"input": picture}, dict.fromkeys("abcdef", picture))
    assert find_model([tmp_path], RECOGNITION) is find_model([tmp_path], DETECTION) is None


def test_weights_that_old_exports_list_as_inputs_do_not_count(tmp_path):
    path = write_recogniser(tmp_path / "old" / "net.onnx")
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("map", onnx.TensorProto.FLOAT, [4, 3 * 112 * 112]))
    onnx.save(model, path)
    assert find_model([tmp_path], RECOGNITION) == path
    assert InsightFaceEmbedder(path).embed_crops([photograph()]).shape == (1, 4)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None], ids=["empty", "lfs", "cut off"]
)
def test_a_broken_file_is_named_once_no_other_serves(tmp_path, content):
    path = tmp_path / "buffalo_l" / "w600k_r50.onnx"
    whole = write_recogniser(path).read_bytes()
    path.write_bytes(whole[:len(whole) // 2] if content is None else content)
    with pytest.raises(LumosXError, match=r"buffalo_l.w600k_r50\.onnx: .*unpack the pack again\.$"):
        find_model([tmp_path], RECOGNITION)
    write_recogniser(tmp_path / "other" / "net.onnx")
    assert find_model([tmp_path], RECOGNITION).parent.name == "other"


def test_a_file_that_onnxruntime_refuses_is_named(tmp_path):
    path = write_onnx(tmp_path / "mine" / "net.onnx", [helper.make_node("NoSuchThing", ["input"], ["out"])],
                 {"input": [1, 3, 112, 112]}, {"out": [1, 4]})
    with pytest.raises(LumosXError, match=r"net\.onnx: it is not a readable ONNX file \(\w+\)"):
        InsightFaceEmbedder(path)


def test_an_older_insightface_is_given_the_size_to_search(packs, monkeypatch):
    """0.7.3, which many environments have, knows no size by itself and has an assertion for that."""
    detector = InsightFaceDetector(find_model([packs], DETECTION))
    newer = detector._network.detect

    def older(img, input_size=None, max_num=0, metric="default"):
        assert input_size is not None
        return newer(img, input_size=input_size)

    monkeypatch.setattr(detector._network, "input_size", None)
    monkeypatch.setattr(detector._network, "detect", older)
    assert detector.detect(np.zeros((640, 640, 3), np.uint8)) == []


def test_rounding_takes_no_score_above_1(packs, monkeypatch):
    detector = InsightFaceDetector(find_model([packs], DETECTION))
    found = np.array([[1, 2, 30, 40, 1.0000002]], np.float32), np.zeros((1, 5, 2), np.float32)
    monkeypatch.setattr(detector._network, "detect", lambda *given, **options: found)
    (face,) = detector.detect(np.zeros((640, 640, 3), np.uint8))
    assert (face.score, face.box) == (1.0, (1.0, 2.0, 30.0, 40.0))


@pytest.mark.parametrize(("height", "width", "searched"), [
    (1, 128, True), (128, 1, True), (1, 129, False), (129, 1, False), (2, 257, False), (1, 1, True),
])
def test_a_sliver_is_not_searched(packs, monkeypatch, height, width, searched):
    """InsightFace would scale its short side to nothing."""
    detector, asked = InsightFaceDetector(find_model([packs], DETECTION)), []
    nobody = np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32)
    monkeypatch.setattr(detector._network, "detect", lambda *given, **options: asked.append(given) or nobody)
    assert detector.detect(np.zeros((height, width, 3), np.uint8)) == [] and bool(asked) == searched
