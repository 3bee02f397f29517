"""Consolidation of a clip's crops into subjects."""

import json
import time
from itertools import combinations

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid import clique_search, cliques
from lumosx_core.models.polyvivid.clique_search import Budget, Found, largest_clique
from lumosx_core.models.polyvivid.cliques import consolidate, least_size, similarity_graph
from tools.golden_polyvivid import WEIGHTS, _cliques

CASES = json.loads(WEIGHTS.with_name("polyvivid_cliques.json").read_text(encoding="utf-8"))


def listed(graph, similarity, least):
    """The best clique by networkx's list of all of them."""
    sizes = [tuple(sorted(one)) for one in networkx.find_cliques(graph) if len(one) >= least]
    most = max(map(len, sizes), default=0)
    return min(
        (one for one in sizes if len(one) == most),
        key=lambda one: (-round(sum(similarity[a, b] for a, b in combinations(one, 2)), 9), one), default=None,
    )


@pytest.mark.parametrize(("edges", "least", "found"), [
    ([], 2, Found(None, True)), ([(0, 1)], 3, Found(None, True)), ([(0, 1), (1, 2)], 3, Found(None, True)),
    ([(0, 1)], 2, Found((0, 1), False)), ([(0, 1), (1, 2), (0, 2)], 3, Found((0, 1, 2), False)),
])
def test_where_nobody_can_be_in_a_clique_nothing_is_searched(edges, least, found):
    """So the answer is complete without any budget."""
    graph = networkx.Graph(edges)
    graph.add_nodes_from(range(3))
    assert largest_clique(graph, np.ones((3, 3)), least, Budget(0)) == found


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    # Few different values, so that many sums are equal.
    values = draw(st.lists(st.sampled_from([0.0, 0.8, 0.9, 1.0]), min_size=count * count, max_size=count * count))
    similarity = np.triu(np.array(values).reshape(count, count), 1)
    return similarity + similarity.T + np.eye(count)


@settings(max_examples=100)
@given(graphs(), st.integers(1, 5))
def test_the_search_finds_the_best_of_all_cliques(similarity, least):
    graph = similarity_graph(similarity, range(len(similarity)), 0.5)
    found = largest_clique(graph, similarity, least, Budget(10**6))
    assert found == Found(listed(graph, similarity, least), True)


@settings(max_examples=50)
@given(graphs(), st.integers(0, 30))
def test_cut_off_it_still_gives_a_clique_and_says_so(similarity, work):
    graph = similarity_graph(similarity, range(len(similarity)), 0.5)
    found = largest_clique(graph, similarity, 1, Budget(work))
    assert all(graph.has_edge(*pair) for pair in combinations(found.members, 2))
    if found.complete:
        assert found.members == listed(graph, similarity, 1)


def mistaken(monkeypatch, **replaced):
    for name, value in replaced.items():
        monkeypatch.setattr(cliques, name, value)
    return _cliques(CASES)


def greedy(graph, similarity, least, budget):
    members, candidates = [], set(graph)
    while candidates:
        best = max(candidates, key=lambda one: (len(candidates & set(graph[one])), -one))
        members.append(best)
        candidates &= set(graph[best])
    return Found(tuple(sorted(members)) if len(members) >= least else None, True)


def linked(graph, similarity, least, budget):
    """Union-Find, as HunyuanCustom has it."""
    most = max(networkx.connected_components(graph), key=len)
    return Found(tuple(sorted(most)) if len(most) >= least else None, True)


def untied(graph, similarity, least, budget):
    """The first of the largest cliques."""
    most = max((sorted(one) for one in networkx.find_cliques(graph)), key=len)
    return Found(tuple(most) if len(most) >= least else None, True)


def loose(similarity, frames, tau, same_frame_edges=False):
    return similarity_graph(similarity, frames, np.nextafter(tau, 2), same_frame_edges)


@pytest.mark.parametrize("replaced", [
    pytest.param({"largest_clique": greedy}, id="greedy"),
    pytest.param({"largest_clique": linked}, id="linked neighbours"),
    pytest.param({"largest_clique": untied}, id="ties not decided"),
    pytest.param({"similarity_graph": loose}, id="distance equal to tau joins"),
    pytest.param({"similarity_graph": lambda s, f, t, e=False: similarity_graph(s, f, t, True)}, id="same frame joins"),
    pytest.param({"least_size": lambda frames: -(-frames // 3)}, id="exactly a third is enough"),
    pytest.param({"_phrase": lambda members, *_: None}, id="no phrase"),
])
def test_the_golden_file_notices_a_mistake(monkeypatch, replaced):
    assert mistaken(monkeypatch) == 0
    assert mistaken(monkeypatch, **replaced) > 0


@pytest.mark.parametrize("wrong", [("area",), ("sharpness",)], ids=str)
def test_the_golden_file_notices_a_forgotten_tie_break(monkeypatch, wrong):
    true = cliques.consolidate

    def without(*given, **options):
        return true(*given, **{name: value for name, value in options.items() if name not in wrong})

    monkeypatch.setattr("tools.golden_polyvivid.consolidate", without)
    assert _cliques(CASES) > 0


@given(st.integers(0, 200))
def test_a_subject_needs_more_than_a_third(frames):
    least = least_size(frames)
    assert 3 * least > frames and 3 * (least - 1) <= frames


def people_of(found, who):
    """The people whose crops each subject has, sorted."""
    return sorted(sorted(set(who[list(one.members)].tolist())) for one in found.subjects)


def clip(frames, people, noise, seed, twins=None, boxes=1):
    """Similarities of crops of ``people`` in every frame, and the frame and the person of each."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(people, 64))
    if twins is not None:
        looks[1] = looks[0] + twins * rng.normal(size=64)
    who = np.tile(np.repeat(np.arange(people), boxes), frames)
    features = looks[who] + noise * rng.normal(size=(len(who), 64))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features @ features.T, np.repeat(np.arange(frames), people * boxes).tolist(), who


@pytest.mark.parametrize("seed", range(4))
def test_twins_are_kept_apart_where_their_own_crops_are_more_alike(seed):
    """All crops of both are joined, so there are 2^32 largest cliques; the sum of similarities decides."""
    similarity, frames, who = clip(32, 4, 0.2, seed, twins=0.3)
    found = consolidate(similarity, frames, 0.3)
    assert similarity[who < 2][:, who < 2].min() > 0.7
    assert people_of(found, who) == [[0], [1], [2], [3]]
    assert not found.left_over and not found.warnings


def test_a_bridge_between_two_people_does_not_merge_them():
    similarity, frames, who = clip(12, 2, 0.1, 0)
    bridge = len(who)
    grown = np.eye(bridge + 1)
    grown[:bridge, :bridge] = similarity
    half = np.flatnonzero(np.array(frames) < 8)
    grown[bridge, half] = grown[half, bridge] = 0.95
    found = consolidate(grown, [*frames, 99], 0.3)
    assert people_of(found, who) == [[0], [1]]
    assert found.left_over == (bridge,)


@pytest.mark.slow
@pytest.mark.parametrize("hostile", ["equal twins", "dense", "all alike"])
def test_the_worst_cases_are_bounded_and_say_so(hostile):
    rng = np.random.default_rng(0)
    if hostile == "equal twins":
        similarity, frames, _ = clip(64, 2, 0.1, 0, twins=0.0)
    else:
        count = 300
        share = 0.97 if hostile == "dense" else 1.0
        similarity = np.triu(np.where(rng.random((count, count)) < share, 0.9 + 0.1 * rng.random((count, count)), 0), 1)
        similarity, frames = similarity + similarity.T + np.eye(count), [index // 3 for index in range(count)]
    started = time.process_time()
    found = consolidate(similarity, frames, most_work=20_000)
    # Far above what it takes; without a bound it would be years.
    assert time.process_time() - started < 20
    assert len(found.warnings) == 1 and found.warnings[0] in found.report()
    members = [one for subject in found.subjects for one in subject.members]
    assert sorted((*members, *found.left_over)) == list(range(len(frames)))
    for subject in found.subjects:
        assert len({frames[one] for one in subject.members}) == len(subject.members) >= least_size(len(set(frames)))
    if hostile != "dense":
        # Nothing but the choice among equally large ones was given up.
        assert [len(one.members) for one in found.subjects][:2] == [len(set(frames))] * 2


def linked_crops(*edges, count):
    """Similarities of crops that are 0 but for (one, other, similarity)."""
    similarity = np.eye(count)
    for one, other, value in edges:
        similarity[one, other] = similarity[other, one] = value
    return similarity


def test_what_was_cut_off_is_improved_by_exchanges():
    """An intruder that greedy extension took for the sake of its degree is exchanged for the better crop."""
    own = [(one, other, 0.99) for one, other in combinations(range(4), 2)]
    intruder = [(one, 4, 0.9) for one in (0, 1, 2, 5, 6)]
    similarity, frames = linked_crops(*own, *intruder, count=7), [0, 1, 2, 3, 3, 4, 5]
    found = consolidate(similarity, frames, most_work=0)
    assert found.warnings and found.subjects[0].members == (0, 1, 2, 3)


def test_greedy_extension_goes_by_degree():
    """Not by similarity, which would end with the pair."""
    people = [(one, other, 0.9) for one, other in combinations(range(2, 6), 2)]
    similarity = linked_crops((0, 1, 1.0), *people, count=6)
    found = consolidate(similarity, range(6), most_work=0)
    assert found.warnings and [one.members for one in found.subjects] == [(2, 3, 4, 5)]


def test_the_report_names_subjects_references_and_what_is_left():
    similarity = np.kron(np.eye(2), np.ones((3, 3)))
    found = consolidate(
        np.pad(similarity, (0, 1)), [0, 1, 2, 0, 1, 2, 2], phrases=["cat"] * 3 + ["dog"] * 4
    )
    report = found.report()
    assert '"cat" 3 crops' in report and '"dog" 3 crops' in report and report.endswith(": 6")
    assert found.subjects[0].similarity == 1.0


@pytest.mark.parametrize(("given", "name"), [
    ({"similarity": np.eye(3)}, "similarity"), ({"similarity": np.full((2, 2), np.nan)}, "similarity"),
    ({"similarity": np.array([[1, 0.5], [0.4, 1]])}, "similarity"), ({"area": [1]}, "area"),
    ({"sharpness": [1]}, "sharpness"), ({"phrases": []}, "phrases"), ({"tau": -0.1}, "tau"),
    ({"tau": float("nan")}, "tau"), ({"frame_count": 1}, "frame_count"),
], ids=str)
def test_wrong_inputs_are_named(given, name):
    with pytest.raises(LumosXError, match=f"^{name}: "):
        consolidate(**{"similarity": np.eye(2), "frames": [0, 1], **given})


def test_too_many_crops_are_refused():
    count = cliques.MOST_CROPS + 1
    with pytest.raises(LumosXError, match="^crops: "):
        consolidate(np.eye(count), range(count))


def test_without_networkx_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(LumosXError, match="networkx"):
        consolidate(np.eye(2), [0, 1])


def test_the_searches_share_one_budget(monkeypatch):
    seen = []
    true = clique_search.largest_clique
    monkeypatch.setattr(cliques, "largest_clique", lambda *given: (seen.append(given[3]), true(*given))[1])
    consolidate(np.kron(np.eye(2), np.ones((3, 3))), [0, 1, 2] * 2, most_work=1000)
    assert len({id(one) for one in seen}) == 1 and seen[0].left < 1000


@pytest.mark.parametrize(("first", "second", "kept"), [
    ((1, 2), (0, 3), (0, 3)), ((0, 3), (1, 2), (0, 3)), ((0, 1, 2), (0, 3), (0, 1, 2)), ((0, 3), (0, 1, 2), (0, 1, 2)),
    ((0, 1), (2, 3), (2, 3)), ((2, 3), (0, 1), (2, 3)), ((3, 0), (2, 1), (0, 3)), ((0,), (), ()),
])
def test_the_better_clique_is_kept_whatever_comes_first(first, second, kept):
    """The larger one, then the more similar one, then the one whose members come first."""
    similarity = np.full((4, 4), 0.8)
    similarity[2, 3] = similarity[3, 2] = 0.9
    search = clique_search._Search([0] * 4, similarity, similarity, 2)
    search._consider(first)
    search._consider(second)
    assert search.members == kept
