"""Which of a case's files decide, and what is said where nothing is left."""

import pytest
from PIL import Image

from lumosx_core.cases import load_case, reading
from lumosx_core.errors import LumosXError


@pytest.fixture
def case(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "caption.txt").write_text("name;a prompt", encoding="utf-8")
    return tmp_path / "case"


def test_a_case_without_pictures_says_what_was_passed_over(case):
    with pytest.raises(LumosXError) as plain:
        load_case(case)
    assert str(plain.value).endswith("background/<phrase>.png.")
    (case / "lamp.png").write_bytes(b"x")
    with pytest.raises(LumosXError) as told:
        load_case(case)
    assert "background/<phrase>.png (" in str(told.value) and str(told.value).endswith(").")
    assert "lamp.png" in str(told.value)


@pytest.mark.parametrize(("extra", "last"), [(0, "left out"), (1, "1 more files"), (3, "3 more files")])
def test_no_more_notes_are_kept_than_are_read(case, extra, last):
    (case / "objects").mkdir()
    Image.new("RGB", (6, 4)).save(case / "objects" / "lamp.png")
    for number in range(reading.MOST_NOTES + extra):
        (case / "objects" / f"{number}.txt").write_bytes(b"x")
    notes = load_case(case).notes
    assert len(notes) == reading.MOST_NOTES + bool(extra) and (last in notes[-1] or not extra)
