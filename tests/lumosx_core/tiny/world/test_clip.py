import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.tiny.world.cast import LEAST_DIFFERENCE, Split, split_of
from lumosx_core.tiny.world.clip import (
    FACE_FRAME,
    Viewpoint,
    draw_cast,
    draw_frames,
    draw_photographed_view,
    draw_references,
    pose_of,
    positions,
    view_of_face,
    view_of_wear,
)
from lumosx_core.tiny.world.figure import SLOTS, Pose
from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.script import draw_script

SEEDS = st.integers(0, 2**32)


def drawn(seed, people=2, **options):
    random = np.random.default_rng(seed)
    script = draw_script(random, people, **options)
    return script, draw_cast(random, script, Split.TRAIN), random


def pixels(picture):
    return np.asarray(picture, float)


@settings(max_examples=20)
@given(SEEDS)
def test_references_come_in_the_order_of_the_scene(seed):
    script, cast, random = drawn(seed)
    references = list(draw_references(random, script, cast))
    scene = scene_of(script, [picture for _, picture in references])
    assert [kind for kind, _ in references] == [reference.kind.value for reference in scene.references]
    sizes = [picture.size for _, picture in references]
    assert sizes == [(reference.image.shape[2], reference.image.shape[1]) for reference in scene.references]
    phrases = [reference.phrase for reference in scene_of(script).references]
    assert phrases == [reference.phrase for reference in scene.references]


@settings(max_examples=10)
@given(SEEDS)
def test_another_order_of_people_is_an_order_of_the_same_references(seed):
    script, cast, _ = drawn(seed)

    def groups(order):
        ordered = replace(script, order=order)
        scene = scene_of(ordered, [picture for _, picture in draw_references(None, ordered, cast)])
        return [
            [(reference.phrase, reference.image.numpy().tobytes()) for reference in subject.references]
            for subject in scene.subjects
        ]

    assert groups((0, 1)) == groups(()) == groups((1, 0))[::-1]


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([2, 3]))
def test_people_can_be_distinguished(seed, people):
    _, cast, _ = drawn(seed, people, same_kinds=True, colour_words=False)
    for first in range(people):
        for second in range(first):
            one, other = cast.people[first], cast.people[second]
            assert one.face.hair != other.face.hair
            below_a_hat = [(face.skin, face.mark, face.mark_colour) for face in (one.face, other.face)]
            assert below_a_hat[0] != below_a_hat[1]
            for kind in one.worn:
                same = next(fill for worn, fill in other.worn.items() if SLOTS[worn] == SLOTS[kind])
                assert same.ground != one.worn[kind].ground
                assert np.abs(np.subtract(same.mean, one.worn[kind].mean)).max() >= LEAST_DIFFERENCE


def test_people_who_are_alike_share_hair_and_differ_below_it():
    random = np.random.default_rng(0)
    for _ in range(20):
        script = draw_script(random, 3)
        faces = [person.face for person in draw_cast(random, script, Split.VALIDATION, alike=True).people]
        assert len({(face.hair, face.hair_style) for face in faces}) == 1
        assert len({(face.skin, face.mark, face.mark_colour) for face in faces}) == 3
        assert {split_of(face) for face in faces} == {Split.VALIDATION}


def test_the_same_seed_draws_the_same_pictures():
    first, again = (drawn(3) for _ in range(2))
    for one, other in zip(draw_frames(*first[:2], 3), draw_frames(*again[:2], 3)):
        assert one.tobytes() == other.tobytes()
    for (_, one), (_, other) in zip(draw_references(first[2], *first[:2]), draw_references(again[2], *again[:2])):
        assert one.tobytes() == other.tobytes()


def test_references_are_other_views_than_the_frames():
    """Mirrored, turned and scaled: no view of a thing is another one's, nor what the clip shows."""
    script, cast, random = drawn(4)
    views = [[pixels(picture).mean() for _, picture in draw_references(random, script, cast)] for _ in range(3)]
    assert all(len({view[index] for view in views}) == 3 for index in range(len(views[0])))


def test_mirrored_and_turned_views():
    _, cast, _ = drawn(5)
    kind, fill = next(iter(cast.people[0].worn.items()))
    straight = view_of_wear(kind, fill, Viewpoint(), 2)
    mirrored = view_of_wear(kind, fill, Viewpoint(mirrored=True), 2)
    assert np.array_equal(pixels(mirrored), pixels(straight)[:, ::-1])
    assert view_of_wear(kind, fill, Viewpoint(degrees=15), 2).size != straight.size


def test_a_face_is_shown_in_its_frame_before_its_backdrop():
    face = drawn(5)[1].people[0].face
    view = Viewpoint(frame=(-20, -24, 16, 18), backdrop=((255, 0, 0), (0, 0, 255)))
    picture = view_of_face(face, view, 2)
    assert picture.size == (72, 84)
    for x, colour in ((0, (255, 0, 0)), (71, (0, 0, 255))):
        assert np.abs(np.subtract(picture.getpixel((x, 0)), colour)).max() < 5
    left, top = (2 * (-20 + 30), 2 * (-24 + 26))
    middle = view_of_face(face, Viewpoint(), 2).crop((left + 26, top + 34, left + 46, top + 60))
    assert picture.crop((26, 34, 46, 60)).tobytes() == middle.tobytes()


def test_a_thing_is_shown_before_its_backdrop():
    _, cast, _ = drawn(5)
    kind, fill = next(iter(cast.people[0].worn.items()))
    plain = pixels(view_of_wear(kind, fill, Viewpoint(), 2))
    green = pixels(view_of_wear(kind, fill, Viewpoint(backdrop=((0, 160, 0), (0, 160, 0))), 2))
    white = (plain > 247).all(-1)
    assert (green[white] == (0, 160, 0)).all() and np.array_equal(green[~white], plain[~white])


def test_a_photograph_has_blur_and_a_grain_of_its_own():
    face = drawn(5)[1].people[0].face
    sharp, soft = (pixels(view_of_face(face, Viewpoint(blur=blur), 2)) for blur in (0, 2))
    assert np.abs(np.diff(soft, axis=1)).mean() < 0.8 * np.abs(np.diff(sharp, axis=1)).mean()
    grain = pixels(view_of_face(face, Viewpoint(grain=5), 2)) - sharp
    assert 4 < grain[sharp.max(-1) < 230].std() < 6 and np.abs(grain.mean()) < 0.5
    assert np.array_equal(pixels(view_of_face(face, Viewpoint(grain=5), 2)) - sharp, grain)


def test_every_other_view_varies_as_photographs_do():
    random = np.random.default_rng(0)
    views = [draw_photographed_view(random) for _ in range(400)]
    varied = [view for view in views if view.frame != FACE_FRAME]
    assert 160 < len(varied) < 240
    assert all(view == replace(view, backdrop=None, blur=0, grain=0) for view in views if view.frame == FACE_FRAME)
    for view in varied:
        left, top, right, bottom = view.frame
        # The whole face is in it: see draw_head.
        assert left <= -8.5 and right >= 8.5 and top <= -8 and bottom >= 9
    assert {view.backdrop is None for view in varied} == {True, False}
    assert min(view.blur for view in varied) == min(view.grain for view in varied) == 0
    assert max(view.blur for view in varied) > 0.5 and max(view.grain for view in varied) > 5


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_clips_have_the_worlds_size_and_move(frames):
    script, cast, _ = next(
        found for found in map(drawn, range(100)) if "walks" in [role.verb for role in found[0].roles]
    )
    clip = draw_frames(script, cast, frames)
    assert [picture.size for picture in clip] == [(128, 96)] * frames
    assert frames == 1 or clip[0].tobytes() != clip[1].tobytes()


@pytest.mark.parametrize("verb", ["waves", "walks", "turns", "jumps"])
def test_motion_is_continuous_and_comes_back(verb):
    """No part moves by more than a fifth of its range from one frame to the next, and after two seconds none has."""
    poses = np.array([dataclasses.astuple(pose_of(verb, frame)) for frame in range(97)])
    ranges = np.ptp(poses, axis=0)
    assert ranges.max() > 0.3
    assert (np.abs(np.diff(poses, axis=0)) <= 0.26 * ranges + 1e-12).all()
    assert np.allclose(poses[96], poses[0], atol=1e-9)


def test_somebody_who_stands_does_not_move():
    assert {pose_of("stands", frame) for frame in range(33)} == {Pose()}


def test_chosen_frames_are_those_of_the_whole_clip():
    script, cast, _ = drawn(6)
    whole = draw_frames(script, cast, 9)
    assert [one.tobytes() for one in draw_frames(script, cast, 9, chosen=(0, 5))] == [
        whole[0].tobytes(), whole[5].tobytes()
    ]


def test_an_exchange_ends_with_the_places_exchanged():
    script, _, _ = next(found for found in map(drawn, range(400)) if found[0].exchange)
    (left, _), (right, _) = positions(script, 0, 17)
    (then_left, _), (then_right, _) = positions(script, 16, 17)
    assert (left, right) == (then_right, then_left) and left < right


def test_a_larger_zoom_shows_the_same():
    script, cast, _ = drawn(8)
    small, large = draw_frames(script, cast, 1)[0], draw_frames(script, cast, 1, zoom=4)[0]
    assert large.size == (512, 384)
    assert np.abs(pixels(large.resize(small.size)) - pixels(small)).mean() < 12
