"""Adapter tensors are read layer by layer, and computed in whatever dtype is asked for."""

import weakref

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx import folding
from lumosx_core.models.lynx.layers import LayerReader
from lumosx_core.models.lynx.recognise import find_lynx
from lumosx_core.weights.opening import open_weights
from support.lynx_files import WIDTH, adapter, block_names, release_names, write, write_gguf


@pytest.mark.parametrize("write_file", [write, write_gguf])
def test_no_two_layers_are_alive_at_once(write_file, tmp_path):
    """Of a real file; what is watched is what its reader gave."""
    path = write_file(tmp_path / "file", block_names(adapter("ref", blocks=6)))
    with open_weights(path) as source:
        reader = LayerReader(find_lynx(source).ref_layers)
        alive, peaks, read = [], [], reader.read

        def watched(*arguments):
            peaks.append(sum(each() is not None for each in alive))
            layer = read(*arguments)
            alive.extend(weakref.ref(tensor) for tensor in (layer.k_weight, layer.v_weight))
            return layer

        reader.read = watched
        features = (torch.ones(1, 2, WIDTH) for _ in range(6))
        folded = folding.fold_references(reader, features, [torch.nn.Identity()] * 6)
    assert len(folded) == 6 and peaks == [0] * 6


def test_features_are_dropped_before_the_next_is_made(tmp_path):
    seen = []

    def features():
        for _ in range(4):
            assert all(each() is None for each in seen[:-1])
            feature = torch.ones(1, 2, WIDTH)
            seen.append(weakref.ref(feature))
            yield feature
            del feature

    with open_weights(write(tmp_path / "file", release_names(adapter("ref")))) as source:
        reader = LayerReader(find_lynx(source).ref_layers)
        assert sorted(folding.fold_references(reader, features(), [torch.nn.Identity()] * 4, blocks=[1, 3])) == [1, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_dtype_to_compute_in_is_free(dtype, tmp_path):
    with open_weights(write(tmp_path / "file", release_names(adapter("full")))) as source:
        reader = LayerReader(find_lynx(source).id_layers)
        layer = reader.read(1, dtype)
        pairs = dict(folding.project_identities(reader, torch.ones(2, 3, WIDTH), dtype=dtype))
    assert {tensor.dtype for tensor in vars(layer).values()} == {dtype}
    assert pairs[1].keys.dtype == pairs[1].values.dtype == dtype


@pytest.mark.parametrize(("kind", "block"), [("lite", 1), ("lite", 3), ("full", 4), ("ref", -1)])
def test_a_block_without_a_layer_is_one_sentence(kind, block, tmp_path):
    with open_weights(write(tmp_path / "file", block_names(adapter(kind)))) as source:
        found = find_lynx(source)
        reader = LayerReader(found.ref_layers or found.id_layers)
        with pytest.raises(LumosXError, match=f"^blocks: block {block} "):
            reader.read(block)
