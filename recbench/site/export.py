"""A run to cite and to put into a paper: BibTeX, and a row of a LaTeX table."""

from __future__ import annotations

import re
import unicodedata

from recbench.pages.blocks import figure
from recbench.pages.compare import counted
from recbench.pages.latex import escaped
from recbench.pages.rows import METRIC, Row

COLUMNS = (METRIC, "NDCG@5", "HR@10", "HR@5")


def latex_row(row: Row) -> str:
    """The row's names and metrics for a table, below a comment that names the columns."""
    labels = row.record.labels
    names = [escaped(part) if part else "--" for part in (labels.method, labels.loss, labels.decoder)]
    shown = [name for name in COLUMNS if name in row.metrics]
    cells = [_value(*row.metrics[name]) for name in shown]
    head = " & ".join(["method", "loss", "decoder", *shown])
    return f"% {head}\n{' & '.join([*names, *cells])} \\\\"


def _value(mean: float, sd: float | None) -> str:
    return f"${figure(mean)}$" if sd is None else f"${figure(mean)} \\pm {figure(sd)}$"


def bibtex(row: Row) -> str:
    """The run as an entry; its year is that in which its first seed was started, if that was recorded."""
    record = row.record
    labels = record.labels
    method = " + ".join(part for part in (labels.method, labels.loss, labels.decoder) if part)
    value = f"{METRIC} {figure(row.metrics[METRIC][0])}, {counted(len(record.seeds), 'seed')}"
    year = re.match(r"\d{4}(?=-)", record.seeds[0].started)
    fields = {
        "title": f"{{{escaped(f'{method} on {record.dataset.label}')}}}",
        "howpublished": "recbench record",
        "note": escaped(f"run {record.run}, {value}, spec {record.spec_hash}"),
        **({"year": year[0]} if year else {}),
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{_key(record.run)},\n{lines}\n}}"


def _key(run: str) -> str:
    """A citation key of letters, digits and hyphens."""
    ascii_ = unicodedata.normalize("NFKD", run).encode("ascii", "ignore").decode()
    return "recbench-" + (re.sub(r"[^A-Za-z0-9-]+", "-", ascii_).strip("-") or "run")
