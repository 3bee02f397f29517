"""The plot shows lines, gaps and marks where they belong."""

import sys

import numpy as np
import pytest
from PIL import Image

from host.coloured_faces import GREEN, RED, ColourDetector, ColourEmbedder, drawn
from lumosx_core.errors import LumosXError
from lumosx_core.scores.models import ScoreModels
from lumosx_core.scores.people import Person
from lumosx_core.scores.plot import COLOURS, as_png, colour_of, plot_identity
from lumosx_core.scores.summary import IdentityPlan, score_identity

MODELS = ScoreModels(ColourDetector(), ColourEmbedder())


def plotted(frames, names=("man", "woman")):
    people = [Person(name, drawn([(colour, 20)], 40)) for name, colour in zip(names, (RED, GREEN))]
    return plot_identity(score_identity(frames, people, MODELS, IdentityPlan()))


def columns_of(plot, colour, rows=slice(30, 370)):
    """The columns left of the legend where a colour is seen."""
    near = (np.abs(plot[rows].astype(int) - colour) < 12).all(axis=2)
    columns = np.flatnonzero(near.any(axis=0))
    return columns[(columns > 70) & (columns < 810)]


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


@pytest.mark.parametrize("name", ["costs $5", "$x$", "_hidden", "a\\b", "男", ""])
def test_any_phrase_can_be_a_label(name):
    assert plotted([both()], (name, name)).shape == (420, 1000, 3)


def test_nothing_is_left_in_matplotlib():
    plotted([both()])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(LumosXError, match="plot: matplotlib is missing .* pip install matplotlib"):
        plotted([both()])


def test_a_png_holds_the_pixels():
    import io

    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(as_png(pixels)))), pixels)


def test_people_beyond_the_colours_begin_again():
    assert len(set(COLOURS)) == len(COLOURS) and colour_of(len(COLOURS)) == colour_of(0)
