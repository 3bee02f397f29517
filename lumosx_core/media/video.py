"""The frames of a video file, read one at a time, and frames written to one."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import LumosXError
from ..files import replacing
from ..packages import pyav

MOST_PIXELS = 64_000_000
"""In one frame."""


class VideoFile:
    """A video file as its frames, RGB [H, W, 3] uint8; it can be read several times, and is never in memory as a whole.

    Frames come as they are stored: a note of rotation is not followed, nor did the release.

    Attributes:
        path: of the file.
        fps: frames in a second; the release's 16 where the file does not say.
        size: width and height in pixels.

    Raises:
        LumosXError: PyAV is missing, no file, or none that holds a video, or one whose frames are too large; while
            reading, a file that breaks off, has no frame at all, or changes its size.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise LumosXError(f"video: there is no file {path}; give the path of a video file.")
        with _opened(path) as container:
            stream = _video_stream(container, path)
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else 16.0
            self.size = (stream.codec_context.width, stream.codec_context.height)
            self._expected = stream.frames
        self._check_size(*self.size)

    def __length_hint__(self) -> int:
        """What the file says of its number of frames, for progress; 0 if nothing."""
        return self._expected

    def __iter__(self) -> Iterator[np.ndarray]:
        return (pixels for _, pixels in self.timed())

    def timed(self) -> Iterator[tuple[float, np.ndarray]]:
        """Each frame after the second at which it is shown, as the file says; counted where it says nothing."""
        import av

        size, number = None, 0
        with _opened(self.path) as container:
            stream = _video_stream(container, self.path)
            stream.thread_type = "AUTO"
            frames = container.decode(stream)
            while True:
                try:
                    frame = next(frames, None)
                    if frame is None:
                        break
                    # Before it is unpacked, whatever the file said of its size.
                    self._check_size(frame.width, frame.height)
                    pixels = frame.to_ndarray(format="rgb24")
                except LumosXError:
                    raise
                except (av.FFmpegError, ValueError, MemoryError) as error:
                    raise _unreadable(self.path, "cannot be read to its end", error) from error
                if size is not None and pixels.shape != size:
                    raise LumosXError(
                        f"video: {self.path.name} changes its size from {size[1]}x{size[0]} to {pixels.shape[1]}x"
                        f"{pixels.shape[0]} pixels; convert it to one size."
                    )
                size = pixels.shape
                yield (number / self.fps if frame.time is None else frame.time), pixels
                number += 1
        if size is None:
            raise LumosXError(f"video: {self.path.name} has no frame; give a file with a video in it.")

    def _check_size(self, width: int, height: int) -> None:
        if width * height > MOST_PIXELS:
            raise LumosXError(
                f"video: {self.path.name} has frames of {width}x{height} pixels; convert it to {MOST_PIXELS / 1e6:g} "
                "megapixels or less."
            )


def write_video(frames: Iterable[np.ndarray], target: Path, fps: float) -> None:
    """Write RGB frames [H, W, 3] uint8 as an MP4 file: H.264 where this PyAV has it, else MPEG-4.

    Raises:
        LumosXError: PyAV is missing, or it cannot write such a video.
        OSError: the file cannot be written.
    """
    av = pyav()
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with replacing(target) as part:
        try:
            with av.open(str(part), "w", format="mp4") as container:
                _encode(av, container, codec, frames, fps)
        except (av.FFmpegError, ValueError, OverflowError) as error:
            if isinstance(error, LumosXError):
                raise
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise OSError(error.errno, error.strerror, str(target)) from error
            raise _unreadable(target, "cannot be written", error) from error


def _encode(av, container, codec: str, frames: Iterable[np.ndarray], fps: float) -> None:
    # MPEG-4 takes no finer times than a 65535th of a second, and nothing takes 0 frames in one.
    stream = container.add_stream(codec, rate=Fraction(min(max(fps, 0.1), 240.0)).limit_denominator(1001))
    stream.pix_fmt = "yuv420p"
    for number, pixels in enumerate(frames):
        pixels = _with_even_sides(pixels)
        if number == 0:
            stream.height, stream.width = pixels.shape[:2]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    container.mux(stream.encode(None))


def _with_even_sides(pixels: np.ndarray) -> np.ndarray:
    """H.264 halves its colours, so both sides must be even: an odd one loses a line, and a single one is doubled."""
    for axis in (0, 1):
        if pixels.shape[axis] == 1:
            pixels = pixels.repeat(2, axis)
    return np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])


def _opened(path: Path):
    av = pyav()
    try:
        # FFmpeg takes what stands before a colon in a relative name for a protocol.
        return av.open(str(path.resolve()))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, "is not a readable video", error) from error


def _unreadable(path: Path, what: str, error: Exception) -> LumosXError:
    if _is_animated_webp(path):
        return LumosXError(
            f"video: {path.name} is an animated WebP, which FFmpeg does not read; save the frames as MP4 (Save Video)."
        )
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0][:120] or type(error).__name__
    return LumosXError(f"video: {path.name} {what} ({reason}); give another file.")


def _is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP with the flag of an animation, whatever its name is."""
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:] and head[20] & 2)


def _video_stream(container, path: Path):
    if not container.streams.video:
        raise LumosXError(f"video: {path.name} contains no pictures; give a file with a video in it.")
    return container.streams.video[0]
