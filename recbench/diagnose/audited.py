"""A data set under audit: what it holds, what its parts share, and what its titles are under each tokenizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recbench.data.catalog import Entry, entry
from recbench.data.interactions import day
from recbench.data.leaks import Leaks, leaks
from recbench.data.profile import Profile, profile
from recbench.diagnose.valid import ValidTokens, tokenized
from recbench.errors import DataError
from recbench.interfaces import Reporter
from recbench.planning import plan
from recbench.spec.request import Request
from recbench.types import Split


@dataclass(frozen=True)
class Audited:
    """What was found.

    Attributes:
        name: what to call the data: its own name, or that of your folder or file.
        entry: its entry in datasets.yaml, or its source's.
        split: the windows.
        profile, leaks: see there.
        found: what the protocol forbids, a sentence each; empty without a leak.
        tokens: by tokenizer; empty where the split is refused.
        seconds: that each tokenizer's trie took.
    """

    name: str
    entry: Entry
    split: Split
    profile: Profile
    leaks: Leaks
    found: tuple[str, ...]
    tokens: dict[str, ValidTokens]
    seconds: dict[str, float]

    def dates(self) -> dict[str, tuple[str, str]]:
        """The first and the last day (UTC) of each part's targets; without parts whose times are no dates."""
        parts = {"train": self.split.train, "valid": self.split.valid, "test": self.split.test}
        days = {name: (day(part.time.min()), day(part.time.max())) for name, part in parts.items() if len(part)}
        return {name: (first, last) for name, (first, last) in days.items() if first and last}

    def plain(self) -> dict[str, Any]:
        """As JSON values, the same for the same data: without seconds; None for a number that is not defined."""
        return {
            "name": self.name,
            "source": self.entry.source,
            "leaks": list(self.found),
            "facts": dict(self.split.facts),
            "dates": self.dates(),
            "profile": asdict(self.profile),
            "shared": asdict(self.leaks),
            "tokens": {llm: _defined(asdict(counts)) for llm, counts in self.tokens.items()},
            "sha256": dict(self.split.sources),
        }


def audited(requests: Mapping[str, Request], reporter: Reporter) -> Audited:
    """Prepare a data set and examine it.

    A split that a run would refuse for a leak is examined too, but for its tokens: the leak is then in ``found``.

    Args:
        requests: of text recommenders on one data set, by tokenizer; at least one.
        reporter: progress.

    Raises:
        UsageError: a request is invalid, for example its language model.
        DataError: the data is malformed.
    """
    first = next(iter(requests.values()))
    dataset = plan(first).spec.dataset
    try:
        split, counts = tokenized(requests, reporter)
    except DataError:
        split, counts = dataset.make().prepare(reporter), {}
        if not _countable(split):
            raise
        found = leaks(split)
        if not found.sentences(_repeats(dataset.options)):
            raise
    else:
        found = leaks(split)
    return Audited(
        name=Path(dataset.called).stem,
        entry=entry(dataset.name),
        split=split,
        profile=profile(split),
        leaks=found,
        found=tuple(found.sentences(_repeats(dataset.options))),
        tokens={llm: valid for llm, (valid, _) in counts.items()},
        seconds={llm: seconds for llm, (_, seconds) in counts.items()},
    )


def _repeats(options: Any) -> bool:
    return getattr(options, "repeated_windows", "refused") == "counted"


def _countable(split: Split) -> bool:
    """Whether no part is empty and every index names an item or a user."""
    parts, items = (split.train, split.valid, split.test), len(split.catalog)
    return all(
        len(p)
        and 0 <= p.target.min() <= p.target.max() < items
        and -1 <= p.history.min() <= p.history.max() < items
        and 0 <= p.users.min() <= p.users.max() < len(split.users)
        for p in parts
    )


def _defined(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}
