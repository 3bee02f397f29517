"""Captions beside the video, or from a language model."""

import numpy as np
import pytest
from PIL import Image

from lumosx_core.data.captions import caption
from lumosx_core.data.work import Rejected, write_picture
from support.data_stand_ins import Saying


@pytest.fixture
def captioned(tmp_path, leave, backends, settings):
    def run(*answers, beside=None):
        if beside is not None:
            (tmp_path / "walk.txt").write_bytes(beside)
        write_picture(tmp_path, "frames/frame_0.png", Image.fromarray(np.zeros((24, 32, 3), np.uint8)))
        leave("clip", video=str(tmp_path / "walk.mp4"))
        leave("frames", chosen=[0])
        leave("people", people=[])
        return caption(tmp_path, backends(model=Saying(*answers)), settings)

    return run


def test_a_text_beside_the_video_is_taken_and_nobody_is_asked(captioned):
    found = captioned(beside="\ufeffA man  walks\n(slowly) through a park.".encode())
    assert found == {"caption": "A man walks slowly through a park.", "by": "walk.txt"}


def test_an_answer_is_taken_without_what_a_prompt_would_interpret(captioned):
    found = captioned({"caption": "A man in a {red|blue} coat <lora:x> walks // here."})
    assert found["caption"] == "A man in a red blue coat lora:x walks here." and found["by"] == "saying"


def test_a_short_one_is_asked_for_again(captioned):
    assert captioned({"caption": "A man."}, {"caption": "A man walks through a park."})["by"] == "saying"


@pytest.mark.parametrize(("answers", "beside", "reason"), [
    (["no", "no"], None, "bad answer"), ([{"caption": "x " * 4000}] * 2, None, "bad answer"),
    ([{"caption": "one two"}] * 2, None, "bad answer"), ([], b"\xff\xfe", "no caption"), ([], b"", "no caption"),
    ([], b"word " * 4000, "no caption"),
])
def test_without_a_usable_caption_the_clip_is_rejected(captioned, answers, beside, reason):
    with pytest.raises(Rejected) as rejected:
        captioned(*answers, beside=beside)
    assert rejected.value.reason == reason
