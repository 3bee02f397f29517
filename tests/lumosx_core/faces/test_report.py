"""What is said of the faces that were found: which number, and why."""

import numpy as np
import pytest

from lumosx_core.faces.face import Face
from lumosx_core.faces.picking import Candidate
from lumosx_core.faces.quality import Quality
from lumosx_core.faces.report import (
    face_count_text,
    faces_report,
    left_out_warnings,
    picked_warnings,
    stranger_warnings,
)


def candidate(likeness=None, size=200.0, photo=0):
    """A good face of that size."""
    face = Face((10.4, 20.0, 10.4 + size, 20.0 + size), 0.9, np.zeros((5, 2)))
    return Candidate(photo, face, Quality(size, 500.0, 1.0, 1.0, 0.0), likeness)


@pytest.mark.parametrize(("count", "text"), [(0, "0 faces"), (1, "1 face"), (2, "2 faces")])
def test_faces_are_counted(count, text):
    assert face_count_text(count) == text


def test_only_picked_faces_below_the_measure_are_somebody_else():
    found = [candidate(0.3), candidate(0.499), candidate(0.5), candidate(None)]
    warnings = stranger_warnings(found, (2, 3, 4), 0.5, "cosine")
    assert len(warnings) == 1 and warnings[0].startswith("face 2: its likeness is 0.499, below 0.5 (cosine)")


def test_problems_are_those_of_the_picked_and_of_the_left_out():
    small = candidate(size=5.0)
    problem = small.quality.problems()[0]
    found = [small, candidate(), small]
    assert not candidate().quality.problems()
    assert [one.split(":")[0] for one in picked_warnings(found, (2, 3), True)] == ["face 3"] * len(
        small.quality.problems(True)
    )
    assert left_out_warnings(found, (2, 3)) == [f"face 1 is left out: {problem}."]


def test_each_face_has_a_line_with_its_figures():
    lines = faces_report(
        [candidate(), candidate(0.25, photo=1)], (2, 1), "CenterFace", "cosine", ["a word."], "2 were too small."
    ).splitlines()
    assert lines[0].endswith("picked: 2, 1.") and lines[1] == "- 2 were too small." and len(lines) == 5
    assert lines[2].startswith("- Face 1: photo 1, box 10, 20 to 210, 220,") and "likeness" not in lines[2]
    assert lines[3].startswith("- Face 2: photo 2,") and lines[3].endswith(", likeness 0.250 (cosine)")
    assert lines[4] == "- **Warning:** a word."
