"""The local page of all runs of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbench.results import RunRecord

PAGES = "pages"


def build_page(runs: Path, dataset: str, records: Iterable[RunRecord]) -> list[Path]:
    """Rewrite the local page of one data set from those of the ``records`` that belong to it; the files written."""
    from recbench.pages import html_page, markdown_page, write_page

    own = [record for record in records if record.dataset.name == dataset]
    pages = {f"{dataset}.md": markdown_page, f"{dataset}.html": html_page}
    for name, page in pages.items():
        write_page(runs / PAGES / name, page(own))
    return [runs / PAGES / name for name in pages]
