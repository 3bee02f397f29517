"""Small real cases, drawn and filmed here, and a small base model."""

import dataclasses

import numpy as np
import pytest
from safetensors.torch import save_file

from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast
from lumosx_core.tiny.world.script import draw_script
from lumosx_core.training.world_cases import write_world_case
from tools.weight_files import small_transformer


@pytest.fixture(scope="session")
def film():
    """film(folder, seed, frames=2) writes a case of two people, an object and a place with its video."""
    def write(folder, seed, frames=2):
        random = np.random.default_rng(seed)
        script = dataclasses.replace(draw_script(random, 2, drop=False), thing="lamp", exchange=False)
        return write_world_case(folder, script, draw_cast(random, script, Split.TRAIN), frames)

    return write


@pytest.fixture(scope="session")
def cases(tmp_path_factory, film):
    """A folder with two cases; nobody changes it."""
    folder = tmp_path_factory.mktemp("cases")
    film(folder / "one", 0)
    film(folder / "two", 1, frames=1)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The file of a small model whose output is not zero."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    save_file(small_transformer(), path)
    return path
