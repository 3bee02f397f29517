"""Names of tensors in Lynx's files."""

import pytest

from lumosx_core.models.lynx.file_names import RESAMPLER_MARKS, is_lynx, resampler_prefix


@pytest.mark.parametrize("prefix", ["", "resampler.", "model.image_proj_model."])
def test_a_resampler_is_found_under_one_prefix(prefix):
    names = [f"{prefix}{name}" for name in RESAMPLER_MARKS]
    assert resampler_prefix(names) == prefix and is_lynx(names)
    assert resampler_prefix(names[1:]) is None and not is_lynx(names[1:])


def test_the_shortest_prefix_comes_first():
    assert resampler_prefix([f"{prefix}{name}" for prefix in ("long.", "b.") for name in RESAMPLER_MARKS]) == "b."


def test_a_name_must_have_the_word_as_a_part():
    assert is_lynx(["3.to_k_ip.weight"]) and not is_lynx(["3.not_to_k_ip.weight", "3.to_k_ipx.weight", "3.registers"])
    assert not is_lynx(["ip_adapter.to_k_ip.weight", "to_v_ref.3.weight"])
