"""Places that change, and people who turn into one another."""

import numpy as np
import pytest

from lumosx_core.scores.identity import swaps
from lumosx_core.scores.identity.swaps import (
    AS_IT_STARTS,
    AS_LISTED,
    OrderChange,
    Switch,
    identity_switches,
    left_to_right,
    order_swaps,
)
from support.coloured_faces import seen


def still(frames, swap_at=None, subjects=(0, 1), start=0):
    """Two faces that stay where they are; from ``swap_at`` on each is taken for the other."""
    return [
        seen(index, [(40, subjects[swapped]), (120, subjects[1 - swapped])])
        for index in range(start, start + frames)
        for swapped in [swap_at is not None and index >= swap_at]
    ]


def walk_past(frames, hidden=8.0):
    """Subject 1 walks right and subject 2 left; where they are this near, only the one in front is found."""
    found = []
    for index in range(frames):
        share = index / (frames - 1)
        left, right = 30 + 100 * share, 130 - 100 * share
        places = [(left, 0), (right, 1)]
        found.append(seen(index, places[:1] if abs(left - right) < hidden else places))
    return found


def test_left_to_right():
    assert left_to_right(seen(0, [(120, 0), (40, 2), (80, None)], subjects=3)) == (2, 0)


def test_people_who_keep_their_places():
    order = order_swaps(still(20))
    assert (order.declared, order.judged, order.swapped, order.rate, order.changes) == ((0, 1), 20, 0, 0.0, ())
    switches = identity_switches(still(20))
    assert switches.events == () and switches.followed == 2 * 19


def test_a_swap_halfway_shows_in_both_at_that_frame():
    frames = still(40, swap_at=20)
    order = order_swaps(frames)
    assert order.rate == 0.5 and order.changes == (OrderChange(20, (1, 0)),)
    assert identity_switches(frames).events == (Switch(20, 0, 1), Switch(20, 1, 0))


@pytest.mark.parametrize("hidden", [0.0, 8.0, 30.0])
@pytest.mark.parametrize("frames", [21, 40, 81])
def test_people_who_walk_past_each_other_change_places_but_not_identity(frames, hidden):
    video = walk_past(frames, hidden)
    order = order_swaps(video)
    assert order.changes and 0.3 < order.rate < 0.6
    switches = identity_switches(video)
    assert switches.events == () and switches.followed > frames


def test_one_who_turns_into_somebody_else_is_a_switch_though_nobody_changes_places():
    frames = [seen(index, [(40, 0 if index < 7 else 1)]) for index in range(12)]
    assert identity_switches(frames).events == (Switch(7, 0, 1),)
    assert order_swaps(frames).rate is None


@pytest.mark.parametrize("between", [[(64, None)], []], ids=["taken for nobody", "lost"])
def test_a_face_that_is_nobodys_or_lost_for_a_moment_is_still_followed(between):
    frames = [
        seen(index, between if index == 8 else [(40 + 3 * index, 0 if index < 8 else 1)]) for index in range(12)
    ]
    assert identity_switches(frames).events == (Switch(9, 0, 1),)


def test_a_face_that_becomes_somebody_was_nobody_else_before():
    frames = [seen(index, [(40, None if index < 5 else 0)]) for index in range(10)]
    assert identity_switches(frames).events == () and identity_switches(frames).followed == 9


def test_a_face_is_followed_by_its_motion():
    """Faster than a face's width from frame to frame, and through two frames in which it is not found."""
    places = [10, 22, 40, 62, 84, None, None, 150, 172, 194]
    frames = [seen(index, [] if x is None else [(x, 0 if x < 190 else 1)]) for index, x in enumerate(places)]
    switches = identity_switches(frames)
    assert switches.events == (Switch(9, 0, 1),) and switches.followed == 7


def test_a_face_that_is_gone_for_long_or_jumps_away_is_not_followed():
    gone = [seen(index, [] if 4 <= index < 9 else [(40, 0 if index < 4 else 1)]) for index in range(12)]
    jumped = [seen(index, [(40, 0)] if index < 6 else [(120, 1)]) for index in range(12)]
    assert identity_switches(gone).events == identity_switches(jumped).events == ()
    assert identity_switches(jumped).followed == 5 + 5


@pytest.mark.parametrize(("missing", "events"), [(3, (Switch(7, 0, 1),)), (4, ())])
def test_a_lost_face_is_expected_for_three_frames(missing, events):
    frames = [seen(index, [] if 4 <= index < 4 + missing else [(40, int(index >= 4))]) for index in range(12)]
    assert identity_switches(frames).events == events


def test_two_faces_about_as_near_are_not_followed():
    """Whoever stood between them may be either."""
    frames = [seen(0, [(80, 0)]), seen(1, [(74, 1), (87, 0)])]
    assert identity_switches(frames).followed == 0
    assert identity_switches([seen(0, [(80, 0)]), seen(1, [(79, 1), (99, 0)])]).events == (Switch(1, 0, 1),)


def test_the_order_as_listed():
    frames = still(10, subjects=(1, 0))
    assert order_swaps(frames, AS_LISTED).rate == 1.0
    assert order_swaps(frames, AS_LISTED).changes == (OrderChange(0, (1, 0)),)
    assert order_swaps(frames, AS_IT_STARTS).rate == 0.0 and order_swaps(frames).declared == (1, 0)


def test_the_start_is_what_the_first_second_mostly_shows():
    """A frame or two in which faces are mixed up do not declare an order."""
    frames = [*still(2, swap_at=0), *still(30, start=2)]
    assert order_swaps(frames, fps=16).declared == (0, 1)
    assert order_swaps(frames, fps=16).swapped == 2
    # Of a second that is over after two frames, there is nothing else to go by.
    assert order_swaps(frames, fps=2).declared == (1, 0)
    # One frame of each at first; the third would decide, but is of the second after.
    undecided = [*still(1, swap_at=0), *still(9, start=1)]
    assert order_swaps(undecided, fps=2).declared == (1, 0) and order_swaps(undecided, fps=3).declared == (0, 1)


def test_the_first_second_begins_where_all_are_there():
    alone = [seen(index, [(120, 1)]) for index in range(20)]
    assert order_swaps([*alone, *still(5, start=20)]).declared == (0, 1)
    assert order_swaps([*alone, *still(5, start=20)]).judged == 5


def test_pairs_of_three_are_compared_too():
    three = [(20, 0), (80, 1), (140, 2)]
    frames = [seen(0, three, 3), seen(1, three[1:], 3), seen(2, [(20, 2), (80, 0)], 3), seen(3, three[:1], 3)]
    order = order_swaps(frames)
    assert (order.judged, order.swapped) == (3, 1)
    assert order.changes == (OrderChange(2, (2, 0)),)


def test_places_that_come_back_are_two_changes():
    order = order_swaps([*still(5), *still(5, swap_at=0, start=5), *still(5, start=10)])
    assert [(change.frame, change.order) for change in order.changes] == [(5, (1, 0)), (10, (0, 1))]


def test_nobody_to_compare():
    for frames in ([seen(0, [])], [seen(0, [(40, 0)])], [seen(0, [(40, 0)], subjects=1)]):
        order = order_swaps(frames)
        assert (order.declared, order.rate, order.changes) == ((), None, ())
        assert identity_switches(frames).followed == 0


@pytest.mark.parametrize(("places", "fps", "order"), [
    ([(0, (0, 1)), (1, (0, 2)), (2, (0, 2))], 16, (0, 1)), ([(3, (1, 0)), (4, (0, 1)), (5, (0, 1))], 2, (1, 0)),
    ([(3, (1, 0)), (4, (0, 1)), (5, (0, 1))], 2.5, (0, 1)), ([(0, (1,)), (1, (1, 0)), (2, (0, 1))], 9, (1, 0)),
])
def test_the_first_order_is_that_of_the_first_people_in_the_first_second(places, fps, order):
    assert swaps._first_order(places, 2, fps) == order


@pytest.mark.parametrize(("distances", "pairs"), [
    ([[0.5]], {0: 0}), ([], {}), ([[swaps._REACH]], {}), ([[swaps._REACH - 1e-9]], {0: 0}),
    ([[0.0, swaps._CLEARLY], [9.0, 9.0]], {0: 0}), ([[0.0, swaps._CLEARLY - 1e-9]], {}),
    ([[0.0], [swaps._CLEARLY]], {0: 0}), ([[0.0], [swaps._CLEARLY - 1e-9]], {}),
    ([[0.0, 5.0], [5.0, 0.0]], {0: 0, 1: 1}),
])
def test_a_face_continues_a_track_that_is_clearly_the_nearest(distances, pairs):
    assert swaps._clear_pairs(np.array(distances)) == pairs


@pytest.mark.parametrize(("before", "place", "after"), [
    ((0, 1, 2), (2, 0), (2, 1, 0)), ((0, 1, 2), (1,), (0, 1, 2)), ((0, 1), (), (0, 1)),
    ((0, 1, 2), (2, 1, 0), (2, 1, 0)),
])
def test_a_frames_order_is_put_into_the_order_so_far(before, place, after):
    assert swaps._merged(before, place) == after
