"""Valid tokens counted over token instances, against prefixes counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.diagnose.valid import valid_tokens
from recbench.prompts.trie import Trie

END = 8
catalogues = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=12, unique_by=tuple)


@given(catalogues, st.integers(0, 99))
def test_every_token_of_every_target_counts_once(rows: list[list[int]], seed: int) -> None:
    titles = [[*row, END] for row in rows]
    targets = np.random.default_rng(seed).integers(len(titles), size=20)
    counts = [
        len({title[i] for title in titles if len(title) > i and title[:i] == titles[t][:i]})
        for t in targets
        for i in range(len(titles[t]))
    ]
    choices = [n for n in counts if n > 1]
    found = valid_tokens(Trie.build(titles), targets)
    assert found.average == pytest.approx(np.mean(counts))
    assert found.choices == pytest.approx(len(choices) / len(counts))
    assert found.at_choices == pytest.approx(np.mean(choices) if choices else np.nan, nan_ok=True)
    assert found.first == len({title[0] for title in titles})
    assert found.tokens == pytest.approx(np.mean([len(titles[t]) for t in targets]))
    assert found.branching == pytest.approx(len(choices) / len(targets))
