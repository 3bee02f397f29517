"""Folders in which some videos are odd: every case has its line, as soon as it is known."""

import json
import os
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media.video import VideoFile, write_video
from lumosx_core.scores import command, video_scores
from lumosx_core.scores.command import score_folder
from lumosx_core.scores.identity.measured import IdentityPlan
from lumosx_core.scores.identity.models import FacesOnly
from lumosx_core.scores.video_scores import Equipment

FRAMES = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(9)]


def good(path):
    write_video(FRAMES, path, 16.0)



def no_index(path):
    good(path)
    content = path.read_bytes()
    path.write_bytes(content[:content.index(b"moov") - 4])


def sound(path):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_frames(path):
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def two_sizes(path):
    """One stream of JPEGs, of which the second half is larger."""
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.start_encoding()
        for number in range(8):
            size = (64, 48) if number < 4 else (96, 80)
            data = jpeg(size)
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 16), True
            container.mux(packet)


def jpeg(size):
    import io

    content = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(content, "JPEG")
    return content.getvalue()


def animated(path):
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    pictures[0].save(path, "WEBP", save_all=True, append_images=pictures[1:])


def one_pixel(path):
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=16)
        stream.width, stream.height, stream.pix_fmt = 1, 1, "bgr0"
        for _ in range(9):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((1, 1, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))


def uneven(path):
    """Frames at uneven times, as a phone takes them."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, pixels in zip((0, 10, 200, 210, 900, 1000, 1001, 1500, 4000), FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


ODD = {
    "empty": (lambda path: path.write_bytes(b""), "is not a readable video"),
    "text": (lambda path: path.write_text("#EXTM3U\n"), "video: "),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), "is not a readable video"),
    "no index": (no_index, "is not a readable video"),
    "sound": (sound, "contains no pictures"),
    "no frames": (no_frames, "video: "),
    "two sizes": (two_sizes, "changes its size from 64x48 to 96x80 pixels"),
    "animated": (animated, "is an animated WebP, which FFmpeg does not read; save the frames as MP4"),
    "link": (lambda path: path.symlink_to("circle.mp4"), "no file is named after case"),
    "folder": (lambda path: path.mkdir(), "no file is named after case"),
}
FINE = {"good": good, "one pixel": one_pixel, "uneven": uneven}


@dataclass
class NoFaces:
    """Finds nobody, at once."""

    name: str = "nobody"

    def detect(self, pixels):
        return []


@pytest.fixture
def equipment():
    def no_tools():
        raise LumosXError("by: nothing is here.")

    return Equipment(FacesOnly(NoFaces(), "nothing tells faces apart."), no_tools)


@pytest.fixture
def cases(tmp_path):
    """Makes cases of these names."""
    def make(*names):
        for name in names:
            folder = tmp_path / "cases" / name
            (folder / "subjects" / "1").mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "subjects" / "1" / "face_man.png")
            (folder / "caption.txt").write_text("sample;a man", encoding="utf-8")
        return tmp_path / "cases"

    return make


@pytest.fixture
def score(tmp_path, equipment):
    def run(root):
        return score_folder(
            tmp_path / "videos", root, equipment, IdentityPlan(), tmp_path / "out", lambda *_: lambda *_: None
        )

    (tmp_path / "videos").mkdir()
    return run


def written(tmp_path):
    text = (tmp_path / "out" / "scores.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_every_odd_video_has_its_line_and_stops_no_other(tmp_path, cases, score):
    root = cases(*ODD, *FINE)
    for name, (make, _) in ODD.items():
        make(tmp_path / "videos" / f"{name}.mp4")
    for name, make in FINE.items():
        make(tmp_path / "videos" / f"{name}.mkv")
    result = score(root)
    lines = {line["case"]: line for line in written(tmp_path)}
    assert list(lines.values()) == json.loads(json.dumps(result.lines)) and set(lines) == {*ODD, *FINE}
    for name, (_, sentence) in ODD.items():
        error = lines[name]["error"]
        assert sentence in error and "make it again" not in error and error.isprintable() and error.endswith(".")
    assert all("error" not in lines[name] for name in FINE)
    assert json.loads((tmp_path / "out" / "means.json").read_text())["overall"]["cases"] == len(FINE)


@pytest.mark.parametrize("error", [ValueError("a\nb"), MemoryError(), RuntimeError(), KeyError("x"), OSError(5, "gone"),
                                   RecursionError("deep"), AssertionError(), ZeroDivisionError("zero")])
def test_whatever_a_case_raises_is_its_line(tmp_path, cases, score, monkeypatch, error):
    def odd(frames, *_):
        if frames.path.stem == "b":
            raise error
        return real(frames, *_)

    real = video_scores.motion_score
    monkeypatch.setattr(video_scores, "motion_score", odd)
    for name in "abc":
        good(tmp_path / "videos" / f"{name}.mp4")
    score(cases(*"abc"))
    first, second, third = written(tmp_path)
    assert "error" not in first and "error" not in third
    assert second["error"].startswith("video: b.mp4 cannot be scored (") and second["error"].isprintable()


def test_lines_are_there_as_soon_as_they_are_known(tmp_path, cases, score, monkeypatch):
    """A kill or Ctrl-C loses only the case in work, and an earlier run's lines are gone with the first new one."""
    root = cases(*"abcd")
    for name in "abd":
        good(tmp_path / "videos" / f"{name}.mp4")
    score(root)
    before = written(tmp_path)
    real = command.score_video

    def stopped(video, *rest):
        known = len(written(tmp_path))
        assert known == {"a": 4, "b": 1, "d": 3}[video.stem]
        if video.stem == "d":
            raise KeyboardInterrupt
        return real(video, *rest)

    monkeypatch.setattr(command, "score_video", stopped)
    with pytest.raises(KeyboardInterrupt):
        score(root)
    assert written(tmp_path) == before[:3]
    assert json.loads((tmp_path / "out" / "means.json").read_text())["overall"]["cases"] == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the size of files")
def test_a_full_disk_ends_the_scoring_and_keeps_what_is_known(tmp_path, cases, score, full_disk):
    root = cases(*(f"{number} {'x' * 60}" for number in range(9)))
    with pytest.raises(LumosXError, match="contains no video"):
        score(root)
    good(tmp_path / "videos" / f"0 {'x' * 60}.mp4")
    with full_disk(1100), pytest.raises(LumosXError, match="^out: .* cannot be written .File too large."):
        score(root)
    lines = written(tmp_path)
    assert 1 < len(lines) < 9 and "cannot be scored" in lines[0]["error"] and "File too large" in lines[0]["error"]
    assert not list((tmp_path / "out").rglob("*.part"))
    score(root)
    assert len(written(tmp_path)) == 9


def test_cases_that_are_links_or_odd_have_their_lines(tmp_path, cases, score):
    root = cases("a", "b")
    good(tmp_path / "videos" / "a.mp4")
    (root / "b" / "caption.txt").unlink()
    (root / "b" / "caption.txt").symlink_to("/etc/passwd")
    for name, target in (("c", tmp_path / "videos"), ("d", tmp_path / "gone")):
        (root / name).symlink_to(target)
    for name in ("x.part", ".x"):
        cases(name)
    score(root)
    errors = {line["case"]: line.get("error") for line in written(tmp_path)}
    assert errors.pop("a") is None and "caption.txt of b cannot be read (it is a link that leads out" in errors.pop("b")
    assert errors == {name: f"case: {name} is a link that leads out of the folder of cases; put the case itself there."
                      for name in "cd"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_in_another_encoding_has_its_line(tmp_path, cases, score):
    name = os.fsdecode(b"bad\xe9")
    good(tmp_path / "videos" / f"{name}.mp4")
    score(cases(name))
    assert [line["case"] for line in written(tmp_path)] == [name]


def test_a_folder_of_animated_webp_says_so_for_each(tmp_path, cases, score):
    for name in "ab":
        animated(tmp_path / "videos" / f"{name}_00001_.webp")
    score(cases(*"ab"))
    assert all("is an animated WebP" in line["error"] for line in written(tmp_path))


@pytest.mark.parametrize("fps", [0.0, 1e-9, 1e9, 90_000.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (64, 48)])
def test_odd_rates_and_sizes_are_written(tmp_path, fps, size):
    write_video([np.zeros((*size, 3), np.uint8)] * 3, tmp_path / "video.mp4", fps)
    assert len(list(VideoFile(tmp_path / "video.mp4"))) == 3


def test_frames_that_are_too_large_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    good(tmp_path / "video.mp4")
    monkeypatch.setattr("lumosx_core.media.video.MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(LumosXError, match="video: video.mp4 has frames of 64x48 pixels; convert it"):
        VideoFile(tmp_path / "video.mp4")


def test_a_rotated_video_is_read_as_it_is_stored(tmp_path):
    good(tmp_path / "video.mp4")
    content = bytearray((tmp_path / "video.mp4").read_bytes())
    # The matrix of the track: a quarter turn.
    start = content.index(b"tkhd") + 44
    matrix = 0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30
    turned = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    content[start:start + 36] = turned
    (tmp_path / "video.mp4").write_bytes(content)
    assert {frame.shape for frame in VideoFile(tmp_path / "video.mp4")} == {(48, 64, 3)}
