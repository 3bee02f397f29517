"""The adapter on a HunyuanVideo in 8 bits, packed in GGUF or partly in RAM: each against the plain composition.

The composition is our own network with the numbers that the base's weights stand for.
"""

import copy
import json

import comfy.model_management as management
import comfy.patcher_extension
import comfy.sd
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.host.methods.polyvivid import WRAPPER_KEY
from lumosx_core.host.model.packed import PackedOperations, PackedPatcher
from lumosx_core.host.weights.loader import _plain_or_packed
from lumosx_core.weights.opening import open_weights
from support.hunyuan_files import small_adapter, write_small_adapter
from support.polyvivid_runs import close, load, positive, reference, velocity
from tools.weight_files import write_gguf

BLOCKS = ("double_blocks.", "single_blocks.")
FP8 = torch.float8_e4m3fn
LORA_LAYER = "double_blocks.0.img_attn.qkv"


def with_numbers(network, numbers):
    """A copy of our own network with other numbers."""
    changed = copy.deepcopy(network)
    changed.load_state_dict(numbers)
    return changed


def lora_for(layer, seed=3):
    """A LoRA as trainers write it, and what it adds to the weight."""
    generator = torch.Generator().manual_seed(seed)
    down, up = (torch.randn(shape, generator=generator) * 0.3 for shape in ((2, 128), (384, 2)))
    return {f"diffusion_model.{layer}.lora_A.weight": down, f"diffusion_model.{layer}.lora_B.weight": up}, up @ down


def with_lora(model, lora):
    return comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)[0]


def load_packed(path):
    """A HunyuanVideo in GGUF with our packed layers, as LumosX Model Loader makes of a Wan."""
    with open_weights(path) as source, torch.inference_mode(False):
        weights = {}
        for name, info in source.tensors.items():
            weights.update(_plain_or_packed(info, source.read(name), name))
        options = {"custom_operations": PackedOperations}
        return PackedPatcher.around(comfy.sd.load_diffusion_model_state_dict(weights, model_options=options))


@pytest.fixture
def packed(network, tmp_path):
    """packed("Q8_0") is the base in GGUF, and our own network with the numbers that its blocks stand for."""
    def make(kind):
        path = tmp_path / f"{kind}.gguf"
        meant = write_gguf(path, kind, dict(network.state_dict()), "hyvid", BLOCKS)
        return load_packed(path), with_numbers(network, meant)

    return make


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_a_gguf_base_is_the_composition_over_what_its_blocks_stand_for(network, adapted, packed, kind):
    base, meant = packed(kind)
    assert base.model.diffusion_model.double_blocks[0].img_attn.qkv.weight.dtype == torch.uint8
    expected = reference(meant)
    assert close(velocity(adapted(base=base), positive()), expected)
    assert not close(expected, reference(network), 1e-3)
    assert torch.equal(velocity(adapted(base=base), positive(())), velocity(base, positive(())))


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_a_lora_on_a_gguf_base_acts_on_what_the_adapter_inherits(adapted, packed, first):
    base, meant = packed("Q8_0")
    lora, added = lora_for(LORA_LAYER)
    plain = reference(meant)
    meant.get_submodule(LORA_LAYER).weight.data += added
    model = adapted(base=with_lora(base, lora)) if first else with_lora(adapted(base=base), lora)
    assert close(velocity(model, positive()), reference(meant))
    assert not close(reference(meant), plain, 1e-3)


def in_float32(model):
    """The numbers are those of the weights alone then; ComfyUI would compute in bfloat16 where weights are in fp8."""
    model = model.clone()
    model.set_model_compute_dtype(torch.float32)
    return model


def test_an_fp8_base_gives_what_its_rounded_weights_give(base_file, network, adapted):
    model = load(base_file, dtype=FP8)
    live = model.model.diffusion_model.state_dict()
    found = {name.removesuffix("weight") + "scale" if name.endswith("norm.weight") else name: tensor.float()
             for name, tensor in live.items()}
    rounded = with_numbers(network, {name: found.get(name, live.get(name, value)) for name, value in
                                     network.state_dict().items()})
    assert any(tensor.dtype == FP8 for tensor in live.values())
    assert close(velocity(adapted(base=in_float32(model)), positive()), reference(rounded))
    assert close(velocity(adapted(base=model), positive()), reference(rounded), 5e-2)
    assert not close(reference(rounded), reference(network), 2e-2)


def write_scaled(path, network, layout):
    """A scaled fp8 file in one of ComfyUI's layouts; returns the numbers that it stands for."""
    stored = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    meant, layers, settings = dict(stored), [], {"format": "float8_e4m3fn"}
    for name, tensor in network.state_dict().items():
        # The older layout has no plain Linears: 0.3.75 takes all of them for fp8, with their biases.
        old = layout == "mark"
        if tensor.ndim != 2 or not (old or name.startswith(BLOCKS)):
            continue
        layer, scale = name.removesuffix(".weight"), tensor.abs().max() / 448
        layers.append(layer)
        stored[name] = (tensor / scale).to(FP8)
        meant[name] = stored[name].float() * scale
        stored[f"{layer}.{'scale_weight' if old else 'weight_scale'}"] = scale
        if old:
            stored[f"{layer}.bias"] = stored[f"{layer}.bias"].to(FP8)
            meant[f"{layer}.bias"] = stored[f"{layer}.bias"].float()
        if layout == "beside":
            stored[f"{layer}.comfy_quant"] = torch.tensor(list(json.dumps(settings).encode()), dtype=torch.uint8)
    if layout == "mark":
        stored["scaled_fp8"] = torch.zeros(2, dtype=FP8)
    metadata = {"format_version": "1.0", "layers": dict.fromkeys(layers, settings)}
    save_file(stored, path, {"_quantization_metadata": json.dumps(metadata)} if layout == "metadata" else None)
    return meant


LAYOUTS = ["mark", "metadata", "beside"]


@pytest.fixture
def scaled_base(network, tmp_path):
    """scaled_base(layout) is the base in scaled fp8, and our own network with the numbers that it stands for."""
    def make(layout):
        if layout == "beside" and not hasattr(comfy.utils, "detect_layer_quantization"):
            pytest.skip("this ComfyUI does not read marks beside layers")
        path = tmp_path / f"{layout}.safetensors"
        meant = write_scaled(path, network, layout)
        return load(path), with_numbers(network, meant)

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_scaled_fp8_base_is_the_composition_over_what_its_weights_stand_for(network, adapted, scaled_base, layout):
    base, meant = scaled_base(layout)
    expected = reference(meant)
    assert close(velocity(adapted(base=in_float32(base)), positive()), expected)
    assert not close(expected, reference(network), 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_lora_on_a_scaled_fp8_base_acts_on_what_the_adapter_inherits(adapted, scaled_base, layout):
    """ComfyUI rounds the sum to fp8 again, so the composition takes the numbers of the live layer."""
    base, meant = scaled_base(layout)
    plain = reference(meant)
    lora, _ = lora_for(LORA_LAYER)
    with torch.no_grad():
        found = velocity(adapted(base=with_lora(in_float32(base), lora)), positive())
    live = base.model.diffusion_model.get_submodule(LORA_LAYER)
    with torch.inference_mode():
        weight = (live(torch.eye(128)) - live(torch.zeros(1, 128))).T
    meant.get_submodule(LORA_LAYER).weight.data.copy_(weight)
    assert close(found, reference(meant))
    assert not close(reference(meant), plain, 1e-3)


@pytest.fixture
def card(monkeypatch):
    """card(size) makes ComfyUI's loading believe that the CPU is a card with room for that many bytes of each model."""
    def put_in(size):
        management.unload_all_models()
        monkeypatch.setattr(management, "is_device_cpu", lambda device: False)
        monkeypatch.setattr(management, "vram_state", management.VRAMState.NORMAL_VRAM)
        monkeypatch.setattr(management, "MIN_WEIGHT_MEMORY_RATIO", 0)
        monkeypatch.setattr(management, "minimum_inference_memory", lambda: 0)
        # What a forward needs, and what is kept free, in front of it.
        monkeypatch.setattr(management, "extra_reserved_memory", lambda: 2**40)
        monkeypatch.setattr(
            management, "get_free_memory",
            lambda device=None, torch_free_too=False: (2**40 + size,) * 2 if torch_free_too else 2**40 + size,
        )

    yield put_in
    management.unload_all_models()


@pytest.fixture
def kept(adapted, adapters, card):
    """kept(base, size) samples with room for so many bytes of each model.

    It returns the velocity, and of base and adapter (bytes on the card, all bytes).
    """
    # About as large as the base, so that half of it leaves both in part.
    write_small_adapter(adapters / "large.safetensors", small_adapter(rank=160))

    def run(base, size=None):
        model = adapted("large.safetensors", base=base)
        (own,) = model.get_additional_models_with_key(WRAPPER_KEY)
        loaded = []

        def watch(executor, *arguments, **options):
            loaded.append([(one.loaded_size(), one.model_size()) for one in (model, own)])
            return executor(*arguments, **options)

        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.APPLY_MODEL, "watch", watch)
        if size is not None:
            # The forward itself needs nothing here.
            model.model.memory_usage_factor = 0.0
            card(size)
        return velocity(model, positive()), loaded[0]

    return run


def test_base_and_adapter_partly_in_ram_give_the_same(model, kept):
    expected, loaded = kept(model)
    assert all(size == whole for size, whole in loaded)
    found, loaded = kept(model, model.model_size() // 2)
    assert all(0 < size < whole for size, whole in loaded)
    assert torch.equal(found, expected)
    found, loaded = kept(model, 1)
    assert [size for size, _ in loaded] == [0, 0]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", [None, "Q8_0"])
def test_a_lora_on_a_base_partly_in_ram_gives_the_same(model, packed, kept, kind):
    """It is in the weights that are on the card, and is added to the others at each use."""
    base = model if kind is None else packed(kind)[0]
    patched = with_lora(base, lora_for(LORA_LAYER)[0])
    expected = kept(patched)[0]
    for size in (base.model_size() // 2, 1):
        assert close(kept(patched, size)[0], expected, 1e-5)
    assert not close(kept(base)[0], expected, 1e-3)
