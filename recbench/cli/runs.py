"""The local page of all runs of a data set."""

from __future__ import annotations

from pathlib import Path

from recbench.lookup import read_all

PAGES = "pages"


def build_page(runs: Path, dataset: str) -> tuple[list[Path], list[str]]:
    """Rewrite the local page of one data set from the records in ``runs``.

    Returns:
        The pages written, and a sentence for each record that cannot be read and was left out.
    """
    from recbench.pages import html_page, markdown_page, write_page

    records, broken = read_all(runs)
    records = [record for record in records if record.dataset.name == dataset]
    pages = {f"{dataset}.md": markdown_page, f"{dataset}.html": html_page}
    written = []
    for name, page in pages.items():
        write_page(runs / PAGES / name, page(records))
        written.append(runs / PAGES / name)
    return written, [f"left out of the page: {sentence}" for sentence in broken]
