"""Folders of transformers' format with tiny random networks, as a user would have the large ones."""

import json

import torch

CLIP, DINO, OWL = "clip-vit-large-patch14", "dinov2-base", "owlv2-base-patch16-ensemble"
_SIDE = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_START, _END = "<|startoftext|>", "<|endoftext|>"
_TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_clip(root):
    """A CLIPModel with tokenizer and image processor; returns its folder."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    folder = root / CLIP
    words = _write_tokenizer(folder, length=20)
    text = {**_TOWER, "vocab_size": words, "max_position_embeddings": 20, "bos_token_id": words - 2,
            "eos_token_id": words - 1, "pad_token_id": words - 1}
    vision = {**_TOWER, "image_size": _SIDE, "patch_size": 8}
    _save(folder, CLIPModel, CLIPConfig(text_config=text, vision_config=vision, projection_dim=16), 1)
    CLIPImageProcessor(size={"shortest_edge": _SIDE}, crop_size=_SIDE).save_pretrained(folder)
    return folder


def write_dino(root):
    """A Dinov2Model with image processor; returns its folder."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    folder = root / DINO
    tower = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    _save(folder, Dinov2Model, Dinov2Config(**tower, image_size=_SIDE, patch_size=8), 2)
    BitImageProcessor(size={"shortest_edge": _SIDE + 4}, crop_size=_SIDE).save_pretrained(folder)
    return folder


def write_owl(root, sureness=0.5):
    """An Owlv2ForObjectDetection with tokenizer and image processor; returns its folder.

    `sureness` moves the score of every box; around -10 nothing is found.
    """
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor

    folder = root / OWL
    words = _write_tokenizer(folder, length=16)
    text = {**_TOWER, "vocab_size": words, "max_position_embeddings": 16, "bos_token_id": words - 2,
            "eos_token_id": words - 1, "pad_token_id": 0}
    vision = {**_TOWER, "image_size": _SIDE, "patch_size": 8}
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    _save(folder, Owlv2ForObjectDetection, config, 3, lambda model: _make_sure(model, sureness))
    Owlv2ImageProcessor(size={"height": _SIDE, "width": _SIDE}).save_pretrained(folder)
    return folder


def _save(folder, model_class, config, seed, prepare=lambda model: None):
    with torch.inference_mode(False), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        # Fresh networks are initialised so small that every picture looks the same to them.
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "box_head" not in name:
                parameter.data.mul_(8)
        prepare(model)
        model.save_pretrained(folder, safe_serialization=True)


def _make_sure(model, sureness):
    head = model.class_head
    for layer, bias in ((head.logit_shift, sureness), (head.logit_scale, 1.0)):
        layer.weight.data.zero_()
        layer.bias.data.fill_(bias)


def _write_tokenizer(folder, length):
    """A letter-by-letter CLIP tokenizer; the number of its tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["!", *_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), _START, _END]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": length, "bos_token": _START, "eos_token": _END,
        "unk_token": _END, "pad_token": "!",
    }))
    return len(names)
