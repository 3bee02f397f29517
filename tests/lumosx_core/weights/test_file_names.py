"""Which file names are those of one part of several."""

import pytest

from lumosx_core.weights.file_names import MOST_PARTS, FilePart, part_named


@pytest.mark.parametrize(("number", "count", "named"), [
    (1, 1, True), (1, 2, True), (2, 2, True), (MOST_PARTS, MOST_PARTS, True), (1, MOST_PARTS, True), (0, 2, False),
    (3, 2, False), (1, MOST_PARTS + 1, False), (0, 0, False),
])
def test_numbers_of_parts_run_from_one_to_their_count(number, count, named):
    name = f"model-{number:05d}-of-{count:05d}.gguf"
    assert part_named(name) == (FilePart("model", number, count, ".gguf") if named else None)
    assert not named or part_named(name).names()[number - 1] == name
