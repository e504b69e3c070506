"""The files of a site from a folder of records, and whether the files on disk are those."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from recbench.errors import RecbenchError, UsageError
from recbench.files import read_json, reason, write_atomic
from recbench.pages.records import read_records
from recbench.pages.rows import Section, sections
from recbench.results import RunRecord
from recbench.site.cards import Card, card_of
from recbench.site.dataset import dataset_page, file_of, rest, values_of
from recbench.site.html import document
from recbench.site.index import index_page
from recbench.site.packed import script
from recbench.site.run import run_page, trail
from recbench.site.views import View, parts, whole

LIST: Final = "files.json"
"""Names every file of the site, so that a later build removes what it no longer writes and nothing else."""
SCRIPT: Final = ("helpers", "theme", "loading", "statistics", "bars", "table", "pairs", "page")
"""The parts of ``site.js``, in order. They are joined here since a page opened from a file cannot import modules."""
CARDS: Final = "data"
Content = bytes | Path
"""What a file holds; a path stands for the bytes of that file."""


class Built(NamedTuple):
    """How many files a site has, how many of them were written, and what was removed."""

    files: int
    written: int
    removed: list[Path]


def build(records_dir: Path, out: Path) -> Built:
    """Write the site; files that are already as they must be stay untouched.

    Args:
        records_dir: folder of ``*.json`` records; cards of data sets are taken from ``data`` next to it.
        out: the site's folder. Files in it that no build wrote stay.

    Raises:
        UsageError: there is no record, or ``out`` is not a folder; nothing is written then.
        DataError: a broken record, by name; nothing is written then.
        RecbenchError: a file cannot be read or written.
    """
    made = _files(records_dir)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; a site needs a folder.")
    stale = _stale(made, out)
    changed = [(name, content) for name, content in made.items() if not _same(out / name, content)]
    for name, content in changed:
        write_atomic(out / name, _bytes(content))
    for path in stale:
        path.unlink()
    return Built(len(made), len(changed), stale)


def check(records_dir: Path, out: Path) -> list[Path]:
    """The files that :func:`build` would change, add or remove; empty where the site is up to date. Writes nothing.

    Raises:
        UsageError, DataError, RecbenchError: as :func:`build`.
    """
    made = _files(records_dir)
    return sorted([out / name for name, content in made.items() if not _same(out / name, content)] + _stale(made, out))


def _same(path: Path, content: Content) -> bool:
    try:
        return path.is_file() and path.read_bytes() == _bytes(content)
    except OSError as error:
        raise RecbenchError(f"cannot read {path}: {reason(error)}") from error


def _bytes(content: Content) -> bytes:
    try:
        return content if isinstance(content, bytes) else content.read_bytes()
    except OSError as error:
        raise RecbenchError(f"cannot read {content!s}: {reason(error)}") from error


def _stale(made: dict[str, Content], out: Path) -> list[Path]:
    """Files of an earlier build that this one does not have."""
    try:
        before = read_json(out / LIST)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RecbenchError(f"cannot read {out / LIST}, the list of the site's files: remove it. ({error})") from error
    # a list that somebody else wrote must not lead out of the folder
    names = [name for name in before if isinstance(name, str) and _inside(name)] if isinstance(before, list) else []
    return sorted(out / name for name in names if name not in made and (out / name).is_file())


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _files(records_dir: Path) -> dict[str, Content]:
    """Every file by its name in the site."""
    read = read_records(records_dir)
    if not read:
        raise UsageError(f"{records_dir} holds no record (*.json): there is nothing to build a site from.")
    datasets: dict[str, list[RunRecord]] = {}
    for _, record in read:
        datasets.setdefault(record.dataset.name, []).append(record)
    assets = files("recbench.site") / "assets"
    made: dict[str, Content] = {"assets/site.css": (assets / "site.css").read_bytes()}
    made["assets/site.js"] = _script(assets / "script")
    made |= {f"records/{record.run}.json": path for path, record in read}
    entries = []
    for name in sorted(datasets):
        card = card_of(name, Path(records_dir).parent / CARDS)
        found = [(section, whole(section), parts(section)) for section in _ordered(datasets[name])]
        made |= dict(_dataset(name, datasets[name], found, card))
        section, view, _ = found[0]
        entries.append((name, datasets[name][0].dataset.label, section, view, card, len(datasets[name])))
    made["index.html"] = document("Leaderboards", index_page(entries), []).encode()
    made[LIST] = (json.dumps(sorted([*made, LIST]), indent=0) + "\n").encode()
    return made


def _script(folder: Traversable) -> bytes:
    """The parts as one script, inside one function: they share their names, and the page sees none of them."""
    parts = b"\n".join((folder / f"{name}.js").read_bytes() for name in SCRIPT)
    return b'"use strict";\n\n(() => {\n' + parts + b"})();\n"


def _ordered(records: list[RunRecord]) -> list[Section]:
    """The test sets, the one with the most rows first."""
    return sorted(sections(records), key=lambda section: -len(section.rows))


def _dataset(
    name: str, records: list[RunRecord], found: list[tuple[Section, View, list[View]]], card: Card | None
) -> Iterator[tuple[str, Content]]:
    label = records[0].dataset.label
    page = dataset_page(records, found, card)
    yield f"data-sets/{name}.html", document(label, page, [(label, f"{name}.html")], "../").encode()
    if card and card.picture:
        yield f"data/{card.picture.name}", card.picture
    for number, (section, _, pieces) in enumerate(found, 1):
        file = file_of(name, number)
        yield file, script(f"../{file}", rest(section, pieces))
        for i, row in enumerate(section.rows):
            record = row.record
            yield f"data/values/{record.run}.js", script(record.run, values_of(section, i))
            page = run_page(row, section, pieces)
            yield f"runs/{record.run}.html", document(record.run, page, [*trail(record)], "../").encode()
