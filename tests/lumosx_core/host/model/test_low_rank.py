"""LoRAs beside quantised layers on ComfyUI's real ModelPatcher: what they give, cost, take of the card and leave."""

from types import SimpleNamespace

import comfy.hooks
import comfy.model_patcher
import comfy.sd
import comfy.utils
import comfyui_version
import pytest
import torch
from comfy.weight_adapter import LoRAAdapter
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from lumosx_core.host.model.low_rank import BesidePatcher, _is_quantised, beside_patcher, plain_lora
from lumosx_core.host.weights.loader import load_patcher
from lumosx_core.weights.convert import convert
from tools.weight_files import make_lora, small_transformer

CPU = torch.device("cpu")
LAYER = "blocks.1.ffn.0"
KEY = f"diffusion_model.{LAYER}.weight"
INPUTS, OUTPUTS = 256, 512
KINDS = ("q8_0", "fp8_scaled", "fp8")


@pytest.fixture(autouse=True)
def without_gradients():
    """As ComfyUI runs its nodes."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def weights():
    return small_transformer()


@pytest.fixture(scope="module")
def files(tmp_path_factory, weights):
    """kind -> (file, weight_dtype, the numbers it is for as a float32 file); fp8 is cast while loading."""
    folder = tmp_path_factory.mktemp("quantised")
    plain = folder / "plain.safetensors"
    save_file(weights, plain)
    made = {"plain": (plain, "default", plain)}
    for kind, ending in (("q8_0", "gguf"), ("fp8_scaled", "safetensors")):
        file, dense = folder / f"{kind}.{ending}", folder / f"{kind}_dense.safetensors"
        convert(plain, file, kind)
        convert(file, dense, "f32")
        made[kind] = file, "default", dense
    cast = load_patcher(str(plain), "fp8_e4m3fn").model.diffusion_model.state_dict()
    save_file({name: weight.float() for name, weight in cast.items()}, folder / "cast.safetensors")
    made["fp8"] = plain, "fp8_e4m3fn", folder / "cast.safetensors"
    return made


@pytest.fixture
def load(files):
    """load(kind): the file of a kind; load(kind, dense=True): the numbers it is for, in float32."""
    def run(kind, dense=False):
        file, weight_dtype, meant = files[kind]
        return load_patcher(str(meant)) if dense else load_patcher(str(file), weight_dtype)

    return run


def velocity(patcher):
    """What the stock forward makes of fixed inputs, with the patcher as it is loaded right now."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 16, 2, 8, 8, generator=generator)
    context = torch.randn(1, 20, 4096, generator=generator)
    return patcher.model.diffusion_model(x, torch.tensor([500.0]), context)


def loaded(patcher, memory=0):
    patcher.patch_model(CPU, lowvram_model_memory=memory)
    return patcher


def with_patches(patcher, file, strength=1.0):
    return comfy.sd.load_lora_for_models(patcher, None, file, strength, 0)[0]


def layer_of(patcher):
    return patcher.model.diffusion_model.get_submodule(LAYER)


def shown(patcher):
    """The weight that a layer computes with, [outputs, inputs], seen by unit vectors."""
    layer = layer_of(patcher)
    return (layer(torch.eye(INPUTS)) - layer(torch.zeros(1, INPUTS))).T


def error(ours, meant):
    return ((ours.double() - meant.double()).norm() / meant.double().norm()).item()


def blocks_only(weights):
    return [name.removesuffix(".weight") for name, w in weights.items() if name.startswith("blocks.") and w.ndim == 2]


def adapter(rank=4, seed=0, alpha=None, up=None, down=None, **others):
    generator = torch.Generator().manual_seed(seed)
    up = torch.randn(OUTPUTS, rank, generator=generator) * 0.5 if up is None else up
    down = torch.randn(rank, INPUTS, generator=generator) * INPUTS**-0.5 if down is None else down
    return LoRAAdapter(set(), (up, down, alpha, others.get("mid"), others.get("dora"), others.get("reshape")))


@pytest.mark.parametrize("memory", [0, 300_000, 1], ids=["whole", "in part", "off the card"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_adds_no_error_of_its_own(load, weights, kind, memory):
    lora = make_lora(weights, layers=blocks_only(weights))
    alone = error(velocity(loaded(load(kind))), velocity(loaded(load(kind, dense=True))))
    ours = velocity(loaded(with_patches(load(kind), lora, 0.7), memory))
    meant = velocity(loaded(with_patches(load(kind, dense=True), lora, 0.7)))
    assert error(ours, meant) < 1.1 * alone + 1e-5
    assert error(velocity(loaded(load(kind))), meant) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("to", "most"), [("int8", 0.04), ("nvfp4", 0.01)])
def test_loras_on_what_comfy_kitchen_made(files, tmp_path, weights, to, most):
    """Beside nvfp4 they add no error; the host puts them into int8, since it skips hooks on layers in that."""
    pytest.importorskip("comfy_kitchen", reason="comfy-kitchen is not installed")
    path, dense = tmp_path / "out.safetensors", tmp_path / "dense.safetensors"
    convert(files["plain"][0], path, to)
    convert(path, dense, "f32")
    lora = make_lora(weights, layers=blocks_only(weights))
    ours = loaded(with_patches(load_patcher(str(path)), lora, 0.7))
    meant = velocity(loaded(with_patches(load_patcher(str(dense)), lora, 0.7)))
    assert isinstance(ours, BesidePatcher) == (to == "nvfp4")
    assert error(velocity(ours), meant) < most
    assert error(velocity(loaded(load_patcher(str(path)))), meant) > 0.1


@pytest.mark.parametrize("memory", [0, 1], ids=["whole", "off the card"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_costs_no_more_than_its_own_two_products(load, weights, kind, memory):
    def operations(patcher):
        layer = layer_of(loaded(patcher, memory))
        with FlopCounterMode(display=False) as counter:
            layer(torch.ones(16, INPUTS))
        patcher.unpatch_model(CPU)
        return counter.get_total_flops()

    alone, together = operations(load(kind)), operations(with_patches(load(kind), make_lora(weights)))
    assert alone == 2 * 16 * INPUTS * OUTPUTS
    assert together == alone + 2 * 16 * 4 * (INPUTS + OUTPUTS) <= 1.1 * alone


@pytest.mark.parametrize("kind", KINDS)
def test_several_loras_add_up_with_their_own_alpha_rank_and_strength(load, kind):
    patches = [
        (0.7, adapter(4, 1)), (-0.3, adapter(8, 2, alpha=2.0)), (0.0, adapter(2, 3)),
        # As files of convolution layers have them.
        (1.0, adapter(up=torch.ones(OUTPUTS, 1, 1, 1) * 0.1, down=torch.ones(1, INPUTS, 1, 1) * 0.1)),
    ]
    patcher, dense = load(kind), load(kind, dense=True)
    for strength, patch in patches:
        for one in (patcher, dense):
            assert one.add_patches({KEY: patch}, strength) == [KEY]
    assert error(shown(loaded(patcher)), shown(loaded(dense))) < 1e-5
    assert layer_of(patcher).low_rank.down.shape == (4 + 8 + 2 + 1, INPUTS)


def other_patches():
    """Patches that do more than to add s·B·A, each (arguments of add_patches)."""
    narrow = adapter(up=torch.ones(128, 4) * 0.1)
    return {
        "strength_model": [({KEY: adapter()}, 1.0, 0.5)],
        "offset": [({(KEY, (0, 128, 128)): narrow}, 1.0)],
        "function": [({(KEY, None, torch.neg): adapter()}, 1.0)],
        "dora": [({KEY: adapter(dora=torch.ones(OUTPUTS, 1))}, 1.0)],
        "set after lora": [({KEY: adapter()}, 1.0), ({KEY: ("set", (torch.full((OUTPUTS, INPUTS), 0.25),))}, 1.0)],
        "lora after set": [({KEY: ("set", (torch.full((OUTPUTS, INPUTS), 0.25),))}, 1.0), ({KEY: adapter()}, 1.0)],
        "wrong shape": [({KEY: adapter(down=torch.ones(4, 128))}, 1.0)],
    }


@pytest.mark.parametrize("name", other_patches())
@pytest.mark.parametrize("kind", ["q8_0", "fp8_scaled"])
def test_every_other_patch_goes_into_the_weight_in_its_turn(load, kind, name):
    patcher, dense = load(kind), load(kind, dense=True)
    for arguments in other_patches()[name]:
        for one in (patcher, dense):
            one.add_patches(*arguments)
    # fp8 is rounded by the host when it merges.
    assert error(shown(loaded(patcher)), shown(loaded(dense))) < (1e-5 if kind == "q8_0" else 0.05)
    assert layer_of(patcher).low_rank is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_the_whole_weight_sees_the_lora(load, weights, kind):
    patcher, dense = (with_patches(load(kind, dense=dense), make_lora(weights)) for dense in (False, True))
    for one in (patcher, dense):
        one.add_weight_wrapper(KEY, lambda weight: weight * 1.5)
    assert error(shown(loaded(patcher)), shown(loaded(dense))) < (1e-5 if kind == "q8_0" else 0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_clones_keep_to_their_own_loras_and_leave_nothing_behind(load, weights, kind):
    original = load(kind)
    first, second = (with_patches(original, make_lora(weights, seed=seed)) for seed in (1, 2))
    bare = velocity(loaded(original))
    original.unpatch_model(CPU)
    results = []
    for patcher in (first, second, first):
        assert patcher.model is original.model
        patcher.partially_load(CPU, 10**12)
        results.append(velocity(patcher))
    assert torch.equal(results[0], results[2]) and error(results[0], results[1]) > 1e-3
    original.partially_load(CPU, 10**12)
    assert torch.equal(velocity(original), bare) and layer_of(original).low_rank is None


@pytest.mark.parametrize("kind", ["q8_0", "fp8_scaled"])
def test_they_count_as_memory_and_follow_their_layer(load, weights, kind):
    lora = make_lora(weights, rank=16, layers=blocks_only(weights))
    of_loras = 4 * sum(factor.numel() for factor in lora.values())
    bare = load(kind)
    patcher = with_patches(bare, lora)
    assert patcher.model_size() == bare.model_size() + of_loras == patcher.clone().clone().model_size()
    loaded(patcher)
    assert patcher.loaded_size() == patcher.model_size()
    # With room for a part of the model, the LoRAs of that part are within the room.
    patcher.unpatch_model(CPU)
    limit = patcher.model_size() * 3 // 4
    loaded(patcher, limit)
    kept = sum(
        layer.low_rank.nbytes for _, layer in patcher._layers() if getattr(layer, "comfy_patched_weights", False)
    )
    assert 0 < kept < of_loras and patcher.loaded_size() <= limit
    before, expected = patcher.loaded_size(), velocity(patcher)
    freed = patcher.partially_unload(CPU, before // 2)
    assert freed >= before // 2 and patcher.loaded_size() == before - freed
    assert torch.equal(velocity(patcher), expected)
    patcher.partially_unload(CPU, 10**12)
    assert patcher.loaded_size() < before // 10
    patcher.unpatch_model(CPU)
    assert all(layer.low_rank is None for _, layer in patcher._layers())


def of_hooks(patcher, patches):
    """A hook with these patches, switched off, on, off and on again: the weight that the layer then has."""
    hook = comfy.hooks.WeightHook()
    hooks = comfy.hooks.HookGroup()
    hooks.add(hook)
    hook.need_weight_init = False
    patcher.add_hook_patches(hook, patches, 0.5)
    loaded(patcher)
    seen = []
    for active in (None, hooks, None, hooks):
        patcher.patch_hooks(active)
        # Merged weights that are kept would hide a LoRA beside their layer.
        assert not isinstance(patcher, BesidePatcher) or not patcher.cached_hook_patches
        seen.append(shown(patcher))
    patcher.patch_hooks(None)
    return seen


HOOKED = {
    "lora": lambda: {KEY: adapter(seed=7)},
    "set": lambda: {KEY: ("set", (torch.full((OUTPUTS, INPUTS), 0.25),))},
    "diff": lambda: {KEY: ("diff", (torch.full((OUTPUTS, INPUTS), 0.25),))},
}


@pytest.mark.parametrize("name", HOOKED)
@pytest.mark.parametrize("own", ["nothing", "lora", "diff"])
@pytest.mark.parametrize("kind", ["q8_0", "fp8"])
def test_a_hook_comes_on_top_of_the_models_own_patches(load, kind, own, name):
    results = []
    for dense in (False, True):
        patcher = load(kind, dense)
        if own == "lora":
            patcher.add_patches({KEY: adapter()}, 0.8)
        if own == "diff":
            patcher.add_patches({KEY: ("diff", (torch.full((OUTPUTS, INPUTS), 0.125),))}, 0.8)
        results.append(of_hooks(patcher, HOOKED[name]()))
    ours, stock = results
    assert torch.equal(ours[0], ours[2]) and torch.equal(ours[1], ours[3])
    merged = kind == "fp8" and (own == "diff" or name != "lora")
    for one, other in zip(ours, stock):
        assert error(one, other) < (0.05 if merged else 1e-5)


OTHER = "diffusion_model.blocks.1.norm3.weight"


@pytest.mark.parametrize("kind", ["q8_0", "fp8_scaled"])
def test_a_hook_changes_only_the_weights_that_it_names(load, kind):
    """Of layers that cannot have a LoRA beside them too; what no hook names stays as it is."""
    patcher = load(kind)
    hooks = comfy.hooks.HookGroup()
    hooks.add(hook := comfy.hooks.WeightHook())
    hook.need_weight_init = False
    weight = comfy.utils.get_attr(patcher.model, OTHER)
    before = weight.clone()
    patcher.add_hook_patches(hook, {OTHER: ("diff", (torch.ones_like(weight),))}, 0.5)
    loaded(patcher)
    patcher.patch_hooks(hooks)
    assert torch.equal(comfy.utils.get_attr(patcher.model, OTHER), before + 0.5)
    own = shown(patcher)
    patcher.patch_hook_weight_to_device(hooks, {OTHER: ()}, KEY, {}, None)
    assert layer_of(patcher).low_rank is None and layer_of(patcher).hooked == () and torch.equal(shown(patcher), own)
    patcher.patch_hooks(None)
    assert torch.equal(comfy.utils.get_attr(patcher.model, OTHER), before)


def test_compiled_code_notices_a_lora_that_comes_and_goes(load, weights):
    for kind in ("q8_0", "fp8_scaled"):
        bare = load(kind)
        patched = with_patches(bare, make_lora(weights))
        layer, x = layer_of(bare), torch.randn(3, INPUTS, generator=torch.Generator().manual_seed(2))
        compiled = torch.compile(lambda x, layer=layer: layer(x), backend="eager")
        seen = []
        for patcher in (bare, patched, bare):
            patcher.partially_load(CPU, 10**12)
            seen.append(compiled(x))
            assert torch.equal(seen[-1], layer(x))
        assert torch.equal(seen[0], seen[2]) and not torch.allclose(seen[0], seen[1], atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["q8_0", "fp8"])
def test_low_precision_activations_get_a_result_as_good_as_that_of_a_merged_weight(load, kind, dtype):
    patcher, dense = load(kind), load(kind, dense=True)
    for one in (patcher, dense):
        # As large as LoRAs are: a tenth of the weight.
        one.add_patches({KEY: adapter(seed=1)}, 0.02)
    layer, meant = layer_of(loaded(patcher)), layer_of(loaded(dense))
    x = torch.randn(2, 50, INPUTS, generator=torch.Generator().manual_seed(3)).to(dtype)
    exact = torch.nn.functional.linear(x.double(), meant.weight.double(), meant.bias.double())
    merged = torch.nn.functional.linear(x, meant.weight.to(dtype), meant.bias.to(dtype))
    ours = layer(x)
    assert ours.dtype == dtype and ours.shape == merged.shape
    assert error(ours, exact) < 1.5 * error(merged, exact)


def test_rows_of_any_shape_pass_with_and_without_gradients(load, weights):
    layer = layer_of(loaded(with_patches(load("q8_0"), make_lora(weights))))
    x = torch.randn(2, 3, INPUTS, generator=torch.Generator().manual_seed(3))
    expected = layer(x)
    assert torch.allclose(layer(x[0, 0]), expected[0, 0], atol=1e-5)
    assert layer(x[:0]).shape == (0, 3, OUTPUTS)
    with torch.enable_grad():
        result = layer(x.requires_grad_())
        assert torch.allclose(result, expected, atol=1e-5)
        assert torch.autograd.grad(result.sum(), x)[0].abs().sum() > 0


@pytest.mark.skipif(
    tuple(map(int, comfyui_version.__version__.split(".")[:2])) < (0, 30), reason="that ComfyUI cannot save fp8"
)
@pytest.mark.parametrize("load_first", [False, True])
def test_a_saved_model_has_its_loras_merged(load, weights, load_first):
    patcher = with_patches(load("fp8_scaled"), make_lora(weights))
    expected = shown(loaded(with_patches(load("fp8_scaled", dense=True), make_lora(weights))))
    if load_first:
        loaded(patcher)
    saved = patcher.state_dict_for_saving()
    name = f"model.diffusion_model.{LAYER}"
    merged = saved[f"{name}.weight"].to("cpu").float() * saved[f"{name}.weight_scale"].to("cpu").float()
    assert error(merged, expected) < 0.05


def test_merging_for_good_is_the_hosts_affair(load, weights):
    patcher = with_patches(load("fp8_scaled"), make_lora(weights))
    patcher.load(CPU, force_patch_weights=True, full_load=True)
    assert layer_of(patcher).low_rank is None and patcher.loaded_size() >= load("fp8_scaled").model_size()
    expected = shown(loaded(with_patches(load("fp8_scaled", dense=True), make_lora(weights))))
    assert error(shown(patcher), expected) < 0.05


def test_plain_models_are_left_to_the_host(load):
    assert type(load("plain")) is comfy.model_patcher.ModelPatcher
    assert type(load("fp8_scaled")) is BesidePatcher


LINEAR = SimpleNamespace(out_features=4, in_features=3)


@pytest.mark.parametrize(("change", "plain"), [
    ({}, True), ({"strength": 0.5}, False), ({"offset": (0, 1, 2)}, False), ({"function": len}, False),
    ({"adapter": "diff"}, False), ({"mid": 1}, False), ({"dora": 1}, False), ({"reshape": 1}, False),
    ({"up": (4, 1)}, False), ({"up": (3, 2)}, False), ({"down": (2, 4)}, False), ({"up": (4, 2, 1, 1)}, True),
    ({"up": (3, 2), "down": (2, 4)}, False), ({"down": (2, 3, 1, 1)}, True),
])
def test_a_plain_lora_adds_a_product_to_a_weight_of_its_size(change, plain):
    given = {"up": (4, 2), "down": (2, 3), "mid": None, "dora": None, "reshape": None, "strength": 1.0, "offset": None,
             "function": None, **change}
    others = (given[one] for one in ("mid", "dora", "reshape"))
    weights = (torch.zeros(given["up"]), torch.zeros(given["down"]), 1.0, *others)
    adapter = given.get("adapter") or LoRAAdapter(set(), weights)
    assert plain_lora((0.7, adapter, given["strength"], given["offset"], given["function"]), LINEAR) == plain


FP8, BF16 = (SimpleNamespace(dtype=dtype) for dtype in (torch.float8_e4m3fn, torch.bfloat16))


@pytest.mark.parametrize(("parts", "quantised"), [
    ({"weight": FP8}, True), ({"weight": BF16}, False), ({"weight": None}, False), ({}, False),
    ({"weight": BF16, "kind": "Q8_0"}, True), ({"weight": BF16, "kind": None}, False),
    ({"weight": SimpleNamespace(dtype=torch.bfloat16, _qdata=FP8)}, True),
    ({"weight": SimpleNamespace(dtype=torch.bfloat16, _qdata=SimpleNamespace(dtype=torch.uint8))}, True),
    ({"weight": SimpleNamespace(dtype=torch.bfloat16, _qdata=SimpleNamespace(dtype=torch.int8))}, False),
])
def test_a_quantised_layer_is_a_linear_in_fp8_or_blocks(parts, quantised):
    whole = {**parts, "weight_function": [], "out_features": 4}
    assert _is_quantised(SimpleNamespace(**whole)) == quantised
    for name in ("weight_function", "out_features"):
        assert not _is_quantised(SimpleNamespace(**{key: value for key, value in whole.items() if key != name}))


@pytest.mark.parametrize(("dynamic", "layer", "beside"), [
    (None, FP8, True), (False, FP8, True), (True, FP8, False), (None, BF16, False),
])
def test_only_fp8_layers_without_dynamic_vram_have_a_patcher_of_their_own(monkeypatch, dynamic, layer, beside):
    linear = SimpleNamespace(weight=layer, weight_function=[], out_features=4)
    patcher = SimpleNamespace(model=SimpleNamespace(modules=lambda: [SimpleNamespace(), linear]))
    if dynamic is not None:
        patcher.is_dynamic = lambda: dynamic
    monkeypatch.setattr(BesidePatcher, "around", classmethod(lambda cls, given: "beside"))
    assert beside_patcher(patcher) == ("beside" if beside else patcher)
