"""A directory in the format of the MSL release (Wang et al., SIGIR 2025; https://github.com/WANGBohaO-jpg/MSL).

``id2name4Rec.json`` maps item ids to titles; ``train.csv``, ``valid.csv`` and ``test.csv`` hold one window a row:
user_id, item_ids (a JSON list, oldest first, the target last) and the target's timestamp; ``train_N.csv`` is the
release's own sample of N rows for language models. Other columns are ignored.

Differences from the MSL code: if the release has no validation file, the latest tenth of train becomes the validation
set and is removed from the sample (the code selects its epoch on the test set); titles are decoded, and namesakes are
told apart by default.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from recbench.data.options import PATH, SourceOptions
from recbench.errors import DataError, UsageError, short
from recbench.interfaces import DataSource, Reporter, SourcePlugin

if TYPE_CHECKING:
    from recbench.data.files import Table
    from recbench.types import Ints, Longs, Sequences, Split

TITLES = "id2name4Rec.json"
Window = tuple[str, tuple[int, ...], int]  # user, items, time: the same content is the same window


class PreparedOptions(SourceOptions):
    """Options of the source ``prepared``."""

    dir: str = Field("", description="the directory that holds the release", json_schema_extra=PATH)
    sample: int = Field(0, ge=0, description="N of the train_N.csv to use if the release has several")
    window: int = Field(11, ge=2, description="longest window that a row may hold")


@dataclass(frozen=True)
class _Files:
    titles: Path
    train: Path
    sample: Path | None
    valid: Path | None
    test: Path

    def all(self) -> list[Path]:
        return [path for path in (self.titles, self.train, self.sample, self.valid, self.test) if path]


class Prepared(DataSource[PreparedOptions]):
    """Windows as released; nothing is filtered or windowed again."""

    def inputs(self) -> Mapping[str, str]:
        """sha256 of each file that is read, by file name.

        Raises:
            UsageError: no directory is given, or it is unclear which train_N.csv is meant.
            DataError: a file is missing.
        """
        from recbench.data.files import sha256

        return {path.name: sha256(path) for path in self._files().all()}

    def prepare(self, reporter: Reporter) -> Split:
        """Read and check every row, sort by time (ties: user, then position), and choose validation set and sample.

        Raises:
            UsageError: as :meth:`inputs`.
            DataError: a file is missing or malformed, an item has no title, a part is empty, or a row of train_N.csv
                is not in train.csv; names file and line.
        """
        from recbench.data.interactions import encode, merge, title_facts
        from recbench.data.split import latest_tenth
        from recbench.data.titles import catalogue
        from recbench.data.windows import in_time_order
        from recbench.types import Split

        files = self._files()
        seen: dict[str, str] = {}
        raw = read_titles(files.titles, seen)
        ids, _ = encode(raw)
        index = {int(name): i for i, name in enumerate(ids)}
        tables = {path: self._windows(path, index, seen) for path in files.all()[1:]}
        users, _ = encode(window[0] for _, windows in tables.values() for window in windows)
        user_index = {name: i for i, name in enumerate(users)}
        named = catalogue(ids, [raw[name] for name in ids], self.options.namesakes)

        def build(windows: list[Window]) -> Sequences:
            return merge(_sequences(windows, user_index, index, self.options.window), named)

        # As windows.time_order: by time, then user, then position (the sort is stable).
        train = sorted(tables[files.train][1], key=lambda window: (window[2], user_index[window[0]]))
        facts: dict[str, Any] = {"protocol": "released", "window": self.options.window}
        facts |= title_facts(named, self.options.namesakes)
        if files.valid:
            cut, facts["validation"] = len(train), files.valid.name
            valid = in_time_order(build(tables[files.valid][1]))
        else:
            cut, facts["validation"] = latest_tenth(len(train)), f"latest tenth of {files.train.name}"
            valid = build(train[cut:])
        sample: Ints | None = None
        if files.sample:
            sample = _sample(train, cut, *tables[files.sample], train_name=files.train.name)
            facts["sample"] = files.sample.name
            facts["sample_rows_in_validation"] = len(tables[files.sample][1]) - len(sample)
        return Split(
            catalog=named.catalog,
            users=users,
            train=build(train[:cut]),
            valid=valid,
            test=in_time_order(build(tables[files.test][1])),
            sample=sample,
            facts=facts,
            sources=seen,
        )

    def _files(self) -> _Files:
        if not self.options.dir:
            raise UsageError(f"The data set prepared needs --data-dir: a directory with {TITLES} and train.csv.")
        folder = Path(self.options.dir)
        if not folder.is_dir():
            raise DataError(f"{folder} is not a directory: the option dir must name one with {TITLES} and train.csv.")
        for name in (TITLES, "test.csv"):
            if not (folder / name).is_file():
                raise DataError(f"{folder / name} is missing: a release has {TITLES}, train.csv and test.csv.")
        samples = {int(m[1]): p for p in folder.iterdir() if (m := re.fullmatch(r"train_([0-9]+)\.csv", p.name))}
        wanted = self.options.sample
        if wanted and wanted not in samples:
            raise UsageError(f"{folder / f'train_{wanted}.csv'} is missing, but the option sample asks for it.")
        if len(samples) > 1 and not wanted:
            found = ", ".join(samples[n].name for n in sorted(samples))
            raise UsageError(f"{folder} has several samples ({found}): choose one with the option sample.")
        sample = samples[wanted or min(samples)] if samples else None
        train = folder / "train.csv" if (folder / "train.csv").is_file() else sample
        if train is None:
            raise DataError(f"{folder / 'train.csv'} is missing, and there is no train_N.csv in its place.")
        valid = folder / "valid.csv" if (folder / "valid.csv").is_file() else None
        return _Files(folder / TITLES, train, sample if sample != train else None, valid, folder / "test.csv")

    def _windows(self, path: Path, known: Mapping[int, int], seen: dict[str, str]) -> tuple[Table, list[Window]]:
        from recbench.data.files import read_table

        table = read_table(path, ("user_id", "item_ids", "timestamp"), seen=seen)
        users, times = table.not_empty("user_id"), table.whole_numbers("timestamp").tolist()
        lists = [self._items(table, row, text, known) for row, text in enumerate(table.columns["item_ids"])]
        return table, list(zip(users, lists, times, strict=True))

    def _items(self, table: Table, row: int, text: str, known: Mapping[int, int]) -> tuple[int, ...]:
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):
            items = None
        if not isinstance(items, list):
            raise DataError(f"{table.where(row)}: item_ids {short(text)} is not a list like [12, 7, 31].")
        for item in items:
            if type(item) is not int:  # neither True nor 3.0
                raise DataError(f"{table.where(row)}: item {short(json.dumps(item))} is not a whole number.")
            if item not in known:
                raise DataError(f"{table.where(row)}: item {item} has no title in {TITLES}.")
        if not 2 <= len(items) <= self.options.window:
            raise DataError(
                f"{table.where(row)}: a window of {len(items)} items, where 2 to {self.options.window} are allowed "
                "(option window)."
            )
        return tuple(items)


def read_titles(path: Path, seen: dict[str, str]) -> dict[str, str]:
    """Raw title by item id, as found; ``seen`` takes the file's sha256.

    Raises:
        DataError: not a JSON object, empty, an id that is not a whole number or occurs twice, a title that is not text.
    """
    from recbench.data.files import as_text, read_bytes

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, title in pairs:
            if name in found:
                raise DataError(f"{path}: item {name!r} occurs twice; every item has one title.")
            found[name] = title
        return found

    try:
        titles = json.loads(as_text(path, read_bytes(path, seen)), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(titles, dict) or not titles:
        raise DataError(f"{path} must hold an object that maps item ids to titles, with at least one item.")
    for name, title in titles.items():
        if not re.fullmatch(r"0|[1-9][0-9]{0,17}", name):
            raise DataError(f"{path}: item id {short(name)} is not a whole number.")
        if not isinstance(title, str):
            raise DataError(f"{path}: the title of item {name} is {short(json.dumps(title))}, not text.")
    return titles


def _sequences(windows: list[Window], users: Mapping[str, int], items: Mapping[int, int], size: int) -> Sequences:
    import numpy as np

    from recbench.types import PAD, Sequences

    table = np.full((len(windows), size), PAD, dtype=np.int32)
    for row, (_, window, _) in enumerate(windows):
        table[row, size - len(window) :] = [items[item] for item in window]
    times: Longs = np.array([window[2] for window in windows], dtype=np.int64)
    who = np.array([users[window[0]] for window in windows], dtype=np.int32)
    return Sequences(users=who, history=table[:, :-1].copy(), target=table[:, -1].copy(), time=times)


def _sample(train: list[Window], cut: int, table: Table, windows: list[Window], train_name: str) -> Ints:
    """Rows of ``train[:cut]`` that the sample names, ascending; rows of ``train[cut:]`` are left out.

    A window that train holds twice may be sampled twice.
    """
    import numpy as np

    held_out = set(train[cut:])
    rows: dict[Window, list[int]] = defaultdict(list)
    for row, window in reversed(list(enumerate(train[:cut]))):
        rows[window].append(row)
    chosen = []
    for row, window in enumerate(windows):
        if window in held_out:
            continue
        if not rows[window]:
            raise DataError(
                f"{table.where(row)}: this window of user {window[0]!r} is not in {train_name}, or not as often; a "
                "sample must be drawn from it."
            )
        chosen.append(rows[window].pop())
    if not chosen:
        raise DataError(f"{table.path}: every row lies in the latest tenth of {train_name}, the validation set.")
    return np.sort(np.array(chosen, dtype=np.int32))


plugin = SourcePlugin(
    implementation=Prepared,
    summary="a directory in the format of the MSL release: titles and ready windows",
    options=PreparedOptions,
    paper="Wang et al., MSL: Not All Tokens Are What You Need for Tuning LLM as a Recommender, SIGIR 2025",
)
