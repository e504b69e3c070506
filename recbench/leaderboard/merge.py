"""Records of one run that several machines made, as one record of all their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recbench.data.catalog import shows_examples
from recbench.errors import DataError, UsageError
from recbench.files import canonical
from recbench.results import Examples, RunRecord, SeedResult, read
from recbench.spec.request import seeds_text
from recbench.types import PAD

SEEDS = " --seeds "


class Found(NamedTuple):
    """A record and its file."""

    path: Path
    record: RunRecord


def found_in(folders: Sequence[Path]) -> dict[str, list[Found]]:
    """Every record in some folders of records or of runs, by run.

    Raises:
        UsageError: a folder holds none.
        DataError: a record is broken.
    """
    by_run: dict[str, list[Found]] = {}
    for folder in folders:
        paths = [*sorted(folder.glob("*.json")), *sorted(folder.glob("*/record.json"))]
        if not paths:
            raise UsageError(f"{folder} holds no record (*.json, or */record.json).")
        for path in paths:
            record = read(path)
            by_run.setdefault(record.run, []).append(Found(path, record))
    return by_run


def merged(found: Sequence[Found]) -> RunRecord:
    """The record of all seeds of one run; a seed that two files hold alike counts once.

    Args:
        found: records of one run, at least one.

    Raises:
        DataError: two of them differ in something other than their seeds; names it and the files.
    """
    first = found[0]
    others = [other for other in found[1:] if other.path.read_bytes() != first.path.read_bytes()]
    for other in others:
        for difference in _differences(first.record, other.record):
            raise DataError(f"{first.path} and {other.path} cannot be joined: {difference}.")
    seeds: dict[int, tuple[Path, SeedResult]] = {}
    for path, record in (first, *others):
        for result in record.seeds:
            before, known = seeds.setdefault(result.seed, (path, result))
            if known is not result and not _same(known, result):
                raise DataError(f"{before} and {path} cannot be joined: seed {result.seed} has other lists.")
    if not others:
        return first.record.model_copy(update={"examples": _examples([first.record], first.record.seeds)})
    numbers = sorted(seeds)
    authors = dict.fromkeys(one.record.author for one in found if one.record.author)
    return first.record.model_copy(
        update={
            "command": f"{first.record.command.rpartition(SEEDS)[0]}{SEEDS}{seeds_text(numbers)}",
            "seeds": (joined := tuple(seeds[number][1] for number in numbers)),
            "author": ", ".join(authors),
            "examples": _examples([one.record for one in found], joined),
        }
    )


def _examples(records: Sequence[RunRecord], seeds: Sequence[SeedResult]) -> Examples | None:
    """The first record's example cases, but for those whose lists of some seed hold an item that no record titles.

    None where a record has none: its author left them out.
    """
    first, dataset = records[0].examples, records[0].spec["dataset"].get("name", "")
    if first is None or any(record.examples is None for record in records) or not shows_examples(dataset):
        return None
    titles = {item: title for record in records if record.examples for item, title in record.examples.titles.items()}
    target, kept, shown = records[0].cases.target, [], set[int]()
    for case, history in zip(first.cases, first.histories, strict=True):
        lists = (result.top[case].tolist() for result in seeds if result.top is not None)
        items = {*history, int(target[case]), *(item for row in lists for item in row)} - {PAD}
        if all(str(item) in titles for item in items):
            kept.append((case, history))
            shown |= items
    return Examples(
        cases=tuple(case for case, _ in kept),
        histories=tuple(history for _, history in kept),
        titles={str(item): titles[str(item)] for item in sorted(shown)},
    )


def _same(a: SeedResult, b: SeedResult) -> bool:
    lists = a.top is not None and b.top is not None and np.array_equal(a.top, b.top)
    return lists and np.array_equal(a.ranks, b.ranks)


def _differences(a: RunRecord, b: RunRecord) -> Iterator[str]:
    """What keeps two records of one name apart, the most telling first."""
    if a.external or b.external:
        yield "external lists are joined by a single recbench evaluate with all their files"
    if 1 in (a.format, b.format):
        yield "a record of format 1 cannot be rewritten"
    for name, x, y in _unlike(a.spec, b.spec, "spec"):
        yield f"{name} is {x} and {y}"
    for name, x, y in _unlike(a.dataset.sources, b.dataset.sources, "sha256 of"):
        yield f"{name} is {x[:14]}… and {y[:14]}…"
    if a.cases.digest != b.cases.digest or canonical(a.cases.model_dump()) != canonical(b.cases.model_dump()):
        yield "they have other test cases"
    for name, x, y in _unlike(_code(a), _code(b), "the code of"):
        yield f"{name} is {x} and {y}"
    versions = [{v for seed in one.seeds for v in _versions(seed)} for one in (a, b)]
    if odd := sorted(versions[0] ^ versions[1]):
        yield f"they were made with other versions ({', '.join(odd)})"
    for part in ("labels", "budget", "policies"):
        if dict(getattr(a, part)) != dict(getattr(b, part)):
            yield f"their {part} differ"
    if a.command.rpartition(SEEDS)[0] != b.command.rpartition(SEEDS)[0]:
        yield "their commands differ in more than the seeds"


def _code(record: RunRecord) -> dict[str, str]:
    return {f"{p.kind} {p.name}": f"{p.distribution} {p.version} ({p.code})" for p in record.plugins}


def _versions(seed: SeedResult) -> Iterator[str]:
    """``recbench 0.6.0`` and the libraries that a result depends on."""
    yield f"recbench {seed.environment.get('recbench', 'unknown')}"
    for name, version in seed.environment.get("versions", {}).items():
        yield f"{name} {version}"


def _unlike(a: Mapping[str, Any], b: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    """The values in which two mappings differ: where, and both of them."""
    for key in sorted({*a, *b}):
        x, y, name = a.get(key), b.get(key), f"{where} {key}" if " " in where else f"{where}.{key}"
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            yield from _unlike(x, y, name)
        elif x != y:
            yield name, canonical(x), canonical(y)
