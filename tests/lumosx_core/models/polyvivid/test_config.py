"""Which adapters there can be, exactly up to each bound, and which base they fit."""

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.polyvivid.config import CHOICES, MOST_LAYERS, MOST_RANK, AdapterConfig


@pytest.mark.parametrize("settings", [
    {"rank": 1}, {"rank": MOST_RANK}, {"layers": (0,)}, {"layers": (0, MOST_LAYERS - 1)}, {"layers": (3, 5, 9)},
    *({name: choice} for name, choices in CHOICES.items() for choice in choices),
])
def test_adapters_that_there_can_be(settings):
    assert {name: getattr(AdapterConfig(**settings), name) for name in settings} == settings


@pytest.mark.parametrize(("settings", "name"), [
    ({"rank": 0}, "rank"), ({"rank": MOST_RANK + 1}, "rank"), ({"layers": ()}, "layers"),
    ({"layers": (-1, 0)}, "layers"),
    ({"layers": (0, MOST_LAYERS)}, "layers"), ({"layers": (5, 3)}, "layers"), ({"layers": (3, 3)}, "layers"),
    ({"layers": (9, 8, 1)}, "layers"), ({"layers": (40, 3, 21)}, "layers"), *(({name: "x"}, name) for name in CHOICES),
])
def test_others_are_refused_by_their_setting(settings, name):
    with pytest.raises(LumosXError, match=f"^{name}: "):
        AdapterConfig(**settings)


def test_an_adapter_fits_a_base_of_its_sizes_with_enough_blocks():
    base = HunyuanConfig(depth=4)
    adapter = AdapterConfig.for_base(base, 8)
    assert (adapter.layers, adapter.rank, adapter.alpha) == ((0, 1, 2, 3), 8, 8.0)
    assert AdapterConfig.for_base(base, 8, 0.0).alpha == 0.0 and AdapterConfig.for_base(base, 8, 3.0).alpha == 3.0
    adapter.check_fits(base)
    AdapterConfig.for_base(base, 8).check_fits(HunyuanConfig(depth=5))
    for other, words in (
        (HunyuanConfig(depth=3), "it has 3 double blocks, but the PolyVivid adapter has weights for block 3"),
        (HunyuanConfig(depth=4, mlp_ratio=3.0), r"its blocks are 3072 wide \(9216 in"),
        (HunyuanConfig(depth=4, hidden_size=1536, num_heads=12, mlp_ratio=8.0), r"its blocks are 1536 wide \(12288 in"),
    ):
        with pytest.raises(LumosXError, match=f"^model: {words}"):
            adapter.check_fits(other)
