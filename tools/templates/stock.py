"""Sockets and widgets of those of ComfyUI's own nodes that the templates use; those of ours come from the server."""

# Inputs in the order of the schema: (name, type), a widget where the type has one.
STOCK = {
    "LoadImage": {"inputs": [("image", "COMBO")], "outputs": [("IMAGE", "IMAGE"), ("MASK", "MASK")]},
    "ImageScale": {
        "inputs": [
            ("image", "IMAGE"), ("upscale_method", "COMBO"), ("width", "INT"), ("height", "INT"), ("crop", "COMBO"),
        ],
        "outputs": [("IMAGE", "IMAGE")],
    },
    "CLIPLoader": {
        "inputs": [("clip_name", "COMBO"), ("type", "COMBO"), ("device", "COMBO")], "outputs": [("CLIP", "CLIP")],
    },
    "UNETLoader": {"inputs": [("unet_name", "COMBO"), ("weight_dtype", "COMBO")], "outputs": [("MODEL", "MODEL")]},
    "ModelSamplingSD3": {"inputs": [("model", "MODEL"), ("shift", "FLOAT")], "outputs": [("MODEL", "MODEL")]},
    "CLIPTextEncode": {
        "inputs": [("text", "STRING"), ("clip", "CLIP")], "outputs": [("CONDITIONING", "CONDITIONING")],
    },
    "EmptyHunyuanLatentVideo": {
        "inputs": [("width", "INT"), ("height", "INT"), ("length", "INT"), ("batch_size", "INT")],
        "outputs": [("LATENT", "LATENT")],
    },
    "KSampler": {
        "inputs": [
            ("model", "MODEL"), ("seed", "INT"), ("steps", "INT"), ("cfg", "FLOAT"), ("sampler_name", "COMBO"),
            ("scheduler", "COMBO"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"),
            ("latent_image", "LATENT"), ("denoise", "FLOAT"),
        ],
        "outputs": [("LATENT", "LATENT")],
    },
    "LoadVideo": {"inputs": [("file", "COMBO")], "outputs": [("VIDEO", "VIDEO")]},
    # Newer hosts have more outputs behind these.
    "GetVideoComponents": {
        "inputs": [("video", "VIDEO")], "outputs": [("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT")],
    },
    "UpscaleModelLoader": {"inputs": [("model_name", "COMBO")], "outputs": [("UPSCALE_MODEL", "UPSCALE_MODEL")]},
    "ImageUpscaleWithModel": {
        "inputs": [("upscale_model", "UPSCALE_MODEL"), ("image", "IMAGE")], "outputs": [("IMAGE", "IMAGE")],
    },
    "VAELoader": {"inputs": [("vae_name", "COMBO")], "outputs": [("VAE", "VAE")]},
    "LoraLoaderModelOnly": {
        "inputs": [("model", "MODEL"), ("lora_name", "COMBO"), ("strength_model", "FLOAT")],
        "outputs": [("MODEL", "MODEL")],
    },
    "VAEDecode": {"inputs": [("samples", "LATENT"), ("vae", "VAE")], "outputs": [("IMAGE", "IMAGE")]},
    "VAEDecodeTiled": {
        "inputs": [
            ("samples", "LATENT"), ("vae", "VAE"), ("tile_size", "INT"), ("overlap", "INT"), ("temporal_size", "INT"),
            ("temporal_overlap", "INT"),
        ],
        "outputs": [("IMAGE", "IMAGE")],
    },
    "CreateVideo": {
        "inputs": [("images", "IMAGE"), ("fps", "FLOAT"), ("audio", "AUDIO")], "outputs": [("VIDEO", "VIDEO")],
    },
    "SaveVideo": {
        "inputs": [("video", "VIDEO"), ("filename_prefix", "STRING"), ("format", "COMBO"), ("codec", "COMBO")],
        "outputs": [],
    },
    "PreviewImage": {"inputs": [("images", "IMAGE")], "outputs": []},
    "PreviewAny": {"inputs": [("source", "*")], "outputs": []},
    "StringConcatenate": {
        "inputs": [("string_a", "STRING"), ("string_b", "STRING"), ("delimiter", "STRING")],
        "outputs": [("STRING", "STRING")],
    },
}
DEFAULTS = {
    "UNETLoader": {"weight_dtype": "default"},
    "CLIPLoader": {"type": "wan", "device": "default"},
    "LoraLoaderModelOnly": {"strength_model": 1.0},
    "EmptyHunyuanLatentVideo": {"batch_size": 1},
    "KSampler": {"seed": 0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0},
    "VAEDecodeTiled": {"tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8},
    "CreateVideo": {"fps": 16.0},
    "SaveVideo": {"filename_prefix": "video/ComfyUI", "format": "mp4", "codec": "h264"},
    "StringConcatenate": {"string_a": "", "string_b": "", "delimiter": ""},
}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def sockets_of(kind, object_info):
    """Inputs [(name, type)] and outputs [(name, type)] of a node, and the defaults of its widgets."""
    if kind in STOCK:
        return STOCK[kind]["inputs"], STOCK[kind]["outputs"], DEFAULTS.get(kind, {})
    schema = object_info[kind]
    inputs, defaults = [], {}
    for group in ("required", "optional"):
        for name in schema["input_order"].get(group, ()):
            found, *options = schema["input"][group][name]
            inputs.append((name, "COMBO" if isinstance(found, list) else found))
            defaults[name] = options[0].get("default") if options else None
    return inputs, list(zip(schema["output_name"], schema["output"], strict=True)), defaults
