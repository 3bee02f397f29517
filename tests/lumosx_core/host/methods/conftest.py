"""A small HunyuanVideo as ComfyUI's MODEL, and adapters for it where ComfyUI looks for them."""

from pathlib import Path

import folder_paths
import pytest

from support.hunyuan_files import small_network, write_base, write_small_adapter
from support.polyvivid_runs import load


@pytest.fixture(scope="module")
def network():
    """HunyuanVideo in plain PyTorch."""
    return small_network()


@pytest.fixture(scope="module")
def base_file(network, tmp_path_factory):
    """The same as a file."""
    return write_base(tmp_path_factory.mktemp("base") / "hunyuan.safetensors", network)


@pytest.fixture(scope="module")
def adapters():
    """The folder in which ComfyUI looks for adapters, with "small.safetensors" in it."""
    folder = Path(folder_paths.get_folder_paths("model_patches")[0])
    folder.mkdir(parents=True, exist_ok=True)
    write_small_adapter(folder / "small.safetensors")
    return folder


@pytest.fixture
def model(base_file):
    """HunyuanVideo as a MODEL that nobody else has."""
    return load(base_file)


@pytest.fixture
def adapted(model, adapters):
    """adapted(strength=1.0, …) is the MODEL with the adapter."""
    from lumosx_core.host.methods.polyvivid import Part, polyvivid_model
    from lumosx_core.models.polyvivid.config import RunOptions

    def make(name="small.safetensors", part=None, base=model, **options):
        return polyvivid_model(base, name, RunOptions(**options), part or Part())[0]

    return make
