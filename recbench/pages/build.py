"""Pages from a folder of records, and whether the pages on disk are those."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recbench.files import write_atomic
from recbench.pages import html, page
from recbench.pages.records import by_dataset, load_records

_RENDERERS = {"md": (page.markdown_page, page.MARKER), "html": (html.html_page, html.MARKER)}


def build(records_dir: Path, out_dir: Path, formats: Sequence[str] = ("md",)) -> list[Path]:
    """Write ``<dataset>.md`` (and ``.html``) for each data set; remove generated pages that have no records any more.

    Args:
        records_dir: folder of ``*.json`` records.
        out_dir: where the pages go.
        formats: ``md``, ``html`` or both.

    Returns:
        The pages, in order of name.

    Raises:
        DataError: a broken record, by name; nothing has been written then.
        RecbenchError: a page cannot be written.
    """
    pages = _pages(records_dir, out_dir, formats)
    for path, text in pages.items():
        write_atomic(path, text.encode())
    for path in _stale(pages, out_dir, formats):
        path.unlink()
    return list(pages)


def check(records_dir: Path, out_dir: Path, formats: Sequence[str] = ("md",)) -> list[Path]:
    """The pages that ``build`` would change, add or remove; empty where all are up to date. Writes nothing.

    Raises:
        DataError: a broken record, by name.
    """
    pages = _pages(records_dir, out_dir, formats)
    differing = [path for path, text in pages.items() if not path.is_file() or path.read_bytes() != text.encode()]
    return sorted(differing + _stale(pages, out_dir, formats))


def _pages(records_dir: Path, out_dir: Path, formats: Sequence[str]) -> dict[Path, str]:
    datasets = by_dataset(load_records(records_dir))
    return {
        Path(out_dir) / f"{dataset}.{kind}": _RENDERERS[kind][0](records)
        for dataset, records in datasets.items()
        for kind in formats
    }


def _stale(pages: dict[Path, str], out_dir: Path, formats: Sequence[str]) -> list[Path]:
    stale: list[Path] = []
    for kind in formats:
        marker = _RENDERERS[kind][1].encode()
        others = (path for path in sorted(Path(out_dir).glob(f"*.{kind}")) if path not in pages)
        # only pages of our own making: a README beside them stays
        stale += [path for path in others if marker in path.read_bytes()[:200]]
    return stale
