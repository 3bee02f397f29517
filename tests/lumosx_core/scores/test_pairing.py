"""Which video belongs to which case."""

from pathlib import Path

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.scores.pairing import pair_videos


def paired(cases, *videos):
    """The names of the videos; None where there is an error."""
    found = pair_videos(cases, [Path("videos", video) for video in videos])
    return {case: None if isinstance(video, LumosXError) else video.name for case, video in found.items()}


@pytest.mark.parametrize(
    "video",
    [
        "1.mp4", "1_sp1_480x832.mp4", "1_00001_.mp4", "1_00001.webm", "1-final.mp4", "1 (second try).mp4",
        "video_person2_002_1.mp4", "video_person2_002_1_sp1_480x832.mp4", "video_person2_002_1_sp8_720x1280_00003_.mp4",
    ],
)
def test_names_that_are_a_cases(video):
    assert paired({"1": "video_person2_002_1"}, video) == {"1": video}


@pytest.mark.parametrize(
    "video",
    [
        "10.mp4", "10_sp1_480x832.mp4", "1a.mp4", "11_00001_.mp4", "a1.mp4", "1_2.mp4", "1_2_sp1_480x832.mp4",
        "video_person2_002_11.mp4", "video_person2_002_1x.mp4", "video_person2_002_1_2_sp1_480x832.mp4",
        "video_person2_002_sp1_480x832.mp4",
    ],
)
def test_names_that_only_begin_alike(video):
    assert paired({"1": "video_person2_002_1"}, video) == {"1": None}


def test_a_numbered_video_of_a_longer_name_is_that_names():
    assert paired({"1": "a"}, "1-final_00001_.mp4") == {"1": None}
    assert paired({"1": "a", "1-final": "b"}, "1-final_00001_.mp4") == {"1": None, "1-final": "1-final_00001_.mp4"}


def test_the_releases_collisions():
    cases = {"1": "video_person2_002", "10": "video_person2_002_1", "2": "two"}
    videos = "video_person2_002_sp1_480x832.mp4", "video_person2_002_1_sp1_480x832.mp4", "2.mp4"
    assert paired(cases, *videos) == {"1": videos[0], "10": videos[1], "2": "2.mp4"}
    assert paired(cases, videos[1]) == {"1": None, "10": videos[1], "2": None}


def test_an_exact_name_goes_before_a_longer_one():
    assert paired({"1": "a"}, "1.mp4", "1-final.mp4") == {"1": "1.mp4"}
    assert paired({"1": "a", "1-final": "b"}, "1-final.mp4") == {"1": None, "1-final": "1-final.mp4"}


def test_the_release_cuts_long_names():
    assert paired({"1": "n" * 200}, "n" * 150 + "_sp1_480x832.mp4") == {"1": "n" * 150 + "_sp1_480x832.mp4"}


@pytest.mark.parametrize(
    ("cases", "videos", "sentence"),
    [
        ({"1": "a"}, ["10.mp4"], "video: no file is named after case 1; name it 1.mp4"),
        ({"1": "a"}, ["1.mp4", "a.mp4"], "video: 1.mp4 and a.mp4 are both named after case 1"),
        ({"1": "same", "2": "same"}, ["same.mp4"], "video: same.mp4 is named after case 1 as well as case 2"),
    ],
)
def test_what_is_unclear_is_said(cases, videos, sentence):
    found = pair_videos(cases, [Path(video) for video in videos])["1"]
    assert isinstance(found, LumosXError) and str(found).startswith(sentence)
