"""Which file holds which part, whatever it is called, and what does not belong together."""

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx.adapters import ID_LAYERS, PARTS, REF_LAYERS, RESAMPLER, Adapters
from support.lynx_files import LITE_WIDTH, WIDTH, adapter, block_names, release_names, resampler, write


@pytest.fixture
def files(tmp_path):
    """Name to path of small parts of Lynx."""
    parts = {
        "a": resampler(WIDTH), "b": release_names(adapter("full")), "c": release_names(adapter("ref")),
        "lite": resampler(LITE_WIDTH), "both": {**block_names(adapter("full")), **block_names(adapter("ref"))},
        "other": {"head.weight": resampler(WIDTH)["latents"]},
    }
    return {name: write(tmp_path / f"{name}.safetensors", weights) for name, weights in parts.items()}


def test_parts_are_found_in_any_order_and_in_one_file(files):
    apart = Adapters.of_files([files[name] for name in "cab"])
    assert apart.files == {RESAMPLER: files["a"], ID_LAYERS: files["b"], REF_LAYERS: files["c"]}
    assert apart.sizes[ID_LAYERS].kind == "full" and apart.sizes[RESAMPLER].token_width == WIDTH
    single = Adapters.of_files([files["both"], files["a"], files["both"]])
    assert single.files == {RESAMPLER: files["a"], ID_LAYERS: files["both"], REF_LAYERS: files["both"]}
    assert single.sizes == apart.sizes and all(part in single for part in PARTS)
    with single.reader(REF_LAYERS) as one, apart.reader(REF_LAYERS) as other:
        assert (one.read(2).k_weight == other.read(2).k_weight).all()


@pytest.mark.parametrize(("names", "said"), [
    (("a", "lite"), "both hold a resampler"), (("both", "c"), "both hold reference layers"),
    (("lite", "b"), "the resampler makes tokens of 32 channels"), (("a", "other"), "not a part of Lynx"),
])
def test_what_does_not_belong_together_is_a_sentence(files, names, said):
    with pytest.raises(LumosXError, match=said):
        Adapters.of_files([files[name] for name in names])


def test_a_file_that_was_exchanged_is_a_sentence(files):
    adapters = Adapters.of_files([files["a"], files["b"]])
    files["a"].write_bytes(files["lite"].read_bytes())
    with pytest.raises(LumosXError, match="changed since it was chosen"):
        adapters.resampler()
