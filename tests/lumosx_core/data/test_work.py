"""What is done stays done, and what depends on a change is done again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.data.work import Rejected, read_mask, read_pixels, result_of, stage, write_mask
from lumosx_core.errors import LumosXError


@pytest.fixture
def counted(leave):
    """A stage after another one, with a list of its runs; it does what is in ``does``."""
    leave("before", value=1)
    runs, does = [], []

    @stage("after", "before", ("least_face", "model"))
    def after(folder, backends, settings):
        runs.append(settings.least_face)
        for one in does:
            raise one
        write_mask(folder, "mask.png", np.ones((4, 4), bool))
        return {"face": settings.least_face, "files": ["mask.png"]}

    return after, runs, does


def test_a_stage_runs_once(counted, tmp_path, backends, settings):
    after, runs, _ = counted
    for _ in range(3):
        assert after(tmp_path, backends(), settings)["face"] == settings.least_face
    assert runs == [settings.least_face] and result_of(tmp_path, "after")["files"] == ["mask.png"]


def test_what_it_depends_on_makes_it_run_again(counted, tmp_path, backends, settings, leave):
    after, runs, _ = counted
    after(tmp_path, backends(), settings)
    after(tmp_path, backends(), replace(settings, least_side=1))
    assert len(runs) == 1
    after(tmp_path, backends(), replace(settings, least_face=99))
    assert runs[1:] == [99]
    other = backends()
    other.model.name = "another"
    after(tmp_path, other, settings)
    leave("before", value=2)
    after(tmp_path, other, settings)
    assert len(runs) == 4


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"\xff", b'{"key": 1}', b"[" * 100_000])
def test_a_broken_or_missing_file_is_made_again(counted, tmp_path, backends, settings, broken):
    after, runs, _ = counted
    after(tmp_path, backends(), settings)
    (tmp_path / "after.json").write_bytes(broken)
    after(tmp_path, backends(), settings)
    (tmp_path / "mask.png").unlink()
    after(tmp_path, backends(), settings)
    assert len(runs) == 3 and read_mask(tmp_path, "mask.png").all()


def test_an_edited_result_counts(counted, tmp_path, backends, settings):
    after, runs, _ = counted
    after(tmp_path, backends(), settings)
    mark = json.loads((tmp_path / "after.json").read_text())
    mark["result"]["face"] = 7
    (tmp_path / "after.json").write_text(json.dumps(mark))
    assert after(tmp_path, backends(), settings)["face"] == 7 and len(runs) == 1


def test_a_rejection_is_kept_and_another_error_is_not(counted, tmp_path, backends, settings):
    after, runs, does = counted
    does.append(LumosXError("away"))
    for _ in range(2):
        with pytest.raises(LumosXError, match="away"):
            after(tmp_path, backends(), settings)
    does[:] = [Rejected("no people", "Nobody\nis there.")]
    for _ in range(2):
        with pytest.raises(Rejected) as rejected:
            after(tmp_path, backends(), settings)
        assert (rejected.value.reason, rejected.value.detail) == ("no people", "Nobody?is there.")
    assert len(runs) == 3
    with pytest.raises(LumosXError, match="no result in after.json"):
        result_of(tmp_path, "after")


def test_stages_come_in_their_order(tmp_path, backends, settings):
    with pytest.raises(LumosXError, match="has no before.json"):
        stage("after", "before")(lambda *_: {})(tmp_path, backends(), settings)


def test_a_broken_picture_is_a_sentence(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(LumosXError, match="mask.png cannot be read"):
        read_pixels(tmp_path, "mask.png")
