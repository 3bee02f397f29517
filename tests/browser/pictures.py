"""Takes the pictures of the help pages: each node of one wired graph, after a run, in a real page.

    python dev.py pictures [NODE_ID | screenshots | thumbnails ...]

They go to web/docs/images; "screenshots" are those of README and docs (``screenshots.py``), "thumbnails" those of the
workflow templates (``thumbnails.py``). The drawn people are the
pack's own, and the photograph is NASA's, in the public domain.
"""

import io
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

from browser.page import CLASSIC, ComfyPage, chromium
from browser.screenshots import SCREENSHOTS, take_screenshots
from browser.thumbnails import THUMBNAILS, take_thumbnails
from lumosx_core.people.converting import people_from_case
from lumosx_core.tiny.demo_case import write_demo_case
from support.photographs import astronaut_file
from tools.server import ROOT, ComfyServer

IMAGES = ROOT / "web" / "docs" / "images"
WINDOW = {"width": 1500, "height": 1900}
# Screen pixels a page pixel, so that small letters can be read.
SHARPNESS = 1.5
LEFT, TOP, LEAST_WIDTH = 420, 180, 320
MARGIN, LARGEST_SIDE, QUALITY = 26, 1100, 82
TAKE_FRAMES = 24
PROMPT = (
    "A man on the left, wearing a green jacket and a red hat, and a woman on the right, wearing a yellow dress, stand "
    "in a sunny park with a blue guitar. They look at each other, laugh and wave."
)

# The graph in API form; what no output node needs is there to be looked at.
LOADED = {
    "man": "man.png", "hat": "red hat.png", "woman": "woman.png",
    "dress": "yellow dress.png", "guitar": "blue guitar.png", "park": "sunny park.png", "photo": "snapshot.png",
    "closer": "snapshot 2.png", "take": "take.webp", "chair": "jacket on a chair.png",
}
NODES = {
    "cut_out": ("LumosX_CutOut", {
        "image": ("chair", 0), "box_x": 70, "box_y": 80, "box_width": 340, "box_height": 320,
    }),
    "subject": ("LumosX_Subject", {
        "face": ("man", 0), "phrase": "man on the left", "attribute_1": ("cut_out", 0),
        "attribute_1_phrase": "green jacket", "attribute_2": ("hat", 0), "attribute_2_phrase": "red hat",
    }),
    "subject_2": ("LumosX_Subject", {
        "face": ("woman", 0), "phrase": "woman on the right", "attribute_1": ("dress", 0),
        "attribute_1_phrase": "yellow dress",
    }),
    "object": ("LumosX_Object", {"image": ("guitar", 0), "phrase": "blue guitar"}),
    "background": ("LumosX_Background", {"image": ("park", 0), "phrase": "sunny park"}),
    "binder": ("LumosX_Binder", {
        "subject_1": ("subject", 0), "subject_2": ("subject_2", 0), "object_1": ("object", 0),
        "background": ("background", 0),
    }),
    "tiny": ("LumosX_TinyModels", {}),
    "encode": ("LumosX_RelationalEncode", {
        "clip": ("tiny", 1), "vae": ("tiny", 2), "prompt": PROMPT, "relations": ("binder", 0),
    }),
    "binding": ("PreviewAny", {"source": ("encode", 3)}),
    "case": ("LumosX_LoadCase", {}),
    "save_case": ("LumosX_SaveCase", {
        "relations": ("binder", 0), "prompt": PROMPT, "name": "park", "folder": "lumosx_cases/park",
    }),
    "save_person": ("LumosX_SavePerson", {"subject": ("subject", 0), "name": "Tom", "note": "drawn for the park"}),
    "load_person": ("LumosX_LoadPerson", {"person": "park_1", "phrase": "tall man"}),
    "known": ("PreviewAny", {"source": ("load_person", 5)}),
    "crop": ("LumosX_FaceCrop", {"image": ("photo", 0)}),
    "suit": ("LumosX_CutOut", {
        "image": ("photo", 0), "box_x": 96, "box_y": 230, "box_width": 330, "box_height": 270,
    }),
    "views": ("LumosX_Views", {"image_1": ("crop", 0), "image_2": ("closer", 0)}),
    "traveller": ("LumosX_Subject", {
        "face": ("crop", 0), "phrase": "woman", "attribute_1": ("suit", 0),
        "attribute_1_phrase": "orange suit",
    }),
    "traveller_alone": ("LumosX_Binder", {"subject_1": ("traveller", 0)}),
    "identity": ("LumosX_IdentityScore", {"images": ("take", 0), "relations": ("traveller_alone", 0)}),
    "attributes": ("LumosX_AttributeScore", {
        "images": ("take", 0), "relations": ("traveller_alone", 0), "by": "colour",
    }),
    "motion": ("LumosX_MotionScore", {"images": ("take", 0)}),
    "who": ("LumosX_WhoIsWho", {"images": ("take", 0), "relations": ("traveller_alone", 0)}),
    "best": ("PreviewImage", {"images": ("views", 0)}),
    "bright": ("ImageToMask", {"image": ("photo", 0), "channel": "red"}),
    "gate": ("LumosX_SegmentationGate", {
        "images": ("photo", 0), "masks": ("bright", 0), "phrases": "orange suit", "check_by": "off",
    }),
    "faces": ("LumosX_FaceCrop", {"image": ("take", 0)}),
    "subjects": ("LumosX_ClipSubjects", {"crops": ("faces", 4), "by": "colours", "frames": ("faces", 7)}),
    "hunyuan": ("UNETLoader", {"unet_name": "hunyuan_video_t2v_720p_bf16.safetensors"}),
    "llava": ("DualCLIPLoader", {"type": "hunyuan_video"}),
    "polyvivid_encode": ("LumosX_PolyVividEncode", {
        "clip": ("llava", 0), "prompt": PROMPT, "relations": ("binder", 0),
    }),
    "hunyuan_custom": ("LumosX_HunyuanCustom", {"model": ("hunyuan", 0)}),
    "polyvivid": ("LumosX_PolyVivid", {"model": ("hunyuan", 0), "adapter": "my_people.safetensors"}),
    "tiny_hunyuan": ("LumosX_TinyHunyuan", {}),
    "loader": ("LumosX_ModelLoader", {"model_name": "lumosx_bf16.safetensors"}),
    "text_encoder": ("LumosX_TextEncoderLoader", {"text_encoder": "models_t5_umt5-xxl-enc-bf16.pth"}),
    "words": ("CLIPTextEncode", {"clip": ("text_encoder", 0)}),
    # The sampler's model is the one whose weights the encoder counts; it is not sampled.
    "attention": ("LumosX_Attention", {"model": ("tiny", 0)}),
    "model": ("LumosX_Model", {"model": ("loader", 0)}),
    "away": ("LumosX_NegativeAtCfg1", {"model": ("loader", 0), "negative": ("encode", 1)}),
    "sampler": ("LumosX_Sampler", {
        "model": ("attention", 0), "positive": ("encode", 0), "negative": ("encode", 1), "latent": ("encode", 2),
        "seed": 42, "control_after_generate": "fixed",
    }),
    "decode": ("VAEDecode", {"samples": ("sampler", 0), "vae": ("tiny", 2)}),
    "map": ("LumosX_RelationMap", {"latent": ("sampler", 0)}),
    "best_of": ("LumosX_BestOf", {"images": ("decode", 0), "latent": ("sampler", 0), "relations": ("binder", 0)}),
    "repair": ("LumosX_FaceRepair", {
        "model": ("attention", 0), "vae": ("tiny", 2), "positive": ("encode", 0), "negative": ("encode", 1),
        "images": ("decode", 0), "relations": ("binder", 0), "seed": 42, "control_after_generate": "fixed",
    }),
    "continue": ("LumosX_Continue", {"latent": ("encode", 2), "vae": ("tiny", 2), "images": ("decode", 0)}),
    "join": ("LumosX_JoinClips", {"first": ("decode", 0), "overlap": ("continue", 1)}),
    "schedule": ("LumosX_Schedule", {}),
    "custom": ("SamplerCustomAdvanced", {
        "sampler": ("schedule", 0), "sigmas": ("schedule", 1), "latent_image": ("encode", 2),
    }),
    "lynx": ("LumosX_LynxLoader", {
        "file_1": "lynx_full/resampler.safetensors", "file_2": "lynx_full/ip_layers.safetensors",
        "file_3": "lynx_full/ref_layers.safetensors",
    }),
    "face": ("LumosX_LynxIdentity", {
        "lynx": ("lynx", 0), "image": ("photo", 0), "vae": ("tiny", 2), "clip": ("text_encoder", 0), "name": "Eileen",
    }),
    "card": ("LumosX_LoadLynxIdentity", {"card": "Eileen.safetensors [output]", "lynx": ("lynx", 0)}),
    "wan": ("UNETLoader", {}),
    "with_face": ("LumosX_Lynx", {"model": ("wan", 0), "identity": ("face", 0)}),
    "guided": ("LumosX_LynxGuidance", {
        "model": ("with_face", 0), "positive": ("words", 0), "negative": ("words", 0),
    }),
}
# They would really write files, so they come after the run.
AFTER_THE_RUN = {
    "convert": ("LumosX_ConvertWeights", {"source": "LumosX_models/", "format": "q8_0", "file_name": "lumosx_q8_0"}),
    "save_card": ("LumosX_SaveLynxIdentity", {"name": "Eileen"}),
}

_BUILD = """nodes => {
    const made = {};
    for (const [key, [type, inputs]] of nodes) {
        const node = made[key] = window.LiteGraph.createNode(type);
        window.app.graph.add(node);
        for (const [name, value] of Object.entries(inputs))
            if (!Array.isArray(value)) node.widgets.find(widget => widget.name === name).value = value;
    }
    window.lumosxPictures = {...window.lumosxPictures, ...made};
}"""
_LINK = """links => {
    const made = window.lumosxPictures;
    for (const node of Object.values(made)) node.inputs?.forEach((input, slot) => node.disconnectInput(slot));
    for (const [from, output, to, name] of links)
        made[from].connect(output, made[to], made[to].inputs.findIndex(input => input.name === name));
}"""
# The node alone, with those it is linked to at its sides and everything else out of sight.
_SHOW = """([key, left, top, width]) => {
    const canvas = window.app.canvas, graph = window.app.graph, node = window.lumosxPictures[key];
    canvas.deselectAll();
    for (const other of graph.nodes) other.pos = [-4000, 0];
    node.pos = [0, 0];
    node.setSize([Math.max(node.size[0], width), node.size[1]]);
    const beside = (ids, place) => [...new Set(ids)].map(id => graph.getNodeById(id)).forEach((other, row) => {
        other.pos = [place(other), row * 130];
    });
    const linked = id => graph.links.get(id);
    beside((node.outputs ?? []).flatMap(output => output.links ?? []).map(id => linked(id).target_id),
        () => node.size[0] + 260);
    beside((node.inputs ?? []).filter(input => input.link != null).map(input => linked(input.link).origin_id),
        other => -260 - other.size[0]);
    canvas.ds.scale = 1;
    canvas.ds.offset = [left, top];
    canvas.setDirty(true, true);
    const [x, y, w, h] = node.boundingRect, place = canvas.canvas.getBoundingClientRect();
    return {x: place.x + x + left, y: place.y + y + top, width: w, height: h};
}"""
_STILL = """() => Object.values(window.lumosxPictures)
    .every(node => (node.imgs ?? []).every(picture => picture.complete))"""


def lay_out_pictures(folder):
    """Put all that the graph loads into the server's input folder, and the people of the case into its models."""
    with tempfile.TemporaryDirectory() as drawn:
        people_from_case(write_demo_case(Path(drawn)), folder.parent / "models" / "lumosx" / "people", "park")
        for path in Path(drawn).rglob("*.png"):
            name = {"face_man on the left": "man", "face_woman on the right": "woman"}.get(path.stem, path.stem)
            (folder / f"{name}.png").write_bytes(path.read_bytes())
    with Image.open(folder / "green jacket.png") as jacket:
        chair = Image.new("RGB", (480, 480), (196, 164, 132))
        hung = ImageOps.contain(jacket.convert("RGB"), (330, 330))
        # White lets the chair through.
        chair.paste(ImageChops.multiply(chair.crop((0, 0, *hung.size)), hung), (75, 75))
    chair.save(folder / "jacket on a chair.png")
    with Image.open(astronaut_file()) as picture:
        photo = picture.convert("RGB")
    photo.save(folder / "snapshot.png")
    photo.crop((110, 0, 350, 240)).save(folder / "snapshot 2.png")
    # The camera pans over her, and from the middle on leaves her face.
    frames = [photo.crop((8 * step, 8 * max(0, step - 8), 320 + 8 * step, 320 + 8 * max(0, step - 8)))
              for step in range(TAKE_FRAMES)]
    frames[0].save(folder / "take.webp", save_all=True, append_images=frames[1:], duration=62, lossless=True)


def graph():
    """Return the graph as pairs of a name and [node id, inputs]."""
    loaded = {name: ("LoadImage", {"image": file}) for name, file in LOADED.items()}
    return [[name, list(node)] for name, node in {**loaded, **NODES}.items()]


def pictured():
    """Return which node of the graph stands for which node id: the first of its kind."""
    first = {}
    for name, (kind, _) in {**NODES, **AFTER_THE_RUN}.items():
        if kind.startswith("LumosX_"):
            first.setdefault(kind, name)
    return first


def links(name=None):
    """Return all links of the graph, or those that lead to a node or leave it: origin, output, target, input."""
    every = [(*value, target, socket) for target, (_, inputs) in NODES.items()
             for socket, value in inputs.items() if isinstance(value, tuple)]
    if name is None:
        return every
    before = {name}
    while True:
        more = before | {origin for origin, _, target, _ in every if target in before}
        if more == before:
            return [link for link in every if link[2] in before or link[0] == name]
        before = more


def save(picture, path):
    """Write a PNG's bytes as a WebP that is no larger than it needs to be."""
    with Image.open(io.BytesIO(picture)) as image:
        image = image.convert("RGB")
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.LANCZOS)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=QUALITY, method=6)


def take(comfy, name, path):
    """Take one node's picture."""
    comfy.run(_LINK, links(name))
    comfy.run(_SHOW, [name, LEFT, TOP, LEAST_WIDTH])
    comfy.page.wait_for_timeout(900)
    # What lies on the node may have made it larger.
    box = comfy.run(_SHOW, [name, LEFT, TOP, LEAST_WIDTH])
    comfy.page.wait_for_timeout(300)
    clip = {
        "x": box["x"] - MARGIN, "y": box["y"] - MARGIN, "width": box["width"] + 2 * MARGIN,
        "height": min(box["height"] + 2 * MARGIN, WINDOW["height"] - box["y"]),
    }
    save(comfy.page.screenshot(clip=clip), path)


def build_and_run(comfy):
    """Lay the graph out in the page and run it, so that nodes show what they show after a run."""
    comfy.run(_BUILD, graph())
    comfy.run(_LINK, links())
    entry = comfy.queue(timeout=600)
    if entry["status"]["status_str"] != "success":
        raise RuntimeError(f"The graph of the pictures failed: {entry['status']['messages'][-1]}")
    comfy.run(_BUILD, [[name, list(node)] for name, node in AFTER_THE_RUN.items()])
    comfy.page.wait_for_function(_STILL)
    # Board and result view look for what is new now and then.
    comfy.page.wait_for_timeout(3000)


def main(wanted):
    """Take the pictures that are named, or all."""
    with ComfyServer(os.environ["LUMOSX_TEST_COMFYUI"]) as server, chromium() as browser:
        for group, take_all in ((SCREENSHOTS, take_screenshots), (THUMBNAILS, take_thumbnails)):
            if not wanted or group in wanted:
                for path in take_all(browser, server):
                    print(f"{path.name}: {path.stat().st_size // 1000} KB", flush=True)
        if wanted and {*wanted} <= {SCREENSHOTS, THUMBNAILS}:
            return 0
        lay_out_pictures(server.base / "input")
        page = browser.new_page(viewport=WINDOW, device_scale_factor=SHARPNESS)
        comfy = ComfyPage(page, server.url).open(
            CLASSIC, Comfy__Minimap__Visible=False, Comfy__NodeBadge__NodeSourceBadgeMode="None",
            Comfy__Graph__CanvasInfo=False, Comfy__NodeBadge__NodeIdBadgeMode="None",
        )
        build_and_run(comfy)
        for node_id, name in pictured().items():
            if not wanted or node_id in wanted:
                take(comfy, name, IMAGES / f"{node_id}.webp")
                print(f"{node_id}: {(IMAGES / f'{node_id}.webp').stat().st_size // 1000} KB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
