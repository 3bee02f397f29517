"""What the server says of our nodes: ids, inputs and their order are forever, and everything is explained.

The lists here are today's nodes; tests/released holds what each version promised to the workflows that it saved.
"""

import json

import pytest

from lumosx_core.scene.prompt import negative_text
from tools import released

INFLUENCE = ["strength", "start_percent", "end_percent"]
NODES = {
    "LumosX_Subject": [
        "phrase", "face", "attribute_1", "attribute_1_phrase", "attribute_2", "attribute_2_phrase", "attribute_3",
        "attribute_3_phrase", "more_attributes", "occurrence", "attribute_1_occurrence", "attribute_2_occurrence",
        "attribute_3_occurrence", "full_body",
        *(f"{prefix}{name}" for prefix in ("", "face_", "attribute_1_", "attribute_2_", "attribute_3_")
          for name in INFLUENCE),
    ],
    "LumosX_Object": ["image", "phrase", "previous", "occurrence", *INFLUENCE],
    "LumosX_Background": ["image", "phrase", "occurrence", *INFLUENCE],
    "LumosX_LoadCase": ["case", "full_body"],
    "LumosX_Binder": [
        "subject_1", "subject_2", "subject_3", "object_1", "object_2", "object_3", "background", "relations",
    ],
    "LumosX_RelationalEncode": [
        "clip", "vae", "prompt", "negative_prompt", "relations", "width", "height", "frames", "batch_size",
        "unconditional_references", "reuse_encodings",
    ],
    "LumosX_Model": [
        "model", "ratio", "pool", "relational_positions", "relational_attention", "float32_residual", "vram_budget",
    ],
    "LumosX_Sampler": [
        "model", "positive", "negative", "latent", "seed", "steps", "cfg", "shift", "denoise", "start_step", "end_step",
        "guidance_end_step", "schedule",
    ],
    "LumosX_Schedule": ["steps", "shift", "denoise", "guidance_end_step", "schedule"],
    "LumosX_TinyModels": ["decoder"],
    "LumosX_ModelLoader": ["model_name", "weight_dtype", "vram_budget"],
    "LumosX_ConvertWeights": ["source", "format", "file_name"],
    "LumosX_Attention": ["model", "backend"],
    "LumosX_FaceCrop": [
        "image", "order", "pick", "upright", "detector", "like", "embedder", "margin_up", "margin_down", "margin_sides",
        "min_score",
    ],
    "LumosX_CutOut": [
        "image", "mask", "box_x", "box_y", "box_width", "box_height", "invert_mask", "edges", "padding",
    ],
    "LumosX_Views": [
        "shows", "use", "phrase", "image_1", "image_2", "image_3", "image_4", "previous", "occurrence", "detector",
    ],
    "LumosX_SaveCase": ["relations", "prompt", "name", "folder", "replace"],
    "LumosX_IdentityScore": [
        "images", "relations", "mode", "embedder", "second_embedder", "detector", "every_nth_frame", "order", "save_as",
    ],
    "LumosX_AttributeScore": [
        "images", "relations", "by", "locate", "embedder", "detector", "every_nth_frame",
    ],
    "LumosX_MotionScore": ["images", "fps"],
    "LumosX_TextEncoderLoader": ["text_encoder"],
    "LumosX_SegmentationGate": ["images", "masks", "phrases", "check_by", "boxes", "min_similarity"],
    "LumosX_ClipSubjects": [
        "crops", "by", "phrases", "frames", "tau", "frame_count", "same_frame", "clip_vision",
    ],
    "LumosX_PolyVividEncode": [
        "clip", "prompt", "negative_prompt", "relations", "clip_vision", "vae", "picture_side", "negative_subjects",
        "picture_width", "picture_height",
    ],
    "LumosX_HunyuanCustom": ["model"],
    "LumosX_TinyHunyuan": [],
    "LumosX_PolyVivid": [
        "model", "adapter", "strength", "start_percent", "end_percent", "layers", "fractional",
    ],
    "LumosX_LynxLoader": ["file_1", "file_2", "file_3"],
    "LumosX_LynxIdentity": [
        "lynx", "name", "detector", "image", "vae", "clip", "average", "id_crop", "ref_crop",
    ],
    "LumosX_Lynx": [
        "model", "identity", "id_scale", "ref_scale", "start_percent", "end_percent", "blocks", "mask", "rows",
    ],
    "LumosX_LynxGuidance": ["model", "positive", "negative", "image_cfg"],
    "LumosX_SaveLynxIdentity": ["identity", "name", "replace", "self_contained"],
    "LumosX_LoadLynxIdentity": ["card", "lynx"],
    "LumosX_SavePerson": ["name", "subject", "relations", "number", "note", "views", "replace"],
    "LumosX_LoadPerson": ["person", "phrase", "occurrence", "attribute_phrases"],
    "LumosX_NegativeAtCfg1": ["model", "negative", "scale", "tau", "alpha"],
    "LumosX_RelationMap": [
        "model", "positive", "relations", "latent", "images", "noise_levels", "blocks", "seed",
    ],
    "LumosX_FaceRepair": [
        "model", "vae", "positive", "negative", "images", "relations", "seed", "steps", "cfg", "shift", "denoise",
        "crop_size", "padding", "feather", "person", "mask", "detector", "embedder", "grow", "frames_at_once",
        "schedule",
    ],
    "LumosX_Ask": ["relations", "prompt", "task", "layout"],
    "LumosX_ReadAnswer": ["answer", "asked"],
    "LumosX_Continue": ["latent", "vae", "images", "overlap_frames"],
    "LumosX_JoinClips": ["first", "second", "overlap"],
    "LumosX_BestOf": ["images", "latent", "relations", "by", "embedder", "detector", "every_nth_frame"],
    "LumosX_WhoIsWho": ["images", "relations", "faces", "embedder", "detector", "masks", "mask_phrases", "heat"],
}
OUTPUTS = {
    "LumosX_Subject": ["LUMOSX_SUBJECT"],
    "LumosX_Object": ["LUMOSX_REFERENCES"],
    "LumosX_Background": ["LUMOSX_BACKGROUND"],
    "LumosX_LoadCase": ["LUMOSX_RELATIONS", "STRING", "STRING", "STRING"],
    "LumosX_Binder": ["LUMOSX_RELATIONS", "STRING"],
    "LumosX_RelationalEncode": ["CONDITIONING", "CONDITIONING", "LATENT", "STRING"],
    "LumosX_Model": ["MODEL"],
    "LumosX_Sampler": ["LATENT"],
    "LumosX_Schedule": ["SAMPLER", "SIGMAS"],
    "LumosX_TinyModels": ["MODEL", "CLIP", "VAE", "LUMOSX_LYNX"],
    "LumosX_ModelLoader": ["MODEL"],
    "LumosX_ConvertWeights": ["COMBO", "STRING"],
    "LumosX_Attention": ["MODEL"],
    "LumosX_FaceCrop": ["IMAGE", "IMAGE", "IMAGE", "IMAGE", "IMAGE", "IMAGE", "STRING", "STRING"],
    "LumosX_CutOut": ["IMAGE", "MASK", "STRING"],
    "LumosX_Views": ["IMAGE", "LUMOSX_REFERENCES", "STRING"],
    "LumosX_SaveCase": ["COMBO", "STRING"],
    "LumosX_IdentityScore": ["STRING", "STRING", "IMAGE", "IMAGE", "FLOAT"],
    "LumosX_AttributeScore": ["STRING", "STRING", "IMAGE", "IMAGE"],
    "LumosX_MotionScore": ["STRING", "STRING", "BOOLEAN", "IMAGE"],
    "LumosX_TextEncoderLoader": ["CLIP"],
    "LumosX_SegmentationGate": ["IMAGE", "STRING", "STRING", "IMAGE", "STRING"],
    "LumosX_ClipSubjects": ["IMAGE", "IMAGE", "IMAGE", "IMAGE", "IMAGE", "STRING", "IMAGE", "STRING"],
    "LumosX_PolyVividEncode": ["CONDITIONING", "CONDITIONING", "STRING"],
    "LumosX_PolyVivid": ["MODEL", "STRING"],
    "LumosX_HunyuanCustom": ["MODEL"],
    "LumosX_TinyHunyuan": ["MODEL", "CLIP", "CLIP_VISION", "VAE"],
    "LumosX_LynxLoader": ["LUMOSX_LYNX", "STRING"],
    "LumosX_LynxIdentity": ["LUMOSX_LYNX_IDENTITY", "IMAGE", "IMAGE", "STRING"],
    "LumosX_Lynx": ["MODEL"],
    "LumosX_LynxGuidance": ["MODEL", "CONDITIONING", "CONDITIONING", "CONDITIONING"],
    "LumosX_SaveLynxIdentity": ["STRING"],
    "LumosX_LoadLynxIdentity": ["LUMOSX_LYNX_IDENTITY", "IMAGE", "STRING"],
    "LumosX_SavePerson": ["COMBO", "STRING"],
    "LumosX_LoadPerson": ["LUMOSX_SUBJECT", "IMAGE", "IMAGE", "IMAGE", "STRING", "STRING"],
    "LumosX_NegativeAtCfg1": ["MODEL"],
    "LumosX_RelationMap": ["IMAGE", "IMAGE", "MASK", "STRING"],
    "LumosX_Ask": ["IMAGE", "STRING", "LUMOSX_QUESTION"],
    "LumosX_ReadAnswer": ["LUMOSX_RELATIONS", "STRING", "STRING"],
    "LumosX_FaceRepair": ["IMAGE", "MASK", "IMAGE", "STRING"],
    "LumosX_Continue": ["LATENT", "INT"],
    "LumosX_JoinClips": ["IMAGE"],
    "LumosX_BestOf": ["LATENT", "IMAGE", "INT", "STRING"],
    "LumosX_WhoIsWho": ["IMAGE", "STRING"],
}


@pytest.fixture(scope="module")
def info(server):
    from tools.client import ComfyClient

    return ComfyClient(server.url).object_info()


def inputs_of(node):
    return {**node["input"].get("required", {}), **node["input"].get("optional", {})}


def test_exactly_our_nodes_are_there(info):
    assert {name for name, node in info.items() if node["category"].startswith("LumosX")} == set(NODES)


@pytest.mark.parametrize("name", NODES)
def test_ids_order_and_types(info, name):
    node = info[name]
    order = node["input_order"]
    assert [*order.get("required", []), *order.get("optional", [])] == NODES[name]
    assert node["output"] == OUTPUTS[name]
    assert node["display_name"].startswith("LumosX ")
    assert node["category"] in (
        "LumosX/scene", "LumosX/model", "LumosX/pictures", "LumosX/scores", "LumosX/Lynx"
    )
    assert {input["id"] for input in released.nodes_of({name: node})[name]["inputs"]} == set(NODES[name])


def test_hunyuancustom_alone_is_labelled_an_experiment(info):
    assert [name for name in NODES if info[name]["experimental"]] == ["LumosX_HunyuanCustom"]
    assert info["LumosX_HunyuanCustom"]["description"].startswith("An experiment")


def test_words_and_occurrences_are_called_by_what_they_are(info):
    """What is shown, never what is saved."""
    shown = {key: options.get("display_name", key) for key, (_, options) in inputs_of(info["LumosX_Subject"]).items()}
    assert [shown[name] for name in ("phrase", "attribute_1_phrase", "occurrence", "attribute_3_occurrence")] == [
        "words", "words for 1", "which one", "which one for 3",
    ]
    assert [shown[name] for name in ("strength", "face_start_percent", "attribute_2_end_percent")] == [
        "strength", "face: start", "attribute 2: end",
    ]
    for name in NODES:
        for key, (_, options) in inputs_of(info[name]).items():
            if key.endswith(tuple(INFLUENCE)) and name in ("LumosX_Subject", "LumosX_Object", "LumosX_Background"):
                continue
            part = options.get("display_name", "").partition(" for ")[0]
            assert part == {"phrase": "words", "occurrence": "which one"}.get(key.rpartition("_")[2], ""), (name, key)


@pytest.mark.parametrize("file", sorted(released.FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_workflows_of_every_released_version_still_fit(info, file):
    assert not list(released.broken(json.loads(file.read_text(encoding="utf-8")), released.nodes_of(info)))


def test_a_version_has_been_released():
    assert (released.FOLDER / "0.1.0.json").is_file()


@pytest.mark.parametrize("name", NODES)
def test_everything_has_a_tooltip(info, name):
    node = info[name]
    assert len(node["description"]) > 20
    for key, (_, options) in inputs_of(node).items():
        assert len(options.get("tooltip", "")) > 20, key
    assert all(len(tooltip or "") > 10 for tooltip in node["output_tooltips"])


def test_defaults_are_those_of_the_release(info):
    sampler = inputs_of(info["LumosX_Sampler"])
    assert [sampler[name][1]["default"] for name in ("steps", "shift", "cfg")] == [50, 8.0, 6.0]
    for node in ("LumosX_Sampler", "LumosX_Schedule"):
        optional = info[node]["input"]["optional"]
        assert [options["default"] for _, options in optional.values()] == [10000, "release"]
    encode = inputs_of(info["LumosX_RelationalEncode"])
    assert [encode[name][1]["default"] for name in ("width", "height", "frames")] == [832, 480, 81]
    negative = encode["negative_prompt"][1]
    assert negative["default"] == "" and negative_text("") in negative["placeholder"]
    model = inputs_of(info["LumosX_Model"])
    assert [model[name][1]["default"] for name in NODES["LumosX_Model"][1:]] == [0.5, 8, True, True, True, 0.0]
