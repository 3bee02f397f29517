"""Stand-ins for attention packages that need a GPU: files on a path, found and imported as the real ones are.

Each does what its package documents or its source does (SageAttention 1.0.6, 2.2.0 and 3, flash-attn 2.8,
FlashAttention 3, xformers 0.0.35, comfy-kitchen 0.2), and computes with PyTorch on any device.
"""

import contextlib
import importlib
import sys

_ATTENTION = """
import torch

def _attention(q, k, v, scale, layout):
    if layout == "NHD":
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    shared = q.shape[1] != k.shape[1]
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale, enable_gqa=shared)
    return out.transpose(1, 2) if layout == "NHD" else out
"""

SAGE_1 = _ATTENTION + """
def sageattn(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=None, smooth_k=True, **kwargs):
    assert q.dtype == k.dtype == v.dtype and q.shape[-1] in (64, 96, 128)
    assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1
    if smooth_k:
        k -= k.mean(dim=1 if tensor_layout == "NHD" else 2, keepdim=True)
    return _attention(q, k, v, sm_scale, tensor_layout)
"""

SAGE_2 = _ATTENTION + """
def sageattn(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=None, return_lse=False, **kwargs):
    assert q.dtype == k.dtype == v.dtype and q.dtype in (torch.float16, torch.bfloat16) and q.shape[-1] <= 128
    return _attention(q, k, v, sm_scale, tensor_layout)
"""

SAGE_3 = _ATTENTION + """
def sageattn3_blackwell(q, k, v, attn_mask=None, is_causal=False, per_block_mean=True, **kwargs):
    assert attn_mask is None and not is_causal and not kwargs and q.shape[1] == k.shape[1]
    assert q.dtype == k.dtype == v.dtype and q.dtype in (torch.float16, torch.bfloat16) and q.shape[-1] in (64, 128)
    k -= k.mean(dim=-2, keepdim=True)
    return _attention(q, k, v, None, "HND")
"""

FLASH_2 = _ATTENTION + """
def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False):
    assert q.dtype in (torch.float16, torch.bfloat16) and q.shape[-1] <= 256
    return _attention(q, k, v, softmax_scale, "NHD")
"""

FLASH_3 = _ATTENTION + """
def flash_attn_func(q, k, v, softmax_scale=None, causal=False):
    assert q.dtype in (torch.float16, torch.bfloat16) and q.shape[-1] <= 256
    return _attention(q, k, v, softmax_scale, "NHD"), torch.zeros(())
"""

XFORMERS = ""
XFORMERS_OPS = _ATTENTION + """
def memory_efficient_attention(query, key, value, attn_bias=None, p=0.0, scale=None, *, op=None):
    assert query.shape[2] == key.shape[2]
    return _attention(query, key, value, scale, "NHD")
"""

KITCHEN = _ATTENTION + """
def int8_attention(q, k, v, *, scale=None, attn_mask=None):
    return _attention(q, k, v, scale, "HND")
"""

MAKEABLE = {
    "sageattention 1": ("sageattention", "sageattention", "1.0.6", {"": SAGE_1}),
    "sageattention 2": ("sageattention", "sageattention", "2.2.0", {"": SAGE_2}),
    "flash attention 2": ("flash_attn", "flash_attn", "2.8.3", {"": FLASH_2}),
    "flash attention 3": ("flash_attn_interface", "flash_attn_3", "3.0.0b1", {"": FLASH_3}),
    "xformers": ("xformers", "xformers", "0.0.35", {"": XFORMERS, "ops": XFORMERS_OPS}),
    "sageattention 3": ("sageattn3", "sageattn3", "1.0.0", {"": SAGE_3}),
    "comfy-kitchen int8": ("comfy_kitchen", "comfy_kitchen", "0.2.40", {"": KITCHEN}),
}
"""Choice -> module, distribution, version, and the source of its files."""


class Installer:
    """Puts stand-ins into a folder on the path, as pip would put the packages."""

    def __init__(self, folder):
        self.folder = folder
        self.hidden = {}

    def __call__(self, choice, version=None, source=None):
        """Install the package of a choice, in another version or with another source; return its module's name."""
        module, distribution, own_version, files = MAKEABLE[choice]
        version = version or own_version
        for name, text in files.items():
            path = self.folder / module / f"{name or '__init__'}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text if source is None else source, encoding="utf-8")
        information = self.folder / f"{distribution}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        # A real one may be imported already.
        self.hidden.update(_taken_out(module))
        importlib.invalidate_caches()
        return module


def _taken_out(module):
    names = [name for name in sys.modules if name.partition(".")[0] == module]
    return {name: sys.modules.pop(name) for name in names}


@contextlib.contextmanager
def installer(folder):
    """An Installer whose packages are gone afterwards."""
    install = Installer(folder)
    sys.path.insert(0, str(folder))
    try:
        yield install
    finally:
        sys.path.remove(str(folder))
        for module, *_ in MAKEABLE.values():
            if (folder / module).exists():
                _taken_out(module)
        sys.modules.update(install.hidden)
        importlib.invalidate_caches()
