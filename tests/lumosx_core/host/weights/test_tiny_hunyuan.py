"""The small HunyuanVideo as ComfyUI objects, through the code of the nodes."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.polyvivid import LAYOUT, encode_subjects
from lumosx_core.host.methods.polyvivid import SMALL, check_adapter, list_adapters
from lumosx_core.host.weights import tiny, tiny_hunyuan
from lumosx_core.host.weights.tiny_hunyuan import load_hunyuan_transformer
from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.tiny import learned
from lumosx_core.tiny.hunyuan import PICTURE_SIDE, SIZE
from lumosx_core.tiny.llava import GRID, HIDDEN
from lumosx_core.tiny.trained import HUNYUAN, POLYVIVID
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast
from lumosx_core.tiny.world.whole import draw_people, draw_whole_script, whole_scene_of
from lumosx_core.training.running import base_sha256
from support.tiny_hunyuan import encoders, write_small_hunyuan


@pytest.fixture
def encoded():
    """encoded(seed) is what LumosX PolyVivid Encode makes of a scene of two people."""
    def make(seed=0, prompt=None):
        random = np.random.default_rng(seed)
        script = draw_whole_script(np.random.default_rng(0), 2)
        cast = draw_cast(random, script, Split.TRAIN)
        scene = whole_scene_of(script, draw_people(None, script, cast))
        return encode_subjects(*encoders(), scene, prompt or script.prompt, "", PICTURE_SIDE)

    return make


def test_a_scene_becomes_a_text_with_its_pictures(encoded):
    ((text, options),) = encoded().positive
    layout = options["model_conds"][LAYOUT].cond.layout
    assert layout.image_grids == (GRID, GRID) and text.shape == (1, layout.tokens, HIDDEN)
    assert options["pooled_output"].shape == (1, SIZE.vec_in_dim)
    assert torch.isfinite(text).all()


def test_the_prompt_does_not_see_the_pictures_and_their_tokens_do(encoded):
    """The language model is causal."""
    ((first, options),), ((other, _),) = encoded(1).positive, encoded(2).positive
    start = options["model_conds"][LAYOUT].cond.layout.text[0]
    assert torch.equal(first[:, :start], other[:, :start])
    changed = (first[:, start:start + 36] - other[:, start:start + 36]).norm(dim=-1)
    assert (changed > 1).float().mean() > 0.3


def test_a_word_knows_the_words_before_it(encoded):
    clip = encoders()[0]

    def last(text):
        return clip.encode_from_tokens_scheduled(clip.tokenize(text))[0][0][0, -2]

    left, right = last("A man on the left waves"), last("A man on the right waves")
    assert (left - right).norm() > 0.2 * left.norm()


def test_every_call_makes_the_same_weights():
    from lumosx_core.host.weights.tiny_hunyuan import load_llava_vision

    first, second = encoders()[1], load_llava_vision()
    picture = torch.rand(1, 96, 96, 3)
    seen = [model.encode_image(picture, crop=False)["mm_projected"] for model in (first, second)]
    assert torch.equal(*seen)


def test_the_codec_is_read_once(monkeypatch):
    reads, read = [], learned.load_codec
    for module in (tiny, tiny_hunyuan):
        monkeypatch.setattr(module, "load_codec", lambda: reads.append(read()) or reads[-1], raising=False)
    vae = tiny_hunyuan.load_hunyuan_vae()
    assert [vae.first_stage_model.codec] == reads


def test_the_model_sees_normalised_latents_and_the_vae_paints_them_back():
    vae = encoders()[2]
    random = np.random.default_rng(0)
    script = draw_whole_script(random, 2)
    from lumosx_core.tiny.world.clip import draw_frames

    frames = draw_frames(script, draw_cast(random, script, Split.TRAIN), 9)
    pixels = torch.stack([torch.from_numpy(np.asarray(one).copy()) for one in frames]).float() / 255
    latent = vae.encode(pixels)
    from comfy.latent_formats import HunyuanVideo

    seen = HunyuanVideo().process_in(latent)
    assert latent.shape == (1, 16, 3, 12, 16) and 0.3 < seen.std() < 1.2
    painted = vae.decode(latent)[0]
    small = torch.stack([
        torch.from_numpy(np.asarray(Image.fromarray((one.numpy() * 255).astype(np.uint8)).resize((128, 96))).copy())
        for one in painted
    ]).float() / 255
    assert (small - pixels).abs().mean() < 0.05


def test_comfyuis_own_loader_takes_it_for_a_hunyuan_video(tmp_path):
    patcher = load_hunyuan_transformer(str(write_small_hunyuan(tmp_path / "small.safetensors")))
    assert HunyuanConfig.of_module(patcher.get_model_object("diffusion_model")) == SIZE
    assert patcher.model.latent_format.taesd_decoder_name is None


def test_a_file_that_is_missing_ends_in_a_sentence(tmp_path):
    with pytest.raises(LumosXError, match="the small HunyuanVideo cannot be loaded .*; install the pack again"):
        load_hunyuan_transformer(str(tmp_path / "gone.safetensors"))


def test_a_comfyui_without_the_tokenizer_ends_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_hunyuan.hunyuan_text, "__file__", str(tmp_path / "hunyuan_video.py"))
    with pytest.raises(LumosXError, match="tokenizer.json: this ComfyUI lacks the tokenizer of llava_llama3"):
        tiny_hunyuan.load_llava_clip()


def test_the_packs_adapter_is_offered_last():
    assert list_adapters()[-1] == SMALL and list_adapters().count(SMALL) == 1


def test_what_ships_fits_together_and_is_small():
    check_adapter(SMALL)
    assert HUNYUAN.stat().st_size + POLYVIVID.stat().st_size <= 12_000_000


def test_the_shipped_adapter_is_of_the_shipped_base():
    """Where this fails, the base was replaced: run python dev.py train tiny-polyvivid, and ship what it writes."""
    record = json.loads(POLYVIVID.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["base_sha256"] == base_sha256(HUNYUAN)
