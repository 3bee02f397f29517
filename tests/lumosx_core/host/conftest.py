"""Two photographs, the small models, in process, and a scene bound to a prompt by the real encoder."""

import pytest
import torch
from PIL import Image

from support.photographs import astronaut_file, six_people_file

PROMPT = "A man on the left with a red hat and a woman on the right with a blue scarf in a sunny park near a lamp"
WIDTH, HEIGHT, FRAMES = 64, 48, 9


@pytest.fixture(scope="session")
def astronaut():
    """One woman, [1, 512, 512, 3]."""
    from lumosx_core.media import tensor_from_pil

    return tensor_from_pil(Image.open(astronaut_file()))


@pytest.fixture(scope="session")
def six():
    """Six people at a table, [1, 886, 1280, 3]."""
    from lumosx_core.media import tensor_from_pil

    return tensor_from_pil(Image.open(six_people_file()))


@pytest.fixture(scope="session")
def placed_file(tmp_path_factory):
    """A small transformer that no training changes."""
    from safetensors.torch import save_file

    from tools.placed_transformer import transformer_state_dict

    path = tmp_path_factory.mktemp("placed") / "transformer.safetensors"
    save_file(transformer_state_dict(), path)
    return path


@pytest.fixture(scope="session")
def tiny(placed_file):
    """(model, clip, vae): those that ship, but for that transformer."""
    import comfy.sd

    from lumosx_core.host.weights.tiny import load_tiny_clip, load_tiny_vae

    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model(str(placed_file)), load_tiny_clip(), load_tiny_vae()


@pytest.fixture(scope="session")
def picture():
    """picture(seed) draws an RGB picture [1, H, W, 3] that no other seed draws."""
    def draw(seed):
        from lumosx_core.media import tensor_from_pil
        from tools.people import draw_face, random_look

        return tensor_from_pil(draw_face(random_look(seed)))

    return draw


@pytest.fixture(scope="session")
def make_scene(picture):
    """make_scene(man=1, woman=2, swap=False): two people with an attribute each, a background and an object."""
    from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

    def make(man=1, woman=2, swap=False):
        people = [
            Subject(
                Reference(Kind.FACE, face, picture(seed)), (Reference(Kind.ATTRIBUTE, thing, picture(seed + 100)),)
            )
            for face, thing, seed in (("man on the left", "red hat", man), ("woman on the right", "blue scarf", woman))
        ]
        return Scene(
            Reference(Kind.BACKGROUND, "sunny park", picture(50)),
            (Reference(Kind.OBJECT, "lamp", picture(60)),),
            tuple(reversed(people)) if swap else tuple(people),
        )

    return make


@pytest.fixture(scope="session")
def encode(tiny):
    """encode(scene, frames=9, batch=1) through the real CLIP and VAE."""
    from lumosx_core.host.conditioning.encoder import encode_scene
    from lumosx_core.host.conditioning.video_size import VideoSize

    def run(scene, frames=FRAMES, batch=1, negative="blurred, static"):
        _, clip, vae = tiny
        return encode_scene(clip, vae, scene, PROMPT, negative, VideoSize(WIDTH, HEIGHT, frames, batch))

    return run
