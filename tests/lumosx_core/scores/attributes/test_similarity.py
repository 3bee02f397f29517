"""CLIP, DINOv2 and OWLv2 from folders that transformers really saved, and what is said when they are not there."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.faces.face import ModelFolders
from lumosx_core.media import tensor_from_pil
from lumosx_core.scene.relations import Kind, Reference
from lumosx_core.scores.attributes import similarity
from lumosx_core.scores.attributes.similarity import ClipLikeness, DinoLikeness, OwlLocator
from support.transformers_folders import CLIP, DINO, OWL, write_clip, write_dino, write_owl

LONG = "a very long phrase " * 12


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """models/lumosx with all three."""
    root = tmp_path_factory.mktemp("models") / "lumosx"
    for write in (write_clip, write_dino, write_owl):
        write(root)
    return root


@pytest.fixture
def folders(root):
    return ModelFolders(lumosx=(root,))


def picture(seed, height=40, width=40):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def reference(phrase, pixels):
    return Reference(Kind.ATTRIBUTE, phrase, tensor_from_pil(Image.fromarray(pixels)))


def test_clip_gives_what_transformers_gives(folders, root):
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    things = [reference("red hat", picture(1)), reference("blue coat", picture(2))]
    crops = [picture(3, 50, 70), picture(1)]
    model = CLIPModel.from_pretrained(root / CLIP).eval()
    pixels = AutoImageProcessor.from_pretrained(root / CLIP)(
        [Image.fromarray(crop) for crop in crops], return_tensors="pt"
    )
    words = AutoTokenizer.from_pretrained(root / CLIP)(
        ["red hat", "blue coat"], padding="max_length", max_length=20, return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(**pixels, input_ids=words["input_ids"], attention_mask=words["attention_mask"])
    clip = ClipLikeness(folders)
    wanted, vectors = clip.of_references(things), clip.of_crops(crops)
    assert list(wanted) == ["CLIP-I", "CLIP-T"] == list(clip.measures)
    cosine = (expected.logits_per_image / model.logit_scale.exp()).detach().numpy()
    assert vectors @ wanted["CLIP-T"].T == pytest.approx(cosine, abs=1e-5)
    assert np.ptp(cosine) > 1e-3
    likeness = vectors @ wanted["CLIP-I"].T
    assert likeness[1, 0] == pytest.approx(1, abs=1e-5)
    assert likeness.max(initial=-1, where=np.array([[True, True], [False, True]])) < 0.999


def test_dino_compares_pooled_outputs(folders, root):
    from transformers import AutoImageProcessor, Dinov2Model

    dino = DinoLikeness(folders)
    crops = [picture(seed, 48, 64) for seed in range(11)]
    vectors = dino.of_crops(crops)
    pixels = AutoImageProcessor.from_pretrained(root / DINO)([Image.fromarray(crops[10])], return_tensors="pt")
    with torch.no_grad():
        pooled = Dinov2Model.from_pretrained(root / DINO).eval()(**pixels).pooler_output[0]
    assert vectors.shape == (11, 16) and vectors.dtype == np.float32
    assert vectors[10] == pytest.approx((pooled / pooled.norm()).numpy(), abs=1e-5)
    assert dino.of_references([reference("hat", crops[4])])["DINO-I"][0] @ vectors[4] == pytest.approx(1, abs=1e-5)


def owl_boxes(root, pixels, phrase, threshold=0.1):
    """Scores and boxes that transformers itself makes of one phrase on a grey square, best first."""
    from transformers import AutoImageProcessor, AutoTokenizer, Owlv2ForObjectDetection

    model = Owlv2ForObjectDetection.from_pretrained(root / OWL).eval()
    processor = AutoImageProcessor.from_pretrained(root / OWL)
    words = AutoTokenizer.from_pretrained(root / OWL)(
        [phrase], padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    side = max(pixels.shape[:2])
    square = Image.new("RGB", (side, side), (128, 128, 128))
    square.paste(Image.fromarray(pixels))
    image = processor(images=square, return_tensors="pt")
    with torch.no_grad():
        answer = model(pixel_values=image["pixel_values"], **words)
    found = processor.post_process_object_detection(answer, threshold, target_sizes=torch.tensor([[side, side]]))[0]
    order = found["scores"].argsort(descending=True)
    return found["scores"][order].tolist(), found["boxes"][order].numpy()


@pytest.mark.parametrize("size", [(40, 40), (30, 90), (80, 20)])
def test_the_locator_takes_the_best_box_of_each_phrase_alone(folders, root, size):
    pixels = picture(5, *size)
    phrases = ["red hat", "blue coat", "shoe"]
    for phrase, place in zip(phrases, OwlLocator(folders).locate(pixels, phrases)):
        scores, boxes = owl_boxes(root, pixels, phrase)
        assert place.score == pytest.approx(scores[0], abs=1e-5)
        left, top, right, bottom = place.box
        expected = np.clip(boxes[0], 0, [size[1], size[0]] * 2)
        if (expected[2:].astype(int) <= expected[:2].astype(int)).any():
            expected = np.array([0, 0, size[1], size[0]])
        assert np.abs(np.array(place.box) - expected).max() <= 1
        assert 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]


def test_nothing_above_the_threshold_is_nothing_found(tmp_path):
    write_owl(tmp_path, sureness=-40.0)
    locator = OwlLocator(ModelFolders(lumosx=(tmp_path,)))
    assert locator.locate(picture(5), ["red hat", "shoe"]) == [None, None]


def test_phrases_that_are_too_long_are_cut(folders):
    assert len(OwlLocator(folders).locate(picture(5), [LONG])) == 1
    assert ClipLikeness(folders).of_references([reference(LONG, picture(1))])["CLIP-T"].shape == (1, 16)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_slivers_are_pictures_too(folders, size):
    for network in (ClipLikeness, DinoLikeness):
        found = network(folders).of_crops([picture(1, *size), picture(1, *size), picture(2, *size)])
        # Rows of one batch may differ in their last bits, by how a CPU splits the batch.
        np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)
        assert not np.allclose(found[0], found[2], atol=1e-2)


def test_networks_stay_on_the_cpu_in_float32_without_gradients(folders):
    for worker in (ClipLikeness(folders), DinoLikeness(folders), OwlLocator(folders)):
        for parameter in worker.models[0].parameters():
            assert (parameter.device.type, parameter.dtype, parameter.requires_grad) == ("cpu", torch.float32, False)
        assert not worker.models[0].training


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (ClipLikeness, "CLIP has no weights; put model.safetensors, config.json, preprocessor_config.json, "
         "tokenizer.json of openai/clip-vit-large-patch14 into .*clip-vit-large-patch14"),
        (DinoLikeness, "DINOv2 has no weights; put .* of facebook/dinov2-base into .*dinov2-base"),
        (OwlLocator, "OWLv2 has no weights; put .* of google/owlv2-base-patch16-ensemble into .*ensemble"),
    ],
)
def test_missing_folders_are_reported_with_their_place(kind, sentence, tmp_path):
    for folders in (ModelFolders(), ModelFolders(lumosx=(tmp_path / "none", tmp_path))):
        with pytest.raises(LumosXError, match=sentence):
            kind(folders)


@pytest.mark.parametrize(
    ("write", "kind"), [(write_clip, ClipLikeness), (write_dino, DinoLikeness), (write_owl, OwlLocator)]
)
def test_a_folder_with_a_pickle_only_is_refused_unopened(write, kind, tmp_path):
    folder = write(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not opened")
    with pytest.raises(LumosXError, match="has only pytorch_model.bin; put model.safetensors of .* there"):
        kind(ModelFolders(lumosx=(tmp_path,)))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("config.json", "has no config.json; put that file of"),
        ("preprocessor_config.json", "has no preprocessor_config.json"),
        ("vocab.json", "has no tokenizer.json or vocab.json"),
        ("model.safetensors", "has no weights; put model.safetensors"),
    ],
)
def test_single_missing_files_are_named(name, sentence, tmp_path):
    (write_clip(tmp_path) / name).unlink()
    with pytest.raises(LumosXError, match=sentence):
        ClipLikeness(ModelFolders(lumosx=(tmp_path,)))


def test_broken_and_foreign_weights_end_in_a_sentence(tmp_path):
    folder = write_dino(tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:200])
    with pytest.raises(LumosXError, match="DINOv2: .*dinov2-base cannot be read .*get its files again from facebook"):
        DinoLikeness(ModelFolders(lumosx=(tmp_path,)))
    (folder / "model.safetensors").write_bytes((write_clip(tmp_path / "other") / "model.safetensors").read_bytes())
    with pytest.raises(LumosXError, match="cannot be read .* is missing"):
        DinoLikeness(ModelFolders(lumosx=(tmp_path,)))


def test_a_missing_package_is_named(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LumosXError, match="transformers is not installed; run .* pip install .*transformers"):
        ClipLikeness(folders)


def test_code_in_a_folder_is_never_run(tmp_path):
    folder = write_clip(tmp_path)
    (folder / "evil.py").write_text("raise SystemExit('it was run')\n")
    for name, kinds in (("config.json", ("AutoConfig", "AutoModel")), ("tokenizer_config.json", ("AutoTokenizer",)),
                        ("preprocessor_config.json", ("AutoImageProcessor",))):
        values = json.loads((folder / name).read_text())
        values["auto_map"] = {kind: "evil.Evil" if kind != "AutoTokenizer" else ["evil.Evil", None] for kind in kinds}
        (folder / name).write_text(json.dumps(values))
    try:
        ClipLikeness(ModelFolders(lumosx=(tmp_path,)))
    except LumosXError as error:
        assert "cannot be read" in str(error)


def test_a_box_must_be_surer_than_the_threshold(folders, monkeypatch):
    locator = OwlLocator(folders)
    (place,) = locator.locate(picture(5), ["red hat"])
    monkeypatch.setattr(similarity, "LEAST_SURE", place.score)
    assert locator.locate(picture(5), ["red hat"]) == [None]
    monkeypatch.setattr(similarity, "LEAST_SURE", place.score - 1e-6)
    assert locator.locate(picture(5), ["red hat"]) == [place]


@pytest.mark.parametrize(("box", "pixels"), [
    ((0.5, 0.5, 0.5, 0.5), (10, 10, 30, 20)), ((0.25, 0.25, 0.5, 0.5), (0, 0, 20, 20)),
    ((0.0, 0.0, 0.5, 0.5), (0, 0, 10, 10)), ((1.0, 0.25, 0.5, 0.5), (30, 0, 40, 20)),
    ((0.5, 0.75, 0.5, 0.5), (0, 0, 40, 20)), ((0.5, 0.25, 0.0, 0.5), (0, 0, 40, 20)),
    ((0.5, 0.25, 0.5, 0.0), (0, 0, 40, 20)), ((0.5, 0.25, 0.025, 0.5), (19, 0, 20, 20)),
])
def test_a_box_of_the_square_in_pixels_of_a_picture_of_40_by_20(box, pixels):
    """One with nothing of the picture in it becomes the whole picture."""
    assert similarity._owl_box(np.array(box), 20, 40) == pixels
