"""Videos cut into clips at LumosX's rate."""

from fractions import Fraction

import av
import numpy as np
import pytest

from lumosx_core.data import shots as shots_module
from lumosx_core.data.settings import FPS, Settings
from lumosx_core.data.shots import sampled, shots
from lumosx_core.data.work import Rejected, result_of
from lumosx_core.media.video import VideoFile, write_video


def shades(count, side=64):
    return [np.full((side, side, 3), 10 + 4 * (number % 60), np.uint8) for number in range(count)]


def write_at(path, times):
    """A video whose frames, ever lighter, are shown at these milliseconds."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, pixels in zip(times, shades(len(times))):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_variable_rate_becomes_an_even_one(tmp_path):
    """Ten frames in the first second and forty in the second: each sample shows what stood there at its time."""
    times = [*range(0, 1000, 100), *range(1000, 2000, 25)]
    write_at(tmp_path / "variable.mp4", times)
    found = [frame.mean() for frame in sampled(VideoFile(tmp_path / "variable.mp4"), None)]
    lights = [10 + 4 * max(index for index, time in enumerate(times) if time <= sample * 1000 / FPS)
              for sample in range(32)]
    assert len(found) == 32
    np.testing.assert_allclose(found, lights, atol=3)


@pytest.fixture
def cut(tmp_path, leave, backends):
    """cut(frames, fps, **settings): the clips of a video."""
    def run(frames, fps=FPS, **own):
        path = tmp_path / "video.mp4"
        write_video(frames, path, fps)
        leave("source", video=str(path))
        return shots(tmp_path, backends(), Settings(**{"least_side": 32, **own}))["clips"]

    return run


def test_clips_have_the_frames_of_their_shot(cut, tmp_path):
    light, dark = (np.full((64, 64, 3), value, np.uint8) for value in (220, 20))
    clips = cut([light] * 40 + [dark] * 30)
    assert [(one["folder"], one["start"], one["end"]) for one in clips] == [
        ("0001", 0, 39 / FPS), ("0002", 41 / FPS, 70 / FPS),
    ]
    for clip, shade in zip(clips, (220, 20)):
        folder = tmp_path / clip["folder"]
        frames = list(VideoFile(folder / "clip.mp4"))
        assert len(frames) == result_of(folder, "clip")["frames"] == round((clip["end"] - clip["start"]) * FPS)
        assert all(abs(frame.mean() - shade) < 4 for frame in frames) and VideoFile(folder / "clip.mp4").fps == FPS


def test_large_pictures_are_reduced(cut, tmp_path):
    cut([np.full((90, 160, 3), 99, np.uint8)] * 20, longest_side=80)
    assert VideoFile(tmp_path / "0001" / "clip.mp4").size == (80, 44)


@pytest.mark.parametrize(("count", "own", "reason"), [
    (8, {}, "too short"), (20, {"least_side": 65}, "too small"),
])
def test_what_is_too_short_or_too_small_is_rejected(cut, count, own, reason):
    with pytest.raises(Rejected) as rejected:
        cut(shades(count), **own)
    assert rejected.value.reason == reason


@pytest.mark.parametrize("content", [None, b"", b"no video", b"\x00" * 5000])
def test_what_is_no_video_is_rejected(tmp_path, leave, backends, settings, content):
    if content is not None:
        (tmp_path / "video.mp4").write_bytes(content)
    leave("source", video=str(tmp_path / "video.mp4"))
    with pytest.raises(Rejected) as rejected:
        shots(tmp_path, backends(), settings)
    assert rejected.value.reason == "unreadable video"


def test_a_video_that_is_cut_off_is_rejected(tmp_path, leave, backends, settings):
    write_video(shades(64, 256), tmp_path / "whole.mp4", FPS)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[:len(content) // 2])
    leave("source", video=str(tmp_path / "half.mp4"))
    with pytest.raises(Rejected) as rejected:
        shots(tmp_path, backends(), settings)
    assert rejected.value.reason == "unreadable video"


def test_a_second_run_cuts_nothing(cut, tmp_path, monkeypatch, backends):
    cut(shades(20))
    monkeypatch.setattr(shots_module, "write_video", lambda *_: pytest.fail("cut again"))
    assert shots(tmp_path, backends(), Settings(least_side=32))["clips"]
