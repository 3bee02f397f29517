"""The largest clique of a graph: exact by branch and bound, and the greedy one where that takes too many steps.

networkx lists all maximal cliques, but neither prunes them by size nor bounds the time between two of them; two people
who look alike give 2^frames of the largest size. Here colours bound the size (Tomita and Seki 2003), and the best
partner in each colour bounds the sum of similarities among cliques of that size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import networkx

DECIMALS = 9
"""Sums of similarities that agree to so many decimals are equal."""
_ROUNDING = 1e-12
"""What the order of additions may change in a sum."""


@dataclass
class Budget:
    """Work that searches may still do together: each step counts the candidates that it looks at."""

    left: int


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        members: the clique, ascending; None if there is none of the least size.
        complete: whether every other clique was looked at or excluded.
    """

    members: tuple[int, ...] | None
    complete: bool


def largest_clique(graph: networkx.Graph, similarity: np.ndarray, least: int, budget: Budget) -> Found:
    """The largest clique with at least ``least`` nodes.

    Among equally large ones it is the one with the largest sum of pair similarities (to 9 decimals), then the one whose
    ascending list of members comes first.

    Args:
        graph: nodes are indices of ``similarity``.
        similarity: [nodes, nodes] float64, symmetric.
        budget: when it is used up, the best clique so far counts. It is never smaller than that of greedy extension by
            the highest degree, and no exchange of one member for another has a larger sum.
    """
    import networkx

    # Nobody in such a clique has fewer neighbours.
    core = networkx.k_core(graph, least - 1)
    nodes = sorted(core)
    if len(nodes) < least:
        return Found(None, True)
    place = {node: index for index, node in enumerate(nodes)}
    neighbours = [sum(1 << place[other] for other in core[node]) for node in nodes]
    similarity = similarity[np.ix_(nodes, nodes)]
    joined = networkx.to_numpy_array(core, nodes, dtype=np.dtype(bool))
    search = _Search(neighbours, similarity, np.where(joined, similarity, -np.inf), least)
    complete = search.run(budget)
    return Found(tuple(nodes[index] for index in search.members) or None, complete)


@dataclass
class _Search:
    """The state of one search; sets of nodes are bits of an integer.

    Attributes:
        neighbours: of each node.
        similarity: [nodes, nodes].
        pairs: the same, but minus infinity where there is no edge.
        least: size below which no clique counts.
        members, total: the best clique so far, empty at first, and the sum of its pair similarities.
    """

    neighbours: list[int]
    similarity: np.ndarray
    pairs: np.ndarray
    least: int
    members: tuple[int, ...] = ()
    total: float = field(default=-np.inf)

    def run(self, budget: Budget) -> bool:
        """Search; whether it came to an end within the budget."""
        everybody = (1 << len(self.neighbours)) - 1
        self._consider(self._greedy(everybody))
        stack: list[tuple[tuple[int, ...], int]] = [((), everybody)]
        while stack:
            if budget.left <= 0:
                self._consider(self._exchanged(self.members))
                return False
            members, candidates = stack.pop()
            budget.left -= 1 + candidates.bit_count()
            if not candidates:
                self._consider(members)
                continue
            colours = self._colours(candidates)
            if self._may_win(members, colours):
                # The first child is taken from the stack first.
                stack.extend(reversed(list(self._children(members, candidates, colours))))
        return True

    def _greedy(self, candidates: int) -> tuple[int, ...]:
        """Extension by the node with most neighbours among the candidates, then the most similar one."""
        members: list[int] = []
        while candidates:
            best = max(_bits(candidates), key=lambda node: (
                (self.neighbours[node] & candidates).bit_count(),
                round(float(self.similarity[node, members].sum()), DECIMALS), -node,
            ))
            members.append(best)
            candidates &= self.neighbours[best]
        return tuple(members)

    def _exchanged(self, members: tuple[int, ...]) -> tuple[int, ...]:
        """The clique after exchanges of one member for one other node, while they raise the sum."""
        for _ in self.neighbours:
            gains = []
            for old in members:
                others = [one for one in members if one != old]
                sums = self.pairs[:, others].sum(axis=1)
                new = int(sums.argmax())
                gains.append((float(sums[new] - self.similarity[old, others].sum()), old, new))
            gain, old, new = max(gains, default=(0.0, 0, 0))
            if gain <= 10.0 ** -DECIMALS:
                break
            members = tuple(new if one == old else one for one in members)
        return members

    def _consider(self, members: tuple[int, ...]) -> None:
        """Keep a clique if it is better than the best so far."""
        if len(members) < max(self.least, len(self.members)):
            return
        members = tuple(sorted(members))
        block = self.similarity[np.ix_(members, members)]
        total = round(float(np.triu(block, 1).sum()), DECIMALS)
        better = (len(members), total), (len(self.members), self.total)
        if better[0] > better[1] or (better[0] == better[1] and members < self.members):
            self.members, self.total = members, total

    def _colours(self, candidates: int) -> list[list[int]]:
        """The candidates in groups without an edge inside: a clique has at most one of each."""
        colours = []
        while candidates:
            free, group = candidates, []
            while free:
                node = (free & -free).bit_length() - 1
                group.append(node)
                free &= ~(self.neighbours[node] | 1 << node)
                candidates &= ~(1 << node)
            colours.append(group)
        return colours

    def _may_win(self, members: tuple[int, ...], colours: list[list[int]]) -> bool:
        """Whether members with one of each colour could be better than the best so far."""
        bound = len(members) + len(colours)
        if bound < max(self.least, len(self.members)):
            return False
        if bound > len(self.members):
            return True
        most = round(self._most_similarity(members, colours) + _ROUNDING, DECIMALS)
        if most != self.total:
            return most > self.total
        return tuple(sorted((*members, *(group[0] for group in colours)))) < self.members

    def _most_similarity(self, members: tuple[int, ...], colours: list[list[int]]) -> float:
        """At least the sum of similarities of any clique of the members and one node of each colour.

        Each pair counts half for either side, with the best neighbour in each colour.
        """
        nodes = np.array([node for group in colours for node in group])
        starts = np.cumsum([0, *(len(group) for group in colours[:-1])])
        best = np.maximum.reduceat(self.pairs[np.ix_(nodes, nodes)], starts, axis=1)
        best[np.arange(len(nodes)), np.repeat(np.arange(len(colours)), [len(group) for group in colours])] = 0
        own = self.similarity[np.ix_(nodes, np.array(members, dtype=np.intp))].sum(axis=1) + best.sum(axis=1) / 2
        inside = np.triu(self.similarity[np.ix_(members, members)], 1).sum()
        return float(inside + np.maximum.reduceat(own, starts).sum())

    def _children(
        self, members: tuple[int, ...], candidates: int, colours: list[list[int]]
    ) -> Iterator[tuple[tuple[int, ...], int]]:
        """One more member each; a node is no candidate for those that come after it."""
        needed = max(self.least, len(self.members)) - len(members)
        for number in range(len(colours), max(needed, 1) - 1, -1):
            similar = self.similarity[np.ix_(colours[number - 1], members)].sum(axis=1)
            for index in np.argsort(-similar, kind="stable"):
                node = colours[number - 1][index]
                yield (*members, node), candidates & self.neighbours[node]
                candidates &= ~(1 << node)


def _bits(nodes: int) -> Iterator[int]:
    while nodes:
        lowest = nodes & -nodes
        yield lowest.bit_length() - 1
        nodes ^= lowest
