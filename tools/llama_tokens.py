"""LLaVA's tokenizer, as the ComfyUI under test computes it."""

from functools import cache
from pathlib import Path

from tools.server import ROOT

FOLDER = Path("comfy", "text_encoders", "llama_tokenizer")


@cache
def tokenizer_folder():
    """Where the vocabulary lies.

    Raises FileNotFoundError where neither this ComfyUI nor the one that dev.py makes has it: some copies of ComfyUI
    lack its largest files.
    """
    import comfy.text_encoders.hunyuan_video as module

    folders = Path(module.__file__).parents[2] / FOLDER, ROOT / ".venv" / "comfyui" / FOLDER
    folder = next((one for one in folders if (one / "tokenizer.json").is_file()), None)
    if folder is None:
        raise FileNotFoundError(f"{folders[0]} has no tokenizer.json")
    return folder


@cache
def llama_tokenizer():
    """A function from a text with control tokens to its ids; raises as ``tokenizer_folder``."""
    import comfy.text_encoders.hunyuan_video as module

    # transformers in 0.3.75, ComfyUI's own in newer ones.
    tokenizer = module.LlamaTokenizerFast.from_pretrained(str(tokenizer_folder()))
    return lambda text: tokenizer(text)["input_ids"]
