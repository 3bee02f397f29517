"""UMT5 in every form that users have: the host's own loader and ours make the same of the same weights."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import folder_paths
import pytest
import sentencepiece
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.weights import text_encoder
from lumosx_core.host.weights.tiny import load_tiny_clip
from lumosx_core.tiny import text
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.umt5 import find_text_encoder
from tools.weight_files import wan_umt5_names

PROMPT = "A man with a red hat and a woman near a white lamp"


@pytest.fixture(scope="module")
def weights():
    """The small UMT5 under ComfyUI's names, with its tokenizer."""
    return text.text_encoder_state_dict()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty models/text_encoders."""
    known = folder_paths.folder_names_and_paths
    monkeypatch.setitem(known, "text_encoders", ([str(tmp_path)], known["text_encoders"][1]))
    return tmp_path


def tokenizer_of(weights):
    return weights["spiece_model"].numpy().tobytes()


def in_wans_names(weights):
    return wan_umt5_names({name: tensor for name, tensor in weights.items() if name != "spiece_model"})


def encoded(clip):
    return clip.encode_from_tokens(clip.tokenize(PROMPT))


def save(tensors, path):
    if path.suffix == ".pth":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    return path


def test_wans_names_are_all_there_is_in_the_release(weights):
    """A layer of the release's file, as its model's code names it."""
    assert {name for name in in_wans_names(weights) if not name.startswith("blocks.1")} == {
        "token_embedding.weight", "norm.weight", "blocks.0.norm1.weight", "blocks.0.norm2.weight",
        "blocks.0.attn.q.weight", "blocks.0.attn.k.weight", "blocks.0.attn.v.weight", "blocks.0.attn.o.weight",
        "blocks.0.ffn.gate.0.weight", "blocks.0.ffn.fc1.weight", "blocks.0.ffn.fc2.weight",
        "blocks.0.pos_embedding.embedding.weight",
    }


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("place", ["", "google/umt5-xxl", "umt5-xxl", "tokenizer"])
def test_the_releases_file_makes_what_comfyuis_makes(folder, weights, ending, place):
    name = f"models_t5_umt5-xxl-enc-bf16.{ending}"
    save(in_wans_names(weights), folder / name)
    (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / place / "spiece.model").write_bytes(tokenizer_of(weights))
    text_encoder.check_text_encoder(name)
    clip, exact = text_encoder.load_text_encoder(name), load_tiny_clip()
    assert clip.tokenize(PROMPT) == exact.tokenize(PROMPT)
    for ours, theirs in zip(encoded(clip), encoded(exact)):
        assert ours is theirs is None or torch.equal(ours, theirs)


@pytest.mark.parametrize("change", [
    dict, lambda w: {f"text_encoder.{name}": tensor for name, tensor in w.items()},
    lambda w: {f"module._orig_mod.{name}": tensor for name, tensor in w.items()},
    lambda w: {**w, "encoder.embed_tokens.weight": w["shared.weight"].clone()},
], ids=["comfyui", "prefix", "wrapped", "transformers"])
def test_other_names(folder, weights, change):
    save(change(weights), folder / "a.safetensors")
    clip = text_encoder.load_text_encoder("a.safetensors")
    assert torch.equal(encoded(clip)[0], encoded(load_tiny_clip())[0])


def test_a_model_in_parts(folder, weights):
    names = sorted(weights)
    for number in (1, 2):
        part = {name: weights[name] for name in names[number - 1::2]}
        save(part, folder / f"umt5-0000{number}-of-00002.safetensors")
    folder_paths.filename_list_cache.clear()
    assert text_encoder.list_text_encoders() == ["umt5-00001-of-00002.safetensors"]
    clip = text_encoder.load_text_encoder("umt5-00001-of-00002.safetensors")
    assert torch.equal(encoded(clip)[0], encoded(load_tiny_clip())[0])


def scaled(weights, layout):
    """Linear weights in scaled fp8, in ComfyUI's older layout or its newer one; and the numbers that they stand for."""
    found, meant = {}, {}
    for name, tensor in in_wans_names(weights).items():
        if not re.search(r"attn\.|ffn\.", name):
            found[name] = meant[name] = tensor
            continue
        scale = tensor.float().abs().max() / 448
        found[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
        meant[name] = found[name].float() * scale
        layer = name.removesuffix("weight")
        found[f"{layer}{'scale_weight' if layout == 'old' else 'weight_scale'}"] = scale
        if layout == "new":
            mark = json.dumps({"format": "float8_e4m3fn"}).encode()
            found[f"{layer}comfy_quant"] = torch.tensor(list(mark), dtype=torch.uint8)
    if layout == "old":
        found["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    return found, meant


@pytest.mark.parametrize("layout", ["old", "new", "unmarked", "some"])
def test_scaled_fp8(folder, weights, layout):
    tensors, meant = scaled(weights, "new" if layout == "new" else "old")
    if layout == "unmarked":
        del tensors["scaled_fp8"]
    if layout == "some":
        for name in ("blocks.0.attn.q.weight", "blocks.0.attn.q.scale_weight"):
            del tensors[name]
        tensors["blocks.0.attn.q.weight"] = meant["blocks.0.attn.q.weight"]
    (folder / "spiece.model").write_bytes(tokenizer_of(weights))
    save(tensors, folder / "fp8.safetensors")
    save(meant, folder / "meant.safetensors")
    ours = encoded(text_encoder.load_text_encoder("fp8.safetensors"))[0]
    exact = encoded(text_encoder.load_text_encoder("meant.safetensors"))[0]
    distance = ((ours - exact).norm() / exact.norm()).item()
    # Unscaled numbers would be hundreds of times too large; bf16 has a share in what is not all fp8.
    assert distance < 2e-2


def test_plain_fp8(folder, weights):
    tensors = {name: tensor.to(torch.float8_e4m3fn) if ".attn." in name else tensor.bfloat16()
               for name, tensor in in_wans_names(weights).items()}
    (folder / "spiece.model").write_bytes(tokenizer_of(weights))
    save(tensors, folder / "umt5-xxl-enc-fp8_e4m3fn.safetensors")
    save({name: tensor.bfloat16() for name, tensor in tensors.items()}, folder / "meant.safetensors")
    ours = encoded(text_encoder.load_text_encoder("umt5-xxl-enc-fp8_e4m3fn.safetensors"))[0]
    assert torch.equal(ours, encoded(text_encoder.load_text_encoder("meant.safetensors"))[0])


def refused(folder, tensors, name="bad.safetensors"):
    save(tensors, folder / name)
    with pytest.raises(LumosXError) as checked:
        text_encoder.check_text_encoder(name)
    with pytest.raises(LumosXError) as loaded:
        text_encoder.load_text_encoder(name)
    assert str(checked.value) == str(loaded.value)
    return str(checked.value)


def test_without_a_tokenizer(folder, weights):
    sentence = refused(folder, in_wans_names(weights))
    assert "bad.safetensors contains no tokenizer; put google/umt5-xxl/spiece.model of the release" in sentence


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "it is empty, not a sentencepiece tokenizer"), (b"{}", "not a sentencepiece tokenizer, or it is damaged"),
])
def test_a_tokenizer_that_is_none(folder, weights, content, sentence):
    (folder / "spiece.model").write_bytes(content)
    assert sentence in refused(folder, in_wans_names(weights))


def test_a_tokenizer_of_another_model(folder, weights):
    tensors = in_wans_names(weights)
    tensors["token_embedding.weight"] = torch.zeros(6000, 4096, dtype=torch.float16)
    (folder / "spiece.model").write_bytes(tokenizer_of(weights))
    assert "it is the tokenizer of another model, with" in refused(folder, tensors)


@pytest.mark.parametrize(("spare", "fits"), [(-1, False), (0, True), (1024, True), (1025, False)])
def test_an_encoder_has_a_word_for_each_piece_and_a_few_to_spare(folder, weights, spare, fits):
    pieces = sentencepiece.SentencePieceProcessor(model_proto=tokenizer_of(weights)).get_piece_size()
    tensors = in_wans_names(weights)
    tensors["token_embedding.weight"] = torch.zeros(pieces + spare, 4096, dtype=torch.float16)
    (folder / "spiece.model").write_bytes(tokenizer_of(weights))
    if not fits:
        assert f"with {pieces} pieces for {pieces + spare} words" in refused(folder, tensors)
        return
    save_file(tensors, folder / "good.safetensors")
    text_encoder.check_text_encoder("good.safetensors")


def test_the_tokenizer_that_comes_later_is_seen(folder, weights):
    refused(folder, in_wans_names(weights))
    before = text_encoder.text_encoder_fingerprint("bad.safetensors")
    (folder / "spiece.model").write_bytes(tokenizer_of(weights))
    assert text_encoder.text_encoder_fingerprint("bad.safetensors") != before
    text_encoder.check_text_encoder("bad.safetensors")


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda w: w.pop("blocks.0.attn.q.weight"), "not UMT5's, or not complete"),
    (lambda w: w.pop("blocks.0.attn.k.weight"), "1 of its tensors are missing"),
    (lambda w: w.pop("norm.weight"), "1 of its tensors are missing"),
    (lambda w: w.update({"blocks.0.attn.k.weight": torch.ones(3, 4096)}), "has the shape \\[3, 4096\\] instead of"),
    (lambda w: w.update({"blocks.0.extra.weight": torch.ones(3)}), "holds 'blocks.0.extra.weight', which UMT5's"),
    (lambda w: w.update({"token_embedding.weight": torch.ones(90, 768)}), "a text encoder of width 768"),
    (lambda w: w.pop("token_embedding.weight"), "it seems to be .*; LumosX needs UMT5-XXL"),
    (lambda w: (w.clear(), w.update({"decoder.conv1.weight": torch.ones(1)})), "it seems to be a VAE"),
    (lambda w: (w.clear(), w.update({"text_model.encoder.layers.0.mlp.fc1.weight": torch.ones(1)})), "a text encoder"),
])
def test_other_files_are_refused_with_what_to_take(folder, weights, spoil, sentence):
    tensors = in_wans_names(weights)
    spoil(tensors)
    (folder / "spiece.model").write_bytes(tokenizer_of(weights))
    answer = refused(folder, tensors)
    assert re.search(sentence, answer)


def test_a_name_that_is_not_there(folder):
    for name in ("gone.safetensors", "../x", None):
        with pytest.raises(LumosXError, match="text_encoder: .* is not in ComfyUI's models/text_encoders"):
            text_encoder.check_text_encoder(name)


def test_the_true_size_is_that_of_comfyuis_own_configuration(tmp_path):
    """The shapes of UMT5-XXL, in a file whose numbers are a hole on the disk."""
    import comfy.text_encoders.wan

    shapes = {"token_embedding.weight": (256384, 4096), "norm.weight": (4096,)}
    for index in range(24):
        block = f"blocks.{index}"
        shapes.update({f"{block}.attn.{part}.weight": (4096, 4096) for part in "qkvo"})
        shapes.update({f"{block}.ffn.{part}.weight": (10240, 4096) for part in ("gate.0", "fc1")})
        shapes.update({f"{block}.ffn.fc2.weight": (4096, 10240), f"{block}.pos_embedding.embedding.weight": (32, 64)})
        shapes.update({f"{block}.norm{part}.weight": (4096,) for part in (1, 2)})
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    data = json.dumps(header).encode()
    path = tmp_path / "umt5-xxl-enc-bf16.safetensors"
    with path.open("wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        file.truncate(8 + len(data) + end)
    with open_weights(path) as source:
        config = find_text_encoder(source).config
    said = json.loads(Path(comfy.text_encoders.wan.__file__).with_name("umt5_config_xxl.json").read_text())
    assert config == {name: said[name] for name in config}


@pytest.mark.parametrize(("layer", "shape", "scaled"), [
    (None, (), False), ("float8_e4m3fn", (), True), ("float8_e4m3fn", (1,), True), ("float8_e4m3fn", (2,), False),
    ("float8_e4m3fn", (1, 1), False), ("nvfp4", (), False), ("nvfp4", (1,), False),
])
def test_only_fp8_with_one_scale_stays_as_it_is(layer, shape, scaled):
    source = SimpleNamespace(tensors={"scale": SimpleNamespace(shape=shape)})
    layer = layer and SimpleNamespace(format=layer, parts={text_encoder.SCALE: "scale"})
    assert text_encoder._is_scaled_fp8(source, "weight", layer) == scaled


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_whatever_sentencepiece_raises_is_a_damaged_tokenizer(folder, weights, monkeypatch, error):
    def fail(**options):
        raise error("broken")

    monkeypatch.setattr(text_encoder.sentencepiece, "SentencePieceProcessor", fail)
    (folder / "spiece.model").write_bytes(b"x")
    assert "it is not a sentencepiece tokenizer, or it is damaged" in refused(folder, in_wans_names(weights))
