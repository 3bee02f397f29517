"""Work folders as stages leave them, and all stand-ins together."""

import pytest

from lumosx_core.data.backends import Backends
from lumosx_core.data.build import Build
from lumosx_core.data.progress import _Lines
from lumosx_core.data.settings import Settings
from lumosx_core.data.shot_finders import ChangeShots
from lumosx_core.data.work import write_mark
from support.data_stand_ins import DRAWN, Faces, Places, Saying
from tools.drawn_data import Films, ScriptedModel, draw_film

# Of films with two, one and three people, of whom some wear the same things.
SEEDS = (1, 2, 3)


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Three drawn films."""
    return Films(tmp_path_factory.mktemp("videos"), [draw_film(seed, frames=17) for seed in SEEDS])


@pytest.fixture(scope="session")
def built(films, tmp_path_factory):
    """The folder of a finished run with right answers; it is copied, not changed."""
    out = tmp_path_factory.mktemp("built") / "out"
    Build(out, films.backends(ScriptedModel(films)), DRAWN, _Lines()).run(films.paths)
    return out


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
