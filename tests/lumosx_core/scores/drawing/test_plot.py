"""The plot shows lines, gaps and marks where they belong."""

import sys

import numpy as np
import pytest
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.scores.attributes.owners import AttributeScores, FrameView, ObjectScore, OwnerScore
from lumosx_core.scores.drawing import plot as plotting
from lumosx_core.scores.drawing.plot import COLOURS, as_png, colour_of, plot_attributes, plot_identity, plot_motion
from lumosx_core.scores.identity.measured import IdentityPlan
from lumosx_core.scores.identity.models import ScoreModels
from lumosx_core.scores.identity.summary import score_identity
from lumosx_core.scores.motion import MotionScore
from lumosx_core.scores.people import Person
from support.coloured_faces import GREEN, RED, ColourDetector, ColourEmbedder, drawn

MODELS = ScoreModels(ColourDetector(), ColourEmbedder())


def plotted(frames, names=("man", "woman")):
    people = [Person(name, drawn([(colour, 20)], 40)) for name, colour in zip(names, (RED, GREEN))]
    return plot_identity(score_identity(frames, people, MODELS, IdentityPlan()))


def columns_of(plot, colour, rows=slice(30, 370), legend=810):
    """The columns left of the legend where a colour is seen."""
    near = (np.abs(plot[rows].astype(int) - colour) < 12).all(axis=2)
    columns = np.flatnonzero(near.any(axis=0))
    return columns[(columns > 70) & (columns < legend)]


def both(swapped=False):
    return drawn([(RED, 120 if swapped else 40), (GREEN, 40 if swapped else 120)])


def test_every_subject_has_a_line_of_its_colour():
    plot = plotted([both()] * 6)
    assert plot.dtype == np.uint8 and plot.shape == (420, 1000, 3)
    # Both lines lie at 1; the second one is drawn over the first.
    assert np.ptp(columns_of(plot, COLOURS[1])) > 500
    assert len(columns_of(plotted([drawn([(RED, 40)])] * 6, ("man",)), COLOURS[0])) > 500


def test_a_miss_breaks_the_line():
    whole, broken = (plotted([both() if index not in gone else drawn([(RED, 40)]) for index in range(12)])
                     for gone in ((), range(4, 8)))
    top = slice(30, 70)
    widest = [np.diff(columns_of(plot, COLOURS[1], top)).max() for plot in (whole, broken)]
    assert widest[0] == 1 and widest[1] > 150
    # It does not fall to 0 in between either.
    assert len(columns_of(broken, COLOURS[1], slice(150, 250))) == 0


def test_a_swap_is_marked_at_its_frame_and_nothing_else_is():
    steady, swapped = (plotted([both(at is not None and index >= at) for index in range(11)]) for at in (None, 5))

    def reddish(plot):
        pixels = plot[200:300].astype(int)
        return np.flatnonzero(((pixels[..., 0] - pixels[..., 1] > 60) & (pixels[..., 1] > 80)).any(axis=0))

    assert len(reddish(steady)) == 0
    marked = reddish(swapped)
    # The line from frame 0 to frame 10 is the longest run of its colour.
    line = max(np.split(found := columns_of(swapped, COLOURS[1]), np.flatnonzero(np.diff(found) > 1) + 1), key=len)
    assert np.ptp(marked) < 12 and marked.mean() == pytest.approx((line.min() + line.max()) / 2, abs=4)


def rows_of(plot, colour):
    """The rows left of the legend where a colour is seen."""
    near = (np.abs(plot[30:370, 80:650].astype(int) - colour) < 12).all(axis=2)
    return 30 + np.flatnonzero(near.any(axis=1))


def attributes(*frames, owners=(0,), phrase="jacket", objects=(), measure="CLIP-I"):
    """Plot attributes with the same likeness in every frame, by a measure and, the other way round, by colour."""
    def by(name, rows):
        return tuple(OwnerScore(phrase, owner, name, tuple(rows)) for owner in owners)

    turned = [tuple(None if value is None else 1 - value for value in row) for row in frames]
    names = dict.fromkeys(("colour", measure), "")
    things = tuple(ObjectScore(thing, measure, (0.2,) * len(frames)) for thing in objects)
    views = tuple(FrameView(4 * number, ()) for number in range(len(frames)))
    return plot_attributes(AttributeScores(
        ("man", "woman"), by("colour", turned) + by(measure, frames) if measure != "colour" else by(measure, frames),
        things, names, "", views, (),
    ))


ZERO_LINE = (102, 102, 102)


def zero_of(plot):
    row, = np.flatnonzero((np.abs(plot[30:370, 100:600].astype(int) - ZERO_LINE) < 5).all(axis=2).mean(axis=1) > 0.5)
    return 30 + row


def test_who_wears_it_is_above_zero_and_who_does_not_below():
    """By the network's measure, not by colour, which says the opposite here."""
    for likeness, right in (((0.8, 0.5), True), ((0.5, 0.8), False)):
        plot = attributes(*[likeness] * 3, (0.65, 0.65), owners=(0,))
        assert plot.shape == (420, 1000, 3)
        lines = rows_of(plot, COLOURS[0])
        assert lines.min() < zero_of(plot) - 200 if right else lines.max() > zero_of(plot) + 200
        assert (lines.max() < zero_of(plot) + 10) if right else (lines.min() > zero_of(plot) - 10)
    # Colour alone is taken at its word.
    alone = attributes(*[(0.8, 0.5)] * 3, (0.65, 0.65), measure="colour")
    assert rows_of(alone, COLOURS[0]).min() < zero_of(alone) - 200


def test_frames_that_miss_somebody_are_a_gap():
    seen = [(0.8, 0.5)] * 4
    whole, broken = (attributes(*seen, *gone, *seen) for gone in (seen, [(None, 0.5)] * 2 + [(0.8, None)] * 2))
    widest = [np.diff(columns_of(plot, COLOURS[0], legend=700)).max() for plot in (whole, broken)]
    assert widest[0] == 1 and widest[1] > 150


def test_one_person_has_the_likeness_and_so_have_objects():
    plot = attributes(*[(0.8, None)] * 3, objects=("ball",))
    zero, line, thing = zero_of(plot), rows_of(plot, COLOURS[0]).mean(), rows_of(plot, (110, 110, 110))
    thing = thing[thing < zero - 5].mean()
    assert (zero - line) / (zero - thing) == pytest.approx(0.8 / 0.2, rel=0.1)
    assert len(rows_of(attributes(*[(None, None)] * 3), COLOURS[0])) == 0


def test_a_second_attribute_of_the_same_person_is_dashed():
    scores = [OwnerScore(phrase, 0, "colour", ((value, 0.5),) * 90) for phrase, value in (("hat", 0.7), ("tie", 0.9))]
    views = tuple(FrameView(number, ()) for number in range(90))
    plot = plot_attributes(AttributeScores(("man", "woman"), tuple(scores), (), {"colour": ""}, "", views, ()))
    rows = rows_of(plot, COLOURS[0])
    lines = [slice(row - 1, row + 2) for row in (rows.max(), rows.min())]
    gaps = [np.diff(columns_of(plot, COLOURS[0], line, 700)).max() for line in lines]
    assert gaps[0] == 1 and gaps[1] > 1


def test_pairs_beyond_the_threshold_are_marked():
    def plot(*strengths):
        return plot_motion(MotionScore(16.0, 2, (256, 256), strengths))

    assert plot(0.0, 0.0).shape == (420, 1000, 3)
    still, moving = plot(1.0, 5.9, 2.0), plot(1.0, 12.0, 2.0)
    assert len(columns_of(still, COLOURS[1], legend=800)) == 0
    marked = columns_of(moving, COLOURS[1], legend=800)
    line = columns_of(moving, COLOURS[0], legend=800)
    assert np.ptp(marked) < 12 and marked.mean() == pytest.approx((line.min() + line.max()) / 2, abs=4)
    # The threshold of 6 pixels lies half the way up to 12.
    dark = (moving[30:380, 100:650].max(axis=2) < 160).mean(axis=1)
    *threshold, floor = 30 + np.flatnonzero(dark > 0.3)
    assert (floor - np.mean(threshold)) / (floor - rows_of(moving, COLOURS[1]).mean()) == pytest.approx(0.5, abs=0.02)


def test_long_phrases_leave_room_for_the_plot():
    plot = attributes(*[(0.8, 0.5)] * 3, (0.6, 0.6), phrase="a coat with golden buttons, " * 8)
    assert np.ptp(columns_of(plot, COLOURS[0], legend=700)) > 400


@pytest.mark.parametrize("name", ["costs $5", "$x$", "_hidden", "a\\b", "男", "\ue001\ufdd0", "\ud800", "👩‍🚀", ""])
@pytest.mark.filterwarnings("error")
def test_any_phrase_can_be_a_label(name):
    assert plotted([both()], (name, name)).shape == (420, 1000, 3)
    assert attributes((0.8, 0.5), phrase=name).shape == (420, 1000, 3)


def test_nothing_is_left_in_matplotlib():
    plotted([both()])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(LumosXError, match="plot: matplotlib .* cannot be imported .* pip install .*matplotlib=="):
        plotted([both()])


def test_a_png_holds_the_pixels():
    import io

    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(as_png(pixels)))), pixels)


def test_people_beyond_the_colours_begin_again():
    assert len(set(COLOURS)) == len(COLOURS) and colour_of(len(COLOURS)) == colour_of(0)


def _legend(axes):
    return [" ".join(text.get_text().split()) for text in axes.get_legend().get_texts()]


@pytest.fixture
def words(monkeypatch):
    """The title, the measure and the legend of each plot made."""
    real, seen = plotting._drawn, []

    def noting(canvas, axes, title, measured, labels):
        drawn = real(canvas, axes, title, measured, labels)
        seen.append((axes.get_title(), axes.get_ylabel(), _legend(axes)))
        return drawn

    monkeypatch.setattr(plotting, "_drawn", noting)
    return seen


@pytest.mark.parametrize(("rows", "measured", "title", "result"), [
    ([(0.8, 0.5)] * 3, "ahead of the best other person", "above 0 the right person", "ahead in 100% of frames"),
    ([(0.8, 0.5), (0.5, 0.8)], "ahead of the best other person", "above 0 the right person", "ahead in 50% of frames"),
    ([(0.8, None)] * 3, "likeness", "What is seen", "0.800"),
    ([(0.8, None), (0.8, 0.5)], "ahead of the best other person", "above 0 the right person", "100% of frames"),
])
def test_the_words_of_a_plot_say_what_is_measured(words, rows, measured, title, result):
    attributes(*rows)
    (found, axis, legend), = words
    assert axis == measured and title in found and "CLIP-I" in found
    assert len(legend) == 1 and result in legend[0] and "jacket" in legend[0] and "man" in legend[0]


def test_a_plot_of_motion_names_its_threshold_and_its_moving_pairs(words):
    plot_motion(MotionScore(16.0, 2, (256, 256), (0.0, 1.0)))
    plot_motion(MotionScore(16.0, 2, (256, 256), (1.0, 12.0)))
    (still, axis, quiet), (moving, _, marked) = words
    assert axis == "pixels (OpenCV DIS)" and "0 of 2 pairs move" in still and "1 of 2 pairs move" in moving
    assert not [each for each in quiet if "moving pairs" in each] and "moving pairs: 1" in marked
    assert "threshold: 6.00" in quiet and "threshold: 6.00" in marked
