"""Records to pages: pure functions, nothing of today's date or this machine."""

from recbench.pages.build import build, check, html_page, markdown_page, write_page
from recbench.pages.compare import compare_records, family, rows_of
from recbench.pages.records import by_dataset, load_records, place_of

__all__ = [
    "build",
    "by_dataset",
    "check",
    "compare_records",
    "family",
    "html_page",
    "load_records",
    "markdown_page",
    "place_of",
    "rows_of",
    "write_page",
]
