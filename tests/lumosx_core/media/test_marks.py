"""Labels that hide no face and no other label, and keep their place from frame to frame."""

import numpy as np
import pytest

from lumosx_core.media.marks import Mark, MarkPainter

RED, BLUE = (200, 0, 0), (0, 0, 200)
WIDTH, HEIGHT = 832, 480


def frame():
    return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def face(key, left, top, side=100, text="1 woman on the left", colour=RED):
    return Mark(key, text, colour, (left, top, left + side, top + side), face=True)


def common(first, second):
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return max(0, across) * max(0, down)


@pytest.mark.parametrize("places", [
    ((300, 200), (420, 200)), ((300, 0), (300, 110)), ((0, 0), (732, 380)), ((300, 200), (350, 90), (410, 210)),
    ((0, 380), (110, 380), (55, 270)), ((300, 100), (300, 205), (300, 310)),
])
def test_labels_hide_no_face_and_no_label(places):
    marks = [face(number, *place) for number, place in enumerate(places)]
    outline = np.zeros((HEIGHT, WIDTH), bool)
    left, top = places[0]
    outline[top:top + 100, left:left + 100] = True
    marks.append(Mark("hat", "red hat", RED, (left, top, left + 100, top + 100), outline))
    painter = MarkPainter((WIDTH, HEIGHT))
    painter.paint(frame(), marks)
    assert len(painter.labels) == len(marks)
    for number, label in enumerate(painter.labels):
        assert 0 <= label[0] < label[2] <= WIDTH and 0 <= label[1] < label[3] <= HEIGHT
        assert not any(common(label, mark.box) for mark in marks if mark.face)
        assert not any(common(label, other) for other in painter.labels[:number])


def test_a_label_stands_on_its_box_in_its_colour_and_letters_are_20_pixels_high():
    before = frame()
    painter = MarkPainter((WIDTH, HEIGHT))
    pixels = painter.paint(before, [face(0, 300, 200), face(1, 600, 200, text="2 man", colour=BLUE)])
    assert (before == 90).all()
    for (left, top, right, bottom), colour, x in zip(painter.labels, (RED, BLUE), (300, 600)):
        assert left == x and 195 <= bottom <= 200 and 20 <= bottom - top <= 36
        ground = pixels[int(top):int(bottom), int(left):int(right)]
        assert 0.3 < (ground == colour).all(-1).mean() < 0.95 and ground.max() == 255
        assert tuple(pixels[250, x]) == colour and tuple(pixels[250, x + 50]) == (90, 90, 90)


def test_an_outline_is_the_edge_only():
    outline = np.zeros((HEIGHT, WIDTH), bool)
    outline[100:300, 200:400] = True
    painter = MarkPainter((WIDTH, HEIGHT))
    pixels = painter.paint(frame(), [Mark("coat", "coat", BLUE, (200, 100, 399, 299), outline)])
    assert tuple(pixels[150, 198]) == BLUE and tuple(pixels[150, 200]) == (255, 255, 255)
    assert tuple(pixels[150, 205]) == (90, 90, 90)
    [(left, top, right, bottom)] = painter.labels
    assert (left + right) / 2 == pytest.approx(300, abs=2) and (top + bottom) / 2 == pytest.approx(200, abs=2)


def test_a_label_does_not_jump_between_two_places_that_are_almost_as_good():
    """A neighbour who comes near moves a label, and it stays there when the neighbour has gone a little."""
    def place(painter, neighbour):
        painter.paint(frame(), [face(0, 300, 200), face(1, *neighbour)])
        return painter.labels[0]

    fresh = place(MarkPainter((WIDTH, HEIGHT)), (700, 380))
    painter = MarkPainter((WIDTH, HEIGHT))
    moved = place(painter, (250, 90))
    assert moved != fresh and place(painter, (150, 92)) == moved
    assert place(MarkPainter((WIDTH, HEIGHT)), (150, 92)) == fresh


def test_long_texts_are_cut_and_missing_letters_left_out():
    painter = MarkPainter((128, 96))
    painter.paint(np.zeros((96, 128, 3), np.uint8), [
        face(0, 20, 40, 20, "1 the woman with the very long name"), face(1, 90, 40, 20, "2 \U000f0000 man"),
    ])
    assert all(right - left <= 70 for left, _, right, _ in painter.labels)
    assert painter.without_letters == ["2 \U000f0000 man"]
