"""What the bench of LumosX Relation Map counts, on the drawn world."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.relation_map import people_of, shares_of_owners, table, worn_by
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast, draw_references, visible_wear
from lumosx_core.tiny.world.script import draw_script


@pytest.fixture(scope="module")
def scene():
    random = np.random.default_rng(3)
    script = draw_script(random, 2, same_kinds=True, drop=False, chance_of_exchange=0.0)
    return script, draw_cast(random, script, Split.HELD_OUT)


def test_people_are_where_they_stand(scene):
    script, cast = scene
    people = people_of(script, cast, 2)
    assert people.shape == (2, 2, 6, 8)
    columns = torch.arange(8) * 16 + 8.0
    for role, one in zip(script.roles, people):
        middle = (one.sum((0, 1)) * columns).sum() / one.sum()
        assert abs(middle - role.x) < 12 and 0.05 < one.float().mean() < 0.5


def test_references_in_token_order_have_their_wearers(scene):
    script, cast = scene
    kinds = [kind for kind, _ in draw_references(None, script, cast)]
    owners = worn_by(script)
    assert [owner is not None for owner in owners] == [kind == "attribute" for kind in kinds]
    worn = [number for number in script.subjects for _ in visible_wear(script.roles[number].wears)]
    assert [owner for owner in owners if owner is not None] == worn
    assert worn_by(replace(script, place="", thing=""))[0] is None


def test_mass_is_split_by_who_stands_there():
    people = torch.zeros(2, 1, 2, 3, dtype=torch.bool)
    people[0, :, :, 0], people[1, :, :, 2] = True, True
    heat = torch.tensor([[[[3.0, 1.0, 1.0], [3.0, 1.0, 1.0]]]]).expand(2, 1, 2, 3)
    first, second = shares_of_owners(heat, people, [0, 1])
    assert first == {"of people": pytest.approx(6 / 8), "of all": pytest.approx(6 / 10)}
    assert second == {"of people": pytest.approx(2 / 8), "of all": pytest.approx(2 / 10)}
    assert list(shares_of_owners(heat, people, [None, None])) == []


def test_a_row_of_the_table_has_means_and_a_count():
    row = {"variant": "deep", "of people": {"mean": 0.9, "error": 0.02}, "of all": {"mean": 0.8, "error": 0.03},
           "most on owner": {"share": 1.0, "count": 4}}
    assert table([row]).splitlines()[-1] == "| deep | 90.0% ± 2.0% | 80.0% ± 3.0% | 100.0% of 4 |"
