"""The one token trie of a catalogue, as flat arrays.

Nodes are numbered in breadth-first order with sorted tokens, so the edge number ``e`` leads to node ``e + 1`` and the
children of a node are a slice of the edges: no child array is needed. MSL's mask, the count of valid tokens, the
constrained decoder and the grounding check all read this structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recbench.errors import DataError
from recbench.types import PAD, Ints

ROOT = 0


@dataclass(frozen=True)
class Trie:
    """A prefix tree over the token sequences of all items, in CSR form.

    Attributes:
        first: [nodes + 1] the edges of node ``n`` are ``first[n]:first[n + 1]``.
        token: [nodes - 1] token of each edge, ascending within a node; edge ``e`` leads to node ``e + 1``.
        item: [nodes] item whose title ends at the node, or ``PAD``.
    """

    first: Ints
    token: Ints
    item: Ints

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> Trie:
        """The trie of ``sequences[i]`` = tokens of item i, end-of-title token included.

        Raises:
            DataError: a sequence is empty, equals another one or is the prefix of another (so that an item would not
                be a leaf); names both items.
        """
        n = len(sequences)
        if n == 0:
            raise DataError("The catalogue is empty: a trie needs at least one title.")
        lengths = np.fromiter((len(s) for s in sequences), np.int64, n)
        if lengths.min() == 0:
            raise DataError(f"Item {int(lengths.argmin())} has no tokens: every title needs at least one.")
        matrix = np.full((n, int(lengths.max())), -1, np.int64)
        matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = np.concatenate(
            [np.asarray(s, np.int64) for s in sequences]
        )
        order = np.lexsort(matrix.T[::-1])
        matrix, lengths = matrix[order], lengths[order]
        same = _shared_prefix(matrix, lengths)
        swallowed = np.flatnonzero(same >= lengths[:-1])
        if len(swallowed):
            a, b = (int(order[swallowed[0] + i]) for i in (0, 1))
            raise DataError(f"The tokens of item {a} begin those of item {b}: titles need distinct token sequences.")
        # new[i, d]: row i opens a new node at depth d + 1 (it differs from the row above within the first d + 1 tokens)
        depth = np.arange(matrix.shape[1])
        new = depth >= np.concatenate([[0], same])[:, None]
        new &= depth < lengths[:, None]
        tokens, starts, parents, items, previous = [], [], [], [np.full(1, PAD)], np.zeros(n, np.int64)
        begin = 1
        for d in depth:
            opened = new[:, d]
            live = d < lengths
            node = begin + np.cumsum(opened) - 1  # node of every row still alive at this depth
            tokens.append(matrix[opened, d])
            parents.append(previous[opened])
            ends = np.full(int(opened.sum()), PAD)
            last = live & (lengths == d + 1)
            ends[node[last] - begin] = order[last]
            items.append(ends)
            starts.append(begin)
            previous = np.where(live, node, previous)
            begin += int(opened.sum())
        parent = np.concatenate(parents)
        first = np.concatenate([[0], np.cumsum(np.bincount(parent, minlength=begin))])
        return cls(
            first.astype(np.int32), np.concatenate(tokens).astype(np.int32), np.concatenate(items).astype(np.int32)
        )

    def __len__(self) -> int:
        return len(self.item)

    def children(self, node: int) -> Ints:
        """Valid tokens after ``node``, ascending; empty at the end of a title."""
        return self.token[self.first[node] : self.first[node + 1]]

    def fanout(self, nodes: Ints) -> Ints:
        """Number of valid tokens after each of ``nodes``."""
        return self.first[nodes + 1] - self.first[nodes]

    def step(self, node: int, token: int) -> int:
        """The node after ``token``, or ``PAD`` when the token is not valid there."""
        lo, hi = int(self.first[node]), int(self.first[node + 1])
        edge = lo + int(np.searchsorted(self.token[lo:hi], token))
        return edge + 1 if edge < hi and self.token[edge] == token else PAD

    def path(self, tokens: Sequence[int]) -> Ints:
        """[len(tokens)] the node *before* each token of a title: whose children are the valid tokens there.

        Raises:
            DataError: the tokens are no title's beginning.
        """
        nodes = np.empty(len(tokens), np.int32)
        node = ROOT
        for i, token in enumerate(tokens):
            nodes[i] = node
            node = self.step(node, int(token))
            if node == PAD:
                raise DataError(f"Token {int(token)} at position {i} continues no title of the catalogue.")
        return nodes

    def allowed(self, nodes: npt.NDArray[np.int64] | Ints) -> tuple[npt.NDArray[np.int64], Ints]:
        """The valid tokens of many nodes at once, as CSR.

        Returns:
            ``(indptr, tokens)``: those of ``nodes[i]`` are ``tokens[indptr[i]:indptr[i + 1]]``.
        """
        nodes = np.asarray(nodes, np.int64)
        count = self.fanout(nodes.astype(np.int32)).astype(np.int64)
        indptr = np.concatenate([[0], np.cumsum(count)])
        edge = np.arange(indptr[-1]) + np.repeat(self.first[nodes] - indptr[:-1], count)
        return indptr, self.token[edge]


def _shared_prefix(matrix: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[rows - 1] length of the common prefix of each row with the next."""
    equal = matrix[:-1] == matrix[1:]
    shared = np.where(equal.all(axis=1), matrix.shape[1], (~equal).argmax(axis=1))
    result: npt.NDArray[np.int64] = np.minimum(shared, lengths[:-1])
    return result
