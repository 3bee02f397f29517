"""What is said beside identity scores, exactly where it begins to be said."""

from types import SimpleNamespace

import numpy as np
import pytest

from lumosx_core.scores.identity.measured import EmbedderInfo
from lumosx_core.scores.identity.warnings import comparison_notes, identity_warnings

ARC, OTHER_ARC = "ArcFace IR-100 (a.pth)", "InsightFace buffalo_l/w600k_r50.onnx"
CUR, COLOURS = "CurricularFace IR-101 (a.bin)", "colours"


def measured(seen=(1.0, 1.0), margins=(0.5, 0.5), own=(0.9, 0.9), alike=0.1, strangers=None, known=(0, 1)):
    """Two people with these shares of frames, margins and likenesses, whose pictures are this much alike."""
    return SimpleNamespace(
        subjects=[SimpleNamespace(seen=share, seen_likeness=likeness) for share, likeness in zip(seen, own)],
        names=("man", "woman"), known=known, strangers=strangers or {}, margins=margins,
        confusion=np.array([[0.9, 0.4], [0.4, 0.9]]), references=np.array([[1, alike], [alike, 1]]),
        switches=SimpleNamespace(events=()), embedder=SimpleNamespace(same_person=0.4),
    )


@pytest.mark.parametrize(("given", "words"), [
    ({}, ()), ({"seen": (0.5, 1.0)}, ()), ({"seen": (0.49, 1.0)}, ("seen in only 49%",)),
    ({"seen": (1.0, 0.01)}, ("seen in only 1%",)), ({"seen": (0, 1.0)}, ("never seen",)),
    ({"known": (1,), "seen": (0, 1.0)}, ("no face picture",)), ({"margins": (1e-9, None)}, ()),
    ({"margins": (0.0, 0.1)}, ("look at least as much like subject 2 (\"woman\")",)),
    ({"margins": (0.1, -0.1)}, ("look at least as much like subject 1 (\"man\")",)),
    ({"alike": 0.9}, ()), ({"alike": 0.91}, ("subjects 1 and 2 are more similar (0.910)",)),
    ({"alike": 0.91, "own": (0.9, 0.95)}, ()), ({"alike": 0.91, "own": (0.95, 0.9)}, ()),
    ({"alike": 0.91, "own": (0.1, None)}, ()), ({"alike": 0.91, "known": (0,)}, ("no face picture",)),
    ({"strangers": {1: 0.25}}, ("have likeness 0.250, while pictures of one person usually have 0.40",)),
])
def test_a_warning_is_given_exactly_where_it_is_due(given, words):
    found = identity_warnings(measured(**given))
    assert len(found) == len(words) and all(part in sentence for part, sentence in zip(words, found))


@pytest.mark.parametrize(("embedders", "mode", "every", "words"), [
    ((ARC,), "release", 1, ("YOLOv9-face", "mode recommended")),
    ((ARC,), "release", 2, ("Published numbers", "YOLOv9-face", "mode recommended")),
    ((ARC,), "recommended", 1, ("Published numbers",)), ((ARC, CUR), "recommended", 1, ("Published numbers",)),
    ((ARC, COLOURS), "recommended", 1, ("Numbers by colours", "Published numbers")),
    ((COLOURS,), "recommended", 2, ("Numbers by colours",)),
    ((COLOURS, ARC), "recommended", 1, ("Numbers by colours",)),
    ((COLOURS, CUR), "recommended", 1, ("Numbers by colours", "use ArcFace as the first")),
    ((CUR, ARC), "recommended", 1, ("use ArcFace as the first", "Published numbers")),
    ((OTHER_ARC, CUR), "recommended", 1, ("compare its ArcSim only with itself", "Published numbers")),
    ((ARC, OTHER_ARC), "recommended", 1, ("compare its ArcSim only with itself", "Published numbers")),
])
def test_what_the_numbers_may_be_compared_with(embedders, mode, every, words):
    first, second = ([EmbedderInfo(name, "1 - L2", 0.4) for name in embedders] + [None])[:2]
    found = comparison_notes(SimpleNamespace(
        embedder=first, second_embedder=second, plan=SimpleNamespace(mode=mode, every=every), detector="squares",
    ))
    assert len(found) == len(words) and all(part in sentence for part, sentence in zip(words, found))
