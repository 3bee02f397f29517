"""Adapter files: every accepted naming, what is refused, and writing whole or not at all."""

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid import checkpoint
from lumosx_core.models.polyvivid.adapter import PolyVividAdapter, new_shapes
from lumosx_core.models.polyvivid.checkpoint import read_adapter, write_adapter
from lumosx_core.models.polyvivid.config import AdapterConfig
from lumosx_core.models.polyvivid.file_names import TensorName, is_adapter
from lumosx_core.models.polyvivid.metadata import metadata_of, settings_of
from lumosx_core.weights.opening import open_weights
from tools.golden_polyvivid import world
from tools.stored_adapters import read_tensors

SMALL = AdapterConfig(8, 16, (0, 3), 2, 3.0)


@pytest.fixture
def small():
    """The tensors of a small adapter with everything that is optional."""
    return {name: torch.randn(shape) for name, shape in new_shapes(SMALL, with_optional=True).items()}


def plain(tensors):
    return {name: one for name, one in tensors.items() if "proj" not in name and "alpha" not in name}


def test_the_golden_adapter_and_its_metadata_are_read():
    tensors, settings = world().parts["adapter"], world().settings
    stored = read_tensors(tensors, settings["adapter_metadata"])
    assert stored.config == AdapterConfig(64, 128, (0, 1, 2), 4, 6.0)
    assert stored.tensors.keys() == tensors.keys()
    assert all(torch.equal(stored.tensors[name], tensor) for name, tensor in tensors.items())
    assert stored.config.alpha / stored.config.rank == 1.5


@pytest.mark.parametrize(("down", "up"), [
    ("lora_d.weight", "lora_u.weight"), ("lora_A.weight", "lora_B.weight"),
    ("lora_A.default.weight", "lora_B.default.weight"),
])
@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "base_model.model."])
def test_other_names_of_the_same(small, down, up, prefix):
    renamed = {
        prefix + name.replace("lora_down.weight", down).replace("lora_up.weight", up): one
        for name, one in small.items()
    }
    found = read_tensors(renamed).tensors
    assert found.keys() == small.keys() and all(torch.equal(found[name], one) for name, one in small.items())


def test_fused_loras_are_taken_apart_by_rows(small):
    start = "double_blocks.0.interact.img_attn"
    down, up = small[f"{start}.q.lora_down.weight"], torch.randn(24, 2)
    kept = {name: one for name, one in small.items() if not name.startswith((f"{start}.q", f"{start}.k", f"{start}.v"))}
    found = read_tensors({**kept, f"{start}.qkv.lora_A.weight": down, f"{start}.qkv.lora_B.weight": up}).tensors
    for index, part in enumerate("qkv"):
        assert torch.equal(found[f"{start}.{part}.lora_down.weight"], down)
        assert torch.equal(found[f"{start}.{part}.lora_up.weight"], up[8 * index:8 * index + 8])
    with pytest.raises(LumosXError, match="alone and fused"):
        read_tensors({**small, f"{start}.qkv.lora_A.weight": down, f"{start}.qkv.lora_B.weight": up})
    with pytest.raises(LumosXError, match="shape"):
        read_tensors({**kept, f"{start}.qkv.lora_A.weight": down, f"{start}.qkv.lora_B.weight": up[:23]})


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("alpha", [None, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_written_is_read(tmp_path, small, optional, alpha, dtype):
    config = AdapterConfig(
        8, 16, (0, 3), 2, alpha, "spatial", "gated", "zero", image_grid=(12, 24), ref_size=512, cfg_mode="white"
    )
    tensors = {name: one.to(dtype) for name, one in (small if optional else plain(small)).items()}
    adapter = PolyVividAdapter(config, {name: tuple(one.shape) for name, one in tensors.items()}).to(dtype)
    adapter.load_state_dict(tensors)
    path = tmp_path / "adapter.safetensors"
    for _ in range(2):
        write_adapter(path, adapter)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with open_weights(path) as source:
        stored = read_adapter(source)
        assert stored.config == config
        assert all(torch.equal(stored.tensors[name], one) for name, one in tensors.items())
        built = stored.build(dtype=torch.float64).state_dict()
    assert built.keys() == tensors.keys() and all(torch.equal(built[name], tensors[name].double()) for name in built)
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "polyvivid-adapter" and file.metadata()["rank"] == "2"


def test_loras_may_have_ranks_of_their_own(tmp_path, small):
    """Alpha is divided by the rank of each."""
    tensors, start = plain(small), "double_blocks.3.inject.q"
    tensors[f"{start}.lora_down.weight"], tensors[f"{start}.lora_up.weight"] = torch.randn(6, 8), torch.randn(8, 6)
    metadata = {name: value for name, value in metadata_of(SMALL).items() if name != "rank"}
    adapter = read_tensors(tensors, metadata).build()
    assert (adapter.layer(3).inject.q.scale, adapter.layer(3).inject.k.scale) == (0.5, 1.5)
    write_adapter(tmp_path / "a.safetensors", adapter)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert "rank" not in file.metadata()
    with open_weights(tmp_path / "a.safetensors") as source:
        assert read_adapter(source).build().layer(3).inject.q.scale == 0.5
    with pytest.raises(LumosXError, match="rank: the metadata states 2, .* 6"):
        read_tensors(tensors, metadata_of(SMALL))


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"before")

    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError):
        write_adapter(path, PolyVividAdapter(SMALL))
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_without_metadata_the_defaults_are_used_and_named(small, caplog):
    with caplog.at_level(logging.INFO, "LumosX"):
        config = read_tensors(plain(small)).config
    assert config == AdapterConfig(8, 16, (0, 3), 2, None)
    assert "alpha" in caplog.text and "inject_rope" in caplog.text


@pytest.mark.parametrize("name", list(plain(new_shapes(SMALL))))
def test_every_missing_tensor_is_named(small, name):
    del small[name]
    with pytest.raises(LumosXError, match=name.replace(".", r"\.")):
        read_tensors(small)


@pytest.mark.parametrize("name", [name for name in new_shapes(SMALL, True) if "proj" in name])
def test_half_of_an_optional_lora_is_refused(small, name):
    other = name.replace("lora_down", "lora_?").replace("lora_up", "lora_down").replace("lora_?", "lora_up")
    with pytest.raises(LumosXError, match=name.replace(".", r"\.")):
        read_tensors({**plain(small), other: small[other]})


@pytest.mark.parametrize(("name", "shape"), [
    ("double_blocks.3.inject.fc.weight", (8, 9)), ("double_blocks.3.inject.fc.bias", (9,)),
    ("double_blocks.0.inject.fc.weight", (8,)), ("double_blocks.3.inject.alpha", (2,)),
    ("double_blocks.3.inject.q.lora_up.weight", (8, 3)), ("double_blocks.3.inject.q.lora_down.weight", (2, 9)),
    ("double_blocks.3.inject.q.lora_down.weight", ()), ("double_blocks.3.inject.q.lora_down.weight", (0, 8)),
    ("double_blocks.0.inject.mlp.0.lora_up.weight", (17, 2)),
])
def test_wrong_shapes_are_refused(small, name, shape):
    small[name] = torch.zeros(shape)
    with pytest.raises(LumosXError, match=r"\.safetensors: .*(double_blocks|rank)"):
        read_tensors(small)


@pytest.mark.parametrize("name", [
    "double_blocks.0.interact.img_attn.out.lora_down.weight", "double_blocks.0.inject.q.weight", "extra",
    "double_blocks.0.inject.q.lora_C.weight", "double_blocks.0.interact.fc.weight", "single_blocks.0.inject.fc.weight",
])
def test_tensors_that_do_not_belong_are_refused(small, name):
    with pytest.raises(LumosXError, match="does not belong"):
        read_tensors({**small, name: torch.zeros(1)})


def test_a_tensor_under_two_names_is_refused(small):
    name = "double_blocks.0.inject.q.lora_down.weight"
    with pytest.raises(LumosXError, match="same tensor"):
        read_tensors({**small, name.replace("lora_down", "lora_A"): small[name]})


def test_other_files_are_not_adapters():
    base = {f"double_blocks.0.{name}": torch.zeros(1) for name in ("img_attn.qkv.weight", "inject.fc.weight")}
    assert not is_adapter(base) and is_adapter(new_shapes(SMALL))
    with pytest.raises(LumosXError, match="not a PolyVivid adapter"):
        read_tensors(base)


@pytest.mark.parametrize(("name", "value"), [
    ("format", "lora"), ("version", "2"), ("base", "wan"), ("rank", "0"), ("rank", "4.5"), ("rank", "9" * 5000),
    ("alpha", "nan"), ("alpha", "-1"), ("alpha", "0"), ("alpha", "x"), ("layers", "[0"),
    ("layers", "[true]"), ("layers", "{}"),
    ("layers", "[0, 1, 2]"), ("layers", "[" * 5000), ("layers", "5"), ("image_grid", "[24]"),
    ("image_grid", "[0, 1]"), ("image_grid", "[1.5, 2]"), ("image_grid", "[true, 2]"),
    ("ref_size", "1e3"), ("inject_rope", "time"), ("vec_mode", ""), ("template", "x" * 5000),
])
def test_wrong_metadata_is_refused_by_name(small, name, value):
    with pytest.raises(LumosXError, match=rf"\.safetensors: {name}: ") as caught:
        read_tensors(small, {**metadata_of(SMALL), name: value})
    assert len(str(caught.value)) < 600


@given(st.dictionaries(st.sampled_from([*metadata_of(SMALL)]), st.text(max_size=30)))
def test_no_metadata_ends_in_another_error(metadata):
    try:
        settings, missing = settings_of(metadata)
    except LumosXError as error:
        assert str(error).partition(":")[0] in metadata
    else:
        assert not set(settings) & set(missing)


@given(st.text(max_size=60) | st.from_regex(r"double_blocks\.\d{1,4}\.(interact|inject)\.[a-z_.0-9AB]{0,30}"))
def test_names_are_understood_as_they_are_written(name):
    found = TensorName.of(name)
    assert found is None or TensorName.of(str(found)) == found


@pytest.mark.parametrize("layers", [(33, 1, 16), (2,), (0, 1)])
def test_layers_are_in_ascending_order_whatever_the_files(layers):
    shapes = {}
    for layer in layers:
        shapes[f"double_blocks.{layer}.inject.fc.weight"] = (8, 8)
        shapes[f"double_blocks.{layer}.inject.mlp.0.lora_up.weight"] = (32, 2)
        shapes[f"double_blocks.{layer}.inject.mlp.0.lora_down.weight"] = (2, 8)
    config = checkpoint._config_of(shapes, {}, "a")
    assert (config.layers, config.hidden_size, config.mlp_size, config.rank) == (tuple(sorted(layers)), 8, 32, 2)
    assert config.alpha is None
    with pytest.raises(LumosXError, match="^layers: the metadata disagrees"):
        checkpoint._config_of(shapes, {"layers": "[7]"}, "a")
    with pytest.raises(LumosXError, match="^rank: the metadata states 3, but there are LoRAs of rank 2"):
        checkpoint._config_of(shapes, {"rank": "3"}, "a")
