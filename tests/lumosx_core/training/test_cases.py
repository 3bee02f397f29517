import itertools
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.cases import load_case
from lumosx_core.errors import LumosXError
from lumosx_core.media.video import VideoFile, write_video
from lumosx_core.models.lumosx.sequence import SequenceLayout
from lumosx_core.tiny.codec import BlockTransformCodec, normalised, video_of
from lumosx_core.training.cases import (
    EncodedCase,
    EncodedReference,
    TargetSize,
    case_samples,
    encode_case,
    encode_text,
    read_target,
    read_training_cases,
)
from lumosx_core.training.examples import bind
from support.tokens import small_tokenizer

SIZE = TargetSize(128, 96, 81)


def encode(frames):
    return normalised(BlockTransformCodec().encode(frames.permute(3, 0, 1, 2)[None] * 2 - 1))


def context(text):
    return torch.full((1, 3, 8), float(len(text)))


@pytest.fixture
def one(cases, tmp_path):
    """A case of this test alone."""
    return shutil.copytree(cases / "one", tmp_path / "one")


def filmed(path, frames, fps, size=(64, 48)):
    """A video whose frames get brighter one by one."""
    width, height = size
    write_video((np.full((height, width, 3), 4 * number + 20, np.uint8) for number in range(frames)), path, fps)


def encoded(case):
    text = encode_text(case, small_tokenizer(), context)
    return encode_case(case, text, context("no"), encode, SIZE)


def test_a_folder_of_cases_or_one_case_is_found(cases):
    found = read_training_cases(cases)
    assert [(case.folder.name, case.target.name) for case in found] == [("one", "video.mp4"), ("two", "video.mp4")]
    assert read_training_cases(cases / "two") == found[1:]
    assert found[0].notes == () and any("video.mp4" in note for note in load_case(cases / "one").notes)


def test_what_was_left_out_is_said(one):
    (one / "readme.txt").write_text("hello")
    Image.new("RGB", (8, 8)).save(one / "image.png")
    assert [note.split()[0] for note in read_training_cases(one)[0].notes] == ["image.png", "readme.txt"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_that_lead_out_are_refused(one, cases, tmp_path):
    target = one / "video.mp4"
    target.rename(tmp_path / "film.mp4")
    for there in ("film.mp4", "gone.mp4"):
        target.unlink(missing_ok=True)
        target.symlink_to(tmp_path / there)
        with pytest.raises(LumosXError, match="^case: video.mp4 of one is a link that leads out of the case"):
            read_training_cases(one)
    folder = tmp_path / "cases"
    shutil.copytree(cases / "two", folder / "two")
    (folder / "video.mp4").symlink_to("two/video.mp4")
    assert [case.folder.name for case in read_training_cases(folder)] == ["two"]
    (folder / "other").symlink_to(one)
    with pytest.raises(LumosXError, match="^case: other is a link that leads out of"):
        read_training_cases(folder)


def test_an_odd_image_is_found_before_anything_is_encoded(one):
    (one / "video.mp4").unlink()
    image, frames = one / "image.png", [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(image, save_all=True, append_images=frames[1:])
    note, = read_training_cases(one)[0].notes
    assert note == "image.png has several frames or pages; the first is used."
    assert read_target(image, SIZE)[0, 9, 9].tolist() == [1, 0, 0]
    frames[0].save(image, "GIF")
    with pytest.raises(LumosXError, match="image.png is not a readable picture .it is not PNG, JPEG"):
        read_training_cases(one)
    image.unlink()
    os.mkfifo(image)
    with pytest.raises(LumosXError, match="case: one has no video to train on"):
        read_training_cases(one)


def test_an_encoded_case_is_what_the_nodes_would_make_of_it(cases):
    (case, _), tokenise = read_training_cases(cases), small_tokenizer()
    read = load_case(case.folder)
    sample = encoded(case).sample(np.random.default_rng(0), 0.0)
    assert sample.binding == bind(read.scene, read.prompt, tokenise)
    assert sample.latent.shape == (1, 16, 2, 12, 16) and len(sample.references) == sample.binding.references
    assert sample.context[0, 0, 0] == len(read.prompt) and sample.negative[0, 0, 0] == 2
    first = Image.fromarray(next(iter(VideoFile(case.target))))
    direct = normalised(BlockTransformCodec().encode(video_of([first])[None]))
    assert torch.allclose(sample.latent[:, :, :1], direct, atol=1e-5)


@pytest.mark.parametrize(("frames", "most", "count"), [(9, 81, 9), (12, 81, 9), (30, 13, 13), (3, 81, 1)])
def test_frames_are_4_n_plus_1(tmp_path, frames, most, count):
    filmed(tmp_path / "video.mp4", frames, 16)
    assert read_target(tmp_path / "video.mp4", TargetSize(64, 48, most)).shape == (count, 48, 64, 3)


@pytest.mark.parametrize(("fps", "shown"), [(16, [0, 1, 2, 3, 4]), (32, [0, 2, 4, 6, 8]), (8, [0, 0, 1, 2, 2])])
def test_videos_are_seen_at_16_frames_a_second(tmp_path, fps, shown):
    filmed(tmp_path / "video.mp4", 12, fps)
    seen = read_target(tmp_path / "video.mp4", TargetSize(64, 48, 5)).mean((1, 2, 3)) * 255
    assert [round((float(value) - 20) / 4) for value in seen] == shown


def test_a_target_is_cut_to_the_size_and_never_stretched(tmp_path):
    picture = np.zeros((40, 160, 3), np.uint8)
    picture[:, 60:100] = 255
    Image.fromarray(picture).save(tmp_path / "image.png")
    seen = read_target(tmp_path / "image.png", TargetSize(32, 32, 81))
    assert seen.shape == (1, 32, 32, 3) and seen.min() > 0.8


def test_pictures_are_dropped_with_their_words_but_nobody_loses_all():
    def word(number):
        return EncodedReference(((number, number + 1),), torch.full((1, 16, 1, 2, 2), float(number)))

    people = ((word(2), word(3)), (word(4),), (EncodedReference(((5, 6),), None), word(6), word(7)))
    case = EncodedCase(torch.zeros(1, 16, 1, 2, 2), context(""), context(""), (word(0), word(1)), people)
    seen = set()
    for seed in range(60):
        sample = case.sample(np.random.default_rng(seed), 0.5)
        binding, shown = sample.binding, [int(picture.mean()) for picture in sample.references]
        assert binding.references == len(shown) and shown == sorted(shown) and 4 in shown
        assert {span for (span,) in binding.non_human_spans} == {(n, n + 1) for n in shown if n < 2}
        assert len(binding.subject_images) == 3 and all(binding.subject_images)
        assert (5, 6) in binding.subject_spans[2]
        named = {start for spans in binding.subject_spans for start, _ in spans} - {5}
        assert named == {number for number in shown if number >= 2}
        SequenceLayout(1, 1, 1, binding).positions()
        seen.add(tuple(shown))
    assert len(seen) > 10
    whole = case.sample(np.random.default_rng(0), 0.0)
    assert [int(picture.mean()) for picture in whole.references] == [0, 1, 2, 3, 4, 6, 7]


def test_without_people_one_picture_at_least_stays():
    lamp = EncodedReference(((0, 1),), torch.zeros(1, 16, 1, 2, 2))
    case = EncodedCase(torch.zeros(1, 16, 1, 2, 2), context(""), context(""), (lamp,), ())
    assert all(len(case.sample(np.random.default_rng(seed), 0.99).references) == 1 for seed in range(9))


def test_samples_go_on_where_a_stopped_training_left_them(cases):
    made = [encoded(case) for case in read_training_cases(cases)]
    whole = list(itertools.islice(case_samples(made, 3, 0.4, 0), 12))
    rest = list(itertools.islice(case_samples(made, 3, 0.4, 5), 7))
    for one, other in zip(whole[5:], rest):
        assert one.latent is other.latent and one.binding == other.binding
    # Every case once in each turn.
    for turn in range(0, 12, 2):
        assert whole[turn].latent is not whole[turn + 1].latent
    assert len({sample.latent.shape[2] for sample in whole[::2]}) == 2


def test_a_face_that_is_words_only_binds_and_shows_nothing(film, tmp_path):
    from lumosx_core.cases import write_case_folder
    from lumosx_core.scene.relations import Scene, Subject

    case = load_case(film(tmp_path / "case", 4))
    one, other = case.scene.subjects
    nameless = Subject(type(one.face)(one.face.kind, one.face.phrase, None), one.attributes)
    folder = write_case_folder(Scene(subjects=(nameless, other)), case.prompt, "x", tmp_path / "new", replace=True)
    shutil.copy(tmp_path / "case" / "video.mp4", folder)
    sample = encoded(read_training_cases(folder)[0]).sample(np.random.default_rng(0), 0.0)
    assert sample.binding.subject_images[0] == len(one.attributes)
    assert len(sample.binding.subject_spans[0]) >= 1 + len(one.attributes)


def broken(folder, what):
    """Break a case and return it."""
    if what == "target":
        (folder / "video.mp4").unlink()
    elif what == "video":
        (folder / "video.mp4").write_bytes(b"no video")
    elif what == "phrase":
        face = next(folder.glob("subjects/1/face_*.png"))
        (folder / "lumosx.json").unlink()
        face.rename(face.with_name("face_wizard in the tower.png"))
    elif what == "caption":
        (folder / "caption.txt").unlink()
    return folder


@pytest.mark.parametrize(("what", "sentence"), [
    ("target", "case: one has no video to train on"),
    ("video", "video: video.mp4 is not a readable video"),
    ("phrase", r'^case: one: .*"wizard in the tower" is not in the prompt'),
    ("caption", "case: one has no caption.txt"),
])
def test_a_case_that_cannot_be_trained_on_is_named(cases, tmp_path, what, sentence):
    shutil.copytree(cases, tmp_path / "cases")
    broken(tmp_path / "cases" / "one", what)
    with pytest.raises(LumosXError, match=sentence):
        read_training_cases(tmp_path / "cases")


def test_no_cases_are_said(tmp_path):
    with pytest.raises(LumosXError, match="there is no folder"):
        read_training_cases(tmp_path / "gone")
    with pytest.raises(LumosXError, match=r"has no caption.txt and contains no case folders"):
        read_training_cases(tmp_path)


def test_what_only_the_tokenizer_can_tell_is_reported_of_its_case(cases):
    (case, _) = read_training_cases(cases)

    def deaf(text, source):
        return small_tokenizer()(text if len(text) > 60 else "zebra")

    with pytest.raises(LumosXError, match=r'case: one: .*"zebra" is not in the prompt'):
        encode_text(case, deaf, context)
