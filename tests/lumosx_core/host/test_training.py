"""What training takes from ComfyUI is what the nodes make."""

from pathlib import Path

import comfy.latent_formats
import comfy.ldm.wan.vae
import comfy.sd
import folder_paths
import pytest
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.encoder import encode_scene
from lumosx_core.host.conditioning.video_size import VideoSize
from lumosx_core.host.training import PictureSide, TextSide, load_picture_side, load_text_side, unload_models
from lumosx_core.host.weights.tiny import TEXT_ENCODER_FILE, load_tiny_clip, load_tiny_vae
from lumosx_core.media import letterbox, pil_from_tensor, tensor_from_pil
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.scene.binding import bind_prompt
from tools.weight_files import wan_umt5_names

from .conftest import FRAMES, HEIGHT, PROMPT, WIDTH


@pytest.fixture(scope="module")
def small_vae(tmp_path_factory):
    """The file of a Wan2.1 VAE of width 8, with random weights."""
    path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    vae = comfy.ldm.wan.vae.WanVAE(dim=8, z_dim=16, temperal_downsample=[False, True, True])
    generator = torch.Generator().manual_seed(0)
    save_file({name: torch.ones(part.shape) if name.endswith("gamma")
               else torch.randn(part.shape, generator=generator) * max(1, part[0].numel()) ** -0.5
               for name, part in vae.state_dict().items()}, path)
    return path


def test_texts_pictures_and_bindings_are_those_of_relational_encode(make_scene):
    clip, vae, scene = load_tiny_clip(), load_tiny_vae(), make_scene()
    encoded = encode_scene(clip, vae, scene, PROMPT, "blurred", VideoSize(WIDTH, HEIGHT, FRAMES))
    (embedded, options), = encoded.positive
    side, pictures = TextSide(clip), PictureSide(vae)
    context = side.encode(PROMPT)
    assert not context.requires_grad and torch.allclose(embedded[:, :context.shape[1]].float(), context, atol=1e-5)
    assert not embedded[:, context.shape[1]:].any()
    found = Binding.of(bind_prompt(side.tokenise, scene, PROMPT))
    latents = [
        pictures.encode(tensor_from_pil(letterbox(pil_from_tensor(reference.image), WIDTH, HEIGHT)))
        for reference in scene.references
    ]
    sent = [entry.cond for entry in options["model_conds"].values()]
    assert any(cond == found for cond in sent)
    theirs = next(cond for cond in sent if isinstance(cond, list))
    assert len(theirs) == len(latents) and all(torch.equal(one, other) for one, other in zip(theirs, latents))


def test_a_vae_file_is_loaded_as_load_vae_does(small_vae):
    video = torch.rand(9, 32, 48, 3, generator=torch.Generator().manual_seed(1))
    latent = load_picture_side(small_vae).encode(video)
    assert latent.shape == (1, 16, 3, 4, 6) and latent.dtype is torch.float32 and not latent.requires_grad
    stock = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(small_vae)))
    with torch.no_grad():
        expected = comfy.latent_formats.Wan21().process_in(stock.encode(video))
    assert torch.allclose(latent, expected.float(), atol=1e-5)


@pytest.mark.parametrize("names", ["comfyui's", "wan's"])
def test_a_text_encoder_file_is_loaded_as_its_node_does(tmp_path, names):
    small = load_tiny_clip()
    path = Path(folder_paths.get_system_user_directory("lumosx")) / TEXT_ENCODER_FILE
    if names == "wan's":
        weights = load_file(path)
        (tmp_path / "spiece.model").write_bytes(weights.pop("spiece_model").numpy().tobytes())
        path = tmp_path / "models_t5_umt5-xxl-enc-bf16.pth"
        torch.save(wan_umt5_names(weights), path)
    side = load_text_side(path)
    assert side.tokenise(PROMPT) == TextSide(small).tokenise(PROMPT)
    assert torch.equal(side.encode(PROMPT), TextSide(small).encode(PROMPT))


def test_files_of_something_else_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(LumosXError, match="--vae: ComfyUI cannot load .*; give wan_2.1_vae.safetensors"):
        load_picture_side(tmp_path / "other.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(LumosXError, match="--text-encoder: .*torn.safetensors: it is not a weight file"):
        load_text_side(tmp_path / "torn.safetensors")


def test_another_kind_of_vae_is_refused():
    class Other:
        def encode(self, frames):
            return torch.zeros(1, 4, 8, 8)

    with pytest.raises(LumosXError, match=r"vae: it makes latents of shape \(1, 4, 8, 8\) instead of"):
        PictureSide(Other()).encode(torch.zeros(1, 64, 64, 3))


def test_models_are_let_go_of():
    vae = load_tiny_vae()
    PictureSide(vae).encode(torch.zeros(1, 16, 16, 3))
    unload_models()
    assert comfy.model_management.current_loaded_models == []
