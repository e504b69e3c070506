"""The arrays against marisa-trie and brute force over prefixes."""

from pathlib import Path

import marisa_trie
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.errors import DataError
from recbench.prompts.trie import Trie
from recbench.types import PAD

END = 99
catalogues = st.lists(
    st.lists(st.integers(0, 5), min_size=0, max_size=6), min_size=1, max_size=30, unique_by=tuple
).map(lambda rows: [[*row, END] for row in rows])


def prefixes(rows: list[list[int]]) -> dict[tuple[int, ...], set[int]]:
    """Valid tokens after each prefix, the slow way."""
    found: dict[tuple[int, ...], set[int]] = {}
    for row in rows:
        for i, token in enumerate(row):
            found.setdefault(tuple(row[:i]), set()).add(token)
        found.setdefault(tuple(row), set())
    return found


@given(catalogues)
def test_children_equal_brute_force_and_marisa(rows: list[list[int]]) -> None:
    trie = Trie.build(rows)
    expected = prefixes(rows)
    reference = marisa_trie.Trie(["".join(chr(1000 + t) for t in row) for row in rows])
    assert len(trie) == len(expected)
    for prefix, tokens in expected.items():
        node = 0
        for token in prefix:
            node = trie.step(node, token)
        assert trie.children(node).tolist() == sorted(tokens)
        text = "".join(chr(1000 + t) for t in prefix)
        below = {ord(key[len(text)]) - 1000 for key in reference.keys(text) if len(key) > len(text)}
        assert below == tokens


@given(catalogues)
def test_path_item_and_allowed(rows: list[list[int]]) -> None:
    trie = Trie.build(rows)
    expected = prefixes(rows)
    for item, row in enumerate(rows):
        nodes = trie.path(row)
        assert trie.item[trie.step(int(nodes[-1]), row[-1])] == item
        indptr, tokens = trie.allowed(nodes)
        for i in range(len(row)):
            assert set(tokens[indptr[i] : indptr[i + 1]].tolist()) == expected[tuple(row[:i])]
    assert sorted(trie.item[trie.item != PAD].tolist()) == list(range(len(rows)))


@given(catalogues)
def test_sizes_equal_a_walk_along_every_row(rows: list[list[int]]) -> None:
    valid = prefixes(rows)
    choices = sum(len(valid[tuple(row[:n])]) > 1 for row in rows for n in range(len(row)))
    assert Trie.build(rows).sizes() == ((sum(map(len, rows)) - len(rows)) / len(rows), choices / len(rows))


@given(catalogues, st.randoms())
@settings(max_examples=30)
def test_order_of_the_catalogue_changes_item_numbers_only(rows: list[list[int]], random: object) -> None:
    order = np.random.default_rng(0).permutation(len(rows))
    one, other = Trie.build(rows), Trie.build([rows[i] for i in order])
    assert np.array_equal(one.first, other.first)
    assert np.array_equal(one.token, other.token)
    leaves = one.item != PAD
    assert np.array_equal(one.item[leaves], order[other.item[leaves]])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "empty"),
        ([[1, END], []], "Item 1 has no tokens"),
        ([[1, END], [2, END], [1, END]], "item 0 are a prefix of those of item 2"),
        ([[1, 2], [1, 2, 3]], "item 0 are a prefix of those of item 1"),
    ],
)
def test_impossible_catalogues_name_the_item(rows: list[list[int]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Trie.build(rows)


def test_a_token_that_continues_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="position 1"):
        Trie.build([[1, 2, END]]).path([1, 3])


@given(catalogues)
def test_saved_and_loaded_it_holds_the_same_titles(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]]
) -> None:
    trie, path = Trie.build(rows), tmp_path_factory.mktemp("trie") / "trie.npz"
    assert trie.sequences() == tuple(map(tuple, rows))
    trie.save(path)
    found = Trie.load(path)
    assert found.digest == trie.digest
    assert all(np.array_equal(getattr(found, n), getattr(trie, n)) for n in ("first", "token", "item"))
    children = [(n, int(e) + 1) for n in range(len(trie)) for e in range(trie.first[n], trie.first[n + 1])]
    assert [(int(p), n) for n, p in enumerate(trie.parents()) if p != PAD] == children


@pytest.mark.parametrize("damage", ["missing", "truncated", "edited", "other"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    trie, path = Trie.build([[1, END], [2, END]]), tmp_path / "trie.npz"
    trie.save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "other":
        np.savez(path, first=trie.first)
    else:
        np.savez(path, first=trie.first, token=trie.token + 1, item=trie.item, digest=np.array(trie.digest))
    with pytest.raises(DataError, match=r"trie\.npz is .*damaged.*remove its folder"):
        Trie.load(path)
