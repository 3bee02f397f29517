"""What an end looks like: in the history, and in a file."""

import av
import numpy as np
import pytest

from lumosx_core.runner import outcome
from lumosx_core.runner.outcome import is_whole_mp4, iso_time, read_history


@pytest.fixture
def video(tmp_path):
    """An MP4 as ComfyUI writes one."""
    path = tmp_path / "video.mp4"
    with av.open(str(path), mode="w", options={"movflags": "use_metadata_tags"}) as output:
        output.metadata["prompt"] = "{}"
        stream = output.add_stream("h264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(9):
            picture = np.full((48, 64, 3), 20 * shade, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def test_only_a_whole_file_is_whole(video):
    data = video.read_bytes()
    assert is_whole_mp4(video)
    for length in (*range(0, len(data), 9), len(data) - 1):
        video.write_bytes(data[:length])
        assert not is_whole_mp4(video), f"{length} of {len(data)} bytes"
    video.write_bytes(data + b"\0")
    assert not is_whole_mp4(video)


def test_pyav_plays_what_is_not_whole(video):
    """Why the boxes are followed instead: what is lost here is the workflow, and may as well be the sound."""
    data = video.read_bytes()
    video.write_bytes(data[:-60])
    with av.open(str(video)) as opened:
        assert "prompt" not in opened.metadata and len(list(opened.decode(video=0))) == 9
    assert not is_whole_mp4(video)


def test_the_state_before_the_index_is_written_is_not_whole(video):
    data = bytearray(video.read_bytes())
    start = data.index(b"mdat") - 4
    data[start:start + 4] = bytes(4)
    video.write_bytes(data[:data.index(b"moov") - 4])
    assert not is_whole_mp4(video)


def test_long_boxes_are_followed(tmp_path):
    path = tmp_path / "video.mp4"
    long_box = (1).to_bytes(4, "big") + b"mdat" + (20).to_bytes(8, "big") + b"1234"
    path.write_bytes(b"\0\0\0\x08ftyp" + long_box + b"\0\0\0\x08moov")
    assert is_whole_mp4(path)


@pytest.mark.parametrize("kinds", [["ftyp", "mdat"], ["ftyp", "moov"], ["moov", "mdat"], []])
def test_a_file_without_one_of_its_parts_is_not_whole(tmp_path, kinds):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"".join(b"\0\0\0\x08" + kind.encode() for kind in kinds))
    assert not is_whole_mp4(path)


@pytest.mark.parametrize("length", range(8))
def test_a_box_shorter_than_its_own_head_is_none(tmp_path, length):
    path = tmp_path / "video.mp4"
    short = length.to_bytes(4, "big") + b"free"[:max(0, length - 4)]
    path.write_bytes(b"\0\0\0\x08ftyp\0\0\0\x08mdat\0\0\0\x08moov" + short)
    assert not is_whole_mp4(path)


@pytest.mark.parametrize(("boxes", "whole"), [(1_000, True), (1_000_000, False)])
def test_boxes_without_end_are_no_video(tmp_path, boxes, whole):
    """A server may send gigabytes of them."""
    path = tmp_path / "video.mp4"
    path.write_bytes(b"\0\0\0\x08ftyp" + b"\0\0\0\x08mdat" * boxes + b"\0\0\0\x08moov")
    assert is_whole_mp4(path) is whole


def _entry(status, outputs=None, **messages):
    listed = [[f"execution_{kind}", data] for kind, data in messages.items()]
    return {"status": {"status_str": status, "messages": listed}, "outputs": outputs or {}}


def test_a_success_has_files_and_times():
    saved = {"filename": "a_00001_.mp4", "subfolder": "s", "type": "output"}
    outputs = {"8": {"images": [saved], "animated": [True]}, "9": {"text": ["hm"]},
               "1": None, "2": {"images": None},
               "7": {"images": [{"filename": "b.png", "subfolder": "", "type": "temp"}]}}
    outcome = read_history(_entry("success", outputs, start={"timestamp": 1000}, success={"timestamp": 3500}))
    assert outcome.outputs == (saved,) and outcome.error == "" and outcome.seconds == 2.5
    assert iso_time(outcome.finished) == "1970-01-01T00:00:03.500+00:00"


def test_failures_are_reported():
    raised = {"node_type": "LumosX_Sampler", "exception_message": "seed: no.\n", "timestamp": 5}
    assert read_history(_entry("error", error=raised)).error == "LumosX_Sampler: seed: no."
    assert "interrupted" in read_history(_entry("error", interrupted={"timestamp": 5})).error
    assert "without saving anything" in read_history(_entry("success", success={"timestamp": 5})).error
    assert read_history({"status": None, "outputs": {}}).seconds is None


@pytest.mark.parametrize(("stamp", "kept"), [
    (0, True), (outcome._LAST_TIME, True), (-1, False), (outcome._LAST_TIME + 1, False), (1.0, False), (True, False),
    ("1", False), (None, False),
])
def test_times_are_whole_and_within_the_calendar(stamp, kept):
    assert outcome._time({"timestamp": stamp}) == (stamp if kept else None)
    assert outcome.iso_time(outcome._time({"timestamp": stamp})) is None or kept
    assert outcome._time(None) is None and outcome._time({}) is None


def test_files_are_listed_once_and_only_so_many_of_them():
    def file(number, **more):
        return {"filename": f"{number}.mp4", "subfolder": "", "type": "output", **more}

    many = {"1": {"videos": [file(number) for number in range(outcome.MOST_OUTPUTS + 1)] * 2}}
    assert [one["filename"] for one in outcome._saved_files(many)] == [
        f"{number}.mp4" for number in range(outcome.MOST_OUTPUTS)
    ]
    odd = {"1": {"a": [file(1, type="temp"), file("", filename=""), 3, None], "b": 3}, "2": None, "3": {"c": [file(2)]}}
    assert outcome._saved_files(odd) == [file(2)]
    long = outcome._saved_files({"1": {"a": [file("x" * 9999)]}})
    assert len(long[0]["filename"]) == outcome._LONGEST_NAME


@pytest.mark.parametrize(("started", "finished", "seconds"), [
    (1000, 3500, 2.5), (None, 3500, None), (1000, None, None), (0, 0, 0.0),
])
def test_seconds_need_both_times(started, finished, seconds):
    assert outcome.Outcome(started=started, finished=finished).seconds == seconds


@pytest.mark.parametrize(("data", "words"), [
    ({"node_type": "KSampler", "exception_message": " it broke \n"}, "KSampler: it broke"),
    ({"node_type": "KSampler", "exception_message": None, "exception_type": "OSError"}, "KSampler: OSError"),
    ({"node_type": None, "exception_message": " ", "exception_type": None}, "A node: it failed without"),
    ({}, "A node: it failed without giving a reason"),
])
def test_what_was_raised_is_said_with_what_there_is(data, words):
    assert outcome._what_was_raised(data).startswith(words)


def test_messages_of_another_form_are_passed_over():
    start = ["execution_start", {"timestamp": 5}]
    odd = [[["a"], {}], ["b"], ["c", {}, 1], "de", None, [None, {}], {}, ["execution_success", None]]
    found = read_history({"status": {"messages": [start, *odd]}})
    assert (found.started, found.finished) == (5, None)
