"""The one token trie of a catalogue, as flat arrays.

Nodes are numbered in breadth-first order with sorted tokens, so the edge number ``e`` leads to node ``e + 1`` and the
children of a node are a slice of the edges: no child array is needed. MSL's mask, the count of valid tokens, the
constrained decoder and the grounding check all read this structure.
"""

from __future__ import annotations

import hashlib
import itertools
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    def build(cls, sequences: Sequence[Sequence[int]], label: Callable[[int], str] = str) -> Trie:
        """The trie of ``sequences[i]`` = tokens of item i, end-of-title token included.

        Args:
            label: what messages call an item.

        Raises:
            DataError: a sequence is empty, equals another one or is the prefix of another (so that an item would not
                be a leaf); names both items.
        """
        n = len(sequences)
        if n == 0:
            raise DataError("The catalogue is empty: a trie needs at least one title.")
        lengths = np.fromiter(map(len, sequences), np.int64, n)
        if lengths.min() == 0:
            raise DataError(f"Item {label(int(lengths.argmin()))} has no tokens: every title needs at least one.")
        flat = np.fromiter(itertools.chain.from_iterable(sequences), np.int32, int(lengths.sum()))
        starts = np.cumsum(lengths) - lengths
        # Level by level: ``rows`` are the titles that go on, in the order of their nodes, ``node`` the node of each.
        rows, node = np.arange(n), np.zeros(n, np.int64)
        tokens, parents, items = [], [], [np.full(1, PAD, np.int32)]
        begin, width = 1, int(flat.max()) + 1
        for depth in range(int(lengths.max())):
            token = flat[starts[rows] + depth]
            shared = np.zeros(
                len(rows), bool
            )  # nodes that more than one title passes through: only there order matters
            shared[1:] = node[1:] == node[:-1]
            shared[:-1] |= shared[1:]
            several = np.flatnonzero(shared)
            order = several[np.argsort(node[several] * width + token[several], kind="stable")]
            rows[several], token[several] = rows[order], token[order]
            opened = np.ones(len(rows), bool)
            opened[1:] = (node[1:] != node[:-1]) | (token[1:] != token[:-1])
            tokens.append(token[opened])
            parents.append(node[opened])
            node = begin + np.cumsum(opened) - 1
            last = lengths[rows] == depth + 1
            ends = np.full(int(opened.sum()), PAD, np.int32)
            ends[node[last] - begin] = rows[last]
            items.append(ends)
            if (clash := last & (np.bincount(node - begin)[node - begin] > 1)).any():
                _refuse(rows, node, int(np.flatnonzero(clash)[0]), label)
            begin += len(ends)
            rows, node = rows[~last], node[~last]
        children = np.bincount(np.concatenate(parents), minlength=begin)
        first = np.concatenate([[0], np.cumsum(children)]).astype(np.int32)
        return cls(first, np.concatenate(tokens), np.concatenate(items))

    def __len__(self) -> int:
        return len(self.item)

    @property
    def digest(self) -> str:
        """sha256 of the content."""
        sha = hashlib.sha256()
        for column in (self.first, self.token, self.item):
            sha.update(np.ascontiguousarray(column, np.int32).tobytes())
        return sha.hexdigest()

    def save(self, path: Path) -> None:
        """Write the arrays and their digest as an ``.npz`` file, uncompressed."""
        np.savez(path, first=self.first, token=self.token, item=self.item, digest=np.array(self.digest))

    @classmethod
    def load(cls, path: Path) -> Trie:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: the file is missing or truncated, or its content is not what was saved.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = cls(arrays["first"], arrays["token"], arrays["item"])
                digest = str(arrays["digest"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is missing or damaged: remove its folder and run again.") from error
        if found.digest != digest:
            raise DataError(f"{path} is damaged (its content has another checksum): remove its folder and run again.")
        return found

    def sequences(self) -> tuple[tuple[int, ...], ...]:
        """The token sequences that the trie was built from, by item."""
        leaves = np.flatnonzero(self.item != PAD)
        leaves, parent = leaves[np.argsort(self.item[leaves])], self.parents()
        found: list[tuple[int, ...]] = []
        for start in range(0, len(leaves), 1 << 16):
            node, columns = leaves[start : start + (1 << 16)], []
            while (node != ROOT).any():  # one step up at a time; those at the root stay there
                columns.append(np.where(node == ROOT, PAD, self.token[np.maximum(node - 1, 0)]))
                node = np.where(node == ROOT, ROOT, parent[node])
            grid = np.stack(columns[::-1], axis=1)
            skipped = (grid == PAD).sum(axis=1).tolist()
            found += [tuple(row[n:]) for row, n in zip(grid.tolist(), skipped, strict=True)]
        return tuple(found)

    def sizes(self) -> tuple[float, float]:
        """What a catalogue asks of a model, as means over its items.

        Returns:
            The tokens of an item, without the one that ends it, and its choices: tokens, the end included, where more
            than one is valid.
        """
        parents, fanout = self.parents(), np.diff(self.first)
        node = np.flatnonzero(self.item != PAD)
        items, tokens, choices = len(node), -len(node), 0
        while len(node := node[node != ROOT]):  # one step up at a time
            tokens, node = tokens + len(node), parents[node]
            choices += int((fanout[node] > 1).sum())
        return tokens / items, choices / items

    def parents(self) -> Ints:
        """[nodes] the node before each; ``PAD`` for the root."""
        return np.concatenate([[PAD], np.repeat(np.arange(len(self)), np.diff(self.first))]).astype(np.int32)

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
            DataError: the tokens do not begin a title.
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


def side_by_side(tries: Sequence[Trie]) -> tuple[Ints, Ints]:
    """``first`` and ``token`` of several tries: the nodes of each are counted behind those of the ones before it."""
    edges = np.cumsum([0, *(len(trie.token) for trie in tries)])
    parts = [trie.first[:-1] + edge for trie, edge in zip(tries, edges[:-1], strict=True)]
    first = np.concatenate([*parts, edges[-1:]]).astype(np.int32)
    return first, np.concatenate([trie.token for trie in tries])


def _refuse(rows: npt.NDArray[np.int64], node: npt.NDArray[np.int64], at: int, label: Callable[[int], str]) -> None:
    """Name the title that ends at ``at`` and another one that passes through the same node, or ends there too."""
    other = next(int(row) for row in np.sort(rows[node == node[at]]) if row != rows[at])
    ending = int(rows[at])
    raise DataError(
        f"The tokens of item {label(ending)} are a prefix of those of item {label(other)}: titles need distinct token "
        "sequences."
    )
