"""Work folders as stages leave them, and all stand-ins together."""

import pytest

from lumosx_core.data.backends import Backends
from lumosx_core.data.settings import Settings
from lumosx_core.data.shot_finders import ChangeShots
from lumosx_core.data.work import write_mark
from support.data_stand_ins import Faces, Places, Saying


@pytest.fixture
def settings():
    return Settings()


@pytest.fixture
def backends():
    """backends(**parts): stand-ins that find nothing, but for what is given."""
    def make(**parts):
        return Backends(**{"shots": ChangeShots(), "faces": Faces(), "model": Saying(), "locator": Places(), **parts})

    return make


@pytest.fixture
def leave(tmp_path):
    """leave(name, **result): the file of a stage, as if it were done."""
    def write(name, **result):
        write_mark(tmp_path, name, {"key": "left", "result": result})
        return tmp_path

    return write
