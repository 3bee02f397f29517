"""Small real files under the names that a workflow asks for, so that it runs as it is shipped, only smaller."""

import copy
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from lumosx_core.host.media.cases import BUILT_IN
from lumosx_core.media.video import write_video
from lumosx_core.tiny.demo_case import write_demo_case
from lumosx_core.weights.convert import convert
from support import lynx_files
from support.face_videos import people_of_photograph
from support.photographs import astronaut_file, six_people_file
from tools.weight_files import make_lora, small_transformer

SIZE = {"width": 64, "height": 48, "frames": 5}
# Motion is judged from ten frames on.
SCORED_SIZE = {"width": 96, "height": 64, "frames": 13}
SCORES = {"LumosX_IdentityScore", "LumosX_AttributeScore", "LumosX_MotionScore"}
STEPS = 2
LYNX_WIDTH, LYNX_BLOCKS = 256, 4
"""Of ``small_transformer``."""


def on_small_models(graph, server):
    """The same graph in API form, at a small size, with every file that it asks for in the server's folders.

    The loaders stay and read what is there: transformers from our converter, a Wan VAE, a LoRA as trainers write it.
    """
    graph = copy.deepcopy(graph)
    scored = SCORES.issubset(node["class_type"] for node in graph.values())
    for number, node in graph.items():
        place = _PLACES.get(node["class_type"])
        if place is not None:
            place(node["inputs"], server)
        if node["class_type"] == "CLIPLoader":
            # The stock loader builds UMT5 in its full size, 24 layers of 4096, whatever the file holds.
            node.update(class_type="LumosX_TinyModels", inputs={})
            _move_links(graph, number, 0, 1)
        elif node["class_type"] == "LumosX_RelationalEncode":
            node["inputs"].update(SCORED_SIZE if scored else SIZE)
        elif node["class_type"] == "EmptyHunyuanLatentVideo":
            node["inputs"].update(width=SIZE["width"], height=SIZE["height"], length=SIZE["frames"])
        elif node["class_type"] in ("LumosX_Sampler", "KSampler"):
            node["inputs"]["steps"] = min(STEPS, node["inputs"]["steps"])
        elif node["class_type"] == "LumosX_FaceRepair":
            node["inputs"].update(steps=STEPS, crop_size=32)
        elif node["class_type"] == "LumosX_Continue":
            node["inputs"]["overlap_frames"] = 1
        elif node["class_type"] == "LumosX_IdentityScore":
            node["inputs"]["every_nth_frame"] = 4
        elif node["class_type"] == "LumosX_LoadCase" and scored and node["inputs"]["case"] == BUILT_IN:
            # Nobody is found in the faces of that case, which earlier workflows have.
            node["inputs"]["case"] = photographed_case(server, "photographed", 0)
    return graph


def photographed_case(server, name, first):
    """The drawn case with the faces of two people of a photograph, the first of them counted from the left.

    It is put into the server's input folder, under the name that is returned.
    """
    folder = write_demo_case(server.base / "input" / name)
    for path, person in zip(sorted(folder.glob("subjects/*/face_*.png")), people_of_photograph()[first:]):
        Image.fromarray(person.picture).save(path)
    caption = folder / "caption.txt"
    caption.write_text(caption.read_text(encoding="utf-8").replace("demo;", f"{name};"), encoding="utf-8")
    return name


def _move_links(graph, number, old, new):
    for node in graph.values():
        for name, value in node["inputs"].items():
            if value == [number, old]:
                node["inputs"][name] = [number, new]


def _place_transformer(inputs, server):
    path = server.models / "diffusion_models" / inputs["model_name"]
    if not path.exists():
        source = server.base / "small_transformer.safetensors"
        save_file(small_transformer(), source)
        convert(source, path, "q8_0" if path.suffix == ".gguf" else "bf16")


def _place_wan(inputs, server):
    path = server.models / "diffusion_models" / inputs["unet_name"]
    if not path.exists():
        save_file(small_transformer(), path)


def _place_lynx(inputs, server):
    """Lynx full in three files of the layout that the template names, and the face recogniser with random weights."""
    files = (
        lynx_files.resampler(LYNX_WIDTH),
        *(lynx_files.block_names(lynx_files.adapter(kind, LYNX_BLOCKS, LYNX_WIDTH)) for kind in ("full", "ref")),
    )
    for slot, weights in enumerate(files, 1):
        path = server.models / "diffusion_models" / inputs[f"file_{slot}"]
        if not path.exists():
            lynx_files.write(path, weights)
    recogniser = server.base / "models" / "lumosx" / "recognition_arcface_ir_se50.pth"
    if not recogniser.exists():
        recogniser.parent.mkdir(parents=True, exist_ok=True)
        torch.save(lynx_files.recogniser(), recogniser)


def _place_lora(inputs, server):
    path = server.models / "loras" / inputs["lora_name"]
    if not path.exists():
        save_file(make_lora(small_transformer()), path)


def _place_vae(inputs, server):
    """A real Wan2.1 VAE of width 8 instead of 96, with random weights."""
    import comfy.ldm.wan.vae

    path = server.models / "vae" / inputs["vae_name"]
    if not path.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            vae = comfy.ldm.wan.vae.WanVAE(dim=8, z_dim=16, temperal_downsample=[False, True, True])
            # ComfyUI leaves weights as the memory was, since it loads them from a file.
            weights = {name: _drawn(name, weight) for name, weight in vae.state_dict().items()}
        save_file(weights, path)


def _drawn(name, weight):
    if name.endswith("gamma"):
        return torch.ones(weight.shape)
    return torch.randn(weight.shape) * max(1, weight[0].numel()) ** -0.5


def _place_upscaler(inputs, server):
    """Real-ESRGAN as its release names it, of one block and few channels, with random weights; four times as large."""
    path = server.models / "upscale_models" / inputs["model_name"]
    if path.exists():
        return
    width, growth = 8, 32
    shapes = {"conv_first": (width, 3), "conv_last": (3, width)}
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (width, width))
    for dense in (1, 2, 3):
        for conv in range(1, 6):
            outputs = width if conv == 5 else growth
            shapes[f"body.0.rdb{dense}.conv{conv}"] = (outputs, width + growth * (conv - 1))
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, (outputs, channels) in shapes.items():
        weights[f"{name}.weight"] = 0.1 * torch.randn(outputs, channels, 3, 3, generator=generator)
        weights[f"{name}.bias"] = torch.zeros(outputs)
    path.parent.mkdir(exist_ok=True)
    save_file(weights, path)


def _place_video(inputs, server):
    """Three frames at 12 a second, without sound."""
    path = server.base / "input" / inputs["file"]
    if not path.exists():
        ramp = np.broadcast_to(np.linspace(0, 255, 32)[None, :, None], (24, 32, 3))
        write_video([(ramp * shade).astype(np.uint8) for shade in (0.3, 0.6, 0.9)], path, 12)


def _place_picture(inputs, server):
    path = server.base / "input" / inputs["image"]
    # The server has put those of today's templates there itself.
    if not path.exists():
        _PICTURES[inputs["image"]](path, server)


_PLACES = {
    "LumosX_ModelLoader": _place_transformer,
    "LoraLoaderModelOnly": _place_lora,
    "UNETLoader": _place_wan,
    "LumosX_LynxLoader": _place_lynx,
    "VAELoader": _place_vae,
    "LoadImage": _place_picture,
    "LoadVideo": _place_video,
    "UpscaleModelLoader": _place_upscaler,
}
_PICTURES = {
    # What every fresh ComfyUI has.
    "example.png": lambda path, server: shutil.copy(Path(server.comfyui_dir) / "input" / path.name, path),
    "people.jpg": lambda path, server: shutil.copy(six_people_file(), path),
    "jacket.jpg": lambda path, server: Image.open(astronaut_file()).convert("RGB").save(path),
}
