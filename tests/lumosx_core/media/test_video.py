"""Frames of files, and files of frames."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.media import video as video_module
from lumosx_core.media.video import VideoFile, write_video


def shades(count=7, width=64, height=48):
    return [np.full((height, width, 3), 20 + 25 * number, np.uint8) for number in range(count)]


@pytest.fixture
def video(tmp_path):
    write_video(shades(), tmp_path / "video.mp4", 16.0)
    return tmp_path / "video.mp4"


def test_what_is_written_is_read_again(video):
    frames = VideoFile(video)
    assert (frames.fps, frames.size, frames.__length_hint__()) == (16.0, (64, 48), 7)
    for _ in range(2):
        read = list(frames)
        assert len(read) == 7 and all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in read)
        np.testing.assert_allclose([frame.mean() for frame in read], [20 + 25 * number for number in range(7)], atol=3)
    assert [path.name for path in video.parent.iterdir()] == ["video.mp4"]


def test_frames_come_with_their_seconds(video):
    assert [second for second, _ in VideoFile(video).timed()] == pytest.approx([number / 16 for number in range(7)])


def test_frames_are_read_one_at_a_time(video):
    stream = iter(VideoFile(video))
    assert next(stream).mean() == pytest.approx(20, abs=3)
    stream.close()


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 49), (65, 49)])
def test_odd_sizes_lose_a_line(tmp_path, width, height):
    write_video(shades(2, width, height), tmp_path / "odd.mp4", 8.0)
    assert VideoFile(tmp_path / "odd.mp4").size == (64, 48)


@pytest.mark.parametrize(("width", "height", "size"), [(1, 48, (2, 48)), (64, 1, (64, 2)), (3, 1, (2, 2))])
def test_a_single_line_is_doubled(tmp_path, width, height, size):
    write_video(shades(2, width, height), tmp_path / "thin.mp4", 8.0)
    assert VideoFile(tmp_path / "thin.mp4").size == size


@pytest.mark.parametrize("fps", [16.0, 24000 / 1001, 5.333333])
def test_rates_are_kept(tmp_path, fps):
    write_video(shades(9), tmp_path / "rate.mp4", fps)
    assert VideoFile(tmp_path / "rate.mp4").fps == pytest.approx(fps, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.mp4", None, "video: there is no file"),
        ("text.mp4", b"no video at all", "video: text.mp4 is not a readable video"),
        ("empty.mp4", b"", "video: empty.mp4 is not a readable video"),
    ],
)
def test_what_is_no_video_ends_in_a_sentence(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LumosXError, match=sentence):
        VideoFile(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no colon in a name")
def test_a_colon_in_a_name_is_no_protocol(video, monkeypatch):
    video.rename(video.with_name("take:1.mp4"))
    monkeypatch.chdir(video.parent)
    assert len(list(VideoFile(Path("take:1.mp4")))) == 7


@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_playlist_reaches_no_server(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/part.ts"
        (tmp_path / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n")
        with pytest.raises(LumosXError, match=f"video: {name} "):
            list(VideoFile(tmp_path / name))
        with pytest.raises(TimeoutError):
            server.accept()


def test_sound_alone_is_no_video(tmp_path):
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    with pytest.raises(LumosXError, match="video: sound.wav contains no pictures"):
        VideoFile(tmp_path / "sound.wav")


def test_a_file_cut_short_ends_in_a_sentence_or_in_fewer_frames(video):
    content = video.read_bytes()
    for share in (0.3, 0.6, 0.9):
        video.write_bytes(content[: int(len(content) * share)])
        try:
            assert len(list(VideoFile(video))) < 7
        except LumosXError as error:
            assert str(error).startswith("video: video.mp4 ")


def test_a_source_that_fails_leaves_nothing_behind(tmp_path):
    def frames():
        yield from shades(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(frames(), tmp_path / "half.mp4", 16.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("head", "animated"), [
    (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02", True), (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\xff rest", True),
    (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\xfd", False), (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0", False),
    (b"RIFX\0\0\0\0WEBPVP8X\x0a\0\0\0\x02", False), (b"RIFF\0\0\0\0WEBPVP8L\x0a\0\0\0\x02", False), (b"", False),
])
def test_only_the_flag_of_an_animation_makes_a_webp_one(tmp_path, head, animated):
    path = tmp_path / "a.webp"
    path.write_bytes(head)
    assert video_module._is_animated_webp(path) == animated
    assert not video_module._is_animated_webp(tmp_path / "gone.webp")
    sentence = str(video_module._unreadable(path, "is bad", ValueError("a reason\nand more")))
    assert ("animated WebP" in sentence) == animated and ("(a reason);" in sentence) != animated


@pytest.mark.parametrize(("error", "reason"), [
    (OSError(2, "gone"), "(gone)"), (ValueError(), "(ValueError)"), (ValueError("x" * 130), f"({'x' * 120})"),
])
def test_the_reason_is_short_and_never_empty(tmp_path, error, reason):
    assert reason in str(video_module._unreadable(tmp_path / "a.mp4", "is bad", error))


@pytest.mark.parametrize(("bound", "accepted"), [(64 * 48, True), (64 * 48 - 1, False)])
def test_frames_have_exactly_so_many_pixels_at_most(video, monkeypatch, bound, accepted):
    monkeypatch.setattr(video_module, "MOST_PIXELS", bound)
    if accepted:
        assert len(list(VideoFile(video))) == 7
    else:
        with pytest.raises(LumosXError, match="^video: video.mp4 has frames of 64x48 pixels"):
            list(VideoFile(video))


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd")])
def test_a_frame_that_cannot_be_unpacked_ends_in_a_sentence(video, monkeypatch, error):
    class Frame:
        width, height = 64, 48

        def to_ndarray(self, format):
            raise error

    class Container:
        def __enter__(self):
            return self

        def __exit__(self, *arguments):
            pass

        def decode(self, stream):
            return iter([Frame()])

    file = VideoFile(video)
    monkeypatch.setattr(video_module, "_opened", lambda path: Container())
    monkeypatch.setattr(video_module, "_video_stream", lambda container, path: Frame())
    with pytest.raises(LumosXError, match="^video: video.mp4 cannot be read to its end .(MemoryError|odd)"):
        list(file)


@pytest.mark.parametrize(("error", "reason"), [
    (ValueError("embedded null byte\nmore"), "(embedded null byte)"), (ValueError(), "(ValueError)"),
    (OSError(5, "Input/output error"), "(Input/output error)"), (OSError(), "(OSError)"),
    (ValueError("x" * 121), f"({'x' * 120})"), (av.FFmpegError(1, "Invalid data"), "(Invalid data)"),
])
def test_whatever_keeps_a_file_from_being_opened_is_said(tmp_path, monkeypatch, error, reason):
    def opened(path):
        raise error

    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setattr(video_module, "pyav", lambda: SimpleNamespace(open=opened, FFmpegError=av.FFmpegError))
    with pytest.raises(LumosXError) as caught:
        VideoFile(tmp_path / "a.mp4")
    assert str(caught.value).startswith(f"video: a.mp4 is not a readable video {reason};")
