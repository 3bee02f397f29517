import comfy.latent_formats
import comfy.ldm.wan.vae
import comfy.model_base
import comfy.sd
import folder_paths
import latent_preview
import numpy as np
import pytest
import safetensors.torch
import torch
from comfy.cli_args import LatentPreviewMethod
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.weights import tiny
from lumosx_core.host.weights.loader import SMALL, list_models
from lumosx_core.host.weights.text_encoder import list_text_encoders
from lumosx_core.tiny.codec import denormalised, normalised, video_of
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.text import END_ID
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast, draw_frames
from lumosx_core.tiny.world.script import draw_script


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """ComfyUI's folders of models and of the user, of this test alone and not made yet."""
    for category in ("diffusion_models", "text_encoders"):
        known = folder_paths.folder_names_and_paths[category]
        changed = ([str(tmp_path / category)], *known[1:])
        monkeypatch.setitem(folder_paths.folder_names_and_paths, category, changed)
    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path


@pytest.fixture(scope="module")
def models():
    return tiny.load_tiny_models()


def files_of(folder):
    return {path.name: path for path in folder.rglob("*") if path.is_file()}


def test_first_use_writes_one_file_where_no_loader_looks(folders):
    tiny.load_tiny_models()
    files = files_of(folders)
    assert set(files) == {tiny.TEXT_ENCODER_FILE} and list_models() == list_text_encoders() == []
    path = files[tiny.TEXT_ENCODER_FILE]
    assert path.stat().st_size < 20e6
    before = path.stat().st_mtime_ns
    tiny.load_tiny_models()
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["garbage", "cut", "older"])
def test_broken_and_older_files_are_written_anew(folders, damage):
    tiny.load_tiny_clip()
    path = files_of(folders)[tiny.TEXT_ENCODER_FILE]
    good = path.read_bytes()
    bad = {
        "garbage": b"not a model",
        "cut": good[: len(good) // 2],
        "older": good.replace(b'"lumosx_tiny":"', b'"lumosx_tiny":"0', 1),
    }[damage]
    assert bad != good
    path.write_bytes(bad)
    tiny.load_tiny_clip()
    assert path.read_bytes() == good


def test_nothing_stays_behind_when_writing_fails(folders, full_disk):
    with full_disk(100_000), pytest.raises(LumosXError, match=f"{tiny.TEXT_ENCODER_FILE}: cannot be written"):
        tiny.load_tiny_models()
    assert files_of(folders) == {}


def test_the_small_models_of_earlier_versions_are_never_the_default(folders):
    for category, small in (("diffusion_models", SMALL), ("text_encoders", tiny.TEXT_ENCODER_FILE)):
        for name in (small, "umt5_or_wan.safetensors"):
            (folders / category).mkdir(exist_ok=True)
            (folders / category / name).write_bytes(b"")
    assert list_models()[0] == list_text_encoders()[0] == "umt5_or_wan.safetensors"


def test_a_file_with_other_names_is_refused(folders):
    tiny.load_tiny_models()
    path = files_of(folders)[tiny.TEXT_ENCODER_FILE]
    with safetensors.safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    weights["renamed"] = weights.pop("encoder.final_layer_norm.weight")
    safetensors.torch.save_file(weights, path, metadata=metadata)
    with pytest.raises(LumosXError, match="delete the file"):
        tiny.load_tiny_models()


def test_previews_have_the_colours_of_the_drawn_world(models):
    """With ComfyUI's own previewer; the host's class keeps those of Wan2.1."""
    random = np.random.default_rng(7)
    script = draw_script(random, 2)
    frame = draw_frames(script, draw_cast(random, script, Split.HELD_OUT), 1)[0]
    latent = normalised(load_codec().encode(video_of([frame])[None]))
    small = np.asarray(frame.resize((16, 12), Image.Resampling.BOX)).astype(float)
    model = models[0].model

    def error(latent_format):
        previewer = latent_preview.get_previewer(models[0].load_device, latent_format)
        return np.abs(np.asarray(previewer.decode_latent_to_preview(latent)) - small).mean()

    method = latent_preview.args.preview_method
    try:
        for latent_preview.args.preview_method in (LatentPreviewMethod.Auto, LatentPreviewMethod.TAESD):
            assert error(model.latent_format) < 16
            assert error(comfy.latent_formats.Wan21()) > 20
    finally:
        latent_preview.args.preview_method = method
    assert torch.equal(model.process_latent_in(latent), comfy.latent_formats.Wan21().process_in(latent))


def test_a_second_copy_of_the_model_has_them_too():
    build, arguments = tiny.load_tiny_transformer().cached_patcher_init
    assert type(build(*arguments).model.latent_format) is tiny.WorldLatents


def test_model_is_wan_t2v(models):
    model = models[0]
    assert type(model.model) is comfy.model_base.WAN21
    assert model.model.model_config.unet_config["model_type"] == "t2v"


def test_clip_encodes_like_umt5(models):
    clip = models[1]
    tokens = clip.tokenize("a man wearing a green jacket")
    ids = [token[0] for token in tokens["umt5xxl"][0]]
    end = ids.index(END_ID)
    assert len(ids) == 512 and not any(ids[end + 1:])
    encoded = clip.encode_from_tokens(tokens)
    assert encoded.shape == (1, 512, 4096)
    assert (encoded[:, end + 1:] == 0).all()
    assert 0.5 < encoded[:, :end + 1].std() < 2
    other = clip.encode_from_tokens(clip.tokenize("a man wearing a yellow jacket"))
    word = ids.index(clip.tokenize("green")["umt5xxl"][0][0][0])
    assert (encoded - other)[:, word].std() > 0.5


def test_long_prompts_are_not_cut(models):
    tokens = models[1].tokenize("a red hat, " * 300)
    assert len(tokens["umt5xxl"][0]) > 512


@pytest.fixture(scope="module")
def vae():
    """The one with the block transform."""
    return tiny.load_tiny_vae(tiny.FIXED)


@pytest.mark.parametrize(("decoder", "scale"), [(tiny.FIXED, 8), (tiny.LEARNED, 16)])
def test_vae_has_wan_strides_but_for_what_is_painted_twice_as_large(decoder, scale):
    vae = tiny.load_tiny_vae(decoder)
    # As inside ComfyUI's executor, whose newer tiled decoding works in place.
    with torch.inference_mode():
        assert vae.encode(torch.rand(1, 35, 44, 3)).shape == (1, 16, 1, 4, 5)
        latent = vae.encode(torch.rand(17, 32, 40, 3))
        assert latent.shape == (1, 16, 5, 4, 5)
        assert vae.decode(latent).shape == (1, 17, 4 * scale, 5 * scale, 3)
        tiled = vae.encode_tiled(torch.rand(17, 64, 96, 3), tile_x=64, tile_y=64, overlap=16, tile_t=8, overlap_t=4)
        assert tiled.shape == (1, 16, 5, 8, 12)
        decoded = vae.decode_tiled(tiled, tile_x=8, tile_y=8, overlap=2, tile_t=4, overlap_t=1)
        assert decoded.shape == (1, 17, 8 * scale, 12 * scale, 3)
    assert vae.spacial_compression_encode() == 8
    assert vae.spacial_compression_decode() == scale and vae.temporal_compression_decode() == 4


def test_vae_keeps_a_plain_picture(vae):
    picture = torch.tensor([0.8, 0.4, 0.2]).expand(1, 16, 16, 3).clone()
    with torch.inference_mode():
        back = vae.decode(vae.encode(picture))
    assert torch.allclose(back[0], picture, atol=1e-3)


def test_vae_asks_for_little_memory(vae):
    latent = (1, 16, 21, 60, 104)
    assert vae.memory_used_decode(latent, torch.float32) < 2e9
    assert vae.memory_used_encode((1, 3, 81, 480, 832), torch.float32) < 2e9
    assert vae.model_size() < 1e5


def test_the_models_come_with_the_learned_decoder_unless_another_is_chosen(models):
    assert [vae.spacial_compression_decode() for vae in (models[2], tiny.load_tiny_models(tiny.FIXED)[2])] == [16, 8]


def test_painting_asks_for_the_video_and_for_what_one_frame_takes(models):
    vae = models[2]
    one, many = (vae.memory_used_decode((1, 16, frames, 60, 104), torch.float32) for frames in (1, 21))
    video = 4 * 3 * 81 * 960 * 1664
    assert 2 * video < many < 4 * video
    assert one < many / 8
    assert 2e6 < vae.model_size() < 8e6


def test_a_rough_latent_is_painted_as_it_was_drawn_and_in_tiles_nearly_the_same(models):
    """People whom no training saw; the tiles meet in the middle of them."""
    random = np.random.default_rng(3)
    script = draw_script(random, 2)
    cast = draw_cast(random, script, Split.HELD_OUT)
    small, large = (
        torch.from_numpy(np.stack([np.asarray(one) for one in draw_frames(script, cast, 5, zoom)])) / 255
        for zoom in (1, 2)
    )
    with torch.inference_mode():
        latent = models[2].encode(small)
        # As rough as what the small model leaves, in the units that it sees.
        latent = denormalised(normalised(latent) + 0.2 * torch.randn(latent.shape, generator=torch.manual_seed(0)))
        whole = models[2].decode(latent)[0]
        tiled = models[2].decode_tiled(latent, tile_x=12, tile_y=12, overlap=6)[0]
    assert whole.shape == large.shape
    assert (whole - large).square().mean() < 0.01
    assert (tiled - whole).abs().mean() < 0.01


@pytest.mark.parametrize(("metadata", "current"), [
    (None, False), ({}, False), ({tiny.VERSION_KEY: "other"}, False), ({tiny.VERSION_KEY: tiny.VERSION}, True),
])
def test_only_a_file_of_this_version_is_used_again(tmp_path, metadata, current):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata)
    assert tiny._is_current(path) == current
    path.write_bytes(b"x")
    assert not tiny._is_current(path) and not tiny._is_current(tmp_path / "none")
