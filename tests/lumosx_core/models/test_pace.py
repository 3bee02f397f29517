"""How long earlier runs took, and what is told from that."""

import json
import threading

import pytest

from lumosx_core.models.pace import FARTHEST, MOST_RUNS, Pace, PaceFile
from lumosx_core.scene.duration import Expected, Size

KEY, OTHER = "a" * 64, "b" * 64
SMALL, LARGE = Size(416, 240, 33), Size(832, 480, 81)


@pytest.fixture
def file(tmp_path):
    return PaceFile(tmp_path / "user" / "pace.json")


def test_nothing_is_reported_before_the_first_run(file):
    assert file.expect(KEY, 1e12, 100) is None
    assert not file.path.exists()


def test_the_same_work_is_reported_plainly_and_other_work_by_the_size_that_it_goes_by(file):
    file.remember(Pace(KEY, 1e12, 2.0, LARGE))
    assert file.expect(KEY, 1e12, 100) == Expected(200.0)
    assert file.expect(KEY, 2e12, 10) == Expected(40.0, LARGE)
    file.remember(Pace(KEY, 4e12, 12.0, SMALL))
    # The nearest counts, and a later run of the same work replaces an earlier one.
    assert file.expect(KEY, 3.9e12, 10).like == SMALL
    file.remember(Pace(KEY, 1e12, 3.0, LARGE))
    assert file.expect(KEY, 1e12, 100) == Expected(300.0)


def test_neither_another_machine_nor_a_far_off_size_is_mixed_in(file):
    file.remember(Pace(KEY, 1e12, 2.0, LARGE))
    assert file.expect(OTHER, 1e12, 100) is None
    assert file.expect(KEY, 1e12 * FARTHEST * 1.01, 100) is None is file.expect(KEY, 1e12 / FARTHEST / 1.01, 100)
    assert file.expect(KEY, 1e12 * FARTHEST * 0.99, 100).like == file.expect(KEY, 1e12 / FARTHEST / 0.99, 100).like


def test_the_file_is_bounded_and_keeps_the_newest(file):
    for number in range(2 * MOST_RUNS):
        file.remember(Pace(f"{number:064x}", 1e12, 1.0 + number, LARGE))
    assert len(json.loads(file.path.read_text())["runs"]) == MOST_RUNS
    assert file.path.stat().st_size < 1 << 15
    assert file.expect(f"{2 * MOST_RUNS - 1:064x}", 1e12, 1) == Expected(2.0 * MOST_RUNS)
    assert file.expect(f"{0:064x}", 1e12, 1) is None
    assert [path.name for path in file.path.parent.iterdir()] == ["pace.json"]


@pytest.mark.parametrize("content", [
    "", "x", "[]", "{}", '{"runs": 3}', '{"runs": [3]}', '{"runs": [{"key": "a"}]}', "[" * 60_000, "9" * 60_000,
    json.dumps({"runs": [{"key": KEY, "work": -1, "seconds": 1, "size": {"width": 1, "height": 1, "frames": 1}}]}),
    json.dumps({"runs": [{"key": KEY, "work": 1, "seconds": float("nan"), "size": {"width": 1}}]}),
    json.dumps({"runs": [{"key": KEY, "work": 1, "seconds": float("nan"), "size": vars(LARGE)}]}),
    json.dumps({"runs": [{"key": "../x", "work": 1, "seconds": 1, "size": {"width": 1, "height": 1, "frames": 1}}]}),
    " " * 100_000,
    json.dumps({"runs": [{"key": KEY, "work": 1e25, "seconds": 1, "size": vars(LARGE)}]}),
    json.dumps({"runs": [{"key": KEY, "work": 1, "seconds": 0, "size": vars(LARGE)}]}),
])
def test_a_damaged_file_counts_as_empty_and_is_written_anew(file, content):
    file.path.parent.mkdir()
    file.path.write_text(content)
    assert file.expect(KEY, 1.0, 1) is None
    file.remember(Pace(KEY, 1e12, 2.0, LARGE))
    assert file.expect(KEY, 1e12, 1) == Expected(2.0)


def test_a_file_is_read_exactly_up_to_its_largest_size(file):
    file.remember(Pace(KEY, 1e12, 2.0, LARGE))
    content = file.path.read_text()
    file.path.write_text(content.ljust(1 << 16))
    assert file.expect(KEY, 1e12, 1) == Expected(2.0)
    file.path.write_text(content.ljust((1 << 16) + 1))
    assert file.expect(KEY, 1e12, 1) is None


def test_only_the_first_runs_of_a_longer_file_count(file):
    file.path.parent.mkdir()
    runs = [{"key": f"{number:064x}", "work": 1e12, "seconds": 1, "size": vars(SMALL)} for number in range(MOST_RUNS)]
    file.path.write_text(json.dumps({"runs": [*runs, {"key": "damaged"}]}))
    assert file.expect(f"{MOST_RUNS - 1:064x}", 1e12, 1) == Expected(1.0)


def test_work_of_exactly_the_factor_is_still_expected(file):
    file.remember(Pace(KEY, 1e12, 2.0, LARGE))
    assert file.expect(KEY, 4e12, 1) == Expected(8.0, LARGE) and file.expect(KEY, 0.25e12, 1) == Expected(0.5, LARGE)


def test_a_full_disk_leaves_what_was_there(file, full_disk):
    file.remember(Pace(KEY, 1e12, 2.0, LARGE))
    with full_disk(50), pytest.raises(OSError):
        file.remember(Pace(OTHER, 1e12, 2.0, LARGE))
    assert file.expect(KEY, 1e12, 1) == Expected(2.0) and file.expect(OTHER, 1e12, 1) is None
    assert [path.name for path in file.path.parent.iterdir()] == ["pace.json"]


def test_several_servers_on_one_file_never_see_half_of_it(file):
    file.remember(Pace(OTHER, 1e12, 1.0, LARGE))

    def write():
        for number in range(50):
            PaceFile(file.path).remember(Pace(KEY, 1e12, 1.0 + number, LARGE))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert json.loads(file.path.read_text())["runs"]
    assert file.expect(OTHER, 1e12, 1) == Expected(1.0)
