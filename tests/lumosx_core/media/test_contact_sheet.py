"""Rows of small pictures under titles."""

import numpy as np
import pytest

from lumosx_core.media.contact_sheet import CELL, COLUMNS, MOST_PICTURES, MOST_ROWS, SheetRow, draw_sheet

GREEN = (60, 230, 60)


def filled(colour, height=30, width=50):
    return np.full((height, width, 3), colour, np.uint8)


def has(sheet, colour):
    return (sheet == np.array(colour, np.uint8)).all(-1).any()


def test_every_picture_is_there_and_one_is_framed():
    sheet = draw_sheet([SheetRow("a", [filled((200, 0, 0)), filled((0, 0, 200))], GREEN, 1)])
    assert has(sheet, (200, 0, 0)) and has(sheet, (0, 0, 200)) and has(sheet, GREEN)
    first = draw_sheet([SheetRow("a", [filled((200, 0, 0)), filled((0, 0, 200))], GREEN, 0)])
    assert has(first, (200, 0, 0)) and has(first, (0, 0, 200)) and has(first, GREEN)
    assert not has(draw_sheet([SheetRow("a", [filled((200, 0, 0))], GREEN)]), GREEN)


def test_a_long_row_is_cut_but_keeps_its_framed_picture():
    row = SheetRow("a", [filled((1, 2, 3))] * 50 + [filled((200, 0, 0))], GREEN, 50)
    sheet = draw_sheet([row])
    assert has(sheet, (200, 0, 0)) and sheet.shape[1] <= COLUMNS * (CELL + 10) + 20
    assert sheet.shape[0] == draw_sheet([SheetRow("a", row.pictures[-MOST_PICTURES:])]).shape[0]


def test_many_rows_stay_bounded():
    rows = [SheetRow("a", [filled((9, 9, 9))])] * 500
    assert draw_sheet(rows).shape[0] < (MOST_ROWS + 1) * (CELL + 40)


@pytest.mark.parametrize(("rows", "line"), [(MOST_ROWS - 1, False), (MOST_ROWS, False), (MOST_ROWS + 1, True)])
def test_a_last_line_counts_the_rows_left_out(rows, line):
    sheet = draw_sheet([SheetRow("", [filled((9, 9, 9))])] * rows)
    shown = min(rows, MOST_ROWS)
    assert sheet.shape[0] == shown * (24 + CELL + 8) + 8 + (24 if line else 0)
    assert (sheet[-20:] != 245).any() == line


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (COLUMNS, 1), (COLUMNS + 1, 2), (2 * COLUMNS, 2)])
def test_pictures_fill_lines_of_a_row(count, lines):
    sheet = draw_sheet([SheetRow("", [filled((9, 9, 9))] * count)])
    assert sheet.shape[0] == 24 + lines * (CELL + 8) + 8


def test_a_frame_is_as_large_as_its_cell():
    sheet = draw_sheet([SheetRow("", [filled((9, 9, 9)), filled((8, 8, 8))], GREEN, 0)])
    rows, columns = (sheet == np.array(GREEN, np.uint8)).all(-1).nonzero()
    assert (rows.min(), rows.max()) == (8 + 24, 8 + 24 + CELL - 1)
    assert (columns.min(), columns.max()) == (8, 8 + CELL - 1)
