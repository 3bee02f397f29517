import pytest
import torch

from lumosx_core.cases import load_case
from lumosx_core.errors import LumosXError
from lumosx_core.media.video import VideoFile


def test_a_clip_becomes_a_case_with_its_video(film, tmp_path):
    folder = film(tmp_path / "clip", 3, frames=3)
    case, video = load_case(folder), VideoFile(folder / "video.mp4")
    frames = [torch.from_numpy(frame).float() for frame in video]
    assert (case.name, len(case.scene.subjects), video.fps, video.size) == ("clip", 2, 16, (128, 96))
    assert all(reference.phrase in case.prompt for reference in case.scene.references)
    assert len(frames) == 9
    changes = [(one - other).abs().mean() for one, other in zip(frames, frames[1:])]
    assert min(changes) > 0.05 * max(changes)


def test_a_case_that_has_its_video_stays(film, tmp_path):
    film(tmp_path / "clip", 3)
    with pytest.raises(LumosXError, match="holds 'video.mp4' too"):
        film(tmp_path / "clip", 4)
