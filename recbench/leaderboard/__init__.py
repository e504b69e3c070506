"""Committed records to pages: pure functions, nothing of today's date or this machine."""

from recbench.leaderboard.build import build, check
from recbench.leaderboard.compare import against, compare_records, rows_of
from recbench.leaderboard.html import html_page
from recbench.leaderboard.page import markdown_page
from recbench.leaderboard.records import load_records

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
