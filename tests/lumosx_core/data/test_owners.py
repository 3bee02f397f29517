"""The second vote, on masks of two people side by side."""

from dataclasses import replace

import pytest

from lumosx_core.data.owners import _owner, owners
from lumosx_core.data.pictures import _of_owner
from lumosx_core.data.work import Rejected, write_mask
from support.data_stand_ins import mask_of

LEFT, RIGHT, MIDDLE = (10, 100, 150, 230), (170, 100, 310, 230), (120, 100, 200, 230)
BODIES = ((0, 60, 160, 240), (160, 60, 320, 240))
CAPTION = "A man on the left, wearing a hat, and a man on the right, wearing a scarf and a hat, sit at a table."


@pytest.fixture
def vote(tmp_path, leave, backends, settings):
    """vote(people, places, objects): people as words and attributes, places as boxes by phrase and frame."""
    leave("caption", caption=CAPTION)

    def run(people, places, objects=(), flag=False, swap_faces=False):
        masks = [[write_mask(tmp_path, f"masks/{person}_{frame}.png", mask_of(BODIES[person])) for frame in range(3)]
                 for person in range(2)]
        xs = (240, 80) if swap_faces else (80, 240)
        leave("people", people=[
            {"faces": {str(frame): {"box": [x, 20, x + 50, 80], "score": 1, "landmarks": [[0, 0]] * 5}
                       for frame in range(3)},
             "masks": {str(frame): file for frame, file in enumerate(own)}} for own, x in zip(masks, xs)
        ])
        leave("entities", people=[
            {"box": number, "words": words, "which": 0,
             "attributes": [{"words": phrase, "which": which} for phrase, which in attributes]}
            for number, (words, attributes) in enumerate(people, 1)
        ], objects=[{"words": phrase, "which": 0} for phrase in objects])
        leave("places", phrases={
            phrase: {str(frame): [
                {"box": list(box), "score": 0.8,
                 "mask": write_mask(tmp_path, f"masks/{phrase}_{frame}_{rank}.png", mask_of(box))}
                for rank, box in enumerate(boxes)] for frame, boxes in enumerate(frames)}
            for phrase, frames in places.items()
        })
        return owners(tmp_path, backends(), replace(settings, flag=flag))

    return run


def people(first, second, words=("man on the left", "man on the right")):
    return [(words[0], first), (words[1], second)]


def test_votes_that_agree_give_the_owner_of_every_place(vote):
    result = vote(people([("hat", 1)], [("scarf", 0), ("hat", 2)]),
                  {"hat": [[LEFT, RIGHT]] * 3, "scarf": [[RIGHT], [], [RIGHT]]})
    assert result["flags"] == result["unseen"] == []
    assert result["seen"] == {"hat": {"0": [1, 2], "1": [1, 2], "2": [1, 2]}, "scarf": {"0": [2], "1": [], "2": [2]}}


WRONG = [
    (people([("scarf", 0)], []), {"scarf": [[RIGHT]] * 3}, (), "\"scarf\" is said to be worn by person 1, but is seen "
     "on person 2"),
    (people([("scarf", 0)], []), {"scarf": [[LEFT], [RIGHT], [RIGHT]]}, (), "seen on person 1 and person 2"),
    (people([("scarf", 0)], []), {"scarf": [[MIDDLE]] * 3}, (), "seen on nobody"),
    (people([("hat", 2)], [("hat", 1)]), {"hat": [[LEFT, RIGHT]] * 3}, (), "come in the other order"),
    (people([], [], ("man on the right", "man on the left")), {}, (), "stand the other way round"),
    (people([], []), {"hat": [[LEFT]] * 3}, ("hat",), "is said to be an object, but is seen on person 1"),
]


@pytest.mark.parametrize(("said", "places", "objects", "why"), WRONG)
def test_votes_that_disagree_reject_the_clip_or_flag_it(vote, said, places, objects, why):
    with pytest.raises(Rejected) as rejected:
        vote(said, places, objects)
    assert rejected.value.reason == "owners disagree" and why in rejected.value.detail
    assert any(why in one for one in vote(said, places, objects, flag=True)["flags"])


@pytest.mark.parametrize(("second", "owner"), [
    ((200, 60, 300, 240), 1), ((0, 60, 60, 240), 1), ((0, 60, 120, 240), None),
])
def test_a_mask_that_two_people_share_is_nobodys(settings, second, owner):
    """It is all on the first person; of the second it has nothing, a third, and nearly all."""
    bodies = [{"0": mask_of((0, 60, 160, 240))}, {"0": mask_of(second)}]
    assert _owner(mask_of((20, 100, 140, 200)), bodies, "0", settings) == owner


def test_faces_say_who_stands_where(vote):
    swapped = people([], [], ("man on the right", "man on the left"))
    assert not vote(swapped, {}, swap_faces=True)["flags"]


def test_a_thing_that_is_not_seen_is_no_proof(vote):
    result = vote(people([("scarf", 0)], []), {"scarf": [[], [], []]})
    assert result["unseen"] == ["scarf"] and not result["flags"]


def test_one_frame_of_three_may_be_wrong(vote):
    result = vote(people([], [("scarf", 0)]), {"scarf": [[LEFT], [RIGHT], [RIGHT]]})
    places = {number: [{"number": number}] for number in result["seen"]["scarf"]}
    assert [number for number, _ in _of_owner(places, result["seen"]["scarf"], 2)] == [1, 2]


def test_an_object_that_is_mostly_beside_people_stays_one(vote):
    assert not vote(people([], []), {"table": [[(0, 0, 320, 120)]] * 3}, ("table",))["flags"]
