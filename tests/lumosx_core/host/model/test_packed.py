"""Packed weights on ComfyUI's real ModelPatcher: LoRA, hooks, clones, partial loading and letting go."""

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import comfy.hooks
import comfy.model_management
import comfy.sd
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.model import packed
from lumosx_core.host.model.packed import PackedOperations, PackedPatcher
from lumosx_core.host.weights.loader import load_patcher
from tools.weight_files import make_lora, write_gguf

CPU = torch.device("cpu")
LAYER = "blocks.1.ffn.0"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """files(kind) -> (a GGUF, the same numbers as float32 safetensors, those numbers)."""
    folder, made = tmp_path_factory.mktemp("files"), {}

    def get(kind):
        if kind not in made:
            packed, plain = folder / f"{kind}.gguf", folder / f"{kind}.safetensors"
            meant = write_gguf(packed, kind)
            save_file(meant, plain)
            made[kind] = str(packed), str(plain), meant
        return made[kind]

    return get


@pytest.fixture
def pair(files):
    """(packed, plain): two patchers with the same numbers."""
    packed, plain, _ = files("Q8_0")
    return load_patcher(packed), load_patcher(plain)


def velocity(patcher):
    """What the stock forward makes of fixed inputs, with the patcher as it is loaded right now."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 16, 2, 8, 8, generator=generator)
    context = torch.randn(1, 20, 4096, generator=generator)
    with torch.inference_mode():
        return patcher.model.diffusion_model(x, torch.tensor([500.0]), context)


def loaded(patcher, memory=0):
    patcher.patch_model(CPU, lowvram_model_memory=memory)
    return patcher


def close(ours, stock):
    """Whether two velocities differ by no more than float32 sums in another order."""
    return (ours - stock).norm() < 2e-6 * stock.norm()


def with_lora(patcher, weights, strength=0.7, **options):
    return comfy.sd.load_lora_for_models(patcher, None, make_lora(weights, **options), strength, 0)[0]


def layer_of(patcher):
    return patcher.model.diffusion_model.get_submodule(LAYER)


@pytest.mark.parametrize("kind", ["Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
                                  "IQ4_NL", "IQ4_XS"])
def test_every_block_type_computes_as_its_plain_numbers_do(files, kind):
    packed, plain, _ = files(kind)
    assert torch.equal(velocity(loaded(load_patcher(packed))), velocity(loaded(load_patcher(plain))))


def test_weights_stay_in_blocks_and_count_as_such(files):
    packed, _, meant = files("Q4_0")
    patcher = loaded(load_patcher(packed))
    weight = layer_of(patcher).weight
    assert weight.dtype == torch.uint8 and weight.shape == (512, 256 // 32 * 18)
    in_blocks = sum(w.numel() for n, w in meant.items() if n.startswith("blocks.") and w.ndim == 2)
    rest = sum(w.numel() for w in meant.values()) - in_blocks
    assert patcher.model_size() == pytest.approx(in_blocks * 18 / 32 + rest * 4, rel=0.01)


@pytest.mark.parametrize("memory", [0, 300_000, 1], ids=["whole", "in part", "off the card"])
def test_a_lora_has_the_effect_it_has_on_plain_weights(files, pair, memory):
    packed, plain = (loaded(with_lora(patcher, files("Q8_0")[2]), memory) for patcher in pair)
    untouched = velocity(loaded(load_patcher(files("Q8_0")[1])))
    assert close(velocity(packed), velocity(plain))
    assert not torch.allclose(velocity(packed), untouched, atol=1e-4)


def test_two_loras_add_up(files, pair):
    meant = files("Q8_0")[2]
    packed, plain = (loaded(with_lora(with_lora(patcher, meant), meant, 0.3, seed=1)) for patcher in pair)
    assert close(velocity(packed), velocity(plain))


def test_a_clone_has_its_own_loras_over_the_same_bytes(files, pair):
    original = pair[0]
    changed = with_lora(original, files("Q8_0")[2])
    assert isinstance(changed, PackedPatcher) and changed.model is original.model
    before = velocity(loaded(original))
    original.unpatch_model(CPU)
    assert not torch.allclose(velocity(loaded(changed)), before, atol=1e-4)
    changed.unpatch_model(CPU)
    assert torch.equal(velocity(loaded(original)), before)


def test_partial_unloading_and_loading_again_keep_each_patch_once(files, pair):
    patcher = loaded(with_lora(pair[0], files("Q8_0")[2]), memory=10**9)
    expected = velocity(patcher)
    assert patcher.partially_unload(CPU, 400_000) > 0
    assert torch.equal(velocity(patcher), expected)
    assert patcher.partially_unload(CPU, 10**9) > 0
    assert torch.equal(velocity(patcher), expected)
    patcher.partially_load(CPU, 10**9)
    assert torch.equal(velocity(patcher), expected)
    assert not layer_of(patcher).weight_function and layer_of(patcher).low_rank.down.shape == (4, 256)


def test_unloading_lets_go_of_the_lora_and_dropping_of_the_model(files):
    file, _, meant = files("Q8_0")
    patcher = with_lora(load_patcher(file), meant)
    lora, model = weakref.ref(patcher.patches[f"diffusion_model.{LAYER}.weight"][0][1]), weakref.ref(patcher.model)
    loaded(patcher).unpatch_model(CPU)
    assert layer_of(patcher).low_rank is None and not layer_of(patcher).weight_function
    gc.collect()
    gc.disable()
    try:
        # Without the collector, as memory on a card has to be free at once.
        del patcher
        assert lora() is None and model() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="only Linux lists what is mapped")
def test_a_dropped_model_lets_go_of_its_file(tmp_path):
    write_gguf(tmp_path / "mapped.gguf", "Q8_0")

    def mapped():
        return "mapped.gguf" in Path("/proc/self/maps").read_text()

    patcher = loaded(load_patcher(str(tmp_path / "mapped.gguf")))
    assert mapped()
    del patcher
    gc.collect()
    assert not mapped()


def of_all_kinds(meant):
    """A patch of each kind that ComfyUI's LoRA loader knows, for one packed layer."""
    generator = torch.Generator().manual_seed(4)

    def random(*shape):
        return torch.randn(shape, generator=generator) * 0.3

    layer, (outputs, inputs) = f"diffusion_model.{LAYER}", meant[f"{LAYER}.weight"].shape
    return {
        "diff": {f"{layer}.diff": random(outputs, inputs), f"{layer}.diff_b": random(outputs)},
        "set": {f"{layer}.set_weight": random(outputs, inputs)},
        "dora": {
            f"{layer}.lora_A.weight": random(4, inputs), f"{layer}.lora_B.weight": random(outputs, 4),
            f"{layer}.dora_scale": random(outputs, 1).abs() + 1,
        },
        "lokr": {f"{layer}.lokr_w1": random(4, 4), f"{layer}.lokr_w2": random(outputs // 4, inputs // 4)},
        "loha": {
            f"{layer}.hada_w1_a": random(outputs, 4), f"{layer}.hada_w1_b": random(4, inputs),
            f"{layer}.hada_w2_a": random(outputs, 4), f"{layer}.hada_w2_b": random(4, inputs),
        },
    }


@pytest.mark.parametrize("memory", [0, 300_000], ids=["whole", "in part"])
@pytest.mark.parametrize("kind", ["diff", "set", "dora", "lokr", "loha"])
def test_every_kind_of_patch_has_the_effect_it_has_on_plain_weights(files, pair, kind, memory):
    patch = of_all_kinds(files("Q8_0")[2])[kind]
    before = velocity(loaded(pair[0]))
    pair[0].unpatch_model(CPU)
    packed, plain = (
        velocity(loaded(comfy.sd.load_lora_for_models(patcher, None, patch, 1.0, 0)[0], memory)) for patcher in pair
    )
    assert (packed - plain).norm() < 1e-6 * plain.norm() and not torch.allclose(packed, before, atol=1e-4)


def test_weight_wrappers_of_other_nodes_are_kept(pair):
    results = []
    for patcher in pair:
        patcher.add_weight_wrapper(f"diffusion_model.{LAYER}.weight", lambda weight: weight * 1.5)
        loaded(patcher, 300_000)
        before = velocity(patcher)
        patcher.partially_unload(CPU, 10**9)
        assert torch.equal(velocity(patcher), before)
        results.append(before)
    assert torch.allclose(*results, atol=2e-6)


def test_merging_with_a_plain_model_uses_the_numbers_the_blocks_stand_for(files, pair):
    packed, plain = pair
    target = load_patcher(files("Q4_1")[1])
    results = []
    for source in (packed, plain):
        merged = target.clone()
        merged.add_patches(source.get_key_patches("diffusion_model."), 0.5, 0.5)
        results.append(velocity(loaded(merged)))
        merged.unpatch_model(CPU)
    assert torch.allclose(*results, atol=2e-6)


def test_saving_and_merging_for_good_are_refused(pair):
    with pytest.raises(LumosXError, match="^model: its weights are packed in GGUF blocks, which ComfyUI cannot"):
        pair[0].load(CPU, force_patch_weights=True)
    with pytest.raises(LumosXError, match="LumosX Convert Weights"):
        pair[0].state_dict_for_saving()


def test_hook_loras_switch_on_and_off(files, pair):
    meant = files("Q8_0")[2]
    results = []
    for patcher in pair:
        patcher, _, hooks = comfy.hooks.load_hook_lora_for_models(patcher, None, make_lora(meant), 0.7, 0.0)
        patcher.register_all_hook_patches(hooks, comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Model))
        loaded(patcher)
        steps = []
        for active in (None, hooks, None, hooks):
            patcher.patch_hooks(active)
            steps.append(velocity(patcher))
        results.append(steps)
    packed, plain = results
    assert torch.equal(packed[0], packed[2]) and torch.equal(packed[1], packed[3])
    assert not torch.allclose(packed[0], packed[1], atol=1e-4)
    for ours, stock in zip(packed, plain):
        assert close(ours, stock)


def test_a_whole_model_as_hook_is_refused(files, pair):
    patcher = pair[0]
    hooks = comfy.hooks.create_hook_model_as_lora(patcher.model.state_dict(), None, 0.5, 0.0)
    patcher.register_all_hook_patches(hooks, comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Model))
    loaded(patcher)
    with pytest.raises(LumosXError, match="a hook that uses a whole model as LoRA does not work on GGUF"):
        patcher.patch_hooks(hooks)


def test_pages_of_the_file_are_never_pinned(pair, monkeypatch):
    asked = []
    monkeypatch.setattr(comfy.model_management, "pin_memory", lambda weight: asked.append(weight.data_ptr()))
    patcher = pair[0]
    layers = patcher.model.diffusion_model.named_parameters()
    for name, _ in layers:
        patcher.pin_weight_to_device(f"diffusion_model.{name}")
    mapped = {layer_of(patcher).weight.data_ptr(), layer_of(patcher).bias.data_ptr()}
    assert asked and not mapped & set(asked)
    # What came back from a card is memory like any other.
    layer_of(patcher).weight = torch.nn.Parameter(layer_of(patcher).weight.clone(), requires_grad=False)
    patcher.pin_weight_to_device(f"diffusion_model.{LAYER}.weight")
    assert asked[-1] == layer_of(patcher).weight.data_ptr()


def test_the_forward_compiles(files, pair):
    patcher = loaded(with_lora(pair[0], files("Q8_0")[2]))
    layer = layer_of(patcher)
    x = torch.randn(3, 256, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        compiled = torch.compile(lambda x: layer(x), backend="eager")
        assert torch.equal(compiled(x), layer(x))


def test_low_precision_activations_get_weights_of_their_type(pair):
    layer = layer_of(loaded(pair[0]))
    assert isinstance(layer, PackedOperations.Linear)
    x = torch.randn(3, 256, generator=torch.Generator().manual_seed(3))
    exact = layer(x)
    for dtype, bound in ((torch.bfloat16, 2e-2), (torch.float16, 2e-3)):
        assert layer(x.to(dtype)).dtype == dtype
        assert torch.allclose(layer(x.to(dtype)).float(), exact, atol=bound * exact.abs().max())


def test_what_changes_the_whole_weight_is_added_in_float32_and_rounded_once(files, pair):
    patch = of_all_kinds(files("Q8_0")[2])["lokr"]
    packed, plain = (
        layer_of(loaded(comfy.sd.load_lora_for_models(patcher, None, patch, 1.0, 0)[0])) for patcher in pair
    )
    packed.bias = None
    with torch.inference_mode():
        # On unit vectors a layer shows its weights.
        shown = packed(torch.eye(256, dtype=torch.bfloat16)).T
    assert (shown == plain.weight.bfloat16()).float().mean() > 0.999


def test_blocks_are_unpacked_at_once_into_their_type_unless_something_is_added(monkeypatch):
    asked = []
    monkeypatch.setattr(packed, "dequantize", lambda blocks, *given: asked.append(given) or blocks)
    unpack = PackedOperations.Linear._unpack
    assert unpack(SimpleNamespace(weight_function=[]), torch.ones(2), "Q8_0", torch.bfloat16).tolist() == [1, 1]
    changes = [lambda weight: weight + 1, lambda weight: weight * 2]
    added = unpack(SimpleNamespace(weight_function=changes), torch.ones(2), "Q8_0", torch.half)
    assert added.tolist() == [4, 4] and added.dtype == torch.half and asked == [("Q8_0", torch.bfloat16), ("Q8_0",)]


@pytest.mark.parametrize(("kind", "shape", "unpacked"), [
    (None, (2, 9), False), ("Q8_0", (2, 32), False), ("Q8_0", (2, 34), True),
])
def test_only_bytes_of_blocks_are_unpacked_before_they_are_patched(monkeypatch, kind, shape, unpacked):
    monkeypatch.setattr(packed, "dequantize", lambda blocks, kind: (blocks.dtype, kind))
    layer, weight = SimpleNamespace(kind=kind, out_features=2, in_features=32), torch.zeros(shape)
    found = PackedOperations.Linear.convert_weight(layer, weight)
    assert found == (torch.uint8, "Q8_0") if unpacked else found is weight
