"""Fonts that have the letters of a text."""

from PIL import ImageFont

from lumosx_core.media.fonts import Fonts


def test_a_text_gets_a_font_that_has_its_letters():
    fonts = Fonts(16)
    latin = fonts.with_letters_of("2 red hat?")
    assert isinstance(latin, ImageFont.FreeTypeFont) and latin.size == 16
    # Pillow's own font draws a box for it; whether there is another font depends on the machine.
    chinese = fonts.with_letters_of("2 红帽子")
    assert chinese is None or chinese.getmask("红").getbbox() != latin.getmask("红").getbbox()
    assert chinese is not latin
    assert fonts.with_letters_of("2 红帽子") is chinese and fonts.with_letters_of("red") is latin


def test_letters_that_nobody_has_get_no_font():
    assert Fonts(16).with_letters_of("\U0010fffd") is None
