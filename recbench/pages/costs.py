"""What the rows of a page cost: budget, version, training and decoding, memory."""

from __future__ import annotations

from recbench.pages.blocks import NONE, Table
from recbench.pages.rows import Row
from recbench.pages.training import best_epochs, watched_text
from recbench.results import RunRecord


def costs(rows: tuple[Row, ...]) -> Table:
    """One line a row; the best epoch and what the loss watched (MSL: its temperature) seed by seed."""
    header = (
        "#",
        "Method",
        "Device",
        "Budget",
        "Version",
        "Best epoch",
        "Watched",
        "Training",
        "Decoding",
        "Peak memory",
    )
    lines = []
    for row in rows:
        environments = [seed.environment for seed in row.record.seeds]
        budget = "; ".join(f"{name}: {text}" for name, text in sorted(row.record.budget.items()))
        lines.append(
            (
                str(row.rank),
                name_of(row),
                _distinct([str(e.get("device", "")) for e in environments]),
                budget or NONE,
                versions(row.record),
                best_epochs(row.record) or NONE,
                watched_text(row.record) or NONE,
                NONE if row.training is None else f"{row.training:,.0f} s",
                NONE if row.decoding is None else f"{row.decoding:,.0f} s",
                NONE if row.peak_memory is None else f"{row.peak_memory / 2**30:.1f} GiB",
            )
        )
    return Table(header, tuple(lines), words=7)


def name_of(row: Row) -> str:
    """Method, loss and decoder, as a page names a row."""
    labels = row.record.labels
    return " + ".join(part for part in (labels.method, labels.loss, labels.decoder) if part)


def versions(record: RunRecord) -> str:
    """The versions that made a record's seeds."""
    return _distinct([_version(seed.environment) for seed in record.seeds])


def _version(environment: dict[str, object]) -> str:
    commit = environment.get("git_commit")
    changed = "+changes" if environment.get("git_dirty") else ""
    return str(environment.get("recbench", "")) + (f" ({str(commit)[:8]}{changed})" if commit else "")


def _distinct(texts: list[str]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or NONE
