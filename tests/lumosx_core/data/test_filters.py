"""What makes a clip useless, on pictures that have exactly that."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lumosx_core.data.filters import border_share, filters, subtitle_lines
from lumosx_core.data.settings import FPS, Settings
from lumosx_core.data.work import Rejected
from lumosx_core.media.drawing import font_of
from lumosx_core.media.video import write_video


def moving(count=20, size=(180, 320)):
    """Coarse noise that drifts by four pixels a frame."""
    coarse = np.random.default_rng(0).integers(30, 190, (12, 40, 3), np.uint8)
    whole = np.kron(coarse, np.ones((size[0] // 12, 16, 1), np.uint8))
    return [np.ascontiguousarray(whole[:, 4 * shift:4 * shift + size[1]]) for shift in range(count)]


def with_words(pixels, words="AND THEN HE SAID THAT IT WAS OVER", y=150, colour=(255, 255, 255)):
    picture = Image.fromarray(pixels)
    ImageDraw.Draw(picture).text((20, y), words, fill=colour, font=font_of(16))
    return np.asarray(picture)


@pytest.fixture
def filtered(tmp_path, leave, backends):
    def run(frames, **own):
        write_video(frames, tmp_path / "clip.mp4", FPS)
        leave("clip", frames=len(frames))
        return filters(tmp_path, backends(), Settings(**own))

    return run


def test_a_plain_clip_passes_with_its_figures(filtered):
    found = filtered(moving())
    assert found["motion"] > 2 and found["border"] == 0 and found["subtitle_lines"] == 0 and found["spread"] > 20


@pytest.mark.parametrize(("change", "reason"), [
    (lambda frames: [frames[0]] * len(frames), "still"),
    (lambda frames: [np.full_like(frame, 90) for frame in frames], "blank"),
    (lambda frames: [np.pad(frame[20:-20], ((20, 20), (0, 0), (0, 0))) for frame in frames], "black borders"),
    (lambda frames: [with_words(frame) for frame in frames], "subtitles"),
])
def test_each_fault_has_its_reason(filtered, change, reason):
    with pytest.raises(Rejected) as rejected:
        filtered(change(moving()))
    assert rejected.value.reason == reason


def test_every_limit_can_be_lifted(filtered):
    assert filtered([moving()[0]] * 20, least_motion=0.0)["motion"] < 0.4
    assert filtered([with_words(frame) for frame in moving()], refuse_subtitles=False)["subtitle_lines"] >= 6


def grey(frames):
    return np.stack([frame.mean(-1) for frame in frames]).astype(np.float32)


def test_a_border_on_one_side_alone_is_a_dark_thing():
    one = [np.pad(frame[:, 40:], ((0, 0), (40, 0), (0, 0))) for frame in moving()]
    both = [np.pad(frame[:, 40:-40], ((0, 0), (40, 40), (0, 0))) for frame in moving()]
    assert border_share(grey(one)) == 0 and border_share(grey(both)) == pytest.approx(80 / 320)
    assert border_share(np.zeros((3, 20, 20), np.float32)) == 1


def test_letters_that_move_or_stand_above_are_part_of_the_scene():
    above = [with_words(frame, y=20) for frame in moving()]
    along = [with_words(frame, y=150, words=" " * shift + "AND THEN HE SAID THAT") for shift, frame in
             enumerate(moving())]
    assert subtitle_lines(grey(above)) == 0 and subtitle_lines(grey(along)) < 6
