"""Lynx's parts in files of every layout, by keys and shapes."""

import re
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx import recognise
from lumosx_core.models.lynx.layers import LayerReader, adapter_checksum, read_tensor
from lumosx_core.models.lynx.recognise import _resampler_sizes, find_lynx, resampler_shapes
from lumosx_core.models.lynx.sizes import AdapterSizes, ResamplerSizes, check_base, check_pair
from lumosx_core.models.wan.config import WanConfig
from lumosx_core.weights.opening import open_weights
from support import lynx_files
from support.lynx_files import (
    BLOCKS,
    LITE_WIDTH,
    REGISTERS,
    WIDTH,
    adapter,
    block_names,
    release_names,
    resampler,
    write,
)

SIZES = {
    "full": AdapterSizes("full", WIDTH, WIDTH, REGISTERS, (0, 1, 2, 3)),
    "lite": AdapterSizes("lite", LITE_WIDTH, WIDTH, 0, (0, 2)),
    "ref": AdapterSizes("ref", WIDTH, WIDTH, 0, (0, 1, 2, 3)),
}
LAYOUTS = {
    "release": release_names,
    "single file": block_names,
    "without inner module": lambda layers: block_names(layers, inner=False),
    "of a model": lambda layers: block_names(layers, "model.diffusion_model."),
    "of a compiled model": lambda layers: block_names(layers, "_orig_mod.module."),
    "attention processors": lambda layers: {
        name.replace("ref_adapter", "processor").replace("ip_adapter", "processor"): tensor
        for name, tensor in block_names(layers, "transformer.").items()
    },
}


def layers_of(path, kind):
    with open_weights(path) as source:
        found = find_lynx(source)
    return found.ref_layers if kind == "ref" else found.id_layers


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_adapters_are_found_in_every_layout(layout, kind, tmp_path):
    layers = adapter(kind)
    path = write(tmp_path / "anything.bin", LAYOUTS[layout](layers))
    with open_weights(path) as source:
        found = find_lynx(source)
        layer = found.ref_layers if kind == "ref" else found.id_layers
        assert (found.resampler, layer.sizes) == (None, SIZES[kind])
        assert (found.id_layers is None) == (kind == "ref") and (found.ref_layers is None) == (kind != "ref")
        for block, parts in layers.items():
            read = LayerReader(layer).read(block)
            held = [read.k_weight, read.v_weight, read.k_bias, read.v_bias, read.registers]
            for tensor, expected in zip([each for each in held if each is not None], parts.values(), strict=True):
                assert torch.equal(tensor, expected.reshape(tensor.shape))


@pytest.mark.parametrize("kind", ["full", "lite"])
def test_one_file_may_hold_everything(kind, tmp_path):
    """As repacks of a whole module do."""
    weights = {**block_names(adapter(kind)), **block_names(adapter("ref")), **resampler(SIZES[kind].input_width)}
    with open_weights(write(tmp_path / "all", weights)) as source:
        found = find_lynx(source)
    assert (found.id_layers.sizes, found.ref_layers.sizes) == (SIZES[kind], SIZES["ref"])
    assert found.resampler.sizes == ResamplerSizes(512, 32, 64, 64, 1, 2, 3, SIZES[kind].input_width)


@pytest.mark.parametrize("prefix", ["", "resampler.", "module.lynx."])
def test_a_resampler_is_found_under_any_prefix(prefix, tmp_path):
    weights = {f"{prefix}{name}": tensor for name, tensor in resampler(48).items()}
    with open_weights(write(tmp_path / "file", weights)) as source:
        found = find_lynx(source)
    assert found.resampler.sizes.token_width == 48
    assert found.resampler.names["layers.1.0.to_kv.weight"] == f"{prefix}layers.1.0.to_kv.weight"


def test_what_lies_beside_a_resamplers_prefix_is_none_of_it(tmp_path):
    weights = {f"resampler.{name}": tensor for name, tensor in resampler(48).items()}
    weights |= {"layers.7.other.weight": torch.zeros(2), "latents": torch.zeros(1, 99, 2)}
    with open_weights(write(tmp_path / "file", weights)) as source:
        found = find_lynx(source).resampler
    assert (found.sizes.depth, found.sizes.queries) == (2, 3)
    assert all(name.startswith("resampler.") for name in found.names.values())


@pytest.mark.parametrize(("inner", "heads"), [(8, 1), (63, 1), (64, 1), (127, 1), (128, 2)])
def test_a_resampler_has_a_head_for_each_64_channels_and_at_least_one(inner, heads):
    sizes = ResamplerSizes(512, 32, inner, 64, heads, 2, 3, 48)
    shapes = resampler_shapes(sizes)
    source = SimpleNamespace(path="a", tensors={name: SimpleNamespace(shape=shape) for name, shape in shapes.items()})
    assert _resampler_sizes(source, {name: name for name in shapes}) == sizes


@pytest.mark.parametrize(("data", "scale"), [
    (torch.int8, (2,)), (torch.int8, (1, 1)), (torch.int8, (3, 1)), (torch.uint8, (2, 1)), (torch.int8, None),
])
def test_only_int8_with_a_scale_for_each_row_is_read(data, scale):
    def source(dtype, shape):
        held = {"a._data": torch.ones(2, 3, dtype=dtype)}
        if shape is not None:
            held["a._scale"] = torch.full(shape, 0.5)
        return SimpleNamespace(path="a", tensors=held, read=held.__getitem__)

    assert read_tensor(source(torch.int8, (2, 1)), "a._data", None).tolist() == [[0.5] * 3] * 2
    with pytest.raises(LumosXError, match="^a: 'a._data' is not optimum-quanto's int8"):
        read_tensor(source(data, scale), "a._data", None)


@pytest.mark.parametrize(("names", "blocks"), [
    (["0.", "1.", "2."], (0, 2, 4)), (["0.", "2.", "4."], (0, 2, 4)),
    (["blocks.0.cross_attn.", "blocks.2.cross_attn.", "blocks.4.cross_attn."], (0, 2, 4)),
    (["blocks.0.", "blocks.1.", "blocks.2."], (0, 1, 2)), (["0."], (0,)), (["0.", "2."], (0, 2)),
    (["blocks.511."], (511,)),
])
def test_where_lite_layers_lie(names, blocks, tmp_path):
    """The release counts them one by one; names with blocks mean blocks."""
    parts = adapter("lite")[0]
    weights = {f"{name}{part}": tensor for name in names for part, tensor in parts.items()}
    assert layers_of(write(tmp_path / "file", weights), "lite").sizes.blocks == blocks


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("blocks", ["Q8_0", "Q4_0", "Q5_1"])
def test_gguf_repacks(kind, blocks, tmp_path):
    layers = adapter(kind)
    path = lynx_files.write_gguf(tmp_path / "lynx.gguf", block_names(layers), blocks)
    with open_weights(path) as source:
        found = find_lynx(source)
        layer = found.ref_layers if kind == "ref" else found.id_layers
        assert layer.sizes == SIZES[kind]
        read = LayerReader(layer).read(2)
    exact = next(iter(layers[2].values()))
    assert 0 < (read.k_weight - exact).norm() / exact.norm() < {"Q8_0": 0.01, "Q5_1": 0.06, "Q4_0": 0.12}[blocks]
    if kind == "full":
        assert torch.equal(read.registers, layers[2]["registers"][0])


@pytest.mark.parametrize(("store", "bound"), [
    (lynx_files.as_fp8, 0.04), (lynx_files.as_quanto, 0.01),
    (lambda weights: {name: tensor.bfloat16() for name, tensor in weights.items()}, 0.003),
    (lambda weights: {name: tensor.half() for name, tensor in weights.items()}, 0.0005),
])
def test_stored_in_fewer_bits(store, bound, tmp_path):
    layers = adapter("full")
    path = write(tmp_path / "file", store(block_names(layers, inner=False)))
    with open_weights(path) as source:
        found = find_lynx(source).id_layers
        assert found.sizes == SIZES["full"]
        read = LayerReader(found).read(3, torch.float32)
    exact = layers[3]["to_v_ip.weight"]
    assert read.v_weight.dtype == torch.float32
    assert 0 < (read.v_weight - exact).norm() / exact.norm() < bound


def test_quanto_of_another_kind_is_one_sentence(tmp_path):
    weights = lynx_files.as_quanto(release_names(adapter("ref")))
    del weights["1.to_k_ref.weight._scale"]
    with open_weights(write(tmp_path / "file", weights)) as source:
        reader = LayerReader(find_lynx(source).ref_layers)
        reader.read(0)
        with pytest.raises(LumosXError, match=r"1\.to_k_ref\.weight.*bf16"):
            reader.read(1)


@pytest.mark.parametrize(("change", "named"), [
    (lambda w: w.pop("1.to_v_ip.weight"), r"ip layer 1 lacks v\.weight"),
    (lambda w: w.pop("2.registers"), "ip layer 2 lacks registers"),
    (lambda w: [w.pop(f"{n}.registers") for n in range(BLOCKS)], "lacks registers"),
    (lambda w: w.update({"3.to_k_ip.weight": torch.zeros(WIDTH, 2)}), r"3\.to_k_ip\.weight.*\[64, 2\]"),
    (lambda w: w.update({"0.to_v_ip.bias": torch.zeros(3)}), r"0\.to_v_ip\.bias.*\[3\]"),
    (lambda w: w.update({"1.registers": torch.zeros(1, 9, WIDTH)}), r"1\.registers.*\[1, 9, 64\]"),
    (lambda w: w.update({"0.to_k_ip.weight": torch.zeros(WIDTH)}), r"0\.to_k_ip\.weight.*\[64\]"),
    (lambda w: w.update({"blocks.0.to_k_ip.weight": torch.zeros(WIDTH, WIDTH)}), "same tensor"),
    (lambda w: w.update({"99999.to_k_ip.weight": torch.zeros(WIDTH, WIDTH)}), "99999"),
    (lambda w: w.update({"512.to_k_ip.weight": torch.zeros(WIDTH, WIDTH)}), r"512\.to_k_ip\.weight' numbers a block"),
])
def test_adapters_that_are_not_whole_are_one_sentence(change, named, tmp_path):
    weights = release_names(adapter("full"))
    change(weights)
    with open_weights(write(tmp_path / "file", weights)) as source, pytest.raises(LumosXError, match=named):
        find_lynx(source)


@pytest.mark.parametrize(("change", "named"), [
    (lambda w: w.pop("proj_out.bias"), r"proj_out\.bias is missing"),
    (lambda w: w.pop("proj_out.weight"), r"proj_out\.weight is missing"),
    (lambda w: w.pop("layers.1.1.3.weight"), r"layers\.1\.1\.3\.weight is missing"),
    (lambda w: w.update({"latents": torch.zeros(3, 32)}), r"latents.*\[3, 32\]"),
    (lambda w: w.update({"layers.1.0.to_q.weight": torch.zeros(5, 32)}), r"to_q\.weight.*\[5, 32\]"),
])
def test_resamplers_that_are_not_whole_are_one_sentence(change, named, tmp_path):
    weights = resampler(48)
    change(weights)
    with open_weights(write(tmp_path / "file", weights)) as source, pytest.raises(LumosXError, match=named):
        find_lynx(source)


@pytest.mark.parametrize("weights", [
    {"x": torch.zeros(1)}, {"ip_adapter.1.to_k_ip.lora_A.weight": torch.zeros(4, 8)},
    {"blocks.0.cross_attn.k.weight": torch.zeros(8, 8), "head.modulation": torch.zeros(1, 2, 8)},
])
def test_other_files_are_one_sentence(weights, tmp_path):
    with open_weights(write(tmp_path / "lynx_full_resampler.safetensors", weights)) as source, \
            pytest.raises(LumosXError, match="not a part of Lynx"):
        find_lynx(source)


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_missing_or_misshapen_is_a_sentence_or_harmless(data, tmp_path_factory):
    weights = {**release_names(adapter("full")), **release_names(adapter("ref")), **resampler(WIDTH)}
    names = data.draw(st.lists(st.sampled_from(sorted(weights)), min_size=1, max_size=3, unique=True))
    for name in names:
        shape = data.draw(st.none() | st.lists(st.integers(0, 3), max_size=4))
        weights.pop(name) if shape is None else weights.update({name: torch.zeros(shape)})
    with open_weights(write(tmp_path_factory.mktemp("odd") / "file", weights)) as source:
        try:
            found = find_lynx(source)
        except LumosXError as error:
            assert str(source.path) in str(error)
            return
    # Without its marks a part is not there, which whoever needs it says.
    assert None in (found.resampler, found.id_layers, found.ref_layers)


@pytest.mark.parametrize("missing", [r"layers\.1\.0\.to_kv\.weight", r"layers\.1\.0\."])
def test_a_resampler_with_a_gap_is_not_read_as_a_smaller_one(missing, tmp_path):
    weights = {name: tensor for name, tensor in resampler(WIDTH).items() if not re.match(missing, name)}
    with open_weights(write(tmp_path / "file", weights)) as source, pytest.raises(LumosXError, match="missing"):
        find_lynx(source)


@pytest.mark.parametrize(("of_resampler", "of_layers", "fits"), [
    ("full", "full", True), ("lite", "lite", True), ("full", "lite", False), ("lite", "full", False),
])
def test_a_mixed_pair_is_one_sentence(of_resampler, of_layers, fits, tmp_path):
    with open_weights(write(tmp_path / "file", resampler(SIZES[of_resampler].input_width))) as source:
        sizes = find_lynx(source).resampler.sizes
    if fits:
        check_pair(sizes, SIZES[of_layers])
        return
    with pytest.raises(LumosXError, match=rf"^lynx: .*{sizes.token_width}.*{of_layers}.*"):
        check_pair(sizes, SIZES[of_layers])


@pytest.mark.parametrize(("kind", "width", "blocks", "named"), [
    ("full", WIDTH, 4, None), ("ref", WIDTH, 4, None), ("lite", WIDTH, 4, None), ("lite", WIDTH, 3, None),
    ("full", 96, 4, "96 channels"), ("full", WIDTH, 5, "5 blocks"), ("ref", WIDTH, 3, "3 blocks"),
    ("lite", WIDTH, 8, "every second block"), ("lite", WIDTH, 2, "2 blocks"),
])
def test_a_base_of_another_size_is_one_sentence(kind, width, blocks, named):
    if named is None:
        check_base(SIZES[kind], WanConfig(width, 2 * width, blocks, head_dim=width))
        return
    with pytest.raises(LumosXError, match=rf"^model: .*{named}"):
        check_base(SIZES[kind], WanConfig(width, 2 * width, blocks, head_dim=width))


def test_lite_layers_on_blocks_one_after_the_other_fit_no_base(tmp_path):
    """Another port lays them on the first half of the blocks; a file made for that would run wrongly."""
    parts = adapter("lite")[0]
    weights = {f"blocks.{block}.cross_attn.{part}": tensor for block in range(4) for part, tensor in parts.items()}
    sizes = layers_of(write(tmp_path / "file", weights), "lite").sizes
    with pytest.raises(LumosXError, match="every second block"):
        check_base(sizes, WanConfig(WIDTH, 2 * WIDTH, 8, head_dim=WIDTH))


def test_a_checksum_is_of_the_weights_alone(tmp_path):
    def checksum(weights, name):
        with open_weights(write(tmp_path / name, weights)) as source:
            return adapter_checksum(find_lynx(source).id_layers)

    layers = adapter("full")
    first = checksum(release_names(layers), "release")
    assert first == checksum({**block_names(layers), **block_names(adapter("ref"))}, "repack")
    layers[2]["to_v_ip.weight"][5, 7] += 1e-6
    assert first != checksum(release_names(layers), "changed")
    with open_weights(write(tmp_path / "resampler", resampler(8))) as source:
        assert len(adapter_checksum(find_lynx(source).resampler)) == 64


WEIGHTS, BIASES = {"k.weight", "v.weight"}, {"k.bias", "v.bias"}


@pytest.mark.parametrize(("adapter", "layers", "kind"), [
    ("ip", [WEIGHTS] * 2, "lite"), ("ip", [WEIGHTS | BIASES | {"registers"}] * 2, "full"),
    ("ref", [WEIGHTS | BIASES] * 2, "ref"),
    ("ip", [WEIGHTS | BIASES | {"registers"}, WEIGHTS], "layer 1 lacks k.bias, registers, v.bias"),
    ("ip", [WEIGHTS, WEIGHTS | BIASES | {"registers"}], "layer 0 lacks k.bias, registers, v.bias"),
    ("ip", [WEIGHTS | BIASES] * 2, "layer 0 lacks registers"), ("ref", [WEIGHTS] * 2, "layer 0 lacks k.bias, v.bias"),
    ("ip", [{"k.weight"}] * 2, "layer 0 lacks k.bias, v.bias, v.weight"),
    ("ref", [WEIGHTS | BIASES, BIASES], "layer 1"),
])
def test_layers_that_are_all_alike_have_a_kind(adapter, layers, kind):
    source = SimpleNamespace(path="a.safetensors")
    names = {index: dict.fromkeys(parts, "") for index, parts in enumerate(layers)}
    if kind in ("lite", "full", "ref"):
        assert recognise._kind(source, adapter, names) == kind
    else:
        with pytest.raises(LumosXError, match=f"^a.safetensors: its {adapter} {kind}"):
            recognise._kind(source, adapter, names)


RESAMPLER = {
    "proj_in.weight": (8, 512), "layers.0.0.to_q.weight": (64, 8), "layers.0.1.1.weight": (32, 8),
    "latents": (1, 4, 8), "proj_out.weight": (6, 8),
}


@pytest.mark.parametrize(("change", "words"), [
    ({}, None), ({"proj_in.weight": (8,)}, r"proj_in.weight is missing or has the shape \[8\]"),
    ({"proj_in.weight": (0, 512)}, r"proj_in.weight is missing or has the shape \[0, 512\]"),
    ({"latents": (4, 8)}, "latents is missing"), ({"latents": (1, 0, 8)}, "latents is missing"),
    ({"proj_out.weight": None}, r"proj_out.weight is missing or has the shape \[\]"),
    ({"layers.2.0.to_q.weight": (64, 8)}, "layers of the resampler are missing"),
])
def test_the_sizes_of_a_resampler_are_those_of_its_tensors(change, words):
    shapes = {name: shape for name, shape in {**RESAMPLER, **change}.items() if shape is not None}
    tensors = {name: SimpleNamespace(shape=shape) for name, shape in shapes.items()}
    source = SimpleNamespace(path="a", tensors=tensors)
    if words is None:
        found = _resampler_sizes(source, {name: name for name in shapes})
        assert (found.face_width, found.width, found.inner_width, found.hidden_width) == (512, 8, 64, 32)
        assert (found.heads, found.depth, found.queries, found.token_width) == (1, 1, 4, 6)
    else:
        with pytest.raises(LumosXError, match=f"^a: .*{words}"):
            _resampler_sizes(source, {name: name for name in shapes})
