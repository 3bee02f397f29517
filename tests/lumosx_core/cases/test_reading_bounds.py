"""Which of a case's files decide, and what is said where nothing is left."""

import pytest
from PIL import Image

from lumosx_core.cases import description, load_case, reading
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


def test_a_named_file_is_one_of_a_usual_path(case):
    """Exactly up to the longest path that is read."""
    def named(file):
        with pytest.raises(LumosXError) as caught:
            description._check_file(case, file)
        return str(caught.value)

    longest = "objects/" + "/".join("a" * 99 for _ in range(50))
    longest = longest[:description.LONGEST_PATH]
    assert len(longest) == description.LONGEST_PATH and "not the path of a picture" not in named(longest)
    for strange in (longest + "a", "objects", "other/a.png", "objects//a.png", "objects/../a.png", "objects/./a.png",
                    "objects/a\\b.png", "objects/a\0.png", "/objects/a.png", ""):
        assert "not the path of a picture" in named(strange), strange
    (case / "objects").mkdir()
    assert "does not exist" in named("objects/a.png")
    (case / "objects" / "a.png").write_bytes(b"x")
    assert description._check_file(case, "objects/a.png") is None
