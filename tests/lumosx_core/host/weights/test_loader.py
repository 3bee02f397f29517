"""Every layout of quantised files through the loader: the host computes with the numbers that the file stands for."""

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace

import comfy.quant_ops
import comfyui_version
import folder_paths
import gguf
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.weights import loader
from lumosx_core.host.weights.loader import load_patcher
from lumosx_core.weights import opening
from lumosx_core.weights.convert import convert
from lumosx_core.weights.source import TensorInfo
from lumosx_core.weights.transformer import find_transformer
from tools.weight_files import small_transformer

CPU = torch.device("cpu")
METADATA = "_quantization_metadata"
PREFIX = "model.diffusion_model."


def velocity(path, **options):
    """What the stock forward makes of fixed inputs."""
    patcher = load_patcher(str(path), **options)
    patcher.patch_model(CPU)
    generator = torch.Generator().manual_seed(1)
    x, context = torch.randn(1, 16, 2, 8, 8, generator=generator), torch.randn(1, 20, 4096, generator=generator)
    with torch.inference_mode():
        return patcher.model.diffusion_model(x, torch.tensor([500.0]), context)


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    """(tensors, layers) of a scaled fp8 file, and the velocity of the numbers that it is for."""
    folder = tmp_path_factory.mktemp("scaled")
    save_file(small_transformer(), folder / "plain.safetensors")
    convert(folder / "plain.safetensors", folder / "fp8.safetensors", "fp8_scaled")
    convert(folder / "fp8.safetensors", folder / "dense.safetensors", "f32")
    with safe_open(folder / "fp8.safetensors", "pt") as file:
        layers = json.loads(file.metadata()[METADATA])["layers"]
    return load_file(folder / "fp8.safetensors"), layers, velocity(folder / "dense.safetensors")


def in_metadata(layers):
    return {METADATA: json.dumps({"format_version": "1.0", "layers": layers})}


def marks(layers, settings=None):
    return {
        f"{layer}.comfy_quant": torch.tensor(list(json.dumps(settings or said).encode()), dtype=torch.uint8)
        for layer, said in layers.items()
    }


def old(tensors):
    return {name.replace("weight_scale", "scale_weight"): tensor for name, tensor in tensors.items()}


LAYOUTS = {
    "metadata": lambda tensors, layers: (tensors, in_metadata(layers)),
    "marks": lambda tensors, layers: ({**tensors, **marks(layers)}, None),
    "no word": lambda tensors, layers: (tensors, None),
    "old": lambda tensors, layers: ({**old(tensors), "scaled_fp8": torch.empty(2, dtype=torch.float8_e4m3fn)}, None),
    "old without its mark": lambda tensors, layers: (old(tensors), None),
    "scales of one element": lambda tensors, layers: (
        {name: t.reshape(1) if name.endswith("scale") else t for name, t in tensors.items()}, in_metadata(layers)
    ),
    "input scale of one": lambda tensors, layers: (
        {**tensors, **{f"{layer}.input_scale": torch.ones(()) for layer in layers}}, in_metadata(layers)
    ),
    "prefix": lambda tensors, layers: ({PREFIX + name: t for name, t in tensors.items()}, in_metadata(layers)),
    "prefix in both": lambda tensors, layers: (
        {PREFIX + name: t for name, t in tensors.items()},
        in_metadata({PREFIX + layer: said for layer, said in layers.items()}),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scaled_fp8_in_every_layout(tmp_path, scaled, layout):
    tensors, layers, expected = scaled
    content, metadata = LAYOUTS[layout](tensors, layers)
    content = {name: tensor.clone() for name, tensor in content.items()}
    save_file(content, tmp_path / "file.safetensors", metadata=metadata)
    found = velocity(tmp_path / "file.safetensors")
    assert (found - expected).norm() / expected.norm() < 2e-6


def test_scaled_fp8_in_a_pt_and_under_another_ending(tmp_path, scaled):
    tensors, _, expected = scaled
    torch.save(tensors, tmp_path / "file.pt")
    save_file(tensors, tmp_path / "file.bin")
    for name in ("file.pt", "file.bin"):
        found = velocity(tmp_path / name)
        assert (found - expected).norm() / expected.norm() < 2e-6


def test_e5m2_works_on_hosts_that_do_not_know_it(tmp_path):
    """0.3.75 has e4m3 only; there the numbers come as bf16."""
    weights = {name: tensor.bfloat16().float() for name, tensor in small_transformer().items()}
    name = "blocks.1.ffn.0.weight"
    stored = weights[name].to(torch.float8_e5m2)
    scale = torch.tensor(0.5)
    save_file({**weights, name: stored, name.replace("weight", "weight_scale"): scale}, tmp_path / "e5m2.safetensors")
    save_file({**weights, name: stored.float() * scale}, tmp_path / "dense.safetensors")
    found, expected = velocity(tmp_path / "e5m2.safetensors"), velocity(tmp_path / "dense.safetensors")
    assert (found - expected).norm() / expected.norm() < 2e-6


def test_int8_works_on_hosts_that_do_not_know_it(tmp_path):
    """0.3.75 gets the numbers as bf16; newer ones multiply in int8, which rounds the tokens as well."""
    weights = small_transformer()
    name = "blocks.1.ffn.0.weight"
    scale = weights[name].abs().amax(1, keepdim=True).float() / 127
    stored = (weights[name].float() / scale).round().to(torch.int8)
    said = marks({name.removesuffix(".weight"): {"format": "int8_tensorwise"}})
    save_file(
        {**weights, name: stored, name.replace("weight", "weight_scale"): scale, **said}, tmp_path / "int8.safetensors"
    )
    save_file({**weights, name: stored.float() * scale}, tmp_path / "dense.safetensors")
    found, expected = velocity(tmp_path / "int8.safetensors"), velocity(tmp_path / "dense.safetensors")
    assert (found - expected).norm() / expected.norm() < 0.02


def test_a_format_that_nobody_knows_is_named(tmp_path, scaled):
    tensors, layers, _ = scaled
    assert "odd4" not in comfy.quant_ops.QUANT_ALGOS
    save_file({**tensors, **marks(layers, {"format": "odd4"})}, tmp_path / "odd.safetensors")
    with pytest.raises(LumosXError, match="odd.safetensors: .* is stored as 'odd4', which LumosX cannot convert"):
        load_patcher(str(tmp_path / "odd.safetensors"))


def test_what_the_host_cannot_read_ends_in_a_sentence_with_its_version(tmp_path, scaled):
    """A format that the host knows in principle, over numbers that cannot be it."""
    known = next((name for name in ("nvfp4", "int8_tensorwise") if name in comfy.quant_ops.QUANT_ALGOS), None)
    if known is None:
        pytest.skip("this ComfyUI knows scaled fp8 only")
    tensors, layers, _ = scaled
    layer = next(iter(layers))
    broken = {**tensors, f"{layer}.weight": torch.zeros(3, 5, dtype=torch.uint8)}
    del broken[f"{layer}.weight_scale"]
    save_file(broken, tmp_path / "broken.safetensors", metadata=in_metadata({**layers, layer: {"format": known}}))
    with pytest.raises(LumosXError, match=f"this ComfyUI .{comfyui_version.__version__}. cannot load it"):
        load_patcher(str(tmp_path / "broken.safetensors"))


def test_only_the_fast_choice_turns_the_hosts_fp8_optimisation_on(tmp_path):
    save_file(small_transformer(), tmp_path / "plain.safetensors")
    for choice, is_fast in (("fp8_e4m3fn_fast", True), ("fp8_e4m3fn", False)):
        patcher = load_patcher(str(tmp_path / "plain.safetensors"), choice)
        assert patcher.model.diffusion_model.blocks[0].ffn[0].weight.dtype == torch.float8_e4m3fn
        assert bool(patcher.model.model_config.optimizations.get("fp8")) == is_fast


def test_an_input_scale_of_one_means_none_and_any_other_stays(tmp_path, scaled):
    tensors, layers, _ = scaled
    first, second, *_ = layers
    scales = {f"{first}.input_scale": torch.tensor([0.5]), f"{second}.input_scale": torch.ones(1)}
    save_file({**tensors, **scales}, tmp_path / "file.safetensors", metadata=in_metadata(layers))
    with opening.open_weights(tmp_path / "file.safetensors") as source:
        weights, settings = loader._read(source, find_transformer(source))
    assert {name: weights[name].item() for name in weights if name.endswith("input_scale")} == {
        f"{first}.input_scale": 0.5
    }
    assert settings == layers


@pytest.mark.parametrize("shape", [(64,), (2, 4, 64)])
def test_only_matrices_stay_in_blocks(shape):
    """A bias, or what is convolved, is nothing that a Linear of ours holds."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(3)).numpy()
    packed = torch.from_numpy(gguf.quantize(numbers, gguf.GGMLQuantizationType.Q8_0))
    (name, tensor), = loader._plain_or_packed(TensorInfo("Q8_0", shape), packed, "a.weight").items()
    expected = gguf.dequantize(packed.numpy(), gguf.GGMLQuantizationType.Q8_0)
    assert name == "a.weight" and torch.equal(tensor.float(), torch.from_numpy(expected))
    matrix = loader._plain_or_packed(TensorInfo("Q8_0", (8, 64)), torch.zeros(8, 68, dtype=torch.uint8), "a.weight")
    assert matrix["a.weight"].shape == (8, 68) and len(matrix) == 2


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(LumosXError, match="weight_dtype: 'int3' is unknown; choose one of default, fp8_e4m3fn"):
        load_patcher(str(tmp_path / "any"), "int3")


def test_what_was_found_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    folder = Path(folder_paths.get_folder_paths("diffusion_models")[0])
    folder.mkdir(parents=True, exist_ok=True)
    path, opened = folder / "remembered-00001-of-00002.safetensors", []
    other = path.with_name("remembered-00002-of-00002.safetensors")
    save_file({"decoder.conv1.weight": torch.zeros(1)}, path)

    def open_weights(path):
        opened.append(path)
        return opening.open_weights(path)

    monkeypatch.setattr(loader, "open_weights", open_weights)
    for sentence in ("remembered-00002-of-00002.safetensors: this part", "seems to be a VAE", "this part"):
        for _ in range(3):
            with pytest.raises(LumosXError, match=sentence):
                loader.check_model(path.name)
        if other.exists():
            other.unlink()
        else:
            save_file({"decoder.conv2.weight": torch.zeros(1)}, other)
    # The third state is the first one again.
    assert opened == [path, path]


@pytest.mark.parametrize(("error", "words"), [
    (RuntimeError("CUDA out of memory"), None), (MemoryError(), None),
    (RuntimeError("Error(s) in loading state_dict for WanModel"), "cannot load it .RuntimeError: "),
    (ValueError("odd\nmore"), "cannot load it .ValueError: odd.;"), (KeyError("name"), "cannot load it .KeyError: "),
    (TypeError("t"), "cannot load it .TypeError: "), (AttributeError("a"), "cannot load it .AttributeError: "),
    (None, "does not recognise it"),
])
def test_only_what_is_the_files_fault_becomes_a_sentence(monkeypatch, error, words):
    def load(weights, model_options, metadata):
        if error is not None:
            raise error

    monkeypatch.setattr(loader.comfy.sd, "load_diffusion_model_state_dict", load)
    with pytest.raises(type(error) if words is None else LumosXError, match=words and f"^a file: .*{words}"):
        loader._build("a file", {}, {}, {}, False)


@pytest.mark.parametrize(("kind", "asked", "off"), [
    ("Q8_0", False, True), ("Q8_0", True, True), ("BF16", False, False), ("BF16", True, True),
])
def test_packed_blocks_and_a_budget_keep_dynamic_vram_out(monkeypatch, kind, asked, off):
    built, opened = [], SimpleNamespace(tensors={"a.weight": TensorInfo(kind, (2, 32))}, path=Path("a.gguf"))
    monkeypatch.setattr(loader, "open_weights", lambda path: contextlib.nullcontext(opened))
    monkeypatch.setattr(loader, "find_transformer", lambda source: {"weight": "a.weight"})
    monkeypatch.setattr(loader, "_read", lambda source, transformer: ({"weight": torch.zeros(2)}, {}))
    monkeypatch.setattr(loader, "_build", lambda *given: built.append(given) or SimpleNamespace())
    monkeypatch.setattr(loader, "beside_patcher", lambda patcher: patcher)
    monkeypatch.setattr(loader, "PackedPatcher", SimpleNamespace(around=lambda patcher, mapped: patcher))
    patcher = loader.load_patcher("a.gguf", disable_dynamic=asked)
    (_, _, _, options, dynamic_off), = built
    assert dynamic_off == off and ("custom_operations" in options) == (kind == "Q8_0")
    assert patcher.cached_patcher_init == (loader.load_patcher, ("a.gguf", "default"))
    if kind == "Q8_0":
        with pytest.raises(LumosXError, match="^weight_dtype: a.gguf is a GGUF"):
            loader.load_patcher("a.gguf", "fp8_e4m3fn")
