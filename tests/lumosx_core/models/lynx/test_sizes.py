"""Bytes of what is folded, at the sizes of Wan 14B."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx.folding import project_identities
from lumosx_core.models.lynx.layers import LayerReader
from lumosx_core.models.lynx.recognise import find_lynx
from lumosx_core.models.lynx.sizes import AdapterSizes, check_base, folded_bytes
from lumosx_core.models.wan.config import WAN21_1_3B, WAN21_14B
from lumosx_core.weights.opening import open_weights
from support.lynx_files import WIDTH, adapter, block_names, write

WIDE, BLOCKS = WAN21_14B.dim, range(WAN21_14B.num_layers)
FULL = AdapterSizes("full", WIDE, WIDE, 16, tuple(BLOCKS))
LITE = AdapterSizes("lite", 2048, WIDE, 0, tuple(BLOCKS[::2]))
REF = AdapterSizes("ref", WIDE, WIDE, 0, tuple(BLOCKS))


def test_a_person_on_wan_14b_takes_less_than_a_quarter_of_a_gigabyte():
    assert folded_bytes(FULL, 16) == 26_214_400 and folded_bytes(LITE, 16) == 6_553_600
    assert folded_bytes(REF, 256) == 209_715_200
    assert folded_bytes(FULL, 16) + folded_bytes(REF, 256) < 0.26e9
    assert folded_bytes(FULL, 16, people=2) == 2 * folded_bytes(FULL, 16)


@pytest.mark.parametrize("kind", ["full", "lite"])
def test_that_is_what_the_tensors_take(kind, tmp_path):
    with open_weights(write(tmp_path / "file", block_names(adapter(kind)))) as source:
        reader = LayerReader(find_lynx(source).id_layers)
        tokens = torch.ones(2, 3, reader.sizes.input_width)
        pairs = dict(project_identities(reader, tokens, dtype=torch.bfloat16))
    assert sum(pair.keys.nbytes + pair.values.nbytes for pair in pairs.values()) == folded_bytes(reader.sizes, 3, 2)
    assert reader.sizes.width == WIDTH


@pytest.mark.parametrize("adapter", [FULL, LITE, REF], ids=lambda adapter: adapter.kind)
def test_adapters_of_the_release_fit_wan_14b_and_no_smaller_model(adapter):
    check_base(adapter, WAN21_14B)
    with pytest.raises(LumosXError, match="^model: it is 1536 channels wide, .* 5120"):
        check_base(adapter, WAN21_1_3B)
