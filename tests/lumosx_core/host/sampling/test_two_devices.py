"""ComfyUI's MultiGPU CFG Split gives each pass a card of its own; here two names of the CPU stand in for cards."""

import dataclasses
import gc

import comfy.model_management
import comfy.patcher_extension
import comfy.sample
import comfy.sd
import pytest
import torch
from comfy_extras.nodes_easycache import EasyCacheNode

from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.methods.lumosx_negative import model_away_from
from lumosx_core.host.methods.lynx import Appearance, lynx_model
from lumosx_core.host.sampling import caches
from lumosx_core.host.sampling.caches import started_anew
from lumosx_core.host.sampling.relation_map import MapPlan, relation_map
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.host.weights.loader import load_patcher
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.models.lumosx.negative import NegativeGuidance
from lumosx_core.scene.influence import Influence
from support.lynx_people import GUIDANCE, conditioning, load_variant, lynx_sample, make_person, write_adapters
from support.lynx_people import sample as lynx_stock
from tools.placed_transformer import transformer_state_dict
from tools.weight_files import make_lora, write_gguf

multigpu = pytest.importorskip("comfy.multigpu", reason="this ComfyUI has no MultiGPU CFG Split")

pytestmark = pytest.mark.slow

DEVICE = "multigpu_thread_device"
FIRST, SECOND = torch.device("cpu"), torch.device("cpu", 1)


@pytest.fixture
def split(monkeypatch):
    """split(model): what the core node makes of it, and the list that gets (device, batch) of each forward."""
    monkeypatch.setattr(comfy.model_management, "get_all_torch_devices", lambda exclude_current=False: [FIRST, SECOND])

    def make(model):
        seen = []

        def note(executor, x, *arguments, **options):
            held = [one for one in (*arguments, *options.values()) if isinstance(one, dict) and DEVICE in one]
            seen.append((held[0][DEVICE] if held else None, len(x)))
            return executor(x, *arguments, **options)

        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "note", note)
        return multigpu.create_multigpu_deepclones(model, 2, reuse_loaded=True), seen

    yield make
    # The core node looks at all loaded models, and fails at one that nobody holds any more.
    comfy.model_management.unload_all_models()
    gc.collect()


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene())


@pytest.fixture(scope="module")
def files(placed_file, tmp_path_factory):
    """kind -> (a file of a small model, its weight_dtype)."""
    path = tmp_path_factory.mktemp("packed") / "placed.gguf"
    write_gguf(path, "Q8_0")
    return {"gguf": (str(path), "default"), "fp8": (str(placed_file), "fp8_e4m3fn")}


def sample(model, encoded, **plan):
    plan = SamplingPlan(**{"seed": 3, "steps": 3, "cfg": 3.0, **plan})
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def stock_sample(model, encoded):
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 3)
    return comfy.sample.sample(
        model, noise, 3, 3.0, "euler", "simple", encoded.positive, encoded.negative, latent, seed=3
    )


def with_lora(model):
    return comfy.sd.load_lora_for_models(model, None, make_lora(transformer_state_dict()), 0.7, 0)[0]


def distance(result, exact):
    return (result - exact).norm() / exact.norm()


def check(split, model, run):
    """The same result with two devices, each of which computed one pass of every step."""
    wanted = run(model)
    model, seen = split(model)
    torch.testing.assert_close(run(model), wanted, rtol=1e-4, atol=1e-4)
    assert [batch for _, batch in seen] == [1] * len(seen)
    assert [device for device, _ in seen].count(FIRST) == [device for device, _ in seen].count(SECOND) > 0


@pytest.mark.parametrize("run", [sample, stock_sample])
@pytest.mark.parametrize("budget", [0.0, 6.0])
def test_the_result_is_that_of_one_device(tiny, encoded, split, run, budget):
    check(split, relational_model(tiny[0], RelationalOptions(), budget), lambda model: run(model, encoded))


@pytest.mark.parametrize("kind", ["gguf", "fp8"])
def test_our_loaders_give_each_device_its_weights_and_loras(files, encoded, split, kind):
    model = relational_model(with_lora(load_patcher(*files[kind])), RelationalOptions())
    check(split, model, lambda model: sample(model, encoded))


def test_pages_of_a_gguf_are_not_pinned_for_any_device(files, split, monkeypatch):
    asked = []
    monkeypatch.setattr(comfy.model_management, "pin_memory", lambda weight: asked.append(weight.data_ptr()))
    model, _ = split(load_patcher(*files["gguf"]))
    (second,) = model.get_additional_models_with_key("multigpu")
    assert second.model is not model.model
    for patcher in (model, second):
        weight = patcher.model.diffusion_model.blocks[0].ffn[0].weight
        patcher.pin_weight_to_device("diffusion_model.blocks.0.ffn.0.weight")
        assert weight.data_ptr() not in asked
        weight.data = weight.data.clone()
        patcher.pin_weight_to_device("diffusion_model.blocks.0.ffn.0.weight")
        assert weight.data_ptr() in asked


def test_a_negative_prompt_inside_the_pass_and_guidance_that_ends(tiny, encoded, split):
    model = model_away_from(relational_model(tiny[0], RelationalOptions()), encoded.negative, NegativeGuidance())
    check(split, model, lambda model: sample(model, encoded))
    model, seen = split(relational_model(tiny[0], RelationalOptions()))
    sample(model, encoded, guidance_end_step=2)
    assert len(seen) == 5


def test_references_that_come_and_go(tiny, encode, make_scene, split):
    scene = make_scene()
    man, woman = scene.subjects
    man = dataclasses.replace(man, face=dataclasses.replace(man.face, influence=Influence(strength=0.5, end=0.5)))
    encoded = encode(dataclasses.replace(scene, subjects=(man, woman)))
    check(split, relational_model(tiny[0], RelationalOptions()), lambda model: sample(model, encoded))


def test_each_device_has_a_cache_of_its_own(tiny, encoded, split, monkeypatch, caplog):
    origins = []
    monkeypatch.setattr(caches, "started_anew", lambda cache: origins.append(cache) or started_anew(cache))
    model = relational_model(tiny[0], RelationalOptions())
    exact = sample(model, encoded, steps=10)
    model, seen = split(EasyCacheNode.execute(model, 0.2, 0.15, 0.8, False)[0])
    with caplog.at_level("INFO"):
        assert distance(sample(model, encoded, steps=10), exact) < 0.005
    computed = [device for device, _ in seen]
    assert 5 < computed.count(FIRST) < 10 and 5 < computed.count(SECOND) < 10
    # One for each device in the whole run, and the host says how often the first one was used.
    assert len(origins) == 2 and origins[0] is origins[1]
    assert f"skipped {10 - computed.count(FIRST)}/10 steps" in caplog.text


def test_a_relation_map(tiny, encoded, split):
    model, latent = relational_model(tiny[0], RelationalOptions()), {"samples": encoded.latent["samples"]}
    wanted = relation_map(model, encoded.positive, latent, MapPlan())
    model, seen = split(model)
    torch.testing.assert_close(relation_map(model, encoded.positive, latent, MapPlan()), wanted)
    assert len(seen) == 1


@pytest.mark.parametrize("guidance", [None, GUIDANCE], ids=["two passes", "three branches"])
def test_lynx(split, tmp_path, guidance):
    base = load_variant()
    base.cached_patcher_init = (load_variant, ())
    model = lynx_model(base, make_person(write_adapters(tmp_path)), Appearance())
    texts = [conditioning(1), conditioning(2)]

    def run(model):
        return lynx_sample(model, texts, guidance) if guidance else lynx_stock(model, *texts, steps=1, cfg=3.0)

    wanted = run(model)
    model, seen = split(model)
    torch.testing.assert_close(run(model), wanted, rtol=1e-4, atol=1e-4)
    assert {device for device, _ in seen} == {FIRST, SECOND}
