"""How many tokens are valid where a model has to predict one: the AVT of the MSL paper's Table 4.

Source: Wang et al., MSL, SIGIR 2025 (https://doi.org/10.1145/3726302.3730041), Tables 4 and 7.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recbench.files import scratch
from recbench.interfaces import Reporter
from recbench.planning import plan
from recbench.prompts.trie import Trie
from recbench.spec.request import Request
from recbench.steps.executor import Serial
from recbench.steps.graph import graph
from recbench.steps.store import Store
from recbench.types import PAD, Ints, Split


@dataclass(frozen=True)
class ValidTokens:
    """Means over token instances: the tokens of every training window's target, end-of-title token included.

    Attributes:
        average: valid tokens of an instance; 1 where nothing is left to choose.
        choices: share of the instances with more than one.
        at_choices: valid tokens of such an instance; NaN without one.
        first: valid tokens at the beginning of a title.
        tokens: of a title, end-of-title token included.
        branching: choices of a title, its tokens where more than one is valid.
    """

    average: float
    choices: float
    at_choices: float
    first: int
    tokens: float
    branching: float


def valid_tokens(trie: Trie, targets: Ints) -> ValidTokens:
    """Count the valid tokens of targets.

    Args:
        trie: of the catalogue's titles.
        targets: [N] item of each training window, at least one.
    """
    instances = np.zeros(len(trie), np.int64)  # by node: how many targets pass through it
    leaves = np.flatnonzero(trie.item != PAD)
    instances[leaves] = np.bincount(targets, minlength=len(leaves))[trie.item[leaves]]
    parents = trie.parents()
    for node in range(len(trie) - 1, 0, -1):  # children have larger numbers than their parents
        instances[parents[node]] += instances[node]
    fanout = np.diff(trie.first)
    inner = fanout > 0
    weight, fanout = instances[inner], fanout[inner]
    choice = fanout > 1
    at_choices = float(np.average(fanout[choice], weights=weight[choice])) if weight[choice].sum() else float("nan")
    return ValidTokens(
        average=float(np.average(fanout, weights=weight)),
        choices=float(weight[choice].sum() / weight.sum()),
        at_choices=at_choices,
        first=int(trie.first[1]),
        tokens=float(weight.sum() / len(targets)),
        branching=float(weight[choice].sum() / len(targets)),
    )


def tokenized(
    requests: Mapping[str, Request], reporter: Reporter
) -> tuple[Split, dict[str, tuple[ValidTokens, float]]]:
    """A data set as prepared, and under each tokenizer its valid tokens and the seconds that its trie took (Table 7).

    A tiny model's tokenizer is trained for it; everything is made in a temporary folder.

    Args:
        requests: of text recommenders on one data set, at least one; what to call each.
        reporter: progress.

    Raises:
        UsageError: a request is invalid, for example its language model.
        DataError: the data is malformed, or its split is refused.
        RecbenchError: of another step.
    """
    graphs = {name: graph(plan(request).spec, 1) for name, request in requests.items()}
    found = {}
    with scratch() as folder:
        serial = Serial(Store(folder), reporter)
        split: Split = serial.value(next(iter(graphs.values())).prepared)
        for name, steps in graphs.items():
            step = steps.steps["trie"]
            for need in step.needs.values():  # loaded before, so that the trie's time is its own
                serial.value(need)
            start = time.perf_counter()
            trie: Trie = serial.value(step)
            seconds = time.perf_counter() - start
            found[name] = valid_tokens(trie, split.train.target), seconds
    return split, found
