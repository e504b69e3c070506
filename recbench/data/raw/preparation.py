"""The steps from raw files to interactions and titles: titles, a sample of items, repeated rows, the k-core.

Lines are read one by one, by orjson where they are JSON, and pyarrow reads Parquet in batches. A data frame (polars)
cannot read the Python literals of Amazon 2014, and does not say which line is malformed. Memory holds 16 bytes for
each interaction, and every id once; benchmarks/PREPARE.md has the measured peak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recbench.data.interactions import id_order
from recbench.data.kcore import k_core
from recbench.data.raw.codes import Coded, coded, distinct
from recbench.data.raw.files import Raw
from recbench.data.raw.layouts import Layout
from recbench.data.titles import MAX_CHARACTERS, clean
from recbench.errors import DataError
from recbench.interfaces import Options, Reporter
from recbench.types import Ints, Longs

_MARKUP = re.compile(r"</?(?:span|script|style|div|img|a|br|b|i)\b|getTime\(\)|function\s*\(", re.IGNORECASE)
"""Pieces of web pages in place of titles, in all Amazon releases; the MSL release has no title with one."""


class Steps(Options):
    """What is done to the raw interactions (MSL paper, 5.1.1)."""

    core: int = Field(5, ge=1, description="users and items with fewer interactions are removed, repeatedly")
    items: int = Field(0, ge=0, description="how many items with titles to draw before the k-core; 0: all")
    seed: int = Field(0, ge=0, description="seed of that draw")
    minimum_rating: float | None = Field(None, allow_inf_nan=False, description="drop lower ratings")


@dataclass(frozen=True)
class Result:
    """Prepared interactions, in file order.

    Attributes:
        users: original id of each user code, in the order of ids.
        items, titles: original id and cleaned title of each item code, in the order of ids.
        user, item, time: [N].
        counts: what each step dropped and what is left.
    """

    users: list[str]
    items: list[str]
    titles: list[str]
    user: Ints
    item: Ints
    time: Longs
    counts: dict[str, Any]


def prepared(layout: Layout, paths: list[Path], steps: Steps, reporter: Reporter) -> Result:
    """Read the raw files and carry out the steps; the order of their lines decides ties in time only.

    The interactions are read once, into integers, and the titles once. Interactions with items without a title are
    dropped first; then the sample is drawn, repeated rows (same user, item and time) are dropped, and the k-core is
    taken to its fixed point.

    Raises:
        UsageError: the files are not those of the layout.
        DataError: a file is malformed or nothing is left; names file and line.
    """
    rows, catalogues = layout.files(paths)
    data = coded(layout, rows, steps.minimum_rating, reporter)
    titles, counts = _titles(layout, catalogues, data, reporter)
    if not titles:
        raise DataError(f"{', '.join(map(str, catalogues or rows))}: no item of the interactions has a title there.")
    counts = {**data.counts, **counts}
    titled, wanted = np.zeros((2, len(data.items)), dtype=bool)
    titled[list(titles)] = True
    wanted[_sample(data, sorted(titles), steps)] = True
    counts["interactions_without_title_dropped"] = int((~titled[data.item]).sum())
    chosen = np.flatnonzero(wanted[data.item])
    new = distinct(data.user[chosen], data.item[chosen], data.time[chosen])
    counts |= {"items_drawn": int(wanted.sum()), "identical_rows_dropped": int((~new).sum())}
    chosen = chosen[new]
    keep = chosen[k_core(_longs(data.user[chosen]), _longs(data.item[chosen]), steps.core)]
    if not len(keep):
        raise DataError(
            f"{', '.join(map(str, rows))}: the {steps.core}-core leaves none of {len(chosen):,} interactions; add data "
            "or lower --core."
        )
    users, user = _ordered(data.users, data.user[keep])
    items, item = _ordered(data.items, data.item[keep])
    counts |= {"users": len(users), "items": len(items), "interactions": len(keep)}
    return Result(
        users=[data.users[code] for code in users],
        items=[data.items[code] for code in items],
        titles=[titles[code] for code in items],
        user=user,
        item=item,
        time=data.time[keep],
        counts=counts,
    )


def _titles(layout: Layout, files: list[Raw], data: Coded, reporter: Reporter) -> tuple[dict[int, str], dict[str, int]]:
    """The first usable title of each item that has interactions, and how many have none."""
    unusable = 0
    titles: dict[int, str] = {}
    if layout.titles is None:
        for code, title in data.titles.items():
            if usable := _usable(title):
                titles[code] = usable
            else:
                unusable += 1
    else:
        known = {name: code for code, name in enumerate(data.items)}
        for raw in files:
            reporter.begin(f"reading {raw.name}")
            for read, (name, title) in enumerate(layout.titles(raw), start=1):
                if not read % 10_000:
                    reporter.advance(read)
                code = known.get(name, -1)
                if code < 0 or code in titles or not title:
                    continue
                if usable := _usable(title):
                    titles[code] = usable
                else:
                    unusable += 1
            reporter.end()
    return titles, {
        "raw_users": len(data.users),
        "raw_items": len(data.items),
        "unusable_titles": unusable,
        "items_without_title_dropped": len(data.items) - len(titles),
    }


def _usable(title: str) -> str:
    """The cleaned title; "" for one that is too long, is a piece of a web page, or shows nothing."""
    if len(title) > MAX_CHARACTERS:
        return ""
    try:
        title = clean(title)
    except DataError:
        return ""
    if len(title) > 1 and title[0] == title[-1] == '"' and '"' not in title[1:-1]:
        title = title[1:-1].strip()  # whole titles in quotes: the MSL release has none
    return "" if len(title) > MAX_CHARACTERS or _MARKUP.search(title) else title


def _sample(data: Coded, titled: list[int], steps: Steps) -> Longs:
    """Codes of the items that stay: all with a title, or ``steps.items`` of them, whatever the order of the lines."""
    codes = np.array(titled, dtype=np.int64)
    if not steps.items or steps.items >= len(codes):
        return codes
    ordered = np.array(sorted(codes.tolist(), key=lambda code: id_order(data.items[code])), dtype=np.int64)
    drawn = np.random.default_rng(steps.seed).choice(len(ordered), steps.items, replace=False)
    return ordered[np.sort(drawn)]


def _ordered(names: list[str], codes: Ints) -> tuple[list[int], Ints]:
    """The codes that occur, in the order of their ids, and each of ``codes`` as its place among them."""
    used: list[int] = sorted(np.unique(codes).tolist(), key=lambda code: id_order(names[code]))
    place = np.zeros(len(names), dtype=np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return used, place[codes]


def _longs(values: npt.NDArray[np.int32]) -> Longs:
    return values.astype(np.int64)
