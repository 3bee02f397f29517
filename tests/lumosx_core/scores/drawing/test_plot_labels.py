"""What the legend says is short, and never a row of boxes."""

from matplotlib import font_manager

from lumosx_core.scores.drawing.plot_labels import Labels, _letters_of

# Not a character, so in no font.
NOWHERE = "\ufdd0"


def letters_of(family):
    """Of the upright one, which is what is taken; which style is listed first depends on the disk."""
    fonts = font_manager.fontManager.ttflist
    path = next(font.fname for font in fonts if font.name == family and font.style == "normal")
    return set(font_manager.get_font(path).get_charmap())


def test_plain_names_need_one_font_and_stay():
    labels = Labels()
    families = list(labels.families)
    assert labels.title(1, "Frau Müller") == "2 Frau Müller" and labels.name("red coat", "attribute 1") == "red coat"
    assert labels.families == families


def test_long_names_are_shortened():
    labels = Labels()
    assert labels.name("x" * 30, "") == "x" * 30
    assert labels.name("a very long coat with many golden buttons", "") == "a very long coat with many go…"


def test_letters_of_another_installed_font_take_it_along():
    """Matplotlib comes with STIX, which has letters that its own default has not."""
    letter = chr(min(letters_of("STIXNonUnicode") - letters_of("DejaVu Sans")))
    labels = Labels()
    before = len(labels.families)
    assert labels.title(0, letter) == f"1 {letter}" and len(labels.families) == before + 1
    assert ord(letter) in letters_of(labels.families[-1])
    # The same letters again need nothing more.
    assert labels.name(letter, "attribute 1") == letter and len(labels.families) == before + 1


def test_letters_of_no_font_become_a_number():
    labels = Labels()
    families = list(labels.families)
    assert labels.title(1, NOWHERE) == "subject 2" and labels.name(NOWHERE + "a", "attribute 1") == "attribute 1"
    assert labels.families == families


def test_labels_are_wrapped_and_hold_no_formula():
    assert Labels().text("costs $5") == r"costs \$5"
    assert max(map(len, Labels().text("many words " * 9).splitlines())) <= 34


def test_a_font_that_cannot_be_read_has_no_letters(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    for name in ("broken.ttf", "gone.ttf"):
        assert _letters_of(str(tmp_path / name)) == set()
