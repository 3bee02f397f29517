"""What a run is predicted to cost."""

import pytest

from benchmarks.shapes import SCENES, drawn_binding
from lumosx_core.models.lumosx.prediction import predict
from lumosx_core.models.lumosx.sequence import SequenceLayout


def test_work_is_compared_with_the_same_video_without_references():
    grid = (9, 15, 26)
    prediction, alone = (predict(SequenceLayout(*grid, drawn_binding(*SCENES[references]))) for references in (6, 0))
    assert prediction.work_ratio == pytest.approx(prediction.step_tflop / alone.step_tflop) and alone.work_ratio == 1
    assert prediction.class_ratio == pytest.approx(alone.class_ratio * prediction.work_ratio)
