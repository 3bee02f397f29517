"""The frames of a video file, read one at a time, and frames written to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import LumosXError
from ..files import unfinished_beside


class VideoFile:
    """A video file as its frames, RGB [H, W, 3] uint8; it may be read several times, and never lies in memory whole.

    Frames come as they are stored: a note of rotation is not followed, nor did the release.

    Attributes:
        path: of the file.
        fps: frames in a second; the release's 16 where the file does not say.
        size: width and height in pixels.

    Raises:
        LumosXError: PyAV is missing, no file, or none that holds a video; while reading, a file that breaks off.
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

    def __length_hint__(self) -> int:
        """What the file says of its number of frames, for progress; 0 if nothing."""
        return self._expected

    def __iter__(self) -> Iterator[np.ndarray]:
        import av

        with _opened(self.path) as container:
            stream = _video_stream(container, self.path)
            stream.thread_type = "AUTO"
            try:
                for frame in container.decode(stream):
                    yield frame.to_ndarray(format="rgb24")
            except av.FFmpegError as error:
                raise LumosXError(
                    f"video: {self.path.name} cannot be read to its end ({error.strerror}); make it again."
                ) from error


def write_video(frames: Iterable[np.ndarray], target: Path, fps: float) -> None:
    """Write RGB frames [H, W, 3] uint8 as an MP4 file: H.264 where this PyAV has it, else MPEG-4.

    Raises:
        LumosXError: PyAV is missing.
    """
    av = _pyav()
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with unfinished_beside(target) as part:
        with av.open(str(part), "w", format="mp4") as container:
            stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
            stream.pix_fmt = "yuv420p"
            for number, pixels in enumerate(frames):
                # H.264 halves its colours, so both sides must be even.
                pixels = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
                if number == 0:
                    stream.height, stream.width = pixels.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
        part.replace(target)


def _pyav():
    try:
        import av
    except ImportError as error:
        raise LumosXError(f"video: PyAV is missing ({error}); install it with pip install av.") from error
    return av


def _opened(path: Path):
    av = _pyav()
    try:
        # FFmpeg takes what stands before a colon in a relative name for a protocol.
        return av.open(str(path.resolve()))
    except (av.FFmpegError, OSError) as error:
        raise LumosXError(f"video: {path.name} is no readable video ({error.strerror}); give another file.") from error


def _video_stream(container, path: Path):
    if not container.streams.video:
        raise LumosXError(f"video: {path.name} holds no pictures; give a file with a video in it.")
    return container.streams.video[0]
