"""Committed records to pages: pure functions, nothing of today's date or this machine."""

from recbench.pages.build import build, check
from recbench.pages.compare import against, compare_records, rows_of
from recbench.pages.html import html_page
from recbench.pages.page import markdown_page
from recbench.pages.records import load_records

__all__ = [
    "against",
    "build",
    "check",
    "compare_records",
    "html_page",
    "load_records",
    "markdown_page",
    "rows_of",
]
